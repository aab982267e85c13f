"""What people are told, once, inside the tool and by mail: from a grade in the LMS to the mail that arrives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from lti_tool.models import Award, Column, CourseBadge, Drift, Mail, MailChoice, Notification, Person
from lti_tool.services import award_acts, choices, digests, editions, expiry, mail, people, reminders
from tests import mail_server as servers
from tests.classroom import Classroom, at_once, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import Scene, now


@pytest.fixture(scope="module")
def server() -> Iterator[servers.MailServer]:
    with servers.mail_server() as started:
        yield started


@pytest.fixture(autouse=True)
def with_mail(shared: Scene, server: servers.MailServer) -> Iterator[None]:  # noqa: F811
    """Let the shared installation send through the server, and begin with nothing that waits."""
    there = shared.tool.settings
    sends = there.mail.model_copy(update={"url": server.url, "sender": "badges@hallwood.example"})
    shared.tool.settings = there.model_copy(update={"mail": sends})
    server.got.clear()
    server.plan.clear()
    with shared.tool.db.write() as session:
        session.query(Mail).delete()
        session.query(Notification).delete()
    yield
    shared.tool.settings = there


@pytest.fixture
def room(make_room: Callable[..., Classroom]) -> Iterator[Classroom]:  # noqa: F811
    """A course with a badge in force and two learners, both known to the tool with their addresses."""
    made = make_room()
    assert made.publish(badge()).state == "done"
    yield made


def award_id(room: Classroom, who: int = 0) -> str:
    return str(room.award(room.students[who])["id"])


def earn(room: Classroom, *who: int) -> None:
    for index in who or (0,):
        room.grade(room.students[index], 3, 3)
    room.sync()


def sent(room: Classroom, server: servers.MailServer) -> list[tuple[str, str]]:
    """Send all that waits, also for later; returns all that has arrived so far: to whom, and its subject."""
    with room.tool.db.write() as session:
        session.execute(update(Mail).where(Mail.state == "due").values(not_before=now() - timedelta(seconds=1)))
    mail.run_send(room.tool, mail.ALL, lambda line: None)
    here = {person.email for person in (*room.students, room.teacher)}
    return [(each.recipient, each.subject) for each in server.got if each.recipient in here]


def address(room: Classroom, who: int = 0) -> str:
    return str(room.students[who].email)


def told(room: Classroom, who: int = 0) -> list[str]:
    with room.tool.db.read() as session:
        query = select(Notification.kind).where(Notification.person_id == room.person_id(room.students[who]))
        return list(session.scalars(query.order_by(Notification.created_at, Notification.key)))


def change(room: Classroom, **values: Any) -> None:
    with room.tool.db.write() as session:
        session.execute(update(Award).where(Award.course_id == room.id).values(**values))


# -- earned -----------------------------------------------------------------------------------------------------


def test_H01_the_same_sync_twice_makes_one_award_and_one_mail(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    room.sync()
    editions.sign_pending(room.tool)
    assert sent(room, server) == [(address(room), "You have earned Careful Work")]
    room.sync()
    assert len(sent(room, server)) == 1
    assert told(room) == ["earned"]


def test_H02_two_who_sign_at_the_same_moment_tell_once(room: Classroom, server: servers.MailServer) -> None:
    room.grade(room.students[0], 3, 3)
    at_once(room.sync, room.sync, lambda: editions.sign_pending(room.tool))
    at_once(lambda: editions.sign_pending(room.tool), lambda: editions.sign_pending(room.tool))
    assert sent(room, server) == [(address(room), "You have earned Careful Work")]
    assert told(room) == ["earned"]


def test_nothing_is_told_before_the_award_is_committed(
    room: Classroom, server: servers.MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_session: Any) -> Any:
        raise RuntimeError("the power is gone")

    room.grade(room.students[0], 3, 3)
    kept = room.tool.db.around_commit
    room.sync()
    with room.tool.db.write() as session:  # as it was between decision and signature
        award = session.scalars(select(Award).where(Award.course_id == room.id)).one()
        award.status, award.issued_at = "pending", None
        award.editions[-1].signed_at = None
        session.query(Notification).delete()
        session.query(Mail).delete()
    monkeypatch.setattr(room.tool.db, "around_commit", torn)
    with pytest.raises(RuntimeError):
        editions.sign_pending(room.tool, room.id)
    monkeypatch.setattr(room.tool.db, "around_commit", kept)
    assert told(room) == [] and sent(room, server) == []
    editions.sign_pending(room.tool, room.id)
    assert told(room) == ["earned"] and len(sent(room, server)) == 1


def test_many_are_told_in_a_few_statements(make_room: Callable[..., Classroom]) -> None:  # noqa: F811
    from sqlalchemy import event

    def statements(students: int) -> int:
        made = make_room(students=students)
        made.publish(badge())
        for student in made.students:
            made.grade(student, 3, 3)
        seen: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if re.search(r"\b(notification|mail|mail_choice)\b", statement):
                seen.append(statement)

        event.listen(made.tool.db.engine, "before_cursor_execute", note)
        made.sync()
        event.remove(made.tool.db.engine, "before_cursor_execute", note)
        with made.tool.db.read() as session:
            here = select(func.count()).select_from(Notification).join(Award).where(Award.course_id == made.id)
            assert session.scalar(here) == students
        return len(seen)

    assert statements(12) <= statements(2) + 1


def test_a_confirmed_award_says_that_it_was_confirmed_and_nothing_before(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(award="review"))
    earn(room)
    assert told(room) == [] and sent(room, server) == []
    award_acts.confirm(room.tool, award_id(room), actor="operator", now=now())
    editions.sign_pending(room.tool, room.id)
    assert told(room) == ["confirmed"]
    assert sent(room, server) == [(address(room), "Your teacher has confirmed Careful Work: it is yours")]


def test_nothing_is_told_before_the_release(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(release="held"))
    earn(room)
    assert room.award()["status"] == "held"
    assert told(room) == [] and sent(room, server) == []
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    award_acts.release(room.tool, badge_id, actor="operator", now=now())
    editions.sign_pending(room.tool, room.id)
    assert told(room) == ["earned"] and len(sent(room, server)) == 1


def test_one_that_is_held_before_the_mail_went_out_is_told_when_it_is_released(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room)
    with room.tool.db.read() as session:
        badge_id = room.course_badge(session).id
    award_acts.hold(room.tool, badge_id, award_id(room), "A second look", None, actor="operator", now=now())
    assert told(room) == [] and sent(room, server) == []
    award_acts.confirm(room.tool, award_id(room), actor="operator", now=now())
    editions.sign_pending(room.tool, room.id)
    assert told(room) == ["earned"] and len(sent(room, server)) == 1


def test_what_she_chooses_herself_is_no_news(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    choices.choose(room.tool, award_id(room), choices.Choices(public=True, name=True), actor="operator", now=now())
    editions.sign_pending(room.tool, room.id)
    assert told(room) == ["earned"] and len(sent(room, server)) == 1


# -- later ------------------------------------------------------------------------------------------------------


def test_H08_a_withdrawal_is_told_by_mail_with_its_reason_once(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    award_acts.revoke(room.tool, award_id(room), "Copied work", actor="operator", now=now())
    assert sent(room, server)[1:] == [(address(room), "Careful Work was withdrawn")]
    assert "Copied work" in server.got[-1].part("plain")
    assert told(room) == ["earned", "revoked"]
    assert len(sent(room, server)) == 2


def test_of_several_taken_back_in_one_act_each_learner_is_told_once_with_the_reason(room, server):
    earn(room, 0, 1)
    ids = [award_id(room, who) for who in (0, 1)]
    with room.tool.db.read() as session:
        course_badge_id = room.course_badge(session).id
    for _ in range(2):
        award_acts.revoke_many(room.tool, course_badge_id, ids, "Copied work", actor="operator", now=now())
    assert told(room, 0) == told(room, 1) == ["earned", "revoked"]
    with room.tool.db.read() as session:
        kept = session.scalars(select(Notification).where(Notification.kind == "revoked")).all()
        assert {row.award_id: row.detail["reason"] for row in kept} == dict.fromkeys(ids, "Copied work")


def test_what_she_never_saw_is_not_told_as_withdrawn(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(award="review"))
    earn(room)
    award_acts.revoke(room.tool, award_id(room), "A mistake", actor="operator", now=now())
    assert told(room) == [] and sent(room, server) == []


def test_one_withdrawn_before_its_mail_went_out_is_only_told_as_withdrawn(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room)
    award_acts.revoke(room.tool, award_id(room), "A mistake", actor="operator", now=now())
    assert [subject for _, subject in sent(room, server)] == ["Careful Work was withdrawn"]


def test_an_end_is_told_once_at_each_step_and_a_renewal_too(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(expires_after="P1Y"))
    earn(room)
    sent(room, server)
    with room.tool.db.read() as session:
        ends = session.scalars(select(Award.expires_at).where(Award.course_id == room.id)).one()
        badge_id = room.course_badge(session).id
    assert ends is not None
    for days in (61, 59, 58, 29, 8, 6, 1):
        reminders.look(room.tool, ends - timedelta(days=days))
        reminders.look(room.tool, ends - timedelta(days=days))
    assert told(room).count("expiring") == 3
    subjects = {subject for _, subject in sent(room, server)[1:]}
    assert subjects == {f"Careful Work is valid until {ends.day} {ends:%B %Y}"}
    expiry.renew(room.tool, badge_id, [award_id(room)], actor="operator", now=ends - timedelta(days=1))
    before = len(server.got)
    assert len(sent(room, server)) == before  # it is still being signed
    editions.sign_pending(room.tool, room.id)
    assert sent(room, server)[before:] != []
    assert "was renewed and is valid until" in server.got[-1].subject
    assert told(room).count("renewed") == 1


def test_a_badge_nobody_claimed_is_told_of_once(room: Classroom, server: servers.MailServer) -> None:
    earn(room, 0, 1)
    choices.choose(room.tool, award_id(room, 1), choices.Choices(public=False), actor="operator", now=now())
    sent(room, server)
    server.got.clear()
    assert reminders.look(room.tool, now() + timedelta(days=13)) == 0
    reminders.look(room.tool, now() + timedelta(days=15))
    reminders.look(room.tool, now() + timedelta(days=25))
    assert sent(room, server) == [(address(room), "Careful Work waits for you to claim it")]


def test_one_claimed_before_the_reminder_went_out_is_not_reminded(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    reminders.look(room.tool, now() + timedelta(days=15))
    choices.choose(room.tool, award_id(room), choices.Choices(public=False), actor="operator", now=now())
    assert len(sent(room, server)) == 1


def test_nobody_is_reminded_of_awards_from_before_there_were_reminders(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room)
    assert reminders.look(room.tool, now() + timedelta(days=200)) == 0


# -- who gets it ------------------------------------------------------------------------------------------------


def test_without_an_address_or_a_mail_server_she_is_told_inside_the_tool(
    room: Classroom, server: servers.MailServer
) -> None:
    with room.tool.db.write() as session:
        session.execute(update(Person).where(Person.sub == room.students[0].id).values(email=""))
    room.students[0].email = ""
    earn(room)
    assert told(room) == ["earned"] and sent(room, server) == []
    room.tool.settings = room.tool.settings.model_copy(
        update={"mail": room.tool.settings.mail.model_copy(update={"url": ""})}
    )
    earn(room, 1)
    assert told(room, 1) == ["earned"]
    with room.tool.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Mail)) == 0


def test_an_institution_chooses_what_goes_out_by_mail(room: Classroom, server: servers.MailServer) -> None:
    told_by_mail = room.tool.settings.notifications.model_copy(update={"by_mail": "revoked"})
    room.tool.settings = room.tool.settings.model_copy(update={"notifications": told_by_mail})
    earn(room)
    assert told(room) == ["earned"] and sent(room, server) == []


def test_whoever_is_disabled_gets_no_mail(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    with room.tool.db.write() as session:
        session.execute(update(Person).where(Person.sub == room.students[0].id).values(disabled=True))
    assert sent(room, server) == []


def test_H15_two_user_ids_of_one_person_are_told_once_and_where_she_is_now(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room, 0)
    first, second = (room.person_id(student) for student in room.students)
    people.link(room.tool, second, first, actor="operator", now=now())
    earn(room, 1)
    editions.sign_pending(room.tool, room.id)
    assert len(sent(room, server)) == 1
    assert told(room, 0) == ["earned"] and told(room, 1) == []


def test_a_mail_speaks_the_language_of_her_last_launch(room: Classroom, server: servers.MailServer) -> None:
    room.students[0].locale = "es-MX"
    room.enter(room.students[0])
    earn(room, 0, 1)
    with room.tool.db.read() as session:
        languages = dict(session.execute(select(Person.sub, Person.language)).all())
        assert languages[room.students[0].id] == "es"
        mails = dict(session.execute(select(Mail.recipient, Mail.language)).all())
    assert mails == {address(room, 0): "es", address(room, 1): "en"}


# -- the day's news ---------------------------------------------------------------------------------------------


def morning(days: int = 1) -> datetime:
    """Return a moment shortly after digests are due: the next one, or one some days later."""
    due = now().replace(hour=6, minute=0, second=0, microsecond=0)
    return due + timedelta(days=days if due <= now() else days - 1, minutes=10)


def digest(room: Classroom, server: servers.MailServer, at: datetime) -> list[str]:
    """Let a day's digests go out; returns what this course's teacher was sent."""
    before = len(server.got)
    digests.look(room.tool, at)
    sent(room, server)
    return [each.part("plain") for each in server.got[before:] if each.recipient == room.teacher.email]


def test_those_who_teach_get_a_day_s_news_once_and_only_where_there_is_some(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room, 0, 1)
    sent(room, server)
    (text,) = digest(room, server, morning())
    assert "Careful Work: 2 learners have earned it." in text
    assert room.students[0].name.split()[0] not in text
    assert digest(room, server, morning() + timedelta(hours=5)) == []
    assert digest(room, server, morning(2)) == []  # nothing new since


def test_what_happens_after_the_hour_is_the_next_day_s_news(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    change(room, issued_at=morning() + timedelta(hours=2))
    assert digest(room, server, morning() + timedelta(hours=3)) == []
    (text,) = digest(room, server, morning(2))
    assert "Careful Work: one learner has earned it." in text


def test_the_news_tell_what_waits_and_what_is_broken(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(award="review"))
    earn(room)
    with room.tool.db.write() as session:
        column = session.scalars(select(Column).join(CourseBadge).where(CourseBadge.course_id == room.id)).first()
        assert column is not None
        gone = {"course_badge_id": column.course_badge_id, "tag": column.tag, "kind": "column_missing"}
        session.add(Drift(course_id=room.id, began_at=now(), **gone))
    (text,) = digest(room, server, morning())
    assert "Careful Work: one award waits for you to confirm it." in text
    assert "In the LMS, one thing is not as it was set up." in text


def test_the_news_tell_of_an_award_that_no_release_issues_since_its_grades_have_fallen(
    make_room: Callable[..., Classroom],  # noqa: F811
    server: servers.MailServer,
) -> None:
    room = make_room()
    room.publish(badge(release="held"))
    earn(room)
    room.grade(room.students[0], 1, 1)
    room.sync()
    (text,) = digest(room, server, morning())
    assert "Careful Work: the grades of one learner do not carry it any more." in text


def test_a_teacher_turns_the_news_of_a_course_off(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    assert "On" in room.page.get("mail").text
    assert room.page.post("mail", {"on": "no"}).status_code == 200
    assert digest(room, server, morning()) == []
    room.page.post("mail", {"on": "yes"})
    assert len(digest(room, server, morning())) == 1


def test_a_mail_s_own_address_stops_a_course_s_news(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    assert len(digest(room, server, morning())) == 1
    message = next(each for each in server.got if each.recipient == room.teacher.email).message
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = "/mail/stop/" + str(message["List-Unsubscribe"]).strip("<>").rpartition("/")[2]
    looked = room.page.http.get(room.scene.url + path)
    assert "Stop these mails?" in looked.text and "A course" in looked.text
    with room.tool.db.read() as session:
        assert session.scalar(select(func.count()).where(MailChoice.stopped_at.is_not(None))) == 0  # GET only looks
    pressed = room.page.http.post(room.scene.url + path, data={"List-Unsubscribe": "One-Click"})
    assert "These mails are stopped." in pressed.text
    change(room, issued_at=morning() + timedelta(hours=2))
    assert digest(room, server, morning(2)) == []


# -- her own pages ----------------------------------------------------------------------------------------------


def test_a_learner_sees_what_is_new_and_puts_it_away(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    award_acts.revoke(room.tool, award_id(room), "Copied work", actor="operator", now=now())
    visitor = room.enter(room.students[0])
    page = visitor.get("").text
    assert "One thing is new" in page and "Careful Work was withdrawn" in page and "Copied work" in page
    found = re.search(r'name="id" value="([0-9a-f]+)"', page)
    assert found is not None
    other = room.enter(room.students[1])
    assert other.post("notifications/away", {"id": found[1]}).status_code == 404
    assert visitor.post("notifications/away", {"id": found[1]}).status_code == 200
    assert "Careful Work was withdrawn" not in visitor.get("").text.partition("No longer in force")[0]


def test_what_the_state_of_an_award_does_not_show_is_not_told_either(
    room: Classroom, server: servers.MailServer
) -> None:
    earn(room)
    with room.tool.db.write() as session:
        row = session.scalars(select(Award).where(Award.course_id == room.id)).one()
        told_at = {"person_id": row.person_id, "award_id": row.id, "created_at": now()}
        detail = {"badge": "Careful Work", "until": now().isoformat()}
        session.add(Notification(key="x", kind="renewed", detail=detail, **told_at))
        row.status = "held"
    assert "was renewed" not in room.enter(room.students[0]).get("").text
    change(room, status="issued")
    assert "was renewed" in room.enter(room.students[0]).get("").text


def test_a_learner_stops_mail_and_wants_it_again(room: Classroom, server: servers.MailServer) -> None:
    visitor = room.enter(room.students[0])
    page = visitor.get("mail").text
    assert address(room) in page and "Stop these mails" in page
    assert "Send them again" in visitor.post("mail", {"on": "no"}).text
    earn(room)
    assert told(room) == ["earned"] and sent(room, server) == []


def test_one_click_in_a_mail_stops_those_that_wait_too(room: Classroom, server: servers.MailServer) -> None:
    earn(room)
    sent(room, server)
    reminders.look(room.tool, now() + timedelta(days=15))
    stop = str(server.got[0].message["List-Unsubscribe"]).strip("<>").rpartition("/")[2]
    answer = room.page.http.post(f"{room.scene.url}/mail/stop/{stop}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert len(sent(room, server)) == 1


@pytest.mark.parametrize("token", ["0" * 32, "nothing", "x" * 500])
def test_I24_a_token_that_is_none_answers_as_any_address_that_is_not_there(room: Classroom, token: str) -> None:
    for method in ("get", "post"):
        answer = getattr(room.page.http, method)(f"{room.scene.url}/mail/stop/{token}")
        assert answer.status_code == 404


def test_everything_here_is_utc() -> None:
    assert now().tzinfo is UTC
