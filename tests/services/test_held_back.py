"""A credential that fails its check before release: held back, told to who can put it right, and signed afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from lti_tool.credentials import ob3
from lti_tool.credentials.self_check import check_whole
from lti_tool.errors import CredentialHeldBack
from lti_tool.jobs import RUNNERS, sweep
from lti_tool.models import AuditEvent, Award, Job
from lti_tool.services import editions, failed_jobs, figures, work
from lti_tool.services.issuer import issuer_row
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.credentials import examples
from tests.scene import now


@contextmanager
def issuer_named(tool: Any, did: str) -> Iterator[None]:
    """Let the issuer be one that no verifier could take as an identifier."""

    def put(value: str) -> str:
        with tool.db.write() as session:
            row = issuer_row(session)
            before, row.did = row.did, value
            return before

    before = put(did)
    try:
        yield
    finally:
        put(before)


def sign_jobs(tool: Any, award_id: str) -> list[Job]:
    with tool.db.read() as session:
        return list(session.scalars(select(Job).where(Job.kind == "sign", Job.subject == award_id)))


@pytest.fixture
def held(room) -> Iterator[Any]:  # noqa: F811
    """A course in which one learner has earned a badge whose credential no strict verifier would take."""
    room.publish(badge())
    with issuer_named(room.tool, "not a did"):
        room.grade(room.students[0], 3, 3)
        room.sync()
        yield room


def test_it_is_not_issued_and_the_administrator_sees_why_where_and_what_to_do(held) -> None:
    award = held.award()
    assert award["status"] == "pending"
    (job,) = sign_jobs(held.tool, award["id"])
    assert (job.state, job.outcome["reason"]) == ("failed", "credential_held_back")
    with held.scene.app.test_request_context("/"):
        (row,) = [each for each in failed_jobs.page(held.tool, now()).failed if each.id == job.id]
    assert row.what == "Signing a credential" and held.badge.slug in row.where
    assert "not a did" in row.problem and "try again" in row.what_to_do
    told = figures.exposition(held.tool.db, now(), timedelta()).decode()
    assert 'lti_tool_jobs_now{kind="sign",state="failed"}' in told


def test_the_instructor_reads_that_it_waits(held) -> None:
    page = held.page.get(f"badges/{held.badge.slug}/awards").text
    assert "waits: its credential did not pass the check before release" in page


def test_each_sweep_tries_again_and_keeps_one_job_for_it(held) -> None:
    for _ in range(2):
        sweep(held.tool)
    (job,) = sign_jobs(held.tool, held.award()["id"])
    assert job.state == "failed"


def test_after_it_was_put_right_the_sweep_signs_it_and_the_job_ends(room) -> None:  # noqa: F811
    room.publish(badge())
    with issuer_named(room.tool, "not a did"):
        room.grade(room.students[0], 3, 3)
        room.sync()
    sweep(room.tool)
    assert room.award()["status"] == "issued"
    (job,) = sign_jobs(room.tool, room.award()["id"])
    assert (job.state, job.problem) == ("done", None)
    assert "waits: its credential" not in room.page.get(f"badges/{room.badge.slug}/awards").text


def test_the_button_tries_again_at_once_and_says_where_it_still_fails(held) -> None:
    (job,) = sign_jobs(held.tool, held.award()["id"])
    assert work.retry(held.tool, job.id, now(), actor="operator") == job.id
    again = work.wait(held.tool, job.id, RUNNERS)
    assert again.state == "failed" and "not a did" in again.problem
    with held.tool.db.read() as session:
        assert session.scalars(select(AuditEvent).where(AuditEvent.subject == f"job:{job.id}")).one()
    with issuer_named(held.tool, "did:web:localhost%3A8000"):
        work.retry(held.tool, job.id, now(), actor="operator")
        assert work.wait(held.tool, job.id, RUNNERS).state == "done"
        assert held.award()["status"] == "issued"


def test_one_that_is_withdrawn_meanwhile_waits_for_nothing(held) -> None:
    award = held.award()
    with held.tool.db.write() as session:
        row = session.get_one(Award, award["id"])
        row.status, row.live = "revoked", False
    editions.sign_pending(held.tool)
    (job,) = sign_jobs(held.tool, award["id"])
    assert job.state == "done"


def test_j06_one_that_cannot_be_signed_does_not_keep_the_others_waiting(room) -> None:  # noqa: F811
    """The choices of one edition are of a kind that nothing here writes: signing breaks in a way nobody foresaw."""
    room.publish(badge())
    for student in room.students:
        room.grade(student, 3, 3)
    with issuer_named(room.tool, "not a did"):
        room.sync()
    with room.tool.db.write() as session:
        broken = session.scalars(select(Award).where(Award.course_id == room.id).order_by(Award.id)).first()
        broken.editions[0].choices = {"name": 7}
        broken_id = broken.id
    sweep(room.tool)
    states = {award["id"]: award["status"] for award in room.awards()}
    assert states.pop(broken_id) == "pending" and set(states.values()) == {"issued"}
    (job,) = sign_jobs(room.tool, broken_id)
    assert "while it was being signed" in job.problem


# -- the check itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (4, ("resultDescription", 0, "rubricCriterionLevel", 0, "points")),
        ("Grade", ("resultDescription", 0, "resultType")),
        ("urn:uuid:nowhere", ("resultDescription", 0, "requiredLevel")),
        ("x", ("gradeBook",)),
        ("EN-us", ("inLanguage",)),
        ({"id": "https://x.example/i.png", "type": "Image", "alt": "x"}, ("image",)),
    ],
)
def test_i01_a_shape_that_strangers_would_not_take_is_found_before_release(value: Any, path: tuple[Any, ...]) -> None:
    achievement = examples.achievement()
    check_whole(ob3.credential(achievement, examples.issuer(), examples.facts()))
    at: Any = achievement
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(CredentialHeldBack):
        check_whole(ob3.credential(achievement, examples.issuer(), examples.facts()))
