"""What a running tool gives out of one learner's badges, in the hands of others: stacks, renewed, endorsed, copies.

`test_every_form.py` has every shape of edition, made by the functions that sign; here are those that the whole way from
a grade to an address makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from lti_tool.models import Award, CourseBadge, Edition
from lti_tool.services import editions, expiry
from tests.classroom import Classroom, badge
from tests.interop.forms import DOCUMENT, ENDORSEMENT, HOSTED, LIST, PICTURE, RECORD, TOKEN, each_changed, text_of
from tests.interop.sites import Site, served_at
from tests.interop.verifiers import CHECKS_SIGNATURES, VERIFIERS
from tests.scene import Scene, make_database, now
from tests.services.test_endorsements import address_in, ask, say
from tests.services.test_stacks import award_of, earn, part, publish, stack
from tests.wallet import Key, Wallet, make_offer

ALL = {"inside": "yes", "public": "yes", "name": "yes", "email": "yes", "levels": "yes", "grades": "yes"}
OWN_WORDS = {"narrative": "I read & weighed them, one by one."}


class Library:
    """A course in which somebody has earned two badges, the one made of them, and the one above: `given` is what she
    and others have got of it, by name, each with its kind."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.room = scene, Classroom(scene, students=1)
        self.student, self.tool = self.room.students[0], self.room.tool
        self.given: dict[str, tuple[str, Any]] = {}
        self._endorse_the_institution()
        find, cite = part(name="Finds sources"), part(name="Cites sources")
        yearly = badge(name="First Aid", expires_after="P90D")
        publish(self.room, find, cite, yearly)
        self.room.badge = find
        self._add("endorsement of a badge", ENDORSEMENT, say(ask(self.room)))
        earn(self.room, self.student, find, cite)
        self.room.badge = yearly
        self.room.grade(self.student, 3, 4)
        self.room.sync()
        self.learner = self.room.enter(self.student)
        for each in (find, cite, yearly):
            self._claim(each)
        sources = stack(find, cite, name="Sources")
        publish(self.room, sources)
        self._claim(sources)
        top = stack(sources, yearly, name="Scholar")
        publish(self.room, top)
        self._claim(top)
        self.room.badge = top
        asked = ask(self.room, award=award_of(self.room, self.student, top)["id"])
        self._add("endorsement of an award", ENDORSEMENT, say(asked))
        self._renew(yearly)
        for name, each in (("part", find), ("stack", sources), ("stack of stacks", top), ("renewed", yearly)):
            self._fetch(name, award_of(self.room, self.student, each)["credential_url"])
        self._fetch_copies("stack of stacks", top)
        self.given["learner record"] = RECORD, self.learner.get("clr.json").json()
        self.site: Site = served_at(scene.url)
        self.given |= {url: (LIST, page) for url, page in self.site.lists.items()}

    def _endorse_the_institution(self) -> None:
        page = self.scene.administrator().post("/admin/issuer/endorsements", {"reviewer": "The accreditors"}).text
        link = re.search(r"<code>(http[^<]*/endorse/[^<]+)</code>", page)
        assert link
        self._add("endorsement of the institution", ENDORSEMENT, say(link[1], comment="Accredited since 1921."))

    def _add(self, name: str, kind: str, answer: requests.Response) -> None:
        self.given[name] = kind, requests.get(f"{address_in(answer)}.json", timeout=20).json()

    def _claim(self, each: Any) -> None:
        done = self.learner.post(f"badges/{each.slug}/claim", {**ALL, **OWN_WORDS})
        assert done.status_code == 200, done.text
        editions.sign_pending(self.tool)

    def _renew(self, each: Any) -> None:
        """Let an award of 30 days end in a week, and make it valid anew."""
        award = award_of(self.room, self.student, each)
        with self.tool.db.write() as session:
            ends = now() + timedelta(days=7)
            session.execute(
                update(Award)
                .where(Award.id == award["id"])
                .values(issued_at=ends - timedelta(days=30), expires_at=ends)
            )
            session.execute(update(Edition).where(Edition.award_id == award["id"]).values(valid_until=ends))
            badge_id = session.scalars(select(CourseBadge.id).where(CourseBadge.slug == each.slug)).one()
        assert expiry.renew(self.tool, badge_id, [award["id"]], actor="operator", now=now()) == [award["id"]]
        assert editions.sign_pending(self.tool) == 1

    def _fetch(self, name: str, url: str) -> None:
        """Ask for every form of a credential as a stranger does."""
        answers = {form: requests.get(f"{url}.{form}", timeout=20) for form in ("json", "jwt", "png", "svg", "pdf")}
        assert {answer.status_code for answer in answers.values()} == {200}
        self.given[f"{name}, JSON"] = DOCUMENT, answers["json"].json()
        self.given[f"{name}, VC-JWT"] = TOKEN, answers["jwt"].text
        for form in ("png", "svg", "pdf"):
            held = text_of(answers[form].content, PICTURE)
            assert held in (answers["json"].json(), answers["jwt"].text), form
            self.given[f"{name}, {form}"] = TOKEN if isinstance(held, str) else DOCUMENT, held
        pages: dict[str, Any] = {}
        address = url.replace("/credentials/", "/ob2/assertions/")
        for following in ("badge", "issuer", ""):
            pages[address] = requests.get(address, timeout=20).json()
            address = pages[address].get(following, "")
        self.given[f"{name}, Open Badges 2.0"] = HOSTED, pages

    def _fetch_copies(self, name: str, each: Any) -> None:
        """Let two wallets fetch it, each in one of the formats."""
        for form, kind, key in (("ldp_vc", DOCUMENT, Key("EdDSA")), ("jwt_vc_json", TOKEN, Key("ES256"))):
            copy = Wallet(make_offer(self.learner, each.slug).text, key).get(form)
            self.given[f"{name} in a wallet, {form}"] = kind, copy


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("served")
    with make_database("", folder) as url:
        scene = Scene(folder, url)
        try:
            yield Library(scene)
        finally:
            scene.stop()


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_i01_each_verifier_accepts_all_it_can_read_of_what_is_served(library: Library, verifier: str) -> None:
    kinds, ask_it = VERIFIERS[verifier]
    given = {name: content for name, (kind, content) in library.given.items() if kind in kinds}
    assert given
    assert {name: said for name, said in ask_it(given, library.site).items() if said} == {}


