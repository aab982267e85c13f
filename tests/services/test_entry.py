"""The way in: what is remembered between logins, kept connections, and the one use of a login."""

from __future__ import annotations

from sqlalchemy import text

from lti_tool.models import Login
from lti_tool.services import platforms
from tests.scene import now


def begin(scene, visitor, **without):
    """Send a login request of the LMS; `without=None` values are left out."""
    asked = {**scene.lms.login_request(scene.lti_tool[scene.mood], "teacher1", "EMP101"), **without}
    asked = {name: value for name, value in asked.items() if value is not None}
    return visitor.http.post(f"{scene.url}/lti/login", data=asked, allow_redirects=False, timeout=20)


def finish(scene, visitor, started, **auth):
    form = scene.lms.finish_auth(started.headers["Location"], **auth)
    return visitor.http.post(form["target"], data=form["fields"], timeout=20)


def test_a_registration_that_is_remembered_counts_only_while_it_is_so(scene):
    visitor = scene.launch("teacher1")
    assert begin(scene, visitor).status_code == 302
    platforms.set_status(scene.tool, scene.platform["moodle"], "disabled", now())
    assert begin(scene, visitor).status_code == 401
    platforms.set_status(scene.tool, scene.platform["moodle"], "active", now())
    assert begin(scene, visitor).status_code == 302
    with scene.tool.db.write() as session:
        session.execute(text("UPDATE registration SET auth_login_url = 'https://moved.example/auth'"))
    assert begin(scene, visitor).headers["Location"].startswith("https://moved.example/auth?")


def test_C03_a_second_registration_of_the_issuer_makes_a_login_without_client_id_ambiguous_at_once(scene):
    visitor = scene.launch("teacher1")
    assert begin(scene, visitor, client_id=None).status_code == 302
    scene.register("moodle")
    answer = begin(scene, visitor, client_id=None)
    assert answer.status_code == 400 and "client_id" in answer.text


def test_kept_connections_that_are_gone_are_replaced(scene):
    visitor = scene.launch("teacher1")
    started = begin(scene, visitor)
    if scene.tool.db.is_sqlite:
        for kept in tuple(scene.tool.statements._free):
            kept.connection.close()
        scene.tool.db.engine.dispose()
    else:  # as when the server is started anew
        with scene.tool.db.engine.connect() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(f"{others} AND datname = current_database()"))
    assert finish(scene, visitor, started).status_code == 200
    assert begin(scene, visitor).status_code == 302


def test_what_is_refused_uses_nothing_up(scene):
    """Somebody whose deployment is approved within the ten minutes of her login need not begin again."""
    scene.register("moodle", named=["some other deployment"])
    visitor = scene.launch("teacher1")
    refused = visitor.page
    assert refused.status_code == 401 and "approved" in refused.text
    started = begin(scene, visitor)
    form = scene.lms.finish_auth(started.headers["Location"])
    assert visitor.http.post(form["target"], data=form["fields"], timeout=20).status_code == 401
    pending = next(row for row in platforms.deployments(scene.tool) if row["status"] == "pending")
    platforms.approve(scene.tool, pending["id"], now())
    assert visitor.http.post(form["target"], data=form["fields"], timeout=20).status_code == 200
    again = visitor.http.post(form["target"], data=form["fields"], timeout=20)
    assert again.status_code == 401 and "opened already" in again.text


def test_a_login_is_stored_once_and_marked_when_it_is_used(scene):
    scene.launch("teacher1")
    scene.launch("teacher1")  # all as it was: the short way
    with scene.tool.db.read() as session:
        used = [row.consumed_at is not None for row in session.query(Login)]
    assert used == [True, True]
