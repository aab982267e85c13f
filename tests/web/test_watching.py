"""What those who run the tool look at: /healthz, /readyz, /metrics, doctor, and the line on the first page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select, text, update

from lti_tool import jobs
from lti_tool.db import Database
from lti_tool.models import Course, Job, Presence
from lti_tool.services import award_acts, doctor, figures, presence
from lti_tool.services.figures import Figures
from lti_tool.settings import load_settings
from tests.scene import Scene, now

ORIGIN = "https://badges.example.edu"


def scrape(scene: Scene, **headers: str) -> requests.Response:
    return requests.get(f"{scene.url}/metrics", headers=headers, timeout=20)


def read(scene: Scene) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of a scrape, without the platform's name."""
    answer = scrape(scene)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted((n, v) for n, v in sample.labels.items() if n != "platform_name"))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def told(found: dict[tuple[str, tuple[tuple[str, str], ...]], float], name: str, **labels: str) -> float:
    return found.get((f"lti_tool_{name}", tuple(sorted(labels.items()))), 0.0)


# -- lives, serves ----------------------------------------------------------------------------------------------


def test_a_tool_that_can_serve_names_all_that_it_needs(scene: Scene) -> None:
    assert requests.get(f"{scene.url}/healthz", timeout=20).text == "ok\n"
    ready = requests.get(f"{scene.url}/readyz", timeout=20)
    assert (ready.status_code, ready.text) == (200, "database: ok\nschema: ok\nkeys: ok\nqueue: ok\nschedule: ok\n")


def test_a_tool_without_its_schema_is_not_ready_and_lives(scene: Scene) -> None:
    with scene.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    ready = requests.get(f"{scene.url}/readyz", timeout=20)
    assert ready.status_code == 503 and "database: ok\nschema: not as it should be" in ready.text
    assert requests.get(f"{scene.url}/healthz", timeout=20).status_code == 200


def test_the_version_before_goes_on_serving_under_a_newer_schema(scene: Scene) -> None:
    with scene.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert requests.get(f"{scene.url}/readyz", timeout=20).status_code == 200


def test_a_queue_that_is_down_is_named(scene: Scene) -> None:
    scene.app.extensions["queue"] = jobs.make_queue("redis://127.0.0.1:1/0")
    ready = requests.get(f"{scene.url}/readyz", timeout=20)
    assert ready.status_code == 503 and "database: ok" in ready.text and "queue: not as it should be" in ready.text


def test_a_database_that_is_down_is_named_and_the_process_lives(scene: Scene) -> None:
    working = scene.tool.db
    scene.tool.db = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    try:
        ready = requests.get(f"{scene.url}/readyz", timeout=20)
        assert ready.status_code == 503
        assert "database: cannot be reached\nschema: cannot be reached\nkeys: ok" in ready.text
        assert requests.get(f"{scene.url}/healthz", timeout=20).status_code == 200
    finally:
        scene.tool.db = working


def test_keys_that_cannot_be_used_are_named(scene: Scene) -> None:
    key = next(scene.settings.keys.dir.glob("lti-*.pem"))
    key.chmod(0o644)
    (scene.settings.keys.dir / "touched").mkdir()  # the folder is read again when it has changed
    ready = requests.get(f"{scene.url}/readyz", timeout=20)
    assert ready.status_code == 503 and "keys: not as it should be" in ready.text


