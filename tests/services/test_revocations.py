"""The journal of revocations: written before a withdrawal counts, and done again where the database has lost one."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from lti_tool.errors import ConfigurationError, DiskFull
from lti_tool.models import AuditEvent, Award, Edition, Notification, SignedStatusList, StatusList, WithdrawnElsewhere
from lti_tool.services import award_acts, doctor, editions, revocations
from lti_tool.services.journal import Journal
from tests.classroom import Classroom, at_once, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_awards import bit, edition_of, environment

SLUG = "kept-for-good"  # one badge for all courses: its credential is compiled once


@pytest.fixture
def own(make_room: Callable[..., Classroom]) -> Iterator[Classroom]:  # noqa: F811
    """A course whose two students have a badge; the database under it can be put back."""
    made = make_room()
    assert made.publish(badge(SLUG)).state == "done"
    for student in made.students:
        made.grade(student, 3, 3)
    assert made.sync().state == "done"
    kept = made.tool.journal
    yield made
    made.tool.journal = kept
    revocations.keep(made.tool, now())


def lines(room: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in room.tool.journal.path.read_text().splitlines()]


def withdrawals(room: Any) -> list[dict[str, Any]]:
    """Return the journal's withdrawals of this course."""
    ids = {each["id"] for each in room.awards()}
    return [line for line in lines(room) if line.get("award") in ids]


def revoke(room: Any, award: dict[str, Any], reason: str = "Given by mistake.") -> None:
    award_acts.revoke(room.tool, award["id"], reason, actor="operator", now=now())


@contextmanager
def put_back(room: Any) -> Iterator[None]:
    """Let the database forget what the block does to awards and editions, as an older copy would: the rows of then."""
    tables = (Award.__table__, Edition.__table__, StatusList.__table__)
    with room.tool.db.read() as session:
        before = {table: session.execute(select(table)).mappings().all() for table in tables}
        elsewhere = set(session.scalars(select(WithdrawnElsewhere.edition_id)))
    yield
    with room.tool.db.write() as session:
        session.execute(delete(WithdrawnElsewhere).where(WithdrawnElsewhere.edition_id.not_in(elsewhere)))
        known = {row["id"] for row in before[tables[1]]}
        session.execute(delete(Edition).where(Edition.id.not_in(known)))
        awards = {row["id"] for row in before[tables[0]]}
        session.execute(delete(Notification).where(Notification.award_id.not_in(awards)))
        session.execute(delete(Award).where(Award.id.not_in(awards)))
        for table in tables:
            for row in before[table]:
                session.execute(update(table).where(table.c.id == row["id"]).values(dict(row)))
        newer = StatusList.id.not_in({row["id"] for row in before[tables[2]]})
        session.execute(delete(SignedStatusList))
        session.execute(delete(StatusList).where(newer))
    room.tool.status_lists.clear()


# -- written


def test_a_withdrawal_is_one_line_with_all_that_is_needed_to_do_it_again(own: Classroom) -> None:
    award = own.award(own.students[0])
    edition = edition_of(own, award["id"])
    revoke(own, award)
    (line,) = withdrawals(own)
    assert (line["edition"], line["list"], line["index"]) == (edition.id, edition.status_list_id, edition.status_index)
    assert (line["award"], line["why"], line["reason"]) == (award["id"], "revoked", "Given by mistake.")
    assert lines(own)[0] == {"journal": 1, "issuer": f"did:web:localhost%3A{own.scene.url.rpartition(':')[2]}"}
    assert oct(own.tool.journal.path.stat().st_mode)[-3:] == "600"


def test_why_is_what_the_award_has_come_to(own: Classroom) -> None:
    first, second = (own.award(student) for student in own.students)
    with own.tool.db.read() as session:
        badge_id = own.course_badge(session).id
    award_acts.hold(own.tool, badge_id, first["id"], "A question is open.", None, actor="operator", now=now())
    page = own.page.get(f"badges/{own.badge.slug}/awards/{second['id']}/reissue").text
    seal = page.partition('name="seal" value="')[2].partition('"')[0]
    own.page.post(f"badges/{own.badge.slug}/awards/{second['id']}/reissue", {"reason": "A typo.", "seal": seal})
    assert [(line["award"], line["why"], line["reason"]) for line in withdrawals(own)] == [
        (first["id"], "held", "A question is open."),
        (second["id"], "replaced", ""),
    ]


