"""What people may ask about their data: a copy of it, another name, and to be erased. Over HTTP, as they do."""

from __future__ import annotations

import html
import io
import itertools
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Text, cast, delete, func, select, text, update

from lti_tool.db import Compressed
from lti_tool.jobs import RUNNERS
from lti_tool.models import (
    AuditEvent,
    Award,
    Base,
    Edition,
    Erasure,
    Evidence,
    EvidenceFile,
    Mark,
    OwnAddress,
    Person,
    RightsRequest,
    ShareLink,
    WhyNot,
)
from lti_tool.services import audit, award_acts, editions, erased, erasures, evidence, rights, work
from lti_tool.services.her_data import NOT_PERSONAL, TABLES
from tests.classroom import badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_awards import bit

NUMBERS = itertools.count(1)


@pytest.fixture
def room(make_room):  # noqa: F811
    """A course whose first student, of an unusual name, has a badge that she has claimed with her name in it."""
    made = make_room()
    # What nobody else in this database has, so that it can be looked for everywhere.
    number = next(NUMBERS)
    made.family, made.email, made.sis = f"Quint{number}brand-Ølsen", f"zoe.{number}@odd.example", f"SIS-{number}-775533"
    named = {"given_name": "Zoë", "family_name": made.family, "email": made.email, "user_id": f"zq-{number}-sub"}
    made.her = made.lms.add_user(made.course, "student", **named)
    made.name = f"Zoë {made.family}"
    made.publish(badge())
    for student in (made.her, made.students[0]):
        made.grade(student, 3, 3)
    assert made.sync().state == "done"
    made.visit = made.enter(made.her)
    made.visit.post(f"badges/{made.badge.slug}/claim", {"inside": "1", "public": "1", "name": "1", "levels": "1"})
    made.admin = made.scene.administrator()
    return made


def claimed(room: Any) -> Edition:
    with room.tool.db.read() as session:
        award_id = room.award(room.her)["id"]
        return session.scalars(select(Edition).where(Edition.award_id == award_id).order_by(Edition.number)).all()[-1]


def request_of(room: Any, kind: str) -> RightsRequest:
    with room.tool.db.read() as session:
        query = select(RightsRequest).join(Person).where(RightsRequest.kind == kind)
        return session.scalars(query.order_by(RightsRequest.asked_at.desc()).limit(1)).one()


def finish(room: Any, person_id: str) -> work.Job:
    return work.wait(room.tool, work.request(room.tool, "erase", person_id, now()), RUNNERS)


def everything(tool: Any) -> dict[str, str]:
    """Return all that stands in the database, packed or not, by table and column."""
    found: dict[str, str] = {}
    with tool.db.read() as session:
        for table in Base.metadata.tables.values():
            for column in table.columns:
                packed = isinstance(column.type, Compressed | LargeBinary)
                query = select(column if packed else cast(column, Text)).where(column.is_not(None))
                values = [
                    v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for (v,) in session.execute(query)
                ]
                text = "\n".join(values)
                # JSON may be kept with escapes
                plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text)
                found[f"{table.name}.{column.name}"] = text + plain
    return found


def traces(room: Any) -> tuple[str, ...]:
    """Return what she could be known by."""
    return room.family, room.email, room.her.id, room.sis


def where_named(room: Any, *words: str) -> list[str]:
    texts = everything(room.tool)
    for path in room.tool.settings.evidence_folder.rglob("*"):
        if path.is_file():
            texts[f"file {path.name}"] = path.read_text(errors="replace")
    texts["journal"] = room.tool.journal.path.read_text()
    return sorted({place for place, text in texts.items() for word in words if word in text})


# -- every table is decided


def test_every_table_of_the_model_is_decided() -> None:
    decided = {kept.model.__tablename__ for kept in TABLES}
    assert len(decided) == len(TABLES) and not decided & NOT_PERSONAL
    assert decided | NOT_PERSONAL == set(Base.metadata.tables), (
        "say in services.her_data what a new table holds of whom"
    )
    for kept in TABLES:
        assert set(kept.left_out) <= set(kept.model.__table__.columns.keys())