# -- figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_a_launch_a_sync_and_an_award_are_counted(scene: Scene, mood: str) -> None:
    scene.mood = mood
    platform = str(scene.platform[mood])
    before = read(scene)
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    scene.grade("student2", 1, 1, 1, 1)
    assert scene.sync()["awards"] == 1
    requests.post(f"{scene.url}/lti/launch", data={"state": "none", "id_token": "none"}, timeout=20)
    found = read(scene)
    launched = {"platform": platform, "message": "LtiResourceLinkRequest"}
    assert told(found, "launches_total", **launched) - told(before, "launches_total", **launched) == 1
    assert told(found, "syncs_total", platform=platform, result="done") >= 1
    assert told(found, "results_total", platform=platform) >= 8
    assert told(found, "signatures_total") - told(before, "signatures_total") == 1
    assert told(found, "awards", status="issued") - told(before, "awards", status="issued") == 1
    assert told(found, "lag_seconds_count") - told(before, "lag_seconds_count") == 1
    assert told(found, "lag_seconds_bucket", le="60.0") - told(before, "lag_seconds_bucket", le="60.0") == 1
    assert told(found, "calls_total", platform=platform, status="200") > 5
    assert told(found, "call_seconds_count", platform=platform) > 5
    assert sum(value for (name, _), value in found.items() if name == "lti_tool_refusals_total") >= 1
    assert told(found, "unsigned_credentials") == 0


def test_a_call_that_fails_is_counted_by_what_failed(scene: Scene) -> None:
    scene.publish()
    platform = str(scene.platform[scene.mood])
    scene.lms.faults.on("results", "status", status=422)
    scene.sync()
    scene.lms.faults.clear()
    scene.lms.faults.on("memberships", "drop")
    scene.sync()
    found = read(scene)
    assert told(found, "calls_total", platform=platform, status="422") == 1
    assert told(found, "calls_total", platform=platform, status="broken_off") >= 1
    assert told(found, "syncs_total", platform=platform, result="status_422") == 1


def test_figures_name_platforms_and_nobody(scene: Scene) -> None:
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    scene.sync()
    text_told = scrape(scene).text
    assert 'platform_name="moodle ' in text_told
    for name in ("teacher1", "student1"):
        person = scene.lms.user(name)
        assert person.email not in text_told and person.name not in text_told


def test_two_processes_add_to_one_figure(scene: Scene) -> None:
    one, other = Figures(scene.tool.db), Figures(Database(scene.settings.database.url))
    for each in (one, other, one):
        each.count("syncs", platform=7, result="done")
        each.observe("sync_seconds", 0.7, platform=7)
    one.add()
    other.add()
    found = read(scene)
    assert told(found, "syncs_total", platform="7", result="done") == 3
    assert told(found, "sync_seconds_bucket", platform="7", le="0.5") == 0
    assert told(found, "sync_seconds_bucket", platform="7", le="1.0") == 3
    assert told(found, "sync_seconds_sum", platform="7") == pytest.approx(2.1)


