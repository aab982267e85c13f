"""The demo's Canvas beside LTI: consent, tokens, rubrics, and what of it outlives a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from lti_tool import demo

BACK = "http://localhost:1/back"


def ask(site: demo.Running, key: Any, do: str, user: Any, **changes: str) -> requests.Response:
    asked = {"client_id": key.client_id, "response_type": "code", "redirect_uri": BACK, "state": "s", **changes}
    asked["scope"] = " ".join(key.scopes)
    sent = {**asked, "as": user.id, "do": do}
    return requests.post(f"{site.canvas.server_root}/login/oauth2/auth", data=sent, allow_redirects=False, timeout=10)


@pytest.fixture
def site() -> Any:
    with demo.start(("canvas",)) as running:
        yield running


def test_consent_is_asked_with_a_button_and_an_unknown_address_gets_no_redirect(site: demo.Running) -> None:
    rest, teacher = site.canvas.mood.rest, site.canvas.user("teacher1")
    key = rest.add_key(BACK)
    asked = ask(site, key, "", teacher)
    assert "Authorize" in asked.text and "Helen Marsh" in asked.text
    agreed = parse_qs(urlsplit(ask(site, key, "authorize", teacher).headers["Location"]).query)
    assert agreed["state"] == ["s"] and len(agreed["code"][0]) == 64
    refused = parse_qs(urlsplit(ask(site, key, "cancel", teacher).headers["Location"]).query)
    assert refused["error"] == ["access_denied"]
    elsewhere = ask(site, key, "authorize", teacher, redirect_uri="http://localhost:1/elsewhere")
    assert elsewhere.status_code == 400 and "Location" not in elsewhere.headers


def test_the_demo_s_course_has_an_assignment_whose_rubric_fits_a_badge_of_the_library(site: demo.Running) -> None:
    (assignment,) = site.canvas.mood.rubrics.of("EMP101")
    assert [row.vendor_guid for row in assignment.criteria] == ["OC-1", "OC-2", "OC-3", "OC-4"]


def test_a_teacher_fills_in_the_rubric_and_a_student_may_not(site: demo.Running) -> None:
    lms = site.canvas
    teacher, student = lms.user("teacher1"), lms.user("student1")
    (assignment,) = lms.mood.rubrics.of("EMP101")
    course = lms.course("EMP101")
    url = f"{lms.browser_root}/course/{course.number}/rubrics/{assignment.number}".replace("lms.localhost", "localhost")
    hosts = {"Host": urlsplit(lms.browser_root).netloc}
    field = f"mark-{assignment.criteria[0].id}-{student.id}"
    refused = requests.post(url, data={"as": student.id, field: "4"}, headers=hosts, timeout=10)
    assert refused.status_code == 403 and assignment.submissions == {}
    requests.post(url, data={"as": teacher.id, field: "3"}, headers=hosts, timeout=10, allow_redirects=False)
    submission = assignment.submissions[student.id]
    assert (submission.score, submission.posted_at is not None, submission.grader) == (3.0, True, teacher.number)


def test_rubrics_keys_and_tokens_outlive_a_restart(tmp_path: Path) -> None:
    with demo.start(("canvas",), data_dir=tmp_path) as before:
        lms = before.canvas
        key = lms.mood.rest.add_key(BACK)
        (assignment,) = lms.mood.rubrics.of("EMP101")
        lms.mood.rubrics.mark(assignment, "student1", 3, 4)
    with demo.start(("canvas",), data_dir=tmp_path) as after:
        (again,) = after.canvas.mood.rubrics.of("EMP101")
        assert again == assignment
        assert after.canvas.mood.rest.keys[key.client_id] == key
