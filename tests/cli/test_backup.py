"""`lti-tool db backup` and `restore`, on whatever database the tests run on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from sqlalchemy import select, text

from lti_tool.credentials import status_list
from lti_tool.jobs import RUNNERS
from lti_tool.models import Award, Edition, Person, StatusList
from lti_tool.services import award_acts, presence, rights, work
from tests.cli.conftest import Run
from tests.scene import Scene, now


@pytest.fixture
def awarded(beside: Scene) -> Scene:
    """A scene in which two students have a badge."""
    beside.publish()
    beside.grade("student1", 4, 4, 4, 4)
    beside.grade("student2", 4, 4, 4, 4)
    assert beside.sync()["state"] == "done"
    return beside


def statuses(scene: Scene) -> dict[str, str]:
    return {award["user"]: award["status"] for award in scene.awards()}


def test_a_backup_brings_back_what_was_there_and_awards_keep_their_credentials(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "backup" / "monday.db"
    before = awarded.awards()
    assert run("db", "backup", str(file)).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with awarded.tool.db.write() as session:
        session.execute(text("UPDATE award SET revocation_reason = 'spoiled'"))
    done = run("db", "restore", str(file))
    assert done.status == 0, done.err
    assert awarded.awards() == before
    assert "What it held before is in" in done.out


def test_after_a_restore_new_credentials_go_to_a_fresh_status_list(awarded: Scene, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    with awarded.tool.db.read() as session:
        used = set(session.scalars(select(Edition.status_list_id)))
    assert run("db", "restore", str(file)).status == 0
    awarded.grade("student3", 4, 4, 4, 4)
    assert awarded.sync()["awards"] == 1
    with awarded.tool.db.read() as session:
        lists = set(session.scalars(select(Edition.status_list_id)))
        assert len(lists - used) == 1
        assert all(row.closed for row in session.scalars(select(StatusList).where(StatusList.id.in_(used))))
    for number in used:  # those before are served on: credentials name them
        assert requests.get(f"{awarded.url}/status/{number}", timeout=10).status_code == 200


def test_what_was_revoked_since_the_backup_is_revoked_after_the_restore(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    award = awarded.award_of("student1")["id"]
    award_acts.revoke(awarded.tool, award, "given by mistake", actor="operator", now=now())
    done = run("db", "restore", str(file))
    assert done.status == 0 and "1 award that was revoked since" in done.out
    after = awarded.award_of("student1")
    assert (after["status"], after["revocation_reason"]) == ("revoked", "given by mistake")
    assert awarded.award_of("student2")["status"] == "issued"
    with awarded.tool.db.read() as session:
        editions = session.scalars(select(Edition).where(Edition.award_id == award)).all()
        assert editions and all(edition.withdrawn_at for edition in editions)
        assert session.get_one(Award, award).live is False


def test_a_database_that_is_lost_altogether_is_no_reason_to_forget_a_withdrawal(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    awarded.grade("student3", 4, 4, 4, 4)
    assert awarded.sync()["awards"] == 1
    late = awarded.award_of("student3")
    place = place_of(awarded, late["id"])
    for user in ("student1", "student3"):
        award_acts.revoke(awarded.tool, awarded.award_of(user)["id"], "A mistake", actor="operator", now=now())
    with awarded.tool.db.write() as session:  # nothing that could tell is left of it
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    done = run("db", "restore", str(file))
    assert done.status == 0, done.err
    assert "2 awards that were revoked since" in done.out and "1 withdrawn credential is not in this" in done.out
    assert statuses(awarded)[awarded.lms.user("student1").id] == "revoked"
    answer = requests.get(f"{awarded.url}/status/{place[0]}", timeout=10).json()
    assert status_list.read_bit(answer["credentialSubject"]["encodedList"], place[1])
    line = next(each for each in run("doctor", "--json").json if each["check"] == "revocations")
    assert line["ok"], line


def place_of(scene: Scene, award_id: str) -> tuple[int, int]:
    with scene.tool.db.read() as session:
        edition = session.scalars(select(Edition).where(Edition.award_id == award_id)).one()
        return edition.status_list_id, edition.status_index


def test_the_journal_is_replayed_by_hand_too(awarded: Scene, run: Run) -> None:
    award = awarded.award_of("student1")["id"]
    award_acts.revoke(awarded.tool, award, "A mistake", actor="operator", now=now())
    assert run("db", "replay").out.strip().endswith("agree.")
    with awarded.tool.db.write() as session:  # as in a copy of an earlier day
        session.execute(text("UPDATE award SET status = 'issued', live = true, revoked_at = NULL"))
        session.execute(text("UPDATE edition SET withdrawn_at = NULL"))
    done = run("db", "replay")
    assert done.status == 0 and "1 award that was revoked since is revoked again." in done.out
    assert awarded.award_of("student1")["status"] == "revoked"


def test_a_file_that_is_no_journal_is_told_so(awarded: Scene, run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"x": 1}')
    done = run("db", "replay", str(tmp_path / "other"))
    assert done.status == 1 and "no journal of revocations" in done.err


def copied_as_it_is(scene: Scene, file: Path) -> None:
    """Copy a database that the command refuses to open, its schema being another version's."""
    from lti_tool.services.backup import _copy

    _copy(scene.tool.db, scene.settings.database.url, file)


