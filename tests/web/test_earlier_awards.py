"""A badge that a learner has earned more than once: what she made public of the first stays hers to take back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select, update

from lti_tool.models import Award, Edition
from lti_tool.services import award_acts, by_hand, choices
from lti_tool.services.choices import Choices
from tests.classroom import Classroom, badge, room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.web.test_my_badges import hide_grades, words_of
from tests.web.test_showing import make_claimed, make_link


def end(room: Classroom, award_id: str) -> None:  # noqa: F811
    over = now() - timedelta(days=1)
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == award_id).values(expires_at=over))
        session.execute(update(Edition).where(Edition.award_id == award_id).values(valid_until=over))


def earn_again(room: Classroom) -> dict[str, Any]:  # noqa: F811
    with time_machine.travel(now() + timedelta(minutes=1)):
        room.grade(room.students[0], 4, 4)
        room.sync()
    return room.awards(room.students[0])[-1]


def give_again(room: Classroom) -> dict[str, Any]:  # noqa: F811
    with time_machine.travel(now() + timedelta(minutes=1)):
        told = (room.tool, room.id, room.badge.slug, room.person_id(room.students[0]), "She did it herself since.")
        by_hand.give(*told, levels=None, actor="operator", now=now())
        room.sync()
    return room.awards(room.students[0])[-1]


def status(url: str) -> int:
    return requests.get(url, timeout=20).status_code


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_I20_what_she_made_public_of_an_earlier_award_she_can_take_down_in_the_course(room, how):  # noqa: F811
    make_claimed(room, Choices(public=True, name=True), badge(expires_after="P90D"))
    student, first, link = room.student, room.award(), make_link(room, "name")
    assert "Awarded before" not in student.get(f"badges/{room.badge.slug}").text
    if how == "expired":
        end(room, first["id"])
        second = earn_again(room)
    else:
        award_acts.revoke(room.tool, first["id"], "Given by mistake.", actor="operator", now=now())
        second = give_again(room)
    choices.choose(room.tool, second["id"], Choices(public=True), actor="operator", now=now())
    assert second["id"] != first["id"] and (status(room.url), status(link)) == (200, 200)

    page = student.get(f"badges/{room.badge.slug}")
    assert "Awarded before" in page.text and "One link that works" in page.text and "Public page on" in page.text
    path = f"badges/{first['id']}"
    assert f"{path}/claim" in page.text and f"{path}/show#links" in page.text
    shown = student.get(f"{path}/claim")
    assert room.url in shown.text and 'name="inside"' not in shown.text
    assert student.get(f"{path}/picture.svg").status_code == 200
    assert student.post(f"{path}/claim").status_code == 200  # the form without `public`
    assert (status(room.url), status(link), status(second["credential_url"])) == (404, 200, 200)

    page = student.get(f"badges/{room.badge.slug}").text  # it can be turned on again
    assert "No public page" in page and "Public page on" not in page and f"{path}/claim" in page
    (form,) = [each for each in student.get(f"{path}/show").text.split('"') if each.endswith("/end")]
    assert student.post(form).status_code == 200
    assert status(link) == 404


def test_D14_nobody_opens_the_pages_of_an_earlier_award_that_is_not_hers(room):  # noqa: F811
    make_claimed(room, Choices(public=True), badge(expires_after="P90D"))
    first = room.award()
    end(room, first["id"])
    earn_again(room)
    other, absent = room.enter(room.students[1]), "0" * 32
    for path in ("claim", "show", "wallet", "picture.svg", ""):
        answers = [other.get(f"badges/{each}/{path}".rstrip("/")) for each in (first["id"], absent)]
        answers.append(room.page.get(f"/me/{room.page.launch}/badges/{first['id']}/{path}".rstrip("/")))
        assert {answer.status_code for answer in answers} == {404}, path
    for path in ("claim", "show/page", "show/links"):
        assert other.post(f"badges/{first['id']}/{path}", {"days": "30"}).status_code == 404
    assert status(room.url) == 200


def test_a_page_that_opened_by_itself_can_be_taken_down_after_its_award_has_expired(room):  # noqa: F811
    """`privacy.claim = "automatic"` opens pages that nobody has claimed."""
    room.publish(badge(expires_after="P90D"))
    room.grade(room.students[0], 3, 4)
    room.sync()
    award, student = room.award(), room.enter(room.students[0])
    end(room, award["id"])
    assert student.get(f"badges/{room.badge.slug}/claim").status_code == 404  # of one that nobody ever saw
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.id == award["id"]).values(page_public=True))
    assert status(award["credential_url"]) == 200
    assert f"badges/{room.badge.slug}/claim" in student.get(f"badges/{room.badge.slug}").text
    shown = student.get(f"badges/{room.badge.slug}/claim").text
    assert "Claim the badge" not in shown and "You can still turn its page on or off." in shown
    student.post(f"badges/{room.badge.slug}/claim")
    assert status(award["credential_url"]) == 404


def test_I24_while_a_new_award_waits_for_hidden_grades_her_pages_show_the_one_of_before(room):  # noqa: F811
    make_claimed(room, Choices(public=True), badge(expires_after="P90D"))
    end(room, room.award()["id"])
    before = [words_of(room.student.get(f"badges/{room.badge.slug}{path}")) for path in ("", "/claim")]
    earn_again(room)
    hide_grades(room, room.students[0])
    with room.tool.db.write() as session:
        newest = select(Award).order_by(Award.earned_at.desc()).limit(1)
        newest = newest.where(Award.course_id == room.id)
        award = session.scalars(newest).one()
        award.status, award.issued_at = "review", None
    page = words_of(room.student.get(f"badges/{room.badge.slug}"))
    assert "This badge has expired." in page and "looks at it" not in page and "Awarded before" not in page
    assert words_of(room.student.get(f"badges/{room.badge.slug}/claim")) == before[1]
    room.student.post(f"badges/{room.badge.slug}/claim")
    assert status(room.url) == 404