def test_a_table_that_names_a_person_is_not_called_impersonal() -> None:
    referring = {
        table.name
        for table in Base.metadata.tables.values()
        if any(key.target_fullname in ("person.id", "award.id") for key in table.foreign_keys)
    }
    assert not referring & NOT_PERSONAL


# -- a copy of all of it


def copy_of(visit: Any) -> zipfile.ZipFile:
    answer = visit.get("data/copy.zip")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip", answer.text[:300]
    return zipfile.ZipFile(io.BytesIO(answer.content))


def test_a_learner_downloads_all_that_is_kept_about_her_and_nothing_of_others(room: Any) -> None:
    page = html.unescape(room.visit.get("data/").text)
    assert "Download all of it" in page and "Grades, as the gradebook sent them" in page
    copy = copy_of(room.visit)
    names = set(copy.namelist())
    edition = claimed(room)
    assert f"credentials/{edition.id}.json" in names and "README.txt" in names
    assert copy.read(f"credentials/{edition.id}.json") == edition_document(room, edition.id)
    (person,) = json.loads(copy.read("data/person.json"))
    assert (person["name"], person["email"], person["sub"]) == (room.name, room.email, room.her.id)
    for table in ("award", "edition", "result", "mastery", "enrolment", "launch", "audit_event"):
        assert json.loads(copy.read(f"data/{table}.json")), table
    whole = b"".join(copy.read(name) for name in names).decode("utf-8", "replace")
    assert room.person_id(room.students[0]) not in whole and "secret_hash" not in whole
    assert "What is kept about you" in copy.read("README.txt").decode()


def edition_document(room: Any, edition_id: str) -> bytes:
    with room.tool.db.read() as session:
        found = session.scalar(select(Edition.document).where(Edition.id == edition_id))
        assert found is not None
        return found


def test_what_a_teacher_has_not_released_is_not_in_the_copy_and_it_says_so_either_way(make_room: Any) -> None:  # noqa: F811
    held = make_room()
    held.publish(badge(release="held"))
    held.grade(held.students[0], 3, 3)
    held.sync()
    visit = held.enter(held.students[0])
    teacher = audit.person(held.person_id(held.teacher))
    of = held.id, held.badge.slug, held.person_id(held.students[0]), "sub-competency:A"
    evidence.attach(held.tool, *of, "A note of whoever marks.", actor=teacher, now=now())
    copy = copy_of(visit)
    not_released = {"data/result.json", "data/mastery.json", "data/award.json", "data/evidence.json"}
    assert not not_released & set(copy.namelist())
    whole = b"".join(copy.read(name) for name in copy.namelist() if name.startswith("data/")).decode()
    assert held.award(held.students[0])["id"] not in whole
    assert "have not released yet are left out" in copy.read("README.txt").decode()
    with held.tool.db.read() as session:
        badge_id = held.course_badge(session).id
    award_acts.release(held.tool, badge_id, actor="operator", now=now())
    assert not_released <= set(copy_of(visit).namelist())


def test_what_is_not_released_is_not_counted_for_her_either_and_none_of_it_would_be_withdrawn(make_room: Any) -> None:  # noqa: F811
    held = make_room()
    held.publish(badge(release="held"))
    held.grade(held.students[0], 3, 3)
    held.sync()
    visit = held.enter(held.students[0])
    counted = re.compile(r"<dt>(Awards|Grades, as|Levels)[^<]*</dt>.*?<b>([^<]*)</b>", re.DOTALL)

    def looks() -> tuple[str, dict[str, str]]:
        page = html.unescape(visit.get("data/").text)
        return page, dict(counted.findall(page))

    page, kinds = looks()
    assert "You have no badge here that would be lost." in page and set(kinds.values()) <= {"None"}
    assert not re.search(r"- (Awards|Grades, as|Levels)[^:\n]*: [1-9]", copy_of(visit).read("README.txt").decode())
    with held.tool.db.read() as session:
        badge_id = held.course_badge(session).id
    award_acts.release(held.tool, badge_id, actor="operator", now=now())
    editions.sign_pending(held.tool)
    page, kinds = looks()
    assert "Your badge here is revoked" in page
    assert kinds == {"Awards": "1", "Grades, as": "2", "Levels": "2"}