def test_J12_a_backup_of_a_newer_version_is_refused_and_nothing_changes(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "newer.db"
    before = statuses(awarded)
    with awarded.tool.db.write() as session:
        known = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    copied_as_it_is(awarded, file)
    with awarded.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :known"), {"known": known})
    done = run("db", "restore", str(file))
    assert done.status == 1 and "newer version (schema 9999)" in done.err
    assert statuses(awarded) == before


def test_a_backup_is_never_written_over(awarded: Scene, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    content = file.read_bytes()
    done = run("db", "backup", str(file))
    assert done.status == 1 and "is there already" in done.err
    assert file.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".monday")] == []


def test_what_is_no_backup_is_refused(awarded: Scene, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Sir or Madam, this is not a database.")
    done = run("db", "restore", str(file))
    assert done.status == 1 and "is no backup of a" in done.err
    if awarded.tool.db.is_sqlite:
        with sqlite3.connect(tmp_path / "other.db") as other:
            other.execute("CREATE TABLE thing (id INTEGER)")
        other.close()
        assert "holds no database of this tool" in run("db", "restore", str(tmp_path / "other.db")).err
    assert set(statuses(awarded).values()) == {"issued"}


def test_a_backup_that_was_cut_off_or_spoiled_is_refused_and_nothing_changes(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "backup" / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    whole, before = file.read_bytes(), awarded.awards()
    middle = len(whole) // 2
    cut_off = [whole[: len(whole) * part // 100] for part in (50, 90, 99)]
    for content in (*cut_off, whole[:middle] + b"\xff" * 8192 + whole[middle + 8192 :]):
        file.write_bytes(content)
        done = run("db", "restore", str(file))
        assert done.status == 1 and done.err.count("\n") == 1, done.err
        assert awarded.awards() == before
        assert [each.name for each in file.parent.iterdir()] == ["monday.db"]


def test_a_restore_that_fails_half_way_says_where_the_copy_of_before_is(
    awarded: Scene, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "monday.db"
    before = awarded.awards()
    with awarded.tool.db.write() as session:  # its schema says less than its tables: the upgrade meets what is there
        reached = session.scalar(text("SELECT version_num FROM alembic_version"))
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    copied_as_it_is(awarded, file)
    with awarded.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :reached"), {"reached": reached})
    done = run("db", "restore", str(file))
    kept = next(tmp_path.glob("before-restore-*"))
    assert done.status == 1 and f"What the database held before is in {kept}" in done.err
    assert run("db", "restore", str(kept)).status == 0
    assert awarded.awards() == before


def test_a_backup_ends_while_somebody_writes_all_the_time(awarded: Scene, run: Run, tmp_path: Path) -> None:
    url, most = awarded.settings.database.url, 20_000

    def connect() -> Any:
        if awarded.tool.db.is_sqlite:
            return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10, isolation_level=None)
        return psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:"), autocommit=True)

    with contextlib.closing(connect()) as ballast:
        ballast.execute("CREATE TABLE ballast (content VARCHAR)")
        for _ in range(50):
            ballast.execute(f"INSERT INTO ballast VALUES ('{'x' * 1_000_000}')")
        ballast.execute("CREATE TABLE ballast_tally (number INTEGER)")
        ballast.execute("INSERT INTO ballast_tally VALUES (0)")
    ended, writes = threading.Event(), 0

    def write() -> None:
        nonlocal writes
        with contextlib.closing(connect()) as writer:
            while writes < most and not ended.wait(0.001):
                writer.execute("UPDATE ballast_tally SET number = number + 1")
                writes += 1

    writing = threading.Thread(target=write)
    writing.start()
    done = run("db", "backup", str(tmp_path / "monday.db"))
    ended.set()
    writing.join()
    assert done.status == 0, done.err
    assert writes < most


def test_nothing_is_restored_under_a_running_worker(awarded: Scene, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    presence.seen(awarded.tool, presence.new_worker(), now())
    done = run("db", "restore", str(file))
    assert done.status == 1 and "A worker is running" in done.err
    with awarded.tool.db.write() as session:
        session.execute(text("DELETE FROM presence"))
    presence.seen(awarded.tool, presence.new_worker(), now() - timedelta(minutes=3))
    assert run("db", "restore", str(file)).status == 0


def test_without_postgresql_s_programs_the_command_says_what_to_install(
    awarded: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if awarded.tool.db.is_sqlite:
        monkeypatch.setenv("LTI_TOOL_DATABASE__URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
        from lti_tool.services.backup import _run as program
    else:
        from lti_tool.services.backup import _run as program
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="pg_dump is not installed here"):
        program(os.environ["LTI_TOOL_DATABASE__URL"], ["pg_dump"])


def test_a_backup_that_is_put_back_erases_again_who_was_erased_since(awarded: Scene, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    assert run("db", "backup", str(file)).status == 0
    with awarded.tool.db.read() as session:
        person = session.scalars(select(Person).where(Person.sub == awarded.award_of("student1")["user"])).one()
    for job_id in rights.erase(awarded.tool, person.id, actor="operator", now=now()):
        work.run(awarded.tool, job_id, RUNNERS)
    done = run("db", "restore", str(file))
    assert done.status == 0 and "1 person who was erased since" in done.out, done.out + done.err
    with awarded.tool.db.read() as session:
        after = session.get_one(Person, person.id)
        assert (after.name, after.email) == ("", "") and after.sub != person.sub
        assert {award.status for award in session.scalars(select(Award).where(Award.person_id == person.id))} == {
            "revoked"
        }
    assert awarded.award_of("student2")["status"] == "issued"
