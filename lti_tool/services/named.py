"""Who is meant by what a line of a table says of somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lti_tool.services.by_hand import Candidate
from lti_tool.sheets import key

BY = ("sub", "sis", "email", "name")  # the surest first


class Named:
    """The people of a course, to be found by what a line says of them."""

    def __init__(self, people: Sequence[Candidate]) -> None:
        self._by_sub = {each.sub: each for each in people}
        self._by: dict[str, dict[str, list[Candidate]]] = {"sis": {}, "email": {}, "name": {}}
        for each in people:
            for kind, text in (("sis", each.sis_id), ("email", each.email), ("name", each.name)):
                if text:
                    self._by[kind].setdefault(key(text), []).append(each)

    def find(self, said: Mapping[str, str]) -> tuple[Candidate | None, str, str]:
        """Return who a line means, what is wrong with it, and by which of the kinds of `BY` she was found.

        The first that is told decides, the surest one first; the others must not say another."""
        found: Candidate | None = None
        by = ""
        for kind in BY:
            text = said.get(kind, "")
            if not text:
                continue
            those = self._those(kind, text)
            if found is not None:
                # A name is only read where nothing surer was told: people write it in many ways.
                if kind != "name" and those and found not in those:
                    return found, "differ", by
                continue
            if not those and kind == "sis" and (said.get("email") or said.get("name")):
                continue  # an LMS that tells the tool no SIS ids still writes them into its files
            if not those:
                return None, "unknown", kind
            if len(those) > 1:
                able = [each for each in those if each.why not in ("role", "gone", "test")]
                if len(able) != 1:
                    return None, "several", kind
                those = able
            found, by = those[0], kind
        return found, "" if found else "nobody", by

    def _those(self, kind: str, text: str) -> list[Candidate]:
        if kind == "sub":
            return [self._by_sub[text]] if text in self._by_sub else []
        those = self._by[kind].get(key(text), [])
        if not those and kind == "name" and "," in text:  # as a gradebook sorts them: "Okafor, Amina"
            family, _, given = text.partition(",")
            those = self._by[kind].get(key(f"{given} {family}"), [])
        return those
