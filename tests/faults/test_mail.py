"""A worker that is killed while it sends: the mail arrives, at most twice, and under one Message-ID."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select, update

from lti_tool import jobs
from lti_tool.models import Job, Mail
from lti_tool.services import mail, work
from lti_tool.services.letters import SAMPLES
from lti_tool.services.tool import Tool, open_tool
from tests.mail_server import MailServer, mail_server
from tests.scene import make_database, prepare_database, settings_for


def test_J03_a_worker_killed_while_a_mail_is_sent_leaves_at_most_one_more_with_the_same_message_id(
    tmp_path: Path,
) -> None:
    with mail_server() as server, make_database(os.environ.get("TEST_DATABASE", ""), tmp_path) as url:
        prepare_database(url)
        told = {"LTI_TOOL_MAIL__URL": server.url, "LTI_TOOL_MAIL__SENDER": "badges@hallwood.example"}
        settings = settings_for(tmp_path, url, "http://localhost:8000", **told)
        tool = open_tool(settings)
        jobs.connect(tool)  # as the web application: what it wakes is in the queue, for whichever worker
        with tool.db.write() as session:
            for number in range(3):
                values, key = SAMPLES["earned"], f"earned:{number}"
                to = f"learner{number}@hallwood.example"
                mail.enqueue(session, key=key, to=to, template="earned", values=values, language="en", now=now())
        mail.send_soon(tool)
        killed = run_and_kill(tmp_path, url, told, server)
        assert killed == -signal.SIGKILL
        assert len(server.got) == 1  # taken by the server, and nobody heard of it
        assert states(tool) == ["due", "due", "sending"]
        lease_is_over(tool)
        assert work.run_next(tool, jobs.RUNNERS)
        assert states(tool) == ["sent"] * 3
        for _ in range(2):
            lease_is_over(tool)
            mail.make_due(tool, now())
            work.run_next(tool, jobs.RUNNERS)
        tool.db.engine.dispose()
    ids = [each.id for each in server.got]
    assert len(ids) == 4 and len(set(ids)) == 3
    assert {each.recipient for each in server.got if ids.count(each.id) == 2} == {server.got[0].recipient}


def now() -> datetime:
    return datetime.now(UTC)


def run_and_kill(folder: Path, url: str, told: dict[str, str], server: MailServer) -> int:
    """Start a real worker and kill it at the moment its first mail has arrived; returns how it ended."""
    environment = {
        **os.environ,
        **told,
        "LTI_TOOL_SERVER__BASE_URL": "http://localhost:8000",
        "LTI_TOOL_DATABASE__URL": url,
        "LTI_TOOL_DATABASE__REVOCATIONS": str(folder / "revocations.jsonl"),
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{folder / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(folder / "keys"),
        "LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true",
        "LTI_TOOL_ISSUER__NAME": "Hallwood University",
        "LTI_TOOL_ISSUER__URL": "https://hallwood.example",
        "LTI_TOOL_ISSUER__SLUG": "hallwood",
    }
    command = [str(Path(sys.executable).parent / "lti-tool"), "worker", "--workers", "1", "--no-periodic"]
    with (folder / "worker.log").open("w") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    once: list[Callable[[], None]] = [worker.kill]
    server.on_data = lambda: once.pop()() if once else None
    try:
        assert server.arrived.wait(60), (folder / "worker.log").read_text()
        return worker.wait(30)
    finally:
        worker.kill()
        worker.wait(30)


def states(tool: Tool) -> list[str]:
    with tool.db.read() as session:
        return sorted(session.scalars(select(Mail.state)))


def lease_is_over(tool: Tool) -> None:
    past = now() - timedelta(seconds=1)
    with tool.db.write() as session:
        session.execute(update(Job).where(Job.state == "running").values(lease_until=past))
        session.execute(update(Mail).where(Mail.state == "sending").values(lease_until=past))