# Of each kind one, and of its values every third: `test_every_form.py` changes each value there is, in each kind.
CHANGED = (
    *("stack of stacks in a wallet, ldp_vc", "stack of stacks in a wallet, jwt_vc_json"),
    *("endorsement of an award", "learner record"),
)


@pytest.mark.parametrize("verifier", [each for each in CHECKS_SIGNATURES if VERIFIERS[each][0] - {HOSTED}])
def test_i05_each_verifier_refuses_what_is_served_with_one_value_changed(library: Library, verifier: str) -> None:
    kinds, ask_it = VERIFIERS[verifier]
    given = {name: library.given[name][1] for name in CHANGED if library.given[name][0] in kinds}
    copies = {
        f"{name}: {place}": copy
        for name, content in given.items()
        for place, copy in list(each_changed(content).items())[::3]
    }
    assert len(copies) > 10 * len(given)
    answers = ask_it({**copies, **given}, library.site)
    assert {name for name, said in answers.items() if not said} == set(given)


def test_a_stack_names_the_credentials_of_its_parts_and_its_copies_name_the_same(library: Library) -> None:
    def named(name: str) -> list[str]:
        evidence = library.given[name][1]["evidence"]
        return [each["id"] for each in evidence if each.get("genre") == "Credential"]

    assert library.given["stack, JSON"][1]["id"] in named("stack of stacks, JSON")
    assert len(named("stack, JSON")) == 2 == len(named("stack of stacks, JSON"))
    assert named("stack of stacks in a wallet, ldp_vc") == named("stack of stacks, JSON")


def test_a_learner_record_says_which_badge_is_part_of_which(library: Library) -> None:
    subject = library.given["learner record"][1]["credentialSubject"]
    names = {each["credentialSubject"]["achievement"]["id"]: each["credentialSubject"]["achievement"]["name"]
             for each in subject["verifiableCredential"]}  # fmt: skip
    told = {(names[each["sourceId"]], names[each["targetId"]]) for each in subject["association"]}
    assert told == {
        ("Sources", "Finds sources"),
        ("Sources", "Cites sources"),
        ("Scholar", "Sources"),
        ("Scholar", "First Aid"),
    }
