"""What happens is counted once, in the transaction that made it so, by day and badge, and without people."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, func, inspect, select, update

from lti_tool import jobs
from lti_tool.db import Database
from lti_tool.models import Award, AwardTally, Tally
from lti_tool.services import award_acts, choices, counting, editions, expiry, export, figure_pages, why_not
from lti_tool.services.choices import Choices
from tests.classroom import badge, make_room, room, shared  # noqa: F401 (fixtures)
from tests.scene import now

ACTOR = "operator"


def numbers(room: Any) -> Counter[str]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Tally.kind, func.sum(Tally.number)).where(Tally.course_id == room.id).group_by(Tally.kind)
        return Counter({kind: int(number) for kind, number in session.execute(query)})


def lines(room: Any, kind: str) -> list[tuple[str, str, int, int]]:  # noqa: F811
    with room.tool.db.read() as session:
        query = select(Tally.day, Tally.detail, Tally.lasted, Tally.number)
        query = query.where(Tally.course_id == room.id, Tally.kind == kind).order_by(Tally.day, Tally.detail)
        return [tuple(row) for row in session.execute(query)]


@pytest.fixture
def earned(room):  # noqa: F811
    """A badge of two rows that the first student has earned."""
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    return room


def choose(room: Any, **told: Any) -> None:  # noqa: F811
    choices.choose(room.tool, room.award()["id"], Choices(**told), actor=ACTOR, now=now())


# -- once -------------------------------------------------------------------------------------------------------


def test_an_award_is_counted_when_it_is_issued_with_how_it_was_given_and_how_long_after_the_grade(earned):
    ((day, given, lasted, number),) = lines(earned, "issued")
    assert (day, given, number) == (now().date().isoformat(), "grades", 1)
    assert lasted in (60, 300)  # the grade was entered seconds ago


def test_H01_syncing_signing_and_sweeping_again_count_nothing_again(earned):
    earned.sync()
    editions.sign_pending(earned.tool)
    counting.catch_up(earned.tool.db, now())
    assert numbers(earned)["issued"] == 1


def test_a_claim_counts_once_whatever_is_chosen_later(earned):
    choose(earned, public=True)
    choose(earned, public=False)
    choose(earned, public=True, levels=False)  # another credential
    choose(earned, public=True, levels=False)
    counting.catch_up(earned.tool.db, now())
    found = numbers(earned)
    assert (found["claimed"], found["withdrawn"], found["issued"]) == (1, 1, 1)


def test_one_that_is_held_again_and_let_go_is_no_second_issue(earned):
    award_id = earned.award()["id"]
    with earned.tool.db.read() as session:
        course_badge_id = earned.course_badge(session).id
    award_acts.hold(earned.tool, course_badge_id, award_id, "A question first.", None, actor=ACTOR, now=now())
    award_acts.confirm(earned.tool, award_id, actor=ACTOR, now=now())
    editions.sign_pending(earned.tool)
    assert earned.award()["status"] == "issued" and numbers(earned)["issued"] == 1


def test_one_that_is_revoked_before_it_is_signed_is_not_issued(earned):
    second = earned.students[1]
    earned.grade(second, 3, 3)
    real = editions._store_signatures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editions, "_store_signatures", lambda tool, done: award_acts.revoke(
            tool, done[0][0].award_id, "By mistake.", actor=ACTOR, now=now()) or real(tool, done))  # fmt: skip
        earned.sync()
    assert earned.award(second)["status"] == "revoked"
    assert (numbers(earned)["issued"], numbers(earned)["revoked"]) == (1, 1)


def test_a_signature_that_comes_late_leaves_the_newer_credential_to_be_signed(earned):
    """One worker signs an edition; before it stores that, another has, and the learner has chosen anew."""
    second, real, calls = earned.students[1], editions._store_signatures, []
    earned.grade(second, 3, 3)

    def late(tool, done):
        calls.append(done)
        if len(calls) == 1:
            real(tool, done)
            with pytest.raises(KeyboardInterrupt):
                choices.choose(tool, earned.award(second)["id"], Choices(name=True), actor=ACTOR, now=now())
        elif len(calls) == 2:
            raise KeyboardInterrupt  # whoever signs the newer one dies
        return real(tool, done)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editions, "_store_signatures", late)
        earned.sync()
    assert len(calls) > 1
    with earned.tool.db.read() as session:
        newest = session.get_one(Award, earned.award(second)["id"]).editions[-1]
        assert newest.document is not None and newest.withdrawn_at is None and newest.number == 2
    assert earned.award(second)["status"] == "issued" and numbers(earned)["issued"] == 2


def test_what_is_rolled_back_was_not_counted(earned):
    with pytest.raises(RuntimeError), earned.tool.db.write() as session:
        award = session.get_one(Award, earned.award()["id"])
        counting.count(session, counting.SHARED, award, now(), where="link")
        counting.count(session, counting.EVIDENCE, award.course_badge, now())
        raise RuntimeError
    assert numbers(earned) == {"issued": 1}


def test_sharing_counts_each_time_and_the_awards_that_were_shared_at_all_once(earned):
    for where in ("link", "linkedin", "link"):
        with earned.tool.db.write() as session:
            counting.count(session, counting.SHARED, session.get_one(Award, earned.award()["id"]), now(), where=where)
    assert numbers(earned)["shared"] == 3 and numbers(earned)["sharers"] == 1
    assert [(detail, number) for _day, detail, _lasted, number in lines(earned, "shared")] == [
        ("link", 2),
        ("linkedin", 1),
    ]


def test_an_award_that_ends_counts_once_until_it_is_renewed_and_ends_again(room):  # noqa: F811
    room.publish(badge(expires_after="P1Y"))
    room.grade(room.students[0], 3, 3)
    room.sync()
    award_id = room.award()["id"]

    def end() -> None:
        with room.tool.db.write() as session:
            session.execute(update(Award).where(Award.id == award_id).values(expires_at=now() - timedelta(hours=1)))
        counting.catch_up(room.tool.db, now())

    end()
    end()
    assert numbers(room)["expired"] == 1
    with room.tool.db.read() as session:
        course_badge_id = room.course_badge(session).id
    expiry.renew(room.tool, course_badge_id, [award_id], actor=ACTOR, now=now())
    editions.sign_pending(room.tool)
    end()
    assert (numbers(room)["expired"], numbers(room)["renewed"], numbers(room)["issued"]) == (2, 1, 1)


def test_a_kind_that_nobody_knows_is_refused(earned):
    with pytest.raises(ValueError, match="nothing is counted"), earned.tool.db.write() as session:
        counting.count(session, "liked", session.get_one(Award, earned.award()["id"]), now())


# -- many -------------------------------------------------------------------------------------------------------


def test_many_awards_of_one_signing_are_one_line(make_room):  # noqa: F811
    room = make_room(students=12)  # noqa: F811
    room.publish(badge())
    for student in room.students:
        room.grade(student, 3, 3)
    statements: list[str] = []

    def heard(_connection, _cursor, statement, *_more) -> None:
        statements.append(statement)

    event.listen(room.tool.db.engine, "before_cursor_execute", heard)
    try:
        room.sync()
    finally:
        event.remove(room.tool.db.engine, "before_cursor_execute", heard)
    assert sum("INSERT INTO tally" in each for each in statements) == 1
    ((*_rest, number),) = lines(room, "issued")
    assert number == 12


def test_two_processes_that_count_at_once_lose_nothing(earned):
    url = earned.scene.settings.database.url
    award_id = earned.award()["id"]
    ready, problems = threading.Barrier(4), []

    def work() -> None:
        db = Database(url)
        try:
            ready.wait()
            for _ in range(10):
                with db.write() as session:
                    award = session.get_one(Award, award_id)
                    counting.count(session, counting.SHARED, award, now(), where="qr")
                    counting.count(session, counting.EVIDENCE, award.course_badge, now())
        except Exception as error:
            problems.append(error)
        finally:
            db.engine.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert (numbers(earned)["shared"], numbers(earned)["evidence"], numbers(earned)["sharers"]) == (40, 40, 1)


# -- what was there before --------------------------------------------------------------------------------------


def forget_counts(room: Any) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.execute(delete(Tally))
        session.execute(delete(AwardTally))


def test_the_first_sweep_after_an_update_counts_what_is_there_at_the_day_it_happened(earned):
    choose(earned, public=True)
    before = now() - timedelta(days=40)
    with earned.tool.db.write() as session:
        award = session.get_one(Award, earned.award()["id"])
        award.issued_at, award.claimed_at = before, before + timedelta(days=2, hours=1)
    forget_counts(earned)
    earned.tool.caught_up = None
    jobs.sweep(earned.tool)
    ((issued_on, *_rest),), ((claimed_on, _detail, lasted, number),) = lines(earned, "issued"), lines(earned, "claimed")
    assert issued_on == before.date().isoformat()
    assert claimed_on == (before + timedelta(days=2, hours=1)).date().isoformat()
    assert (lasted, number) == (3 * 86400, 1)
    jobs.sweep(earned.tool)
    counting.catch_up(earned.tool.db, now())
    assert numbers(earned) == {"issued": 1, "claimed": 1}


def test_more_awards_than_one_step_takes_are_all_counted(make_room, monkeypatch):  # noqa: F811
    room = make_room(students=5)  # noqa: F811
    room.publish(badge())
    for student in room.students:
        room.grade(student, 3, 3)
    room.sync()
    forget_counts(room)
    monkeypatch.setattr(counting, "BATCH", 2)
    counting.catch_up(room.tool.db, now())
    assert numbers(room)["issued"] == 5


def test_an_export_takes_the_figures_along_and_they_name_nobody(earned, tmp_path):
    choose(earned, public=True)
    folder = tmp_path / "export"
    export.write(earned.tool, folder, now(), with_keys=True)
    told = (folder / "tables" / "tally.jsonl").read_text()
    assert '"kind":"claimed"' in told
    for name in ("person", "sub", "ip", "agent", "address"):
        assert f'"{name}' not in told


# -- without people ---------------------------------------------------------------------------------------------


def test_the_tallies_have_no_place_for_a_person_or_a_moment():
    assert {column.name for column in inspect(Tally).columns} == {
        *("day", "kind", "course_badge_id", "version_id", "detail", "lasted", "course_id", "registration_id", "number")
    }
    assert not Tally.__table__.foreign_keys


def test_erasing_a_learner_empties_her_marks_and_changes_no_figure(earned):
    choose(earned, public=True)
    award_id = earned.award()["id"]
    with earned.tool.db.write() as session:
        counting.count(session, counting.SHARED, session.get_one(Award, award_id), now(), where="link")
        counting.add_views(session, {award_id: 7})
    before = numbers(earned)
    with earned.tool.db.read() as session:
        assert counting.views_of(session, award_id) == 7
    with earned.tool.db.write() as session:
        counting.forget(session, [award_id])
    counting.catch_up(earned.tool.db, now())
    with earned.tool.db.read() as session:
        assert counting.views_of(session, award_id) == 0
        assert session.get_one(AwardTally, award_id).shared_on is None
    assert numbers(earned) == before


def test_a_duration_is_kept_as_a_bound_and_never_as_a_moment():
    bounds = {counting._bound(timedelta(seconds=seconds)) for seconds in range(0, 200_000, 997)}
    assert bounds <= set(counting.BOUNDS)
    assert counting._bound(timedelta(seconds=-5)) == counting.BOUNDS[0]
    assert counting._bound(timedelta(days=4000)) == counting.LONGER
    assert counting._bound(None) == counting.UNTOLD


# -- from the other rooms ---------------------------------------------------------------------------------------


def test_why_a_badge_is_not_claimed_is_counted_once_by_its_reason_and_never_by_her_words(earned):
    award_id = earned.award()["id"]
    for reason, words in (("unclear", "Nobody told me."), ("other", "Something of mine.")):
        why_not.answer(earned.tool, award_id, reason, words, actor=ACTOR, now=now())
    assert [(detail, number) for _day, detail, _lasted, number in lines(earned, "why_not")] == [("unclear", 1)]


def test_a_reason_that_few_gave_is_told_to_no_instructor(earned):
    why_not.answer(earned.tool, earned.award()["id"], "effort", "", actor=ACTOR, now=now())
    assert figure_pages.course_figures(earned.tool, earned.id, figure_pages.Asked()).why_not == ()
    with earned.tool.db.write() as session:
        session.execute(update(Tally).where(Tally.kind == "why_not", Tally.course_id == earned.id).values(number=12))
    (told,) = figure_pages.course_figures(earned.tool, earned.id, figure_pages.Asked()).why_not
    assert (told.label, told.number) == ("It is too much to do", 10)
