"""Canvas' notices of copied courses: asked for at a launch, checked like a launch, kept, and acted on."""

from __future__ import annotations

import html
import json
import logging
import uuid

import pytest
import requests
from sqlalchemy import select

from lti_tool.demo import canvas_notices
from lti_tool.demo.keys import SigningKey
from lti_tool.models import ContextNotice, Course, CourseCopy, Deployment, Job
from tests.classroom import Classroom, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now

LTI = "https://purl.imsglobal.org/spec/lti/claim/"


@pytest.fixture
def source(make_room):  # noqa: F811
    here = make_room(mood="canvas")
    here.publish(badge())
    return here


class Sender:
    """Sends notices of a copy of a room's course, honest or forged."""

    def __init__(self, source: Classroom) -> None:
        self.source, self.lms = source, source.lms
        self.tool = source.scene.lti_tool["canvas"]
        self.new = self.lms.add_course("COPY")
        self.id = str(uuid.uuid4())

    def claims(self, **changes) -> dict:
        made = canvas_notices.copy_notice(
            self.lms, self.tool, self.tool.deployment_id, self.new, self.lms.course(self.source.course)
        )
        made[LTI + "notice"]["id"] = self.id
        return {**made, **changes}

    def token(self, claims: dict | None = None, **signing) -> str:
        return self.lms.sign(self.claims() if claims is None else claims, **signing)

    def post(self, *tokens: str) -> requests.Response:
        return self.send(json.dumps({"notices": [{"jwt": token} for token in tokens]}))

    def send(self, body: str) -> requests.Response:
        return requests.post(f"{self.source.scene.url}/lti/notices", data=body, timeout=20)

    def kept(self) -> list[ContextNotice]:
        with self.source.tool.db.read() as session:
            return list(session.scalars(select(ContextNotice).where(ContextNotice.context_id == self.new.id)))


@pytest.fixture
def sender(source):
    return Sender(source)


def page_of(room: Classroom) -> str:
    return html.unescape(" ".join(room.page.get("").text.split()))


# -- asking for them


def test_a_launch_makes_the_tool_ask_for_notices_of_copies_once_a_deployment(source):
    tool = source.scene.lti_tool["canvas"]
    handler = f"{source.scene.url}/lti/notices"
    assert tool.notice_handlers[tool.deployment_id] == {"LtiContextCopyNotice": handler}
    asked = [r for r in source.lms.requests if r.service == "notices"]
    source.page = source.enter(source.teacher)
    assert [r for r in source.lms.requests if r.service == "notices"] == asked
    with source.tool.db.read() as session:
        row = session.scalar(select(Deployment).where(Deployment.deployment_id == tool.deployment_id))
        assert row.notices_asked_at is not None


def test_where_the_permission_was_taken_away_the_launch_works_and_the_job_says_why(shared, make_room):  # noqa: F811
    here = make_room(mood="canvas")
    tool = shared.lti_tool["canvas"]
    scopes, tool.scopes = tool.scopes, [s for s in tool.scopes if s != canvas_notices.SCOPE]
    other = here.lms.add_deployment(tool)
    claim = canvas_notices.claim(here.lms, tool, other)
    try:
        told = {"claims": {LTI + "platformnotificationservice": claim}}
        here.page = here.enter(here.teacher, deployment_id=other, auth=told)
    finally:
        tool.scopes = scopes
    assert here.page.page.status_code == 200
    with here.tool.db.read() as session:
        deployment = session.scalar(select(Deployment).where(Deployment.deployment_id == other))
        job = session.scalar(select(Job).where(Job.kind == "subscribe", Job.subject == str(deployment.id)))
        assert (job.state, job.outcome["reason"]) == ("failed", "scope_missing")


# -- what they do


def test_a_notice_that_comes_before_the_first_launch_is_kept_and_used_by_it(source, make_room):  # noqa: F811
    copied = make_room(mood="canvas")
    copied.course = source.lms.copy_course(source.course)
    teacher = copied.lms.add_user(copied.course, "instructor")  # she has never seen the source
    with source.tool.db.read() as session:
        (notice,) = session.scalars(select(ContextNotice).where(ContextNotice.context_id == copied.course.id))
        assert notice.origins == [source.course.id]
        assert session.scalar(select(Course).where(Course.context_id == copied.course.id)) is None
    copied.page = copied.enter(teacher, auth={"claims": {"custom": {"context_id_history": ""}}})
    # the platform itself has said so: the course is named even to somebody who does not teach there
    assert f"This course was copied from {source.course.label}." in page_of(copied)
    assert "2 of 2 columns recognised" in page_of(copied)


def test_a_notice_for_a_course_that_is_known_is_acted_on_at_once(source, sender, make_room):  # noqa: F811
    copied = make_room(mood="canvas")
    copied.course, copied.teacher = sender.new, copied.lms.add_user(sender.new, "instructor")
    copied.page = copied.enter(copied.teacher)
    assert "copied from" not in page_of(copied)
    assert sender.post(sender.token()).status_code == 200
    assert f"copied from {source.course.label}" in page_of(copied)
    with source.tool.db.read() as session:
        assert session.scalar(select(CourseCopy.told_by).where(CourseCopy.course_id == copied.id)) == "notice"


