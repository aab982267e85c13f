"""Badges that end: said in time, renewed by an instructor, found by a wallet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from lti_tool.errors import Conflict
from lti_tool.models import Award, Edition
from lti_tool.services import award_acts, choices, expiry
from lti_tool.services.choices import Choices
from tests.classroom import Classroom, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now


@pytest.fixture
def ending(make_room: Callable[..., Classroom]) -> Classroom:  # noqa: F811
    """A course with a badge of 180 days that its two students have."""
    made = make_room()
    assert made.publish(badge(expires_after="P180D")).state == "done"
    for student in made.students:
        made.grade(student, 3, 3)
    assert made.sync().state == "done"
    return made


def editions_of(room: Classroom, award_id: str) -> list[Edition]:
    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == award_id).options(undefer(Edition.document))
        return list(session.scalars(query.order_by(Edition.number)))


def badge_id(room: Classroom) -> str:
    with room.tool.db.read() as session:
        return room.course_badge(session).id


def ends_in(room: Classroom, days: float, student: int = 0) -> dict[str, Any]:
    """Let an award that lasts 180 days end some days from now, the credential too."""
    award = room.award(room.students[student])
    ends = (now() + timedelta(days=days)).replace(microsecond=0)
    began = ends - timedelta(days=180)
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == award["id"]).values(issued_at=began, expires_at=ends))
        session.execute(
            update(Edition).where(Edition.award_id == award["id"]).values(valid_from=began, valid_until=ends)
        )
    return award


def renew(room: Classroom, *awards: dict[str, Any]) -> requests.Response:
    told = {"award": [each["id"] for each in awards], "confirmed": "yes", "ticked": "yes"}
    return room.page.post(f"badges/{room.badge.slug}/awards/renew", told)


@pytest.mark.parametrize(
    ("lasts", "days", "step"),
    [
        *((180, 61, 0), (180, 59.9, 60), (180, 30, 30), (180, 7.5, 30), (180, 6, 7), (180, 0.1, 7), (180, -1, 0)),
        *((90, 59, 0), (90, 30, 30), (90, 7, 7)),
        *((45, 45, 0), (45, 15.1, 0), (45, 15, 15), (45, 7, 7)),
        *((14, 14, 0), (14, 4, 4), (2, 0.5, 0)),
    ],
)
def test_an_award_is_due_for_a_reminder_60_30_and_7_days_before_its_end_and_never_in_its_first_days(
    ending: Classroom, lasts: int, days: float, step: int
) -> None:
    at = now()
    ends = at + timedelta(days=days)
    began = ends - timedelta(days=lasts)
    with ending.tool.db.write() as session:
        award = ending.award(ending.students[0])
        session.execute(update(Award).where(Award.id == award["id"]).values(issued_at=began, expires_at=ends))
        found = [
            each for each in expiry.expiring(session, at, ending_id(session, award)) if each.award_id == award["id"]
        ]
        session.expire_all()
        row = session.get_one(Award, award["id"])
        assert bool(expiry.told(row, at)) == bool(step)
        assert expiry.can_renew(row, at) == (bool(step) or days < 0)
    assert [each.step for each in found] == ([step] if step else [])


def ending_id(session: Any, award: dict[str, Any]) -> str:
    return str(session.get_one(Award, award["id"]).course_badge_id)


def test_a_learner_reads_until_when_her_badge_is_valid(ending: Classroom) -> None:
    student = ending.enter(ending.students[0])
    assert "Valid until" not in student.get("").text
    award = ends_in(ending, 6.5)
    choices.choose(ending.tool, award["id"], Choices(public=True), actor="operator", now=now())
    assert "for 7 more days." in student.get("").text
    page = student.get(f"badges/{ending.badge.slug}").text
    assert "for 7 more days." in page and "Your teacher can renew it by then" in page
    other = ending.enter(ending.students[1])
    assert "Valid until" not in other.get("").text


def test_an_instructor_finds_what_ends_soon_and_what_has_ended(ending: Classroom) -> None:
    path = f"badges/{ending.badge.slug}/awards"
    assert "End soon" not in ending.page.get(path).text
    soon, over = ends_in(ending, 20, 0), ends_in(ending, -1, 1)
    text = ending.page.get(path).text
    assert "End soon <b>1</b>" in text and "Expired <b>1</b>" in text and text.count("Renew …") == 2
    only = ending.page.get(path, params={"show": "soon"}).text
    assert f'value="{soon["id"]}"' in only and f'value="{over["id"]}"' not in only and "for 20 more days." in only
    only = ending.page.get(path, params={"show": "expired"}).text
    assert f'value="{over["id"]}"' in only and f'value="{soon["id"]}"' not in only


def test_a_renewed_badge_has_a_new_credential_and_the_old_one_stays_good_until_its_day(ending: Classroom) -> None:
    award = ends_in(ending, 10)
    choices.choose(ending.tool, award["id"], Choices(public=True), actor="operator", now=now())
    asked = ending.page.post(f"badges/{ending.badge.slug}/awards/renew", {"only": award["id"]})
    assert asked.status_code == 200 and "What will happen" in asked.text
    assert len(editions_of(ending, award["id"])) == 1
    answer = renew(ending, award)
    assert answer.status_code == 200 and "1 award is valid anew." in answer.text
    old, new = editions_of(ending, award["id"])
    assert old.withdrawn_at is None and new.signed_at is not None
    assert new.valid_until - new.valid_from == timedelta(days=180) and new.valid_from > old.valid_from
    assert json.loads(new.document)["validUntil"] == new.valid_until.isoformat().replace("+00:00", "Z")
    after = ending.award(ending.students[0])
    assert after["status"] == "issued" and after["public"] and after["credential_url"].endswith(new.id)
    page = requests.get(f"{ending.scene.url}/credentials/{old.id}", timeout=10).text
    assert "It was renewed." in page and new.id in page
    assert "It was renewed." not in requests.get(f"{ending.scene.url}/credentials/{new.id}", timeout=10).text


def test_an_expired_badge_is_renewed_too_and_its_old_page_points_on(ending: Classroom) -> None:
    award = ends_in(ending, -1)
    with ending.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == award["id"]).values(live=False, page_public=True))
    assert renew(ending, award).status_code == 200
    old, new = editions_of(ending, award["id"])
    with ending.tool.db.read() as session:
        found = session.get_one(Award, award["id"])
        assert (found.status, found.live) == ("issued", True) and found.expires_at == new.valid_until
    page = requests.get(f"{ending.scene.url}/credentials/{old.id}", timeout=10).text
    assert "It ended on" in page and new.id in page
    assert len(ending.awards(ending.students[0])) == 1


def test_what_the_grades_do_not_carry_any_more_is_not_renewed(ending: Classroom) -> None:
    carried, fallen = ends_in(ending, 5, 0), ends_in(ending, 5, 1)
    ending.grade(ending.students[1], 1, 1)
    ending.sync()
    asked = ending.page.post(
        f"badges/{ending.badge.slug}/awards/renew", {"award": [carried["id"], fallen["id"]], "ticked": "yes"}
    )
    assert "The grades do not carry it any more." in asked.text and "These cannot be renewed" in asked.text
    answer = renew(ending, carried, fallen)
    assert "1 award is valid anew." in answer.text
    assert [len(editions_of(ending, each["id"])) for each in (carried, fallen)] == [2, 1]
    again = renew(ending, fallen)
    assert again.status_code == 409 and "None of these can be renewed any more." in again.text


def test_renewing_with_lower_levels_answers_the_review_that_asked_about_them(
    make_room: Callable[..., Classroom],  # noqa: F811
) -> None:
    made = make_room()
    made.publish(badge(expires_after="P180D"))
    for points in (4, 3):
        made.grade(made.students[0], points, points)
        made.sync()
    award, path = ends_in(made, 5), f"badges/{made.badge.slug}/awards"
    assert "Still earned, with lower levels" in made.page.get(path).text
    assert renew(made, award).status_code == 200
    assert "Still earned, with lower levels" not in made.page.get(path).text
    made.grade(made.students[0], 3, 4)
    made.sync()  # nothing is asked about it once more
    assert [each["resolution"] for each in made.shown(award["id"])["reviews"]] == ["renewed"]


def test_a_badge_that_was_earned_again_meanwhile_is_not_renewed_beside_it(ending: Classroom) -> None:
    award = ends_in(ending, -1)
    with time_machine.travel(now() + timedelta(minutes=1)):
        ending.grade(ending.students[0], 4, 4)
        ending.sync()
        assert len(ending.awards(ending.students[0])) == 2
        with pytest.raises(Conflict):
            expiry.renew(ending.tool, badge_id(ending), [award["id"]], actor="operator", now=now())


def test_a_badge_that_is_valid_for_long_is_not_renewed_yet(ending: Classroom) -> None:
    award, other = ends_in(ending, 61, 0), ends_in(ending, 59, 1)
    assert renew(ending, award).status_code == 409
    answer = renew(ending, award, other)
    assert "1 award is valid anew." in answer.text
    assert [len(editions_of(ending, each["id"])) for each in (award, other)] == [1, 2]


def test_a_badge_without_an_end_has_nothing_to_renew(make_room: Callable[..., Classroom]) -> None:  # noqa: F811
    made = make_room()
    made.publish(badge())
    made.grade(made.students[0], 3, 3)
    made.sync()
    with made.tool.db.read() as session:
        award = session.get_one(Award, made.award()["id"])
        assert not expiry.can_renew(award, now())
        assert expiry.planned(session, award, now()).why_not == "It has no end, so there is nothing to renew."


def test_D08_another_course_s_award_is_not_renewed(ending: Classroom, make_room: Callable[..., Classroom]) -> None:  # noqa: F811
    award = ends_in(ending, 5)
    other = make_room()
    other.publish(badge(expires_after="P90D"))
    assert renew(other, award).status_code == 404
    assert len(editions_of(ending, award["id"])) == 1


# -- what a wallet gets


def test_a_wallet_that_refreshes_gets_the_newest_credential_as_json_or_jwt(ending: Classroom) -> None:
    award = ends_in(ending, 10)
    choices.choose(ending.tool, award["id"], Choices(public=True), actor="operator", now=now())
    (first,) = editions_of(ending, award["id"])
    url = f"{ending.scene.url}/credentials/{first.id}"
    same = requests.get(f"{url}/refresh", timeout=10)
    assert same.content == requests.get(f"{url}.json", timeout=10).content
    renew(ending, award)
    newest = ending.award(ending.students[0])["credential_url"]
    got = requests.get(f"{url}/refresh", timeout=10)
    assert got.json()["id"] == newest and got.content == requests.get(f"{newest}.json", timeout=10).content
    assert got.headers["Cache-Control"] == "private, no-store"
    jwt = requests.get(f"{url}/refresh", headers={"Accept": "application/jwt"}, timeout=10)
    assert jwt.content == requests.get(f"{newest}.jwt", timeout=10).content


def test_I24_a_private_credential_refreshes_for_nobody_as_one_that_is_not_there(ending: Classroom) -> None:
    (edition,) = editions_of(ending, ending.award(ending.students[0])["id"])
    answers = [
        requests.get(f"{ending.scene.url}/credentials/{name}/refresh", timeout=10) for name in (edition.id, "0" * 32)
    ]
    assert [each.status_code for each in answers] == [404, 404]
    told = [re.sub(r"404 · [0-9A-F]+|\d\d:\d\d", "", each.text) for each in answers]
    assert told[0].replace(edition.id, "") == told[1].replace("0" * 32, "")
    learner = ending.enter(ending.students[0])
    assert learner.get(f"/credentials/{edition.id}/refresh").status_code == 200


def test_a_withdrawn_credential_has_nothing_newer(ending: Classroom) -> None:
    award = ending.award(ending.students[0])
    choices.choose(ending.tool, award["id"], Choices(public=True), actor="operator", now=now())
    award_acts.revoke(ending.tool, award["id"], "A mistake.", actor="operator", now=now())
    answer = requests.get(f"{award['credential_url']}/refresh", timeout=10)
    assert answer.status_code == 410
    page = requests.get(award["credential_url"], timeout=10)
    assert page.status_code == 200 and "A mistake." in page.text
