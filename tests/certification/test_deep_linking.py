"""1EdTech's certification of LTI Deep Linking 2.0, rows A31 to A37: over HTTP, on both LMSs."""

from __future__ import annotations

import time

import pytest

from lti_tool.demo.launches import LTI
from tests.classroom import Classroom, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.placing import DL, SETTINGS, answer, choose, send, values


@pytest.fixture(params=["canvas", "moodle"])
def course(request, make_room):  # noqa: F811
    """A course with a badge that is a draft still."""
    room: Classroom = make_room(mood=request.param, students=1)
    room.put(badge())
    return room


def several(course: Classroom) -> dict:
    """Canvas takes several from a module only."""
    return {"placement": "module_index_menu_modal"} if course.mood == "canvas" else {}


def test_A31_a_deep_linking_request_opens_the_picker_for_an_instructor(course):
    picker = choose(course)
    assert picker.page.status_code == 200
    assert "Place in course" in picker.page.text and "Careful Work" in picker.page.text
    assert values(picker) == ["badges", course.badge.slug, f"{course.badge.slug} A", f"{course.badge.slug} B"]


def test_A31_a_deep_linking_request_is_refused_to_a_learner(course):
    refused = choose(course, course.students[0])
    assert refused.page.status_code == 403
    assert "Only those who teach this course" in refused.page.text
    assert "Set-Cookie" not in refused.page.headers


def test_A32_the_answer_is_a_form_to_the_deep_link_return_url(course):
    picker = choose(course)
    sent = answer(picker, "badges")
    token = course.lms.id_token(
        course.scene.lti_tool[course.mood],
        course.teacher,
        course.course,
        nonce="n",
        message_type="LtiDeepLinkingRequest",
    )
    expected = jwt_body(token)[SETTINGS]["deep_link_return_url"]
    assert sent.action == expected
    origin = "/".join(expected.split("/")[:3])
    policy = sent.page.headers["Content-Security-Policy"]
    (form_action,) = [part for part in policy.split("; ") if part.startswith("form-action")]
    assert origin in form_action.split()
    assert "Continue" in sent.page.text  # without JavaScript there is a button
    assert sent.bring().status_code == 200


def test_A33_the_answer_has_the_format_of_a_deep_linking_response(course):
    claims = answer(choose(course), "badges").claims
    assert claims[LTI + "message_type"] == "LtiDeepLinkingResponse"
    assert claims[LTI + "version"] == "1.3.0"
    assert claims[LTI + "deployment_id"] == course.scene.lti_tool[course.mood].deployment_id


def test_A34_the_answer_is_made_now_and_lasts_at_most_five_minutes(course):
    before = int(time.time())
    claims = answer(choose(course), "badges").claims
    assert before <= claims["iat"] <= time.time()
    assert 0 < claims["exp"] - claims["iat"] <= 300


def test_A35_the_answer_is_signed_with_a_published_key(course):
    header = answer(choose(course), "badges").header  # `answer` has checked the signature with the key of this kid
    assert header["alg"] == "RS256" and header["kid"]


def test_A36_the_answer_carries_the_required_claims_and_gives_data_back(course):
    picker = choose(course, settings={"data": "csrftoken:c7fbba78-7b75-46e3 <&> ✓"})
    claims = answer(picker, "badges").claims
    assert claims["iss"] == course.scene.lti_tool[course.mood].client_id
    assert claims["aud"] == [course.lms.issuer]
    assert len(claims["nonce"]) >= 32
    assert isinstance(claims[DL + "content_items"], list)
    assert claims[DL + "data"] == "csrftoken:c7fbba78-7b75-46e3 <&> ✓"


def test_A36_where_no_data_came_none_goes_back_and_no_nonce_comes_twice(make_room):  # noqa: F811
    picker = choose(make_room(students=0))  # Moodle sends none
    first, second = answer(picker, "badges").claims, answer(picker, "badges").claims
    assert DL + "data" not in first
    assert first["nonce"] != second["nonce"]