# -- another name


def test_H11_a_confirmed_name_goes_into_new_credentials_and_the_roster_does_not_take_it_back(room: Any) -> None:
    old = claimed(room)
    assert room.visit.post("data/name", {"do": "ask", "name": "  "}).status_code == 400
    done = room.visit.post("data/name", {"do": "ask", "name": "Zoë Right"})
    assert "An administrator will look at it" in done.text and "Zoë Right" in html.unescape(done.text)
    assert claimed(room).id == old.id, "until it is confirmed the LMS's stands"
    request = request_of(room, "name")
    assert "Zoë Right" in html.unescape(room.admin.get(f"/admin/requests/{request.id}").text)
    assert "The name is changed" in room.admin.post(f"/admin/requests/{request.id}", {"do": "grant"}).text
    new = claimed(room)
    assert new.id != old.id and new.choices["name"] == "Zoë Right" and bit(room.scene, old) == 1
    assert room.family.encode() not in edition_document(room, new.id) and bit(room.scene, new) == 0
    room.her.given_name = "Zo"
    assert room.sync().state == "done"
    with room.tool.db.read() as session:
        person = session.get_one(Person, room.person_id(room.her))
        assert (person.shown_name, person.name) == ("Zoë Right", f"Zo {room.family}")
    assert room.admin.post(f"/admin/requests/{request.id}", {"do": "grant"}).status_code == 409
    assert "The name your LMS tells is shown again" in room.visit.post("data/name", {"do": "lms"}).text
    assert claimed(room).choices["name"] == f"Zo {room.family}"


def test_a_refused_name_is_told_with_its_reason_and_changes_nothing(room: Any) -> None:
    old = claimed(room)
    room.visit.post("data/name", {"do": "ask", "name": "The Rector"})
    request = request_of(room, "name")
    assert "Say why it is refused" in room.admin.post(f"/admin/requests/{request.id}", {"do": "refuse"}).text
    room.admin.post(f"/admin/requests/{request.id}", {"do": "refuse", "reason": "That is not you."})
    assert "That is not you." in room.visit.get("data/").text and claimed(room).id == old.id
    assert "The Rector" not in "".join(everything(room.tool).values())


# -- erased


def ask_and_confirm(room: Any) -> str:
    """Ask for the erasure and confirm it, without the job that does the rest; returns the person's id."""
    person_id = room.person_id(room.her)
    assert room.visit.post("data/erasure", {"do": "ask"}).status_code == 400
    done = room.visit.post("data/erasure", {"do": "ask", "understood": "1"})
    assert "An administrator will look at it" in done.text
    request = request_of(room, "erasure")
    listed = room.admin.get("/admin/requests").text
    assert request.id in listed and room.family not in listed, "no more of a person than needed"
    assert room.admin.post(f"/admin/requests/{request.id}", {"do": "grant", "word": "yes"}).status_code == 400
    assert room.award(room.her)["status"] == "issued"
    room.scene.tool.wake = lambda _job: None
    done = room.admin.post(f"/admin/requests/{request.id}", {"do": "grant", "word": " Erase "})
    assert done.status_code == 200 and "It is confirmed" in done.text
    return str(person_id)


def _evidence_file(room: Any, badge_id: str, person_id: str, tag: str) -> Evidence:
    """A file of hers, in the database and on the disk."""
    place = f"zz/{person_id}"
    path = room.tool.settings.evidence_folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"An essay by {room.name}")
    told = {"course_badge_id": badge_id, "person_id": person_id, "tag": tag, "created_by": f"person:{person_id}"}
    file = EvidenceFile(type="text", size=9, digest="0", place=place, stored_at=now())
    return Evidence(**told, kind="file", content=f"{room.family}.txt", created_at=now(), file=file)


