"""Links by which a learner shows an award: they end, they leave out parts, and nobody finds one by chance."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from lti_tool.db import Database
from lti_tool.errors import BadInput, Conflict, NotFound
from lti_tool.models import AuditEvent, Award, Course, ShareLink
from lti_tool.services import award_acts, choices, keys, public_pages, share_links
from lti_tool.services.choices import Choices
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.web.test_public import statements

ALL = ("name", "levels", "grades", "narrative", "evidence", "course", "endorsements")


@pytest.fixture
def claimed(room):  # noqa: F811
    """An award that its learner has claimed, with her name and words in it and without a public page."""
    room.publish(badge())
    room.grade(room.students[0], 3, 4)
    room.sync()
    room.enter(room.students[0])
    choose(room, Choices(name=True, grades=True, narrative="I led the talk."))
    return room


def choose(room, told: Choices) -> None:  # noqa: F811
    choices.choose(room.tool, room.award()["id"], told, actor="operator", now=now())


def make(room, *shows: str, days: int = 30, **more: str) -> str:  # noqa: F811
    """Make a link; its token."""
    link_id = share_links.make(room.tool, room.award()["id"], shows, days, actor="operator", now=now(), **more)
    return address(room, link_id).rpartition("/")[2]


def listed(room, at=None) -> list[share_links.ShareLinkView]:  # noqa: F811
    with room.tool.db.read() as session:
        return share_links.listed(room.tool, session, room.award()["id"], ALL, at or now())


def address(room, link_id: str) -> str:  # noqa: F811
    return next(link.url for link in listed(room) if link.id == link_id)


def page(room, token: str, at=None):  # noqa: F811
    found = share_links.find(room.tool, token, at or now())
    shared_as = public_pages.shared_as(room.tool, token, found)
    with room.scene.app.test_request_context("/"):
        return public_pages.credential_page(room.tool, found.edition, at or now(), shared_as)


def test_a_link_shows_the_parts_its_learner_left_in_and_no_others(claimed):
    whole = page(claimed, make(claimed, *ALL))
    assert whole.recipient == claimed.students[0].name and whole.narrative == "I led the talk."
    assert whole.shows_levels and whole.shows_grades and whole.course and whole.left_out == ()
    assert {row.points for row in whole.rows} == {"3", "4"}
    some = page(claimed, make(claimed, "levels"))
    assert some.shows_levels and {row.reached for row in some.rows} == {"Proficient", "Advanced"}
    assert {row.points for row in some.rows} == {""} and not some.shows_grades
    assert (some.recipient, some.narrative, some.course) == ("", "", "")
    assert some.left_out == ("name", "grades", "narrative", "course")
    none = page(claimed, make(claimed))
    assert not none.shows_levels and not any(mark.reached or mark.passed for row in none.rows for mark in row.levels)


def test_points_are_not_shown_without_the_levels_they_stand_for(claimed):
    assert not page(claimed, make(claimed, "grades")).shows_grades
    with claimed.tool.db.read() as session:
        assert session.scalars(select(ShareLink)).all()[-1].shows == []


def test_a_later_credential_that_says_more_is_shown_with_no_more_than_was_chosen(claimed):
    choose(claimed, Choices(narrative="I led the talk."))
    token = make(claimed, *share_links.parts_in(share_links.find(claimed.tool, make(claimed), now()).edition,
                                               endorsed=False))  # fmt: skip
    assert page(claimed, token).recipient == ""
    choose(claimed, Choices(name=True, narrative="I led the talk, twice."))
    after = page(claimed, token)
    assert after.recipient == "" and after.narrative == "I led the talk, twice."
    assert after.state == "in force"  # it follows to the newest one


def test_I24_a_link_that_ended_was_ended_or_never_was_is_the_same_after_the_same_queries(claimed):
    ended, expired, open_one = make(claimed), make(claimed, days=7), make(claimed)
    views = {link.url.rpartition("/")[2]: link.id for link in listed(claimed)}
    share_links.end(claimed.tool, claimed.award()["id"], views[ended], actor="operator", now=now())
    later = now() + timedelta(days=8)
    asked = []
    for token in (ended, expired, "A" * 22, open_one[:-1]):
        with statements(claimed.tool) as seen, pytest.raises(NotFound) as error:
            share_links.find(claimed.tool, token, later)
        asked.append((seen, error.value.detail))
    assert asked[0] == asked[1] == asked[2] == asked[3]
    assert share_links.find(claimed.tool, open_one, later)


def test_D15_an_address_has_128_random_bits_and_the_database_cannot_open_it(claimed):
    tokens = [make(claimed) for _ in range(4)]
    assert len(set(tokens)) == 4 and all(re.fullmatch("[A-Za-z0-9_-]{22}", token) for token in tokens)
    with claimed.tool.db.read() as session:
        for link in session.scalars(select(ShareLink)):
            told = " ".join(str(getattr(link, column.name)) for column in ShareLink.__table__.c)
            assert not any(token in told for token in tokens)


def test_her_links_are_hers_to_copy_again_after_the_keys_were_rotated(claimed):
    token = make(claimed)
    before = [link.url for link in listed(claimed)]
    keys.rotate_sealing(claimed.tool, actor="operator", now=now())
    assert [link.url for link in listed(claimed)] == before and before[0].endswith(token)


def test_a_link_whose_key_is_lost_still_opens_and_can_be_ended_but_not_copied(claimed):
    token = make(claimed)
    with claimed.tool.db.write() as session:
        session.scalars(select(ShareLink).where(ShareLink.award_id == claimed.award()["id"])).one().sealed = "gone"
    (link,) = listed(claimed)
    assert link.url == "" and not link.over and share_links.find(claimed.tool, token, now())
    keys.rotate_sealing(claimed.tool, actor="operator", now=now())  # which it does not hinder
    share_links.end(claimed.tool, claimed.award()["id"], link.id, actor="operator", now=now())
    with pytest.raises(NotFound):
        share_links.find(claimed.tool, token, now())


def test_a_link_says_that_its_award_was_taken_back_and_none_is_made_of_it_any_more(claimed):
    token = make(claimed)
    award_acts.revoke(claimed.tool, claimed.award()["id"], "Given by mistake.", actor="operator", now=now())
    shown = page(claimed, token)
    assert shown.state == "revoked" and "Given by mistake." in shown.state_sentence and shown.newer_url == ""
    with pytest.raises(Conflict):
        make(claimed)


@pytest.mark.parametrize("days", [0, 1, 366, -7, 10**6])
def test_a_link_lasts_as_long_as_one_of_those_offered(claimed, days):
    with pytest.raises(BadInput):
        make(claimed, days=days)
    assert listed(claimed) == []


def test_nothing_is_shared_that_is_not_claimed_and_only_so_much_at_a_time(room, monkeypatch):  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 3, 4)
    room.sync()
    with pytest.raises(Conflict):
        make(room)
    choose(room, Choices())
    monkeypatch.setattr(share_links, "MOST_OPEN", 2)
    first, _ = make(room), make(room)
    with pytest.raises(Conflict):
        make(room)
    views = {link.url.rpartition("/")[2]: link.id for link in listed(room)}
    share_links.end(room.tool, room.award()["id"], views[first], actor="operator", now=now())
    make(room)


def test_a_label_is_a_line_of_a_sensible_length(claimed):
    make(claimed, label="  For \n the council ")
    assert listed(claimed)[0].label == "For the council"
    for wrong in ("x" * 81, "a\x00b"):
        with pytest.raises(BadInput):
            make(claimed, label=wrong)


def test_each_link_made_and_ended_is_in_the_log_without_what_it_is_called(claimed):
    make(claimed, "levels", label="For Acme")
    share_links.end(claimed.tool, claimed.award()["id"], listed(claimed)[0].id, actor="person:p", now=now())
    with claimed.tool.db.read() as session:
        query = select(AuditEvent).where(AuditEvent.action.like("award.link%")).order_by(AuditEvent.id)
        made, ended = list(session.scalars(query))[-2:]
        assert (made.action, made.detail) == ("award.link_made", {"shows": ["levels"], "days": 30})
        assert (ended.action, ended.actor) == ("award.link_ended", "person:p")


def test_nobody_ends_a_link_of_another_award(claimed, make_room):  # noqa: F811
    make(claimed)
    with pytest.raises(NotFound):
        share_links.end(claimed.tool, "0" * 32, listed(claimed)[0].id, actor="operator", now=now())
    assert not listed(claimed)[0].over


def test_links_are_forgotten_a_month_after_their_end_and_with_their_award(claimed):
    token = make(claimed, days=7)
    share_links.forget_expired(claimed.tool, now() + timedelta(days=7 + 29))
    assert len(listed(claimed)) == 1
    share_links.forget_expired(claimed.tool, now() + timedelta(days=7 + 31))
    assert listed(claimed) == []
    token = make(claimed)
    with claimed.tool.db.write() as session:
        assert share_links.forget(session, [claimed.award()["id"]]) == 1
    with pytest.raises(NotFound):
        share_links.find(claimed.tool, token, now())


def test_nothing_on_a_shared_page_leads_to_the_credential_itself(claimed):
    choose(claimed, replace(choices.Choices(name=True), public=True))
    with claimed.tool.db.read() as session:
        award = session.get_one(Award, claimed.award()["id"])
        ids = [edition.id for edition in award.editions]
        assert session.get_one(Course, award.course_id).title
    shown = repr(replace(page(claimed, make(claimed, *ALL)), badge=None))  # type: ignore[arg-type]
    assert not any(each in shown for each in ids)
    assert isinstance(claimed.tool.db, Database)