def test_A37_only_links_to_a_tool_are_sent_and_one_with_all_it_carries(course):
    (item,) = answer(choose(course), f"{course.badge.slug} A").items
    assert item == {
        "type": "ltiResourceLink",
        "title": "A Row A",
        "text": "Belongs to the badge “Careful Work”.",
        "url": f"{course.scene.url}/lti/launch",
        "custom": {"badge": course.badge.slug, "sub_competency": "A"},
        "icon": {"url": f"{course.scene.url}/lti/icon.png"},
        "iframe": {"width": 900, "height": 700},
        "lineItem": {
            "label": "A Row A",
            "scoreMaximum": 4,
            "resourceId": course.badge.resource_id,
            "tag": "sub-competency:A",
            "submissionReview": {"reviewableStatus": ["Submitted", "Completed"]},
        },
    }


def test_A37_one_item_where_the_platform_takes_one(course):
    slug = course.badge.slug
    picker = choose(course, settings={"accept_multiple": False})
    refused = send(picker, f"{slug} A", f"{slug} B")
    assert refused.status_code == 400 and "one link at a time" in refused.text
    assert len(answer(picker, f"{slug} A").items) == 1


def test_A37_no_line_item_where_the_platform_takes_none(course):
    picker = choose(course, settings={"accept_lineitem": False})
    (item,) = answer(picker, f"{course.badge.slug} A").items
    assert "lineItem" not in item


# accept_types, accept_multiple, accept_lineitem, accept_presentation_document_targets → what may be in the answer
TAKES = [
    (["ltiResourceLink"], True, True, ["iframe"]),
    (["ltiResourceLink"], True, None, ["window"]),
    (["ltiResourceLink"], True, False, ["iframe", "window"]),
    (["ltiResourceLink"], False, True, ["window", "embed"]),
    (["ltiResourceLink"], None, None, ["embed"]),
    (["link", "ltiResourceLink", "html", "file", "image"], True, True, ["embed", "iframe", "window"]),
    (["link", "ltiResourceLink"], "true", "false", ["frame", "iframe"]),
    (["ltiResourceLink"], "false", "true", ["frame"]),
]


@pytest.mark.parametrize(("types", "multiple", "line_items", "targets"), TAKES)
def test_A37_whatever_the_platform_takes_the_answer_keeps_to_it(course, types, multiple, line_items, targets):
    slug = course.badge.slug
    picker = choose(
        course,
        settings={
            "accept_types": types,
            "accept_multiple": multiple,
            "accept_lineitem": line_items,
            "accept_presentation_document_targets": targets,
        },
    )
    several_allowed = multiple in (True, "true")
    for chosen in (["badges"], [f"{slug} A"], ["badges", slug, f"{slug} A", f"{slug} B"]):
        if len(chosen) > 1 and not several_allowed:
            assert send(picker, *chosen).status_code == 400
            continue
        items = answer(picker, *chosen).items
        assert len(items) == len(chosen)
        for item in items:
            assert item["type"] in types
            assert ("lineItem" in item) == (
                "sub_competency" in item.get("custom", {}) and line_items not in (False, "false")
            )
            assert "iframe" not in item or "iframe" in targets
            assert "window" not in item or "window" in targets
            assert ("iframe" in item) or ("window" in item) or not {"iframe", "window"} & set(targets)


@pytest.mark.parametrize("types", [[], ["link"], ["html", "file"], None, "ltiResourceLink"])
def test_A37_a_platform_that_takes_no_link_to_a_tool_is_told_so(course, types):
    refused = choose(course, settings={"accept_types": types})
    assert refused.page.status_code == 400
    assert "something other than a link to a tool" in refused.page.text


def test_A37_cancelling_sends_no_item_and_the_data(course):
    picker = choose(course, settings={"data": "keep me"})
    sent = answer(picker, path="place/cancel")
    assert sent.items == [] and sent.claims[DL + "data"] == "keep me"
    assert "Nothing was placed" in sent.page.text


def jwt_body(token: str) -> dict:
    import jwt

    return jwt.decode(token, options={"verify_signature": False})