@pytest.fixture
def rich(room: Any) -> Any:
    """The same, with something of hers in more tables: evidence, a mark, a number, a reason that somebody wrote."""
    tag = room.badge.sub_competencies[0].tag
    person_id = room.person_id(room.her)
    with room.tool.db.write() as session:
        badge_id = room.course_badge(session).id
        told = {"course_badge_id": badge_id, "person_id": person_id, "tag": tag}
        session.add(
            Evidence(**told, kind="text", content=f"By {room.name}", created_by=f"person:{person_id}", created_at=now())
        )
        session.add(Mark(**told, comment=f"Well done, {room.name}", marked_by="person:x", marked_at=now()))
        session.execute(update(Person).where(Person.id == person_id).values(sis_id=room.sis))
        session.add(WhyNot(award_id=room.award(room.her)["id"], words=f"I am {room.name}"))
        link = {"award_id": room.award(room.her)["id"], "token_hash": person_id, "sealed": "x", "label": room.name}
        session.add(ShareLink(**link, created_at=now(), expires_at=now() + timedelta(days=9)))
        session.add(OwnAddress(person_id=person_id, address=room.email, confirmed_at=now()))
        told = {"actor": "operator", "action": "award.held", "subject": f"award:{room.award(room.her)['id']}"}
        session.add(AuditEvent(**told, at=now(), detail={"reason": f"{room.name} was late"}))
        session.flush()
        session.add(_evidence_file(room, badge_id, person_id, tag))
    wake = room.scene.tool.wake
    yield room
    room.scene.tool.wake = wake


def test_an_erasure_leaves_no_name_address_or_number_anywhere_and_the_credential_is_revoked(rich: Any) -> None:
    edition, award = claimed(rich), rich.award(rich.her)
    document, url = edition_document(rich, edition.id), f"/credentials/{edition.id}"
    with rich.tool.db.read() as session:
        before = session.scalar(select(func.count()).select_from(Award))
        pseudonym = session.get_one(Person, rich.person_id(rich.her)).subject_id
    assert {"evidence.content", "why_not.words", "share_link.label", "own_address.address", "mark.comment"} <= set(
        where_named(rich, *traces(rich))
    )
    copy = copy_of(rich.visit)
    assert any(name.startswith("evidence/") for name in copy.namelist())
    assert f"An essay by {rich.name}".encode() in [copy.read(name) for name in copy.namelist()]
    person_id = ask_and_confirm(rich)
    assert bit(rich.scene, edition) == 1, "at once, before the job"
    assert rich.visit.get("data/").status_code == 401
    assert rich.visit.get(url).status_code == 410 and rich.visit.get(f"{url}.json").status_code == 410
    assert finish(rich, person_id).state == "done"
    assert where_named(rich, *traces(rich), pseudonym) == []
    answer = rich.visit.get(f"/ob2/assertions/{edition.id}")
    assert answer.status_code == 410 and answer.json()["revoked"] is True
    page = rich.visit.http.post(f"{rich.scene.url}/verify", data={"text": document.decode()}, timeout=20)
    assert "withdrawn" in page.text or "revoked" in page.text
    with rich.tool.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Award)) == before, "the figures stay"
        left = session.get_one(Award, award["id"])
        assert (left.status, left.revocation_reason, left.decision["rows"]) == (
            "revoked",
            "Its holder asked for it.",
            [],
        )
        assert session.get_one(Edition, edition.id).status_index == edition.status_index
        (done,) = session.scalars(select(RightsRequest).where(RightsRequest.person_id == person_id))
        assert done.state == "done" and done.finished_at is not None
    listed = rich.admin.get(f"/admin/requests/{done.id}").text
    assert "Who it was is not kept any more" in listed


def test_the_status_entry_of_an_erased_credential_is_never_used_again(rich: Any) -> None:
    edition = claimed(rich)
    finish(rich, ask_and_confirm(rich))
    from lti_tool.services import places

    with rich.tool.db.write() as session:
        drawn = places.status_places(session, 2000, now())
        assert (edition.status_list_id, edition.status_index) not in drawn
        assert places.used(session)[edition.status_list_id] >= 1
        session.rollback()