def test_a_notice_names_every_course_that_was_copied_from(source, sender, make_room):  # noqa: F811
    second = make_room(mood="canvas")
    second.publish(badge())
    claims = sender.claims(**{LTI + "origin_contexts": [source.course.id, second.course.id, "unknown"]})
    assert sender.post(sender.token(claims)).status_code == 200
    copied = make_room(mood="canvas")
    copied.course, copied.teacher = sender.new, copied.lms.add_user(sender.new, "instructor")
    copied.page = copied.enter(copied.teacher)
    page = page_of(copied)
    assert f"copied from {source.course.label}." in page and f"copied from {second.course.label}." in page


def test_a_notice_is_answered_before_anything_is_done_about_it(source, sender):
    woken: list[int] = []
    wake, source.tool.wake = source.tool.wake, woken.append
    try:
        source.lms.requests.clear()
        claims = sender.claims(**{LTI + "context": {"id": source.course.id}, LTI + "origin_contexts": [sender.new.id]})
        assert sender.post(sender.token(claims)).status_code == 200
        assert [r.service for r in source.lms.requests if r.service != "jwks"] == []
    finally:
        source.tool.wake = wake
    assert len(woken) == 1


def test_the_same_notice_twice_is_one_notice(sender):
    assert [sender.post(sender.token()).status_code for _ in range(2)] == [200, 200]
    assert sender.post(sender.token(), sender.token()).status_code == 200
    assert len(sender.kept()) == 1


def test_a_notice_that_only_tries_the_handler_is_answered_and_nothing_is_kept(sender):
    claims = sender.claims()
    claims[LTI + "notice"]["type"] = "LtiHelloWorldNotice"
    assert sender.post(sender.token(claims)).status_code == 200 and sender.kept() == []


# -- what is refused

STRANGER = SigningKey("stranger")


def changed(name: str, **changes):
    return pytest.param(name, lambda s: s.token(s.claims(**changes)), id=f"{name}-{next(iter(changes))}")


BAD = [
    pytest.param("signature", lambda s: s.token(key=STRANGER), id="signature"),
    pytest.param("algorithm", lambda s: s.token(alg="HS256", key="x" * 40), id="HS256"),
    pytest.param("kid_missing", lambda s: s.token(headers={"kid": None}), id="kid-missing"),
    pytest.param("kid_unknown", lambda s: s.token(headers={"kid": "another"}), id="kid-unknown"),
    pytest.param("token_malformed", lambda s: "not.a.token", id="no-token"),
    pytest.param("token_malformed", lambda s: "", id="empty"),
    changed("registration_unknown", iss="https://evil.example"),
    changed("registration_unknown", aud="another-client"),
    changed("registration_unknown", aud=None),
    changed("azp", azp="another-client"),
    changed("expired", exp=1),
    changed("too_old", iat=1),
    changed("iat_future", iat=9_999_999_999, exp=9_999_999_999 + 60),
    changed("claim_missing", exp="soon"),
    changed("version", **{LTI + "version": "1.2.0"}),
    changed("deployment", **{LTI + "deployment_id": "77:elsewhere"}),
    changed("deployment_id", **{LTI + "deployment_id": None}),
    changed("claim_malformed", **{LTI + "notice": None}),
    changed("claim_malformed", **{LTI + "notice": {"type": "LtiContextCopyNotice"}}),
    changed("claim_malformed", **{LTI + "notice": {"id": "x" * 300, "type": "LtiContextCopyNotice"}}),
    changed("notice_type", **{LTI + "notice": {"id": "1", "type": "LtiAssetProcessorSubmissionNotice"}}),
    changed("context", **{LTI + "context": None}),
    changed("context", **{LTI + "origin_contexts": []}),
    changed("context", **{LTI + "origin_contexts": [7]}),
]


@pytest.mark.parametrize(("reason", "make"), BAD)
def test_a_notice_that_does_not_hold_is_refused_with_one_line_in_the_log(sender, caplog, reason, make):
    token = make(sender)
    with caplog.at_level(logging.WARNING, logger="lti_tool"):
        answer = sender.post(token)
    assert answer.status_code in (400, 401) and sender.kept() == []
    lines = [r.getMessage() for r in caplog.records if "notice refused" in r.getMessage()]
    assert len(lines) == 1 and f"reason={reason}" in lines[0]
    assert not token or token not in caplog.text + answer.text


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"notices": []}', '{"notices": [{}]}', '{"notices": [{"jwt": 1}]}', "[" * 3000, "null"]
)
def test_a_body_that_is_no_list_of_notices_is_a_bad_request(sender, body):
    assert sender.send(body).status_code == 400


def test_of_several_notices_the_good_ones_are_kept(sender):
    answer = sender.post("not.a.token", sender.token())
    assert answer.status_code == 401 and len(sender.kept()) == 1


def test_a_launch_token_is_no_notice(source, sender):
    token = source.lms.id_token(sender.tool, source.teacher.id, source.course.id, nonce="n")
    assert sender.post(token).status_code == 400 and sender.kept() == []


def test_a_platform_that_is_switched_off_sends_notices_in_vain(source, sender):
    from lti_tool.services import platforms

    platform = source.scene.platform["canvas"]
    platforms.set_status(source.tool, platform, "disabled", now())
    try:
        assert sender.post(sender.token()).status_code == 401
    finally:
        platforms.set_status(source.tool, platform, "active", now())
    assert sender.kept() == []


def test_a_stranger_makes_the_tool_fetch_no_keys(source, sender):
    source.lms.requests.clear()
    claims = sender.claims(iss="https://evil.example")
    sender.post(sender.token(claims, headers={"kid": "evil", "jku": f"{source.lms.jwks_url}?evil"}))
    assert [r for r in source.lms.requests if r.service == "jwks"] == []
