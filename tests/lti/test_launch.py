"""What a verified launch becomes, and how the platform's keys are kept (L01, L03)."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import timedelta

import pytest

from lti_tool.demo.launches import SHORT
from lti_tool.errors import LaunchRefused
from lti_tool.lti import claims as c


def test_a_launch_from_a_link_with_a_column_names_it(scene):
    column = scene.lms.add_column(scene.course, "Portfolio", 10)
    link = scene.lms.add_link(scene.course, scene.tool, "Portfolio")
    launch = scene.launch(login={"link": link})
    assert launch.resource_link.id == link.id
    assert launch.context.id == scene.course.id and launch.context.title == scene.course.title
    assert launch.sub == scene.teacher.id and launch.name == scene.teacher.name
    assert launch.product_family == scene.lms.name
    assert column is not None


def test_a_launch_cannot_be_changed_afterwards(scene):
    with pytest.raises(FrozenInstanceError):
        scene.launch().sub = "other"


def test_unresolved_variables_are_left_out_of_custom_and_numbers_are_texts(scene):
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
    kept = scene.launch(claims={"custom": custom}).custom
    assert {name: kept[name] for name in kept if name in custom} == {
        "c": "3",
        "d": "true",
        "e": "$5",
        "g": "",
        "i": "xy",
    }


def test_a_line_item_that_is_empty_or_absent_is_none(scene):
    """Moodle 4.5.6 sends "" for a deleted one and leaves it out where a link has several."""
    assert scene.launch(claims={"ags": {"lineitem": ""}}).ags.line_item is None
    assert scene.launch(drop=["ags"]).ags is None


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "//evil.example", "data:text/html,x", "", 7, "http://[", "a\nb"]
)
def test_an_address_that_is_not_http_is_none(scene, value):
    launch = scene.launch(
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


def test_unknown_claims_are_ignored_and_kept_in_raw(scene):
    launch = scene.launch(claims={"https://example.com/claim/new": {"a": [1]}})
    assert launch.raw["https://example.com/claim/new"] == {"a": [1]}


def test_a31_deep_linking_settings_are_read(scene):
    launch = scene.launch(login={"message_type": c.DEEP_LINKING_REQUEST})
    assert launch.message_type == c.DEEP_LINKING_REQUEST
    assert launch.deep_linking.return_url.startswith("http")
    assert "ltiResourceLink" in launch.deep_linking.accept_types


def test_a31_a_deep_linking_return_address_that_is_not_http_is_refused(scene):
    with pytest.raises(LaunchRefused) as refusal:
        scene.launch(
            login={"message_type": c.DEEP_LINKING_REQUEST},
            claims={SHORT["deep_linking_settings"]: {"deep_link_return_url": "javascript:x"}},
        )
    assert (refusal.value.status, refusal.value.reason) == (400, "deep_linking_settings")


@pytest.mark.parametrize("name", ["DataPrivacyLaunchRequest", "LtiDataPrivacyLaunchRequest"])
def test_a_data_privacy_launch_comes_in_under_either_name(scene, name):
    launch = scene.launch(
        claims={"message_type": name, c.FOR_USER: {"user_id": scene.students[0].id}}, drop=["context", "resource_link"]
    )
    assert launch.message_type == "DataPrivacyLaunchRequest"
    assert launch.for_user.user_id == scene.students[0].id


def test_a_submission_review_without_a_line_item_comes_in(moodle):
    started = moodle.login(message_type=c.SUBMISSION_REVIEW_REQUEST, for_user=moodle.students[0])
    form = moodle.form(started)
    launch = moodle.verify(form, started.browser_secret)
    assert launch.for_user.user_id == moodle.students[0].id and launch.ags.line_item is None


@pytest.mark.parametrize("message_type", ["LtiStartProctoring", "basic-lti-launch-request", "", "LtiEulaRequest"])
def test_a_message_the_tool_does_not_know_is_refused(scene, message_type):
    with pytest.raises(LaunchRefused) as refusal:
        scene.launch(claims={"message_type": message_type})
    assert refusal.value.reason == "message_type"


# Keys


def test_keys_are_fetched_once_for_many_launches(scene):
    for _ in range(3):
        scene.launch()
    assert len(scene.asked("jwks")) == 1


def test_another_process_uses_the_stored_keys(scene):
    scene.launch()
    scene.keys = scene.new_key_cache()
    scene.launch()
    assert len(scene.asked("jwks")) == 1


def test_l01_after_the_platform_rotates_its_key_one_refetch_lets_launches_pass(scene):
    scene.launch()
    scene.lms.rotate_keys(3)
    scene.launch()
    scene.launch()
    assert len(scene.asked("jwks")) == 2


def test_l01_another_process_rotated_already_and_nothing_is_fetched(scene):
    scene.launch()
    other = scene.new_key_cache()
    other.find(scene.registration, scene.lms.signing_key.kid, scene.clock())
    scene.lms.rotate_keys(3)
    scene.launch()
    asked = len(scene.asked("jwks"))
    assert other.find(scene.registration, scene.lms.signing_key.kid, scene.clock()) is not None
    assert len(scene.asked("jwks")) == asked


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "drop"}, {"kind": "html"}])
def test_l03_with_the_key_address_down_cached_keys_let_launches_pass(scene, fault):
    scene.launch()
    scene.lms.faults.on("jwks", **fault)
    scene.keys = scene.new_key_cache()
    assert scene.launch().sub


def test_l03_old_keys_are_asked_for_again_and_kept_where_that_fails(scene):
    scene.launch()
    scene.lms.faults.on("jwks", "status", status=503)
    kid, later = scene.lms.signing_key.kid, scene.clock() + timedelta(days=2)
    before = len(scene.asked("jwks"))
    assert scene.keys.find(scene.registration, kid, later) is not None
    assert len(scene.asked("jwks")) > before
    scene.lms.faults.clear()
    assert scene.keys.find(scene.registration, kid, later + timedelta(minutes=2)) is not None


def test_a_key_the_platform_withdrew_is_forgotten_when_the_set_is_fetched_again(scene):
    scene.launch()
    old = scene.lms.signing_key.kid
    scene.lms.rotate_keys(5)
    assert scene.keys.find(scene.registration, old, scene.clock() + timedelta(days=1)) is None


def test_an_unknown_kid_asks_again_after_a_minute(scene):
    scene.launch()
    now = scene.clock()
    for moment in (now, now + timedelta(seconds=59), now + timedelta(seconds=61)):
        assert scene.keys.find(scene.registration, "unknown", moment) is None
    assert len(scene.asked("jwks")) == 3
