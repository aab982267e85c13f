"""What the log says of a launch, a sync and a refusal, at its loudest."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import requests
from flask import request

from lti_tool import logs
from lti_tool.models import Job
from lti_tool.services import work
from tests.scene import Scene, now


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_L12_at_debug_level_no_token_name_or_address_is_logged(
    scene: Scene, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    scene.mood = mood
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    assert scene.sync()["state"] == "done"
    scene.launch("student1")
    forged = {"state": "no-such-login", "id_token": "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0."}
    assert requests.post(f"{scene.url}/lti/launch", data=forged, timeout=20).status_code in (400, 401)

    log = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    assert "launch registration=" in log  # it is the real log that is looked at
    assert "eyJ" not in log, "a token"
    for name in ("teacher1", "student1"):
        person = scene.lms.user(name)
        for told in (person.email, person.name):
            assert told and told not in log, told


# -- one request, followed ------------------------------------------------------------------------------------------


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a process of its own would write: the handlers that are there step aside meanwhile."""
    root, written = logging.getLogger(), io.StringIO()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr("sys.stderr", written)
    logs.start("json", "DEBUG")
    yield written
    logging.getLogger("lti_tool").setLevel(logging.NOTSET)


def read(written: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_each_line_is_one_json_object_whatever_is_in_it(lines: io.StringIO) -> None:
    with logs.of_request("request-77"):
        logging.getLogger("lti_tool").warning("two\nlines and a \x1b[31m colour")
        try:
            raise ValueError("odd")
        except ValueError:
            logging.getLogger("lti_tool").exception("it broke")
    first, second = read(lines)
    assert (first["level"], first["request_id"], first["message"]) == (
        "WARNING",
        "request-77",
        "two\nlines and a \x1b[31m colour",
    )
    assert "ValueError: odd" in second["exception"]


def test_a_job_and_its_calls_carry_the_request_that_started_it(scene: Scene, lines: io.StringIO) -> None:
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    teacher = scene.launch("teacher1")
    sent: list[str | None] = []
    looking = scene.site.app.before_request_funcs.setdefault(None, [])
    looking.append(lambda: sent.append(request.headers.get("X-Request-ID")))
    answer = teacher.post("sync")
    number = answer.history[0].headers["X-Request-ID"] if answer.history else answer.headers["X-Request-ID"]
    with scene.tool.db.read() as session:
        job = session.query(Job).filter_by(kind="sync").order_by(Job.id.desc()).first()
    assert job is not None and job.request_id == number and job.state == "done"
    done = [line for line in read(lines) if line["message"].startswith(f"job={job.id} kind=sync done")]
    assert [line["request_id"] for line in done] == [number]
    assert len(sent) >= 5 and set(sent) == {number}


def test_a_worker_that_takes_a_job_works_under_the_request_that_started_it(scene: Scene) -> None:
    with logs.of_request("request-77"):
        work.request(scene.tool, "evaluate", "1", now())
    seen: list[str] = []
    runner = {"evaluate": lambda _tool, _subject, _say: seen.append(logs.request_id()) or {}}
    assert work.run_next(scene.tool, runner)
    assert seen == ["request-77"] and logs.request_id() == ""


def test_what_a_thread_does_after_a_request_belongs_to_none(scene: Scene) -> None:
    scene.app.test_client().get("/healthz")
    assert logs.request_id() == ""


def test_a_job_that_nobody_asked_for_has_a_number_of_its_own(scene: Scene, lines: io.StringIO) -> None:
    scene.publish()
    job = work.request(scene.tool, "evaluate", "1", now())
    scene.tool.wake(job)
    (line,) = [line for line in read(lines) if line["message"].startswith(f"job={job} ")]
    assert line["request_id"] == f"job-{job}"


def test_an_error_page_tells_the_number_that_the_log_has(scene: Scene, lines: io.StringIO) -> None:
    answer = requests.get(f"{scene.url}/achievements/nothing/v1", timeout=20)
    told = re.search(r"404 · ([0-9A-F]{16})", answer.text)
    assert told and answer.headers["X-Request-ID"] == told[1]
    (line,) = [line for line in read(lines) if line["message"].startswith("refused")]
    assert line["request_id"] == told[1] and f"error_id={told[1]}" in line["message"]


@pytest.mark.parametrize("odd", ["short", "a b c d e f g h", "x" * 65, "<script>alert(1)</script>", "-starts-with-it"])
def test_a_number_that_could_do_harm_is_not_taken_over(odd: str) -> None:
    assert logs.begin_request(odd) != odd
    assert re.fullmatch(r"[0-9A-F]{16}", logs.request_id())


def test_only_a_proxy_that_is_trusted_gives_a_request_its_number(scene: Scene) -> None:
    given = {"X-Request-ID": "7f3c2a9e5b1d4c6f8a0e2d4b6c8f0a1e"}
    ours = requests.get(f"{scene.url}/healthz", headers=given, timeout=20).headers["X-Request-ID"]
    assert ours != given["X-Request-ID"]
    behind = scene.settings.server.model_copy(update={"trusted_proxies": 1})
    scene.tool.settings = scene.settings.model_copy(update={"server": behind})
    theirs = requests.get(f"{scene.url}/healthz", headers=given, timeout=20).headers["X-Request-ID"]
    assert theirs == given["X-Request-ID"]
