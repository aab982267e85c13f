"""What a verified launch becomes, and how the platform's keys are kept (L01, L03)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from lti_tool.demo.launches import SHORT
from lti_tool.errors import LaunchRefused
from lti_tool.lti import claims as c
from lti_tool.lti.platform_keys import MOST_IN_VAIN


def test_a_launch_from_a_link_with_a_column_names_it(room):
    column = room.lms.add_column(room.course, "Portfolio", 10)
    link = room.lms.add_link(room.course, room.tool, "Portfolio")
    launch = room.launch(login={"link": link})
    assert launch.resource_link.id == link.id
    assert launch.context.id == room.course.id and launch.context.title == room.course.title
    assert launch.sub == room.teacher.id and launch.name == room.teacher.name
    assert launch.product_family == room.lms.name
    assert column is not None


def test_a_launch_cannot_be_changed_afterwards(room):
    with pytest.raises(FrozenInstanceError):
        room.launch().sub = "other"


def test_unresolved_variables_are_left_out_of_custom_and_numbers_are_texts(room):
    custom = {
        "a": "$Foo.bar",
        "b": "$Canvas.membership.permissions<x,y>",
        "c": 3,
        "d": True,
        "e": "$5",
        "f": None,
        "g": "",
        "h": ["x"],
        "i": "x\0y",
    }
    kept = room.launch(claims={"custom": custom}).custom
    assert {name: kept[name] for name in kept if name in custom} == {
        "c": "3",
        "d": "true",
        "e": "$5",
        "g": "",
        "i": "xy",
    }


def test_a_line_item_that_is_empty_or_absent_is_none(room):
    """Moodle 4.5.6 sends "" for a deleted one and leaves it out where a link has several."""
    assert room.launch(claims={"ags": {"lineitem": ""}}).ags.line_item is None
    assert room.launch(drop=["ags"]).ags is None


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "//evil.example", "data:text/html,x", "", 7, "http://[", "a\nb"]
)
def test_an_address_that_is_not_http_is_none(room, value):
    launch = room.launch(
        claims={
            "launch_presentation": {"return_url": value},
            "nrps": {"context_memberships_url": value},
            "ags": {"lineitems": value},
        }
    )
    assert (launch.return_url, launch.memberships_url, launch.ags.line_items) == (None, None, None)


def test_an_account_launch_of_canvas_has_no_course(canvas):
    launch = canvas.launch(claims={"context": {"id": "account", "type": ["Account"]}})
    assert launch.context is None


def test_unknown_claims_are_ignored_and_kept_in_raw(room):
    launch = room.launch(claims={"https://example.com/claim/new": {"a": [1]}})
    assert launch.raw["https://example.com/claim/new"] == {"a": [1]}


def test_a31_deep_linking_settings_are_read(room):
    launch = room.launch(login={"message_type": c.DEEP_LINKING_REQUEST})
    assert launch.message_type == c.DEEP_LINKING_REQUEST
    assert launch.deep_linking.return_url.startswith("http")
    assert "ltiResourceLink" in launch.deep_linking.accept_types


def test_a31_a_deep_linking_return_address_that_is_not_http_is_refused(room):
    with pytest.raises(LaunchRefused) as refusal:
        room.launch(
            login={"message_type": c.DEEP_LINKING_REQUEST},
            claims={SHORT["deep_linking_settings"]: {"deep_link_return_url": "javascript:x"}},
        )
    assert (refusal.value.status, refusal.value.reason) == (400, "deep_linking_settings")


@pytest.mark.parametrize("name", ["DataPrivacyLaunchRequest", "LtiDataPrivacyLaunchRequest"])
def test_a_data_privacy_launch_comes_in_under_either_name(room, name):
    launch = room.launch(
        claims={"message_type": name, c.FOR_USER: {"user_id": room.students[0].id}}, drop=["context", "resource_link"]
    )
    assert launch.message_type == "DataPrivacyLaunchRequest"
    assert launch.for_user.user_id == room.students[0].id


def test_a_submission_review_without_a_line_item_comes_in(moodle):
    started = moodle.login(message_type=c.SUBMISSION_REVIEW_REQUEST, for_user=moodle.students[0])
    form = moodle.form(started)
    launch = moodle.verify(form, started.browser_secret)
    assert launch.for_user.user_id == moodle.students[0].id and launch.ags.line_item is None


@pytest.mark.parametrize("message_type", ["LtiStartProctoring", "basic-lti-launch-request", "", "LtiEulaRequest"])
def test_a_message_the_tool_does_not_know_is_refused(room, message_type):
    with pytest.raises(LaunchRefused) as refusal:
        room.launch(claims={"message_type": message_type})
    assert refusal.value.reason == "message_type"


# Keys


def test_keys_are_fetched_once_for_many_launches(room):
    for _ in range(3):
        room.launch()
    assert len(room.asked("jwks")) == 1


def test_another_process_uses_the_stored_keys(room):
    room.launch()
    room.keys = room.new_key_cache()
    room.launch()
    assert len(room.asked("jwks")) == 1


def test_L01_after_the_platform_rotates_its_key_one_refetch_lets_launches_pass(room):
    room.launch()
    room.lms.rotate_keys(3)
    room.launch()
    room.launch()
    assert len(room.asked("jwks")) == 2


def test_L01_another_process_rotated_already_and_nothing_is_fetched(room):
    room.launch()
    other = room.new_key_cache()
    other.find(room.registration, room.lms.signing_key.kid, room.clock())
    room.lms.rotate_keys(3)
    room.launch()
    asked = len(room.asked("jwks"))
    assert other.find(room.registration, room.lms.signing_key.kid, room.clock()) is not None
    assert len(room.asked("jwks")) == asked


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "drop"}, {"kind": "html"}])
def test_L03_with_the_key_address_down_cached_keys_let_launches_pass(room, fault):
    room.launch()
    room.lms.faults.on("jwks", **fault)
    room.keys = room.new_key_cache()
    assert room.launch().sub


def test_L03_old_keys_are_asked_for_again_and_kept_where_that_fails(room):
    room.launch()
    room.lms.faults.on("jwks", "status", status=503)
    kid, later = room.lms.signing_key.kid, room.clock() + timedelta(days=2)
    before = len(room.asked("jwks"))
    assert room.keys.find(room.registration, kid, later) is not None
    assert len(room.asked("jwks")) > before
    room.lms.faults.clear()
    assert room.keys.find(room.registration, kid, later + timedelta(minutes=2)) is not None


def test_a_key_the_platform_withdrew_is_forgotten_when_the_set_is_fetched_again(room):
    room.launch()
    old = room.lms.signing_key.kid
    room.lms.rotate_keys(5)
    assert room.keys.find(room.registration, old, room.clock() + timedelta(days=1)) is None


def test_A02_L01_a_key_begun_after_a_launch_with_an_unknown_one_is_found_at_once(room):
    room.launch()
    assert room.keys.find(room.registration, "unknown", room.clock()) is None
    room.lms.rotate_keys(3)
    assert room.launch().sub
    assert len(room.asked("jwks")) == 3


def test_A02_unknown_kids_ask_a_few_times_a_minute_however_many_are_sent(room):
    room.launch()
    now = room.clock()
    for number in range(50):
        assert room.keys.find(room.registration, f"unknown{number}", now + timedelta(seconds=number)) is None
    assert len(room.asked("jwks")) == 1 + MOST_IN_VAIN
    room.lms.rotate_keys(3)
    assert room.keys.find(room.registration, room.lms.signing_key.kid, now + timedelta(seconds=61)) is not None


def test_L03_a_platform_that_cannot_be_asked_is_left_alone_whatever_kid_is_sent(room):
    room.launch()
    room.lms.faults.on("jwks", "status", status=404)
    for number in range(10):
        assert room.keys.find(room.registration, f"unknown{number}", room.clock()) is None
    assert len(room.asked("jwks")) == 2


def test_an_unknown_kid_asks_again_after_a_minute(room):
    room.launch()
    now = room.clock()
    for moment in (now, now + timedelta(seconds=59), now + timedelta(seconds=61)):
        assert room.keys.find(room.registration, "unknown", moment) is None
    assert len(room.asked("jwks")) == 3