def test_what_is_refused_leaves_no_line(own: Classroom) -> None:
    award = own.award(own.students[0])
    before = own.tool.journal.path.read_bytes()
    with pytest.raises(RuntimeError), own.tool.db.write() as session:
        found = session.get_one(Award, award["id"])
        found.status, found.live = "revoked", False
        award_acts.withdraw_editions(session, found, now())
        raise RuntimeError("refused in the transaction")
    assert own.tool.journal.path.read_bytes() == before
    with pytest.raises(OSError, match="refused"), own.tool.journal.around("did:web:x", [{"why": "revoked"}]):
        assert own.tool.journal.path.read_bytes() != before
        raise OSError("refused by the database")
    assert own.tool.journal.path.read_bytes() == before


def test_what_may_have_been_committed_keeps_its_line(tmp_path: Path) -> None:
    class Lost(Exception):
        connection_invalidated = True

    file = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(Lost), file.around("did:web:x", [line("e1")]):
        raise Lost
    assert [each["edition"] for each in file.read().withdrawals] == ["e1"]


def times_put_back(room: Any) -> int:
    with room.tool.db.read() as session:
        return session.scalar(select(func.count()).where(AuditEvent.action == "database.went_back")) or 0


def line(edition: str, **changes: Any) -> dict[str, Any]:
    told = {"at": now().isoformat(), "edition": edition, "award": "a", "list": 1, "index": 5, "why": "revoked"}
    return {**told, "reason": "", **changes}


def test_a_line_that_a_crash_broke_off_is_skipped_and_the_next_stands_on_its_own(tmp_path: Path) -> None:
    file = Journal(tmp_path / "journal.jsonl")
    file.add("did:web:x", [line("e1")])
    with file.path.open("ab") as opened:
        opened.write(b'{"at":"2026-')
    file.add("did:web:x", [line("e2")])
    found = file.read()
    assert [each["edition"] for each in found.withdrawals] == ["e1", "e2"]
    assert (found.unreadable, found.issuer) == (1, "did:web:x")


ADDING = """
import sys
from pathlib import Path
from lti_tool.services.journal import Journal
name, file = sys.argv[1], Journal(Path(sys.argv[2]))
for n in range(100):
    told = {"at": "2026-11-26T00:00:00+00:00", "edition": f"{name}-{n}", "award": "a" * 900, "list": 1, "index": n}
    file.add("did:web:x", [{**told, "why": "revoked", "reason": ""}])
"""


def test_processes_that_write_at_once_lose_no_line_and_mix_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    command = [sys.executable, "-c", ADDING]
    running = [subprocess.Popen([*command, name, str(path)]) for name in ("one", "two", "three")]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    found = Journal(path).read()
    assert (len(found.withdrawals), found.unreadable) == (300, 0)
    assert path.read_text().count('"journal":1') == 1