def test_an_erasure_that_is_broken_off_anywhere_is_finished_by_running_it_again(rich: Any) -> None:
    person_id = ask_and_confirm(rich)

    class Killed(BaseException):
        pass

    done, after = False, 0
    while not done:
        steps = itertools.count(1)

        def say(_line: str, most: int = after, steps: Any = steps) -> None:
            if next(steps) > most:
                raise Killed

        try:
            erasures.run_erase(rich.tool, person_id, say)
            done = True
        except Killed:
            after += 5
            with rich.tool.db.read() as session:
                assert session.get_one(Erasure, person_id).before, "it knows what it has yet to look for"
    assert after > 30 and where_named(rich, *traces(rich)) == []
    assert erasures.run_erase(rich.tool, person_id, lambda _line: None) == {}


def test_a_sync_does_not_bring_back_who_was_erased_and_she_comes_back_only_by_herself(rich: Any) -> None:
    person_id = ask_and_confirm(rich)
    assert finish(rich, person_id).state == "done"
    newcomer = rich.lms.add_user(rich.course, "student")  # so that the roster is another, and is read
    rich.grade(newcomer, 3, 3)
    assert rich.sync().state == "done"
    assert where_named(rich, *traces(rich)) == []
    assert rich.awards(newcomer), "the others are read as ever"
    page = enter_erased(rich)
    assert page.status_code == 200 and "What was kept about you here was erased" in page.text
    assert where_named(rich, *traces(rich)) == []
    proof = re.search(r'name="proof" value="([^"]+)"', page.text)[1]
    wrong = rich.visit.http.post(f"{rich.scene.url}/lti/again", data={"proof": proof[:-4]}, timeout=20)
    assert wrong.status_code == 400
    done = rich.visit.http.post(f"{rich.scene.url}/lti/again", data={"proof": proof}, timeout=20)
    assert done.status_code == 200 and "You can begin anew" in done.text
    assert "/me/" in rich.enter(rich.her).page.url
    assert rich.person_id(rich.her) != person_id
    assert rich.sync().state == "done" and rich.award(rich.her)["status"] == "issued"


