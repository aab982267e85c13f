"""The administrator's page of people who have two user ids."""

from __future__ import annotations

import html

import pytest

from lti_tool.services import people
from tests.classroom import make_room, shared  # noqa: F401 (fixtures)
from tests.services.test_people import Merged


@pytest.fixture
def merged(make_room):  # noqa: F811
    found = Merged(make_room)
    found.earn()
    return found


@pytest.fixture
def admin(shared):  # noqa: F811
    return shared.administrator()


def test_K09_an_administrator_sees_the_suggestion_links_and_unlinks(merged, admin):
    page = html.unescape(admin.get("/admin/people/").text)
    assert merged.before.id in page and merged.after.id in page and "May be one person" in page
    pair = {"person": merged.new, "same_as": merged.old}
    done = admin.post("/admin/people/link", pair)
    assert done.status_code == 200 and "They count as one person from now on" in done.text
    assert "1 award was replaced" in done.text
    (link,) = [each for each in people.links(merged.tool) if each.person.id == merged.new]
    done = admin.post("/admin/people/unlink", {"link": link.id})
    assert "They are two people again" in done.text and merged.suggested() == []
    assert merged.new_room.award(merged.after)["status"] == "issued"


def test_K09_two_people_can_be_said_to_be_two(merged, admin):
    done = admin.post("/admin/people/refuse", {"person": merged.new, "same_as": merged.old})
    assert "not suggested any more" in done.text and merged.suggested() == []


def test_two_user_ids_are_linked_by_hand_and_what_is_wrong_is_said_beside_what_was_typed(merged, admin):
    platform = str(merged.old_room.scene.platform["canvas"])
    told = {"platform": platform, "old": merged.before.id, "new": "nobody"}
    wrong = admin.post("/admin/people/link", told)
    assert wrong.status_code == 404 and "Nobody with this user id" in wrong.text and merged.before.id in wrong.text
    assert admin.post("/admin/people/link", {**told, "platform": "x"}).status_code == 404
    assert admin.post("/admin/people/link", {**told, "new": merged.before.id}).status_code == 400
    done = admin.post("/admin/people/link", {**told, "new": merged.after.id})
    assert done.status_code == 200 and "They count as one person" in done.text
    assert admin.post("/admin/people/unlink", {"link": "nothing"}).status_code == 404


def test_K09_nobody_but_an_administrator_gets_there(merged):
    for user, where in ((merged.before, merged.old_room), (merged.old_room.teacher, merged.old_room)):
        visitor = where.enter(user)
        assert visitor.get("/admin/people/").status_code in (401, 403)
        assert visitor.post("/admin/people/link", {"person": merged.new, "same_as": merged.old}).status_code in (
            401,
            403,
        )