def test_what_could_not_be_added_is_added_the_next_time(scene: Scene) -> None:
    own = Figures(Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2"))
    own.count("signatures", by=3)
    own.add()
    own._db = scene.tool.db
    own.add()
    own.add()
    assert told(read(scene), "signatures_total") == 3


def test_counting_asks_the_database_nothing(scene: Scene) -> None:
    own = Figures(Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2"))
    for _ in range(1000):
        own.count("launches", platform=1, message="LtiResourceLinkRequest")
    own.add_if_due()  # made a moment ago, so nothing is due
    assert own._new


def test_no_figure_grows_without_end(scene: Scene) -> None:
    own = Figures(scene.tool.db)
    for number in range(figures.MOST + 10):
        own.count("refusals", reason=f"odd_{number}")
    assert len(own._new) == figures.MOST


# -- who may read them --------------------------------------------------------------------------------------------


def allow(scene: Scene, **changes: str) -> None:
    told = scene.settings.metrics.model_copy(update=changes)
    scene.tool.settings = scene.settings.model_copy(update={"metrics": told})


def test_figures_are_for_the_networks_that_are_named(scene: Scene) -> None:
    assert scrape(scene).status_code == 200  # this machine itself, by default
    allow(scene, networks="192.0.2.0/24")
    answer = scrape(scene)
    assert answer.status_code == 403 and "lti_tool_" not in answer.text
    allow(scene, networks="192.0.2.0/24, 127.0.0.0/8 ::1")
    assert scrape(scene).status_code == 200


def test_figures_are_for_whoever_has_the_token(scene: Scene) -> None:
    allow(scene, networks="", token="0123456789abcdef")
    assert scrape(scene).status_code == 403
    assert scrape(scene, Authorization="Bearer 0123456789abcdeX").status_code == 403
    assert scrape(scene, Authorization="Bearer ").status_code == 403
    assert scrape(scene, Authorization="Bearer 0123456789abcdef").status_code == 200


def test_an_empty_token_lets_nobody_in(scene: Scene) -> None:
    allow(scene, networks="", token="")
    assert scrape(scene, Authorization="Bearer ").status_code == 403
    assert scrape(scene).status_code == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_proxy_that_nobody_told_of_does_not_open_the_figures(scene: Scene, header: str) -> None:
    assert scrape(scene, **{header: "203.0.113.9"}).status_code == 403


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("NETWORKS", "0.0.0.0/0", "everybody is no network"),
        ("NETWORKS", "::/0", "everybody is no network"),
        ("NETWORKS", "campus", "does not appear to be"),
        ("TOKEN", "secret", "at least 16 characters"),
    ],
)
def test_a_setting_that_would_open_them_to_everybody_stops_the_start(key: str, value: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        load_settings({f"LTI_TOOL_METRICS__{key}": value})


# -- nobody works -------------------------------------------------------------------------------------------------


def findings(scene: Scene) -> dict[str, doctor.Finding]:
    return {each.what: each for each in doctor.examine(scene.tool, None, now())}


def test_doctor_and_the_first_page_say_that_no_worker_has_looked(scene: Scene) -> None:
    vera = scene.administrator()
    assert findings(scene)["worker"].ok and "No worker has looked" not in vera.get("/admin/platforms/").text
    worker = presence.new_worker()
    presence.seen(scene.tool, worker, now())
    presence.seen(scene.tool, presence.SCHEDULE, now())
    assert "1 alive" in findings(scene)["worker"].sentence
    presence.seen(scene.tool, worker, now() - timedelta(minutes=11))
    found = findings(scene)["worker"]
    assert not found.ok and "no worker has looked since" in found.sentence
    assert "No worker has looked since" in vera.get("/admin/platforms/").text


def test_workers_without_a_schedule_are_told_of(scene: Scene) -> None:
    presence.seen(scene.tool, presence.SCHEDULE, now() - timedelta(minutes=11))
    presence.seen(scene.tool, presence.new_worker(), now())
    found = findings(scene)
    assert found["worker"].ok and not found["schedule"].ok
    assert "Nobody has looked what is due since" in scene.administrator().get("/admin/platforms/").text


def test_the_sweep_is_the_schedule_s_sign_of_life(scene: Scene) -> None:
    jobs.sweep(scene.tool)
    watch = presence.watch(scene.tool, now())
    assert watch.schedule is not None and not watch.unscheduled(now())


def test_a_step_of_the_schedule_that_fails_holds_up_no_other_and_is_told_of_while_it_does(scene: Scene) -> None:
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    scene.sync()
    tool, award = scene.tool, scene.award_of("student1")
    award_acts.revoke(tool, award["id"], "A mistake", actor="operator", now=now())
    presence.seen(tool, presence.new_worker(), now())
    journal = tool.journal.path
    kept = journal.rename(journal.with_name("kept"))
    journal.mkdir()  # as a folder that is not mounted on this host
    try:
        with tool.db.write() as session:
            session.execute(update(Job).values(state="done"))
            session.execute(update(Course).values(next_sync_at=now() - timedelta(hours=1)))
        assert jobs.sweep(tool) == ["revocations", "erasures"]  # it holds both
        with tool.db.read() as session:
            assert session.scalar(select(func.min(Course.next_sync_at))) > now()  # a job has been made of it
            assert {job.state for job in session.scalars(select(Job).where(Job.kind == "sync"))} == {"done"}
        found = findings(scene)["schedule"]
        assert not found.ok and "last looked" in found.sentence and "revocations since" in found.sentence
        ready = requests.get(f"{scene.url}/readyz", timeout=20)
        assert (ready.status_code, ready.text.splitlines()[-1]) == (200, "schedule: fails at erasures, revocations")
        figures_now = read(scene)
        assert told(figures_now, "schedule_failures_total", step="revocations") == 1
        assert {dict(labels)["kind"] for name, labels in figures_now if name == "lti_tool_seen_seconds_ago"} == {
            "worker",
            "schedule",
        }
    finally:
        journal.rmdir()
        kept.rename(journal)
    assert jobs.sweep(tool) == []
    assert findings(scene)["schedule"].ok
    assert requests.get(f"{scene.url}/readyz", timeout=20).text.endswith("queue: ok\nschedule: ok\n")


def test_a_schedule_that_does_not_get_to_its_end_is_told_of(scene: Scene) -> None:
    """Whatever holds it up: it has been seen when it has looked at everything."""
    presence.seen(scene.tool, presence.new_worker(), now())
    seen: list[object] = []
    scene.tool.wake = lambda _job: seen.append(presence.watch(scene.tool, now()).schedule)
    scene.publish()
    with scene.tool.db.write() as session:
        session.execute(update(Course).values(next_sync_at=now() - timedelta(hours=1)))
    jobs.sweep(scene.tool)
    assert seen and set(seen) == {None}
    with scene.tool.db.write() as session:
        session.execute(
            update(Presence).where(Presence.id == presence.SCHEDULE).values(seen_at=now() - timedelta(minutes=11))
        )
    found = findings(scene)["schedule"]
    assert not found.ok and "does not get to its end" in found.sentence


def test_a_step_that_fails_on_another_host_is_not_taken_for_mended(scene: Scene) -> None:
    presence.swept(scene.tool, ["evidence"], now())
    with scene.tool.db.write() as session:
        session.execute(update(Presence).where(Presence.kind == presence.STEP).values(host="elsewhere"))
    presence.swept(scene.tool, [], now())
    assert [name for name, _since in presence.failing(scene.tool, now())] == ["evidence"]
    assert presence.failing(scene.tool, now() + timedelta(minutes=11)) == []  # nobody runs it there any more


def test_a_worker_says_that_it_lives_and_the_last_one_is_not_forgotten(scene: Scene) -> None:
    assert not presence.is_well(scene.tool, now())
    with presence.alive(scene.tool, 2, periodic=True):
        for _ in range(200):
            if presence.is_well(scene.tool, now()):
                break
        assert presence.is_well(scene.tool, now())
    assert not presence.is_well(scene.tool, now())
    assert presence.watch(scene.tool, now() + timedelta(minutes=11)).lost(now() + timedelta(minutes=11))


def test_doctor_tells_queue_disk_backup_and_the_course_asked_longest_ago(scene: Scene) -> None:
    scene.publish()
    scene.sync()
    found = findings(scene)
    assert found["queue"].ok and found["backup"].sentence.startswith("none by lti-tool db backup")
    assert "GB free" in found["disk of the queue"].sentence
    assert ("disk of the database" in found) == scene.tool.db.is_sqlite
    assert found["courses"].sentence == "all are read in time"
    with scene.tool.db.write() as session:
        session.execute(
            text("UPDATE course SET next_sync_at = :at"), {"at": _stored(scene, now() - timedelta(hours=3))}
        )
    late = findings(scene)["courses"]
    assert not late.ok and late.sentence.startswith("one waits for 180 minutes")
    assert 10_790 < told(read(scene), "oldest_due_course_seconds") < 11_000


def _stored(scene: Scene, at: object) -> object:
    return at.replace(tzinfo=None) if scene.tool.db.is_sqlite else at  # type: ignore[attr-defined]


def test_doctor_names_a_queue_that_is_down(scene: Scene) -> None:
    queue = scene.settings.queue.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    nowhere = replace(scene.tool, settings=scene.settings.model_copy(update={"queue": queue}))

    def check() -> None:
        jobs.check_queue(nowhere, jobs.make_queue(queue.url))

    found = {each.what: each for each in doctor.examine(nowhere, None, now(), check)}
    assert not found["queue"].ok and "cannot be reached" in found["queue"].sentence
