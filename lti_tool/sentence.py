"""A sentence for people that can be said in another language later: where it is shown, not where it is made.

What is made below the pages, in a job or a command is a `Sentence`: English as it stands, so that logs, commands and
signed records read it as any text, with the words and values it was made of beside it. `services/words.py` says it in
the language of a page. `Sentence` and `counted` are also what `make words` collects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any


class Number(str):
    """A number as decimal text, 2.5, which a page writes as its reader does: 2,5."""

    __slots__ = ()


class Day(str):
    """A day, 30 September 2026, which a page writes as its reader does."""

    when: date

    def __new__(cls, when: date) -> Day:
        made = super().__new__(cls, f"{when.day} {when:%B %Y}")
        made.when = when
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Day, (self.when,)


class Moment(str):
    """A moment, 16 Nov 2026, 10:18 UTC, which a page writes as its reader does."""

    when: datetime

    def __new__(cls, when: datetime) -> Moment:
        when = when.astimezone(UTC)
        made = super().__new__(cls, f"{when.day} {when:%b %Y, %H:%M} UTC")
        made.when = when
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Moment, (self.when,)


Value = str | int | Sequence[str]


class Sentence(str):
    """English made of `words` and named values, %(name)s. A value may be a sentence too, or a list that commas join.

    With `many`, `words` hold for one and `many` for any other number of `num`."""

    words: str
    many: str
    values: Mapping[str, Value]

    def __new__(cls, words: str, /, **values: Value) -> Sentence:
        return cls.made(words, "", values)

    @classmethod
    def made(cls, words: str, many: str, values: Mapping[str, Value]) -> Sentence:
        chosen = many if many and values["num"] != 1 else words
        made = str.__new__(cls, chosen % _joined(values) if values else chosen)
        made.words, made.many, made.values = words, many, values
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence.made, (self.words, self.many, self.values)

    def __deepcopy__(self, memo: object) -> Sentence:
        return self

    def kept(self) -> dict[str, Any]:
        """Return it as JSON keeps it; `read` makes it again."""
        values = {name: _kept(value) for name, value in self.values.items()}
        return {"words": self.words, **({"many": self.many} if self.many else {}), "values": values}


def counted(one: str, many: str, num: int, /, **values: Value) -> Sentence:
    """Return a sentence about `num` things, which stands in it as %(num)s."""
    return Sentence.made(one, many, {"num": num, **values})


def kept(text: str) -> Any:
    """Return what JSON keeps of a text: a sentence with its parts, any other text as it is."""
    return text.kept() if isinstance(text, Sentence) else text


def read(found: Any) -> str:
    """Return what was kept: a sentence, or the text that stands there (from before sentences were kept)."""
    if isinstance(found, dict):
        return Sentence.made(found["words"], found.get("many", ""), {k: _read(v) for k, v in found["values"].items()})
    return str(found)


def kept_text(text: str) -> str:
    """Return what a column of text keeps."""
    return json.dumps(text.kept(), ensure_ascii=False) if isinstance(text, Sentence) else text


def read_text(text: str) -> str:
    """Return what a column of text has kept; text of people, whatever it looks like, is never kept in such a column."""
    return read(json.loads(text)) if text.startswith('{"words": ') else text


def _joined(values: Mapping[str, Value]) -> Mapping[str, Value]:
    lists = {name: ", ".join(value) for name, value in values.items() if isinstance(value, (list, tuple))}
    return {**values, **lists} if lists else values


def _kept(value: Value) -> Any:
    if isinstance(value, Sentence):
        return value.kept()
    if isinstance(value, Number):
        return {"number": str(value)}
    if isinstance(value, Day):
        return {"day": value.when.isoformat()}
    if isinstance(value, Moment):
        return {"moment": value.when.isoformat()}
    return value if isinstance(value, str | int) else [_kept(each) for each in value]


def _read(value: Any) -> Value:
    if isinstance(value, dict):
        if "number" in value:
            return Number(value["number"])
        if "moment" in value:
            return Moment(datetime.fromisoformat(value["moment"]))
        return Day(date.fromisoformat(value["day"])) if "day" in value else read(value)
    if isinstance(value, list):
        return [read(each) for each in value]
    return value if isinstance(value, int) else str(value)
