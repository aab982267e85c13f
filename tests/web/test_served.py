"""Credentials as strangers fetch them: stored bytes that need not be sent twice, pages that need not be made twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests
import time_machine
from markupsafe import escape
from sqlalchemy import select, update

from lti_tool.models import Award, Course, Edition, Issuer
from lti_tool.services import award_acts, choices, issuer, public_pages, served
from lti_tool.web.kept import KeptPages
from tests.classroom import badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import now


@pytest.fixture
def claimed(room):  # noqa: F811
    """A course with an award that is public; its address at `url`, its number at `number`."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    choices.choose(room.tool, room.award()["id"], choices.Choices(public=True), actor="operator", now=now())
    room.url = room.award()["credential_url"]
    room.number = room.url.rpartition("/")[2]
    room.tool.figures.add()  # what was counted until now would be written by one of the requests to come
    return room


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=10)


def hide(room) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == room.award()["id"]).values(page_public=False))


@pytest.fixture
def minute():
    """The beginning of a minute: nothing takes as long as one here."""
    start = now().replace(second=1)
    with time_machine.travel(start, tick=True) as clock:
        yield lambda: clock.move_to(start + timedelta(minutes=1))


@pytest.fixture
def made(monkeypatch):
    """The credentials whose page was made, one after the other."""
    pages = []
    real = public_pages.credential_page
    monkeypatch.setattr(
        public_pages, "credential_page", lambda tool, edition, at: pages.append(edition.id) or real(tool, edition, at)
    )
    return pages


def test_the_signed_bytes_are_answered_as_they_are_stored_and_not_twice(claimed):
    with claimed.tool.db.read() as session:
        document = session.scalar(select(Edition.document).where(Edition.id == claimed.number))
    answers = [get(f"{claimed.url}.json"), get(claimed.url, Accept="application/vc+ld+json")]
    for answer in answers:
        assert answer.content == document and answer.headers["ETag"] == answers[0].headers["ETag"]
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    tag = answers[0].headers["ETag"]
    again = get(f"{claimed.url}.json", **{"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert get(f"{claimed.url}.json", **{"If-None-Match": '"other"'}).content == document


def test_I24_what_is_hidden_is_hidden_with_the_next_request_in_every_form(claimed):
    tag = get(f"{claimed.url}.json").headers["ETag"]
    assert get(claimed.url).status_code == 200
    hide(claimed)
    for form, headers in (("", {}), (".json", {}), (".json", {"If-None-Match": tag})):
        private, none = (get(f"{u}{form}", **headers) for u in (claimed.url, claimed.url[:-8] + "0" * 8))
        assert (private.status_code, none.status_code) == (404, 404)
    for number in (claimed.number, "0" * 32):
        assert (
            served.open_page(claimed.tool, number, now()) is None
            and served.public_document(claimed.tool, number) is None
        )


def undisturbed(room, act):  # noqa: F811
    """Return what an act gives while nobody writes: PostgreSQL's version is the server's, and others test on it too."""
    for _ in range(500):
        before = room.tool.db.version()
        found = act()
        if room.tool.db.version() == before:
            return found
    raise AssertionError("somebody wrote each time")


def test_a_page_is_made_once_while_nothing_is_written(claimed, made, minute):
    def look():
        claimed.scene.app.extensions["kept_pages"] = KeptPages()
        made.clear()
        first = [get(claimed.url).text for _ in range(3)]
        once = len(made)
        spanish = get(claimed.url, **{"Accept-Language": "es"}).text
        return [*first, get(claimed.url).text], spanish, once, len(made)

    pages, spanish, once, both = undisturbed(claimed, look)
    assert (once, both) == (1, 2) and len(set(pages)) == 1
    assert "Lo que hizo falta" not in pages[0] and '<html lang="es"' in spanish


def test_a_page_is_made_anew_after_any_write_and_with_the_next_minute(claimed, made, minute):
    get(claimed.url)
    before = issuer.issuer_told(claimed.tool).name
    for number, name in enumerate(("Another <name>", before), start=2):
        with claimed.tool.db.write() as session:
            session.execute(update(Issuer).values(name=name))
        assert str(escape(name)) in get(claimed.url).text and len(made) == number
    award_acts.revoke(claimed.tool, claimed.award()["id"], "Given by mistake.", actor="operator", now=now())
    assert "Given by mistake." in get(claimed.url).text and len(made) == 4
    minute()
    get(claimed.url)
    assert len(made) == 5


def test_the_databases_version_is_another_after_every_commit_and_no_other(claimed):
    database = claimed.tool.db

    def read():
        with database.read() as session:
            session.scalars(select(Award)).all()

    undisturbed(claimed, read)
    before = database.version()
    for label in "XY":
        with database.write() as session:
            session.execute(update(Course).where(Course.id == claimed.id).values(label=label))
        assert database.version() != before
        before = database.version()


def test_a_version_that_cannot_be_asked_for_is_the_same_as_none(claimed):
    database = claimed.tool.db
    database.version()
    database._watching.close()
    assert database.version() != database.version()
    assert database.version() == database.version()