def test_an_erasure_lets_a_roster_that_is_being_stored_end_first(rich: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    person_id = rich.person_id(rich.her)
    rich.lms.add_user(rich.course, "student")
    ask, asked = erased.shut_out, []
    blocked = text("SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")

    def ask_and_be_overtaken(tool: Any, session: Any, registration_id: int) -> Any:
        away = ask(tool, session, registration_id)
        if not asked:
            asked.append(pool.submit(rights.erase, tool, person_id, actor="operator", now=now()))
            # Until it is through, or waits. SQLite has one writer: it waits anyway.
            while tool.db.engine.dialect.name == "postgresql" and not asked[0].done():
                if session.scalar(blocked):
                    break
        return away

    monkeypatch.setattr(erased, "shut_out", ask_and_be_overtaken)
    with ThreadPoolExecutor(1) as pool:
        assert rich.sync().state == "done"
        assert asked[0].result(timeout=30)
    assert finish(rich, person_id).state == "done"
    assert where_named(rich, *traces(rich)) == []


def enter_erased(room: Any) -> Any:
    return room.enter(room.her).page


def test_a_proof_is_good_for_half_an_hour(room: Any) -> None:
    from lti_tool.errors import BadInput, Erased

    proof = erased.proof(room.tool, Erased(1, "x"), now() - timedelta(hours=1))
    with pytest.raises(BadInput):
        erased.come_back(room.tool, proof, now())


def test_a_request_to_be_erased_can_be_taken_back_and_refused(room: Any) -> None:
    ask = {"do": "ask", "understood": "1"}
    room.visit.post("data/erasure", ask)
    room.visit.post("data/erasure", ask)
    with room.tool.db.read() as session:
        of_hers = select(func.count()).where(RightsRequest.person_id == room.person_id(room.her))
        assert session.scalar(of_hers) == 1, "asked twice is asked once"
    request = request_of(room, "erasure")
    assert "Nothing was erased" in room.visit.post("data/erasure", {"do": "withdraw"}).text
    assert room.admin.post(f"/admin/requests/{request.id}", {"do": "grant", "word": "erase"}).status_code == 409
    room.visit.post("data/erasure", ask)
    request = request_of(room, "erasure")
    room.admin.post(f"/admin/requests/{request.id}", {"do": "refuse", "reason": "Your degree depends on it."})
    assert "Your degree depends on it." in room.visit.get("data/").text
    assert room.award(room.her)["status"] == "issued"


def test_D14_nobody_decides_but_an_administrator_and_nobody_reads_anothers_data(room: Any) -> None:
    room.visit.post("data/erasure", {"do": "ask", "understood": "1"})
    request = request_of(room, "erasure")
    for visit in (room.visit, room.page):
        assert visit.get("/admin/requests").status_code in (401, 403)
        answer = visit.post(f"/admin/requests/{request.id}", {"do": "grant", "word": "erase"})
        assert answer.status_code in (400, 401, 403)
    assert room.award(room.her)["status"] == "issued"
    other = room.enter(room.students[0])
    assert other.http.get(f"{room.visit.home}data/copy.zip", timeout=20).status_code in (401, 404)


def test_somebody_who_wrote_a_letter_is_found_by_platform_and_user_id_and_erased(rich: Any) -> None:
    platform = str(rich.scene.platform["moodle"])
    told = {"platform": platform, "user": rich.her.id}
    wrong = rich.admin.get("/admin/requests/person", params={**told, "user": "nobody"})
    assert wrong.status_code == 404 and "Nobody with this user id" in wrong.text
    page = rich.admin.get("/admin/requests/person", params=told)
    assert rich.name in html.unescape(page.text)
    person_id = rich.person_id(rich.her)
    rich.scene.tool.wake = lambda _job: None
    assert rich.admin.post(f"/admin/requests/person/{person_id}", {"word": "no"}).status_code == 400
    assert "It is confirmed" in rich.admin.post(f"/admin/requests/person/{person_id}", {"word": "erase"}).text
    assert finish(rich, person_id).state == "done"
    assert where_named(rich, *traces(rich)) == []


def test_who_was_linked_as_the_same_human_is_erased_with_her(rich: Any) -> None:
    from lti_tool.services import people

    twin = rich.lms.add_user(
        rich.course, "student", given_name="Zoë", family_name=f"Second-{rich.her.id}", user_id=f"twin-{rich.her.id}"
    )
    rich.sync()
    twin_id = rich.person_id(twin)
    people.link(rich.tool, twin_id, rich.person_id(rich.her), actor="operator", now=now())
    person_id = ask_and_confirm(rich)
    for each in (person_id, twin_id):
        assert finish(rich, each).state == "done"
    assert where_named(rich, twin.family_name, twin.id, *traces(rich)) == []


# -- a database that was put back


def test_a_database_that_was_put_back_erases_again_who_was_erased_since(rich: Any) -> None:
    """The rows of her person, awards and editions as they were before; then what a start does."""
    person_id = rich.person_id(rich.her)
    award_id = rich.award(rich.her)["id"]
    tables = {Person.__table__: Person.id == person_id, Award.__table__: Award.id == award_id}
    tables[Edition.__table__] = Edition.award_id == award_id
    with rich.tool.db.read() as session:
        before = {table: session.execute(select(table).where(of)).mappings().all() for table, of in tables.items()}
    assert finish(rich, ask_and_confirm(rich)).state == "done"
    with rich.tool.db.write() as session:
        session.execute(delete(Erasure).where(Erasure.person_id == person_id))
        for table, rows in before.items():
            for row in rows:
                session.execute(update(table).where(table.c.id == row["id"]).values(dict(row)))
    assert "person.name" in where_named(rich, *traces(rich))
    erasures.look(rich.tool, now())
    assert where_named(rich, *traces(rich)) == []
    assert erasures.replay(rich.tool, now()) == 0
    edition = claimed_by_id(rich, award_id)
    assert bit(rich.scene, edition) == 1 and edition.document is None
    # Where the copy does not know her at all, a roster still does not bring her in.
    with rich.tool.db.write() as session:
        session.execute(delete(Erasure).where(Erasure.person_id == person_id))
        session.execute(update(Person).where(Person.id == person_id).values(erased_at=now()))
    rich.tool.erasures_seen = (-1, 0)


def claimed_by_id(room: Any, award_id: str) -> Edition:
    from sqlalchemy.orm import undefer

    with room.tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == award_id).options(undefer(Edition.document))
        return session.scalars(query.order_by(Edition.number)).all()[-1]