@contextmanager
def no_room_for(path: Path) -> Iterator[None]:
    """Let this process make no file larger than that one is now, which is larger than any other it writes."""
    with path.open("ab") as opened:
        opened.truncate(32_000_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_J13_without_room_for_the_journal_nothing_is_withdrawn_and_the_page_says_so(own: Classroom) -> None:
    award = own.award(own.students[0])
    own.tool.journal = Journal(own.tool.journal.path.with_name("large.jsonl"))
    with no_room_for(own.tool.journal.path):
        before = own.tool.journal.path.stat().st_size
        answer = own.page.post(f"badges/{own.badge.slug}/awards/{award['id']}/revoke", {"reason": "A mistake."})
        assert answer.status_code == 503 and "no room left" in answer.text
        with pytest.raises(DiskFull):
            revoke(own, award)
        assert own.tool.journal.path.stat().st_size == before
    assert own.award(own.students[0])["status"] == "issued"
    assert bit(own.scene, edition_of(own, award["id"])) == 0
    revoke(own, award)
    assert bit(own.scene, edition_of(own, award["id"])) == 1
    assert [each["award"] for each in own.tool.journal.read().withdrawals] == [award["id"]]


def test_a_journal_that_cannot_be_written_stops_the_start_with_a_line(own: Classroom, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    own.tool.journal = Journal(tmp_path / "a file" / "journal.jsonl")
    with pytest.raises(ConfigurationError, match=r"cannot be used: .*database\.revocations"):
        revocations.keep(own.tool, now())


def test_a_journal_of_another_institution_stops_the_start_with_a_line(own: Classroom) -> None:
    own.tool.journal = Journal(own.tool.journal.path.with_name("other.jsonl"))
    own.tool.journal.add("did:web:elsewhere.example", [line("e1")])
    with pytest.raises(ConfigurationError, match=r"belongs to did:web:elsewhere\.example"):
        revocations.keep(own.tool, now())


# -- killed in between

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from sqlalchemy import event
from sqlalchemy.orm import Session
from lti_tool.services import award_acts, journal
from lti_tool.services.tool import open_tool
from lti_tool.settings import load_settings
tool = open_tool(load_settings())
@event.listens_for(Session, sys.argv[2])
def die(session):
    if journal.noted(session):
        os.kill(os.getpid(), signal.SIGKILL)
award_acts.revoke(tool, sys.argv[1], "Given by mistake.", actor="operator", now=datetime.now(UTC))
"""


@pytest.mark.parametrize(("moment", "in_database"), [("before_commit", False), ("after_commit", True)])
def test_a_process_killed_between_journal_and_commit_withdraws_too_much_rather_than_too_little(
    own: Classroom, moment: str, in_database: bool
) -> None:
    award = own.award(own.students[0])
    command = [sys.executable, "-c", KILLED, award["id"], moment]
    died = subprocess.run(command, env=environment(own.scene), capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert len(withdrawals(own)) == 1
    assert (own.award(own.students[0])["status"] == "revoked") == in_database
    done = revocations.keep(own.tool, now())
    assert done.revoked == (0 if in_database else 1)
    after = own.award(own.students[0])
    assert (after["status"], after["revocation_reason"]) == ("revoked", "Given by mistake.")
    assert bit(own.scene, edition_of(own, award["id"])) == 1 and len(withdrawals(own)) == 1
    assert own.award(own.students[1])["status"] == "issued"


# -- a database that was put back


def test_I09_what_was_revoked_since_a_copy_was_made_is_revoked_again_and_new_awards_use_fresh_lists(
    own: Classroom,
) -> None:
    award, before = own.award(own.students[0]), times_put_back(own)
    edition = edition_of(own, award["id"])
    with put_back(own):
        revoke(own, award, "Not hers.")
    assert own.award(own.students[0])["status"] == "issued" and bit(own.scene, edition) == 0
    assert revocations.standing(own.tool)[0] is False
    done = revocations.keep(own.tool, now())
    assert (done.revoked, done.elsewhere, done.again) == (1, 0, 0)
    after = own.award(own.students[0])
    assert (after["status"], after["revocation_reason"]) == ("revoked", "Not hers.") and bit(own.scene, edition) == 1
    with own.tool.db.read() as session:
        (fresh,) = session.scalars(select(StatusList.id).where(~StatusList.closed))
        assert fresh == edition.status_list_id + revocations.FURTHER
        assert times_put_back(own) == before + 1
    assert revocations.standing(own.tool)[0] is True
    assert revocations.keep(own.tool, now()) == revocations.Replayed()
    assert own.award(own.students[1])["status"] == "issued"


def test_a_credential_that_the_copy_does_not_know_stays_withdrawn_and_is_not_earned_again_by_itself(
    own: Classroom,
) -> None:
    late = own.lms.add_user(own.course, "student")
    with put_back(own):
        own.grade(late, 3, 3)
        own.sync()
        award = own.award(late)
        edition = edition_of(own, award["id"])
        revoke(own, award, "Not his.")
    assert own.awards(late) == []
    done = revocations.keep(own.tool, now())
    assert (done.revoked, done.elsewhere) == (1, 1)
    assert bit(own.scene, edition) == 1
    with own.tool.db.write() as session:
        own.course_badge(session).evaluated = None
    assert own.sync().state == "done"
    again = own.award(late)
    assert (again["id"], again["status"], again["revocation_reason"]) == (award["id"], "revoked", "Not his.")


def test_an_award_whose_credential_was_only_replaced_gets_a_new_one(own: Classroom) -> None:
    award = own.award(own.students[0])
    first = edition_of(own, award["id"])
    with put_back(own), own.tool.db.write() as session:
        found = session.get_one(Award, award["id"])
        award_acts.withdraw_editions(session, found, now())
        award_acts.restore(session, found, "issued", now())
    assert revocations.keep(own.tool, now()).again == 1
    assert editions.sign_pending(own.tool) == 1
    after = own.award(own.students[0])
    assert after["status"] == "issued" and not after["credential_url"].endswith(first.id)
    assert bit(own.scene, first) == 1
    with own.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == award["id"], Edition.withdrawn_at.is_(None))
        newest = session.scalars(query).one()
    assert newest.status_list_id != first.status_list_id and bit(own.scene, newest) == 0


def test_an_award_that_was_held_is_held_again(own: Classroom) -> None:
    award = own.award(own.students[0])
    with own.tool.db.read() as session:
        badge_id = own.course_badge(session).id
    with put_back(own):
        award_acts.hold(own.tool, badge_id, award["id"], "A question is open.", None, actor="operator", now=now())
    revocations.keep(own.tool, now())
    with own.tool.db.read() as session:
        found = session.get_one(Award, award["id"])
        assert (found.status, found.held_reason) == ("held", "A question is open.")


def test_a_copy_is_found_out_by_lists_that_were_used_further_although_nothing_was_withdrawn(own: Classroom) -> None:
    late = own.lms.add_user(own.course, "student")
    used = edition_of(own, own.award(own.students[0])["id"]).status_list_id
    with put_back(own):
        own.grade(late, 3, 3)
        own.sync()
        assert edition_of(own, own.award(late)["id"]).status_list_id == used
    compared = revocations.compare(own.tool)
    assert compared.behind == {used} and compared.missing == ()
    revocations.look(own.tool, now())  # once a minute only withdrawals are counted
    revocations.keep(own.tool, now())
    with own.tool.db.write() as session:
        own.course_badge(session).evaluated = None
    own.sync()
    assert edition_of(own, own.award(late)["id"]).status_list_id == used + revocations.FURTHER
    assert not revocations.compare(own.tool).went_back


def test_a_place_that_was_given_twice_is_withdrawn_and_its_holder_issued_anew(own: Classroom) -> None:
    first, second = (own.award(student) for student in own.students)
    place = edition_of(own, first["id"])
    told = line("ffff" * 8, award="somebody's", list=place.status_list_id, index=place.status_index, reason="Lost.")
    own.tool.journal.add(own.tool.journal.read().issuer, [told])
    done = revocations.keep(own.tool, now())
    assert (done.elsewhere, done.again) == (1, 1)
    assert editions.sign_pending(own.tool) == 1
    after = own.award(own.students[0])
    assert after["status"] == "issued" and not after["credential_url"].endswith(place.id)
    assert bit(own.scene, place) == 1 and own.award(own.students[1])["credential_url"] == second["credential_url"]
    assert [each["edition"] for each in withdrawals(own)] == [place.id]


def test_a_worker_finds_within_a_minute_that_the_database_was_put_back_under_it(own: Classroom) -> None:
    award = own.award(own.students[0])
    revocations.look(own.tool, now())
    with put_back(own):
        revoke(own, award)
        revocations.look(own.tool, now())
    revocations.look(own.tool, now())
    assert own.award(own.students[0])["status"] == "revoked"


def test_several_processes_that_start_at_once_do_it_once(own: Classroom) -> None:
    award, before = own.award(own.students[0]), times_put_back(own)
    with put_back(own):
        revoke(own, award)
    outcomes = at_once(*[lambda: revocations.keep(own.tool, now())] * 4)
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    assert sum(each.revoked for each in outcomes) == 1
    assert times_put_back(own) == before + 1


def test_a_lost_journal_is_written_anew_from_the_database(own: Classroom) -> None:
    award = own.award(own.students[0])
    revoke(own, award)
    before, all_there = withdrawals(own), len(own.tool.journal.read().withdrawals)
    own.tool.journal.path.unlink()
    assert revocations.standing(own.tool)[0] is False
    assert revocations.keep(own.tool, now()).written == all_there
    assert withdrawals(own) == before
    assert not revocations.compare(own.tool).went_back and revocations.standing(own.tool)[0]


def test_the_journal_of_another_host_or_of_a_lost_database_is_taken_over(own: Classroom) -> None:
    award = own.award(own.students[0])
    with put_back(own):
        revoke(own, award)
    there = own.tool.journal.path.read_bytes()
    own.tool.journal.path.unlink()
    revocations.keep(own.tool, now())
    assert own.award(own.students[0])["status"] == "issued"
    assert revocations.read_file(own.tool, there, now()).revoked == 1
    assert own.award(own.students[0])["status"] == "revoked" and len(withdrawals(own)) == 1
    with pytest.raises(ConfigurationError, match="no journal of revocations"):
        revocations.read_file(own.tool, b"not a journal", now())


def test_the_doctor_has_a_line_about_it(own: Classroom) -> None:
    def told() -> doctor.Finding:
        return next(f for f in doctor.examine(own.tool, None, now()) if f.what == "revocations")

    assert told().ok
    with put_back(own):
        revoke(own, own.award(own.students[0]))
    assert not told().ok and "1 withdrawals" in told().sentence and "lti-tool db replay" in told().sentence


def test_places_are_noted_in_the_journal_as_they_are_given(own: Classroom) -> None:
    last = [each for each in lines(own) if "used" in each][-1]
    with own.tool.db.read() as session:
        used = session.scalar(select(func.count()).where(Edition.status_list_id == last["list"]))
    assert last["used"] == used
