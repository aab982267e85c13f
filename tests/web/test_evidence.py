"""Evidence over real HTTP: drafts that nobody else sees, files that can do no harm, and what becomes of each."""

from __future__ import annotations

import hashlib
import io
import re
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from lxml import html
from PIL import Image
from sqlalchemy import select

from lti_tool.models import AuditEvent, Award, Edition, Evidence, EvidenceFile
from lti_tool.services import choices, evidence_files
from lti_tool.services.choices import Choices
from tests.classroom import Classroom, at_once, badge, make_room, room, row, shared  # noqa: F401 (fixtures)
from tests.evidence import PDF, address, office, open_document, photo, send
from tests.scene import Scene, Visitor, now, token_in

NASTY = "</textarea><script>alert(1)</script>"


@pytest.fixture
def desk(room):  # noqa: F811
    """A badge of two rows that are marked here; the first asks for evidence."""
    rows = (row("A", source="rubric", evidence="required"), row("B", source="rubric"))
    assert room.publish(badge(sub_competencies=rows)).state == "done"
    room.sync()
    return room


def rows_of(desk: Classroom) -> list[Evidence]:
    with desk.tool.db.read() as session:
        return list(
            session.scalars(select(Evidence).where(Evidence.person_id == hers(desk)).order_by(Evidence.created_at))
        )


def hers(desk: Classroom) -> str:
    return desk.person_id(desk.students[0])


def stored(desk: Classroom) -> list[Path]:
    """Return every file there is of this course's learners, wherever it lies."""
    with desk.tool.db.read() as session:
        query = select(EvidenceFile.place).join(Evidence).where(Evidence.person_id == hers(desk))
        named = [desk.tool.settings.evidence_folder / place for place in session.scalars(query) if place]
    return [path for path in named if path.exists()]


def leftovers(desk: Classroom) -> set[str]:
    """Return the files below the folder that no row names."""
    folder = desk.tool.settings.evidence_folder
    with desk.tool.db.read() as session:
        named = set(session.scalars(select(EvidenceFile.place)))
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - named


def seen_by_teacher(desk: Classroom) -> str:
    return desk.enter(desk.teacher).get(f"badges/{desk.badge.slug}/marking/{hers(desk)}").text


def problem_in(page: requests.Response) -> str:
    found = html.document_fromstring(page.text).xpath("//main//*[@role='alert']")
    return " ".join(found[0].text_content().split()) if found else ""


# -- drafts, handing in, versions -------------------------------------------------------------------------------


def test_a_draft_is_seen_by_its_learner_alone_and_does_not_count(desk):
    learner = desk.enter(desk.students[0])
    page = send(learner, desk, kind="reflection", content=NASTY, act="draft")
    assert page.status_code == 200 and "Saved as a draft" in page.text and "only you see it" in page.text
    assert "<script>alert(1)" not in page.text and "alert(1)" in page.text
    assert "alert(1)" not in seen_by_teacher(desk)
    (draft,) = rows_of(desk)
    assert draft.submitted_at is None
    desk.page.post(f"badges/{desk.badge.slug}/marking/{hers(desk)}", marks(desk, desk.page, 3, 3))
    assert desk.awards() == []
    learner = desk.enter(desk.students[0])
    assert learner.post(f"{address(desk)}{draft.id}/hand-in", {"tag": draft.tag}).status_code == 200
    assert "alert(1)" in seen_by_teacher(desk) and "Reflection" in seen_by_teacher(desk)
    assert [each["status"] for each in desk.awards()] == ["issued"]


def marks(desk: Classroom, teacher: Visitor, *levels: int) -> dict[str, str]:
    page = html.document_fromstring(teacher.get(f"badges/{desk.badge.slug}/marking/{hers(desk)}").text)
    (form,) = page.xpath("//form[@id='marking']")
    sent = {field.get("name"): field.get("value", "") for field in form.xpath(".//input[@type='hidden']")}
    for index, level in enumerate(levels):
        sent |= {f"level-{index}": str(level), f"comment-{index}": ""}
    return {**sent, "act": "stay"}


def test_a_draft_is_gone_on_with_handed_in_or_thrown_away(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="text", content="First try.", act="draft")
    (draft,) = rows_of(desk)
    page = learner.get(f"{address(desk)}?row=sub-competency:A&piece={draft.id}").text
    assert "First try." in page and f'name="draft" value="{draft.id}"' in page
    send(learner, desk, kind="link", content="The second.", link="https://video.example/2", draft=draft.id, act="draft")
    (draft,) = rows_of(desk)
    assert (draft.kind, draft.content, draft.about) == ("link", "https://video.example/2", "The second.")
    send(learner, desk, kind="text", content="Done.", draft=draft.id)
    (handed,) = rows_of(desk)
    assert handed.submitted_at is not None and handed.content == "Done."
    # once handed in it is not edited any more, whatever an old page sends
    assert send(learner, desk, kind="text", content="Other.", draft=draft.id).status_code == 409
    assert rows_of(desk)[0].content == "Done."
    send(learner, desk, "B", kind="file", file=("notes.txt", b"Nothing yet."), act="draft")
    (file,) = stored(desk)
    other = rows_of(desk)[1]
    assert learner.post(f"{address(desk)}{other.id}/discard", {"tag": other.tag}).status_code == 200
    assert not file.exists() and len(rows_of(desk)) == 1
    assert learner.post(f"{address(desk)}{handed.id}/discard", {"tag": handed.tag}).status_code == 409


def test_a_new_version_stands_in_for_the_old_one_which_is_kept_with_it(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, "B", kind="file", file=("talk.txt", b"The first."))
    (old,) = rows_of(desk)
    page = learner.get(f"{address(desk)}?row=sub-competency:B&piece={old.id}").text
    assert "A new version" in page and f'name="replaces" value="{old.id}"' in page
    send(learner, desk, "B", kind="file", file=("talk.txt", b"The second."), replaces=old.id, act="draft")
    assert rows_of(desk)[0].withdrawn_at is None, "a draft replaces nothing yet"
    new = rows_of(desk)[1]
    learner.post(f"{address(desk)}{new.id}/hand-in", {"tag": new.tag})
    assert rows_of(desk)[0].withdrawn_at is not None
    teacher = desk.enter(desk.teacher)
    assert "An earlier version" in teacher.get(f"badges/{desk.badge.slug}/marking/{hers(desk)}").text
    files = f"badges/{desk.badge.slug}/evidence/{hers(desk)}"
    assert teacher.get(f"{files}/{old.id}/file").content == b"The first."
    assert teacher.get(f"{files}/{new.id}/file").content == b"The second."
    learner = desk.enter(desk.students[0])
    assert send(learner, desk, "B", kind="text", content="x", replaces=old.id).status_code == 409
    # withdrawn, it goes with all its versions, the bytes at once
    assert len(stored(desk)) == 2
    assert learner.post(f"{address(desk)}{new.id}/withdraw", {"tag": new.tag}).status_code == 200
    teacher = desk.enter(desk.teacher)
    assert [teacher.get(f"{files}/{each}/file").status_code for each in (old.id, new.id)] == [404, 404]
    assert stored(desk) == [] and leftovers(desk) == set()
    with desk.tool.db.read() as session:
        query = select(AuditEvent.action).where(AuditEvent.action.startswith("evidence."))
        actions = session.scalars(query.order_by(AuditEvent.id)).all()
    assert actions[-4:] == ["evidence.added", "evidence.drafted", "evidence.replaced", "evidence.withdrawn"]


def test_two_versions_handed_in_at_once_replace_one_piece_once(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, "B", kind="text", content="The first.")
    (old,) = rows_of(desk)
    at_once(
        *(lambda n=n: send(learner, desk, "B", kind="text", content=f"Version {n}", replaces=old.id) for n in (1, 2))
    )
    in_force = [each for each in rows_of(desk) if each.withdrawn_at is None]
    assert len(in_force) == 1 and in_force[0].replaces_id == old.id


def test_what_a_badge_was_decided_with_is_not_withdrawn_and_what_withdrawing_does_is_said(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="text", content="What I did.")
    page = learner.get(f"{address(desk)}?row=sub-competency:A").text
    assert "Your teachers do not see it any more" in page
    desk.enter(desk.teacher)
    desk.page.post(f"badges/{desk.badge.slug}/marking/{hers(desk)}", marks(desk, desk.page, 3, 3))
    assert [each["status"] for each in desk.awards()] == ["issued"]
    (piece,) = rows_of(desk)
    learner = desk.enter(desk.students[0])
    page = learner.get(f"{address(desk)}?row=sub-competency:A").text
    assert "Your badge was decided with this" in page and f"{piece.id}/withdraw" not in page
    answer = learner.post(f"{address(desk)}{piece.id}/withdraw", {"tag": piece.tag})
    assert answer.status_code == 409 and "Your badge was decided with this" in answer.text
    assert rows_of(desk)[0].withdrawn_at is None and desk.award()["status"] == "issued"


def test_whoever_is_no_learner_here_hands_in_nothing_and_no_bytes_are_kept(desk):
    launch = desk.page.launch
    sent = {"csrf": token_in(desk.page.get("").text), "tag": "sub-competency:A", "kind": "file", "act": "submit"}
    answer = desk.page.http.post(
        f"{desk.scene.url}/me/{launch}/{address(desk)}", data=sent, files={"file": ("a.pdf", PDF)}, timeout=20
    )
    assert answer.status_code == 403 and leftovers(desk) == set()


# -- which files are taken --------------------------------------------------------------------------------------

GOOD: dict[str, bytes] = {
    "talk.pdf": PDF,
    "talk.docx": office("word/document.xml"),
    "talk.xlsx": office("xl/workbook.xml"),
    "talk.pptx": office("ppt/presentation.xml"),
    "talk.odt": open_document(),
    "photo.JPEG": photo(),
    "photo.png": photo("PNG"),
    "photo.webp": photo("WEBP"),
    "talk.mp3": b"ID3\x04\0\0\0\0\0\0" + b"\xff\xfb\x90\0" * 20,
    "talk.mp4": b"\0\0\0\x20ftypiso5\0\0\2\0iso5iso6mp41dash" + b"\0" * 40,
    "notes.txt": "Señales: nichts als Wörter".encode(),
    "old.txt": "Wörter von gestern".encode("cp1252"),
    "list.csv": b"a;b\n1;2\n",
}


def test_a_file_is_taken_by_its_content_and_given_back_as_a_download_that_does_nothing(desk):
    learner = desk.enter(desk.students[0])
    for name, content in GOOD.items():
        page = send(learner, desk, kind="file", content="See page 2.", file=(name, content))
        assert page.status_code == 200 and "Handed in." in page.text, (name, problem_in(page))
    for path in stored(desk):
        assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
        assert "talk" not in str(path) and hers(desk) not in str(path)
    pieces = {piece.content: piece for piece in rows_of(desk)}
    assert pieces.keys() == GOOD.keys() and len(stored(desk)) == len(GOOD)
    teacher = desk.enter(desk.teacher)
    for name, piece in pieces.items():
        answer = teacher.get(f"badges/{desk.badge.slug}/evidence/{hers(desk)}/{piece.id}/file")
        if not name.startswith("photo"):
            assert answer.content == GOOD[name]
        assert piece.file.size == len(answer.content)
        assert piece.file.digest == hashlib.sha256(answer.content).hexdigest()
        assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert not re.match("text/html|image/svg|application/xhtml|text/xml", answer.headers["Content-Type"])


BAD: dict[str, tuple[str, bytes, str]] = {
    "empty": ("talk.pdf", b"", "This file is empty."),
    "unknown ending": ("talk.exe", b"MZ\x90\0", "Files that end in .exe are not taken."),
    "no ending": ("talk", PDF, "has no ending that says what it is"),
    "a web page": ("talk.html", b"<!doctype html>", "Files that end in .html are not taken."),
    "a drawing": ("talk.svg", b"<svg/>", "Files that end in .svg are not taken."),
    "a page called a picture": ("a.png", b"<html><script>alert(1)</script>", "PNG picture, but its content was not"),
    "a picture called a document": ("a.pdf", photo("PNG"), "says PDF document, but its content says PNG picture"),
    "a page called text": ("a.txt", b"\n <!DOCTYPE html><script>", "it is a web page or a drawing"),
    "a key called text": ("a.txt", b' {"kty": "RSA", "n": "AQAB", "e": "AQAB"}\n', "it is data for programs (JSON)"),
    "a key set called text": ("a.csv", b'\xef\xbb\xbf{\r\n"keys": []}', "it is data for programs (JSON)"),
    "a hosted badge called text": ("a.md", b'{"@context": "https://w3id.org/openbadges/v2"}', "data for programs"),
    "a key in wide letters": ("a.txt", '{"kty": "OKP"}'.encode("utf-16"), "it is data for programs (JSON)"),
    "a drawing called text": ("a.md", b"\xef\xbb\xbf<svg onload=alert(1)>", "it is a web page or a drawing"),
    "a program called text": ("a.txt", b"MZ\x90\0\3\0", "there is something else in it"),
    "unknown inside": ("a.pdf", b"nothing that is known", "was not recognised as that"),
    "any archive": ("a.docx", office("readme.html"), "holds macros, or nothing that its name says"),
    "macros": ("a.docx", office("word/document.xml", "word/vbaProject.bin"), "holds macros"),
    "a locked document": ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "locked with a password"),
    "a torn picture": ("a.jpg", photo()[:300], "This picture is damaged"),
    "a torn drawing": ("a.png", photo("PNG")[:60], "This picture is damaged"),
}


def test_a_file_that_is_not_taken_is_refused_in_words_and_costs_nothing_that_was_typed(desk):
    learner = desk.enter(desk.students[0])
    for what, (name, content, words) in BAD.items():
        page = send(learner, desk, kind="file", content=NASTY, link="https://video.example/1", file=(name, content))
        assert page.status_code == 400 and words in problem_in(page), (what, problem_in(page))
        form = html.document_fromstring(page.text)
        assert form.get_element_by_id("e-words").text.strip("\n") == NASTY
        assert form.get_element_by_id("e-link").get("value") == "https://video.example/1"
        assert form.xpath("//input[@name='kind'][@checked]/@value") == ["file"]
        assert "choose it again" in page.text
        assert rows_of(desk) == [] and stored(desk) == [] and leftovers(desk) == set(), what


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../../etc/passwd.pdf", "passwd.pdf"),
        ("C:\\Users\\Ana\\talk.pdf", "talk.pdf"),
        ("a\x00b\x1b[31m\u202e\u2028c.pdf", "ab[31m c.pdf"),
        ("x" * 300 + ".pdf", "x" * 116 + ".pdf"),
        ("..pdf", "file.pdf"),
        ("añil 🎓 “1”.pdf", "añil 🎓 “1”.pdf"),
        ('a"b;c.pdf', "a b;c.pdf"),
    ],
)
def test_a_name_is_one_name_whatever_it_was(sent, kept):
    assert evidence_files.clean_name(sent) == kept


def test_a_file_with_a_wild_name_is_kept_under_a_tame_one(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", file=('../../x/añil "<b>🎓.pdf', PDF))
    (piece,) = rows_of(desk)
    answer = learner.get(f"{address(desk)}{piece.id}/file")
    assert answer.content == PDF and ".." not in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "<b>" not in learner.get(f"{address(desk)}?row=sub-competency:A").text.replace("<b>What", "")


def test_a_zip_bomb_is_a_file_like_any_other_because_nothing_is_unpacked(desk):
    bomb = office("word/document.xml", content=b"\0" * 20_000_000)
    assert len(bomb) < 100_000
    learner = desk.enter(desk.students[0])
    assert send(learner, desk, kind="file", file=("a.docx", bomb)).status_code == 200
    (path,) = stored(desk)
    assert path.read_bytes() == bomb


def test_a_file_with_an_endless_list_of_contents_is_refused(desk):
    many = office("word/document.xml", *(f"word/{n:0200d}" for n in range(10_000)))
    answer = send(desk.enter(desk.students[0]), desk, kind="file", file=("a.docx", many))
    assert answer.status_code == 400 and rows_of(desk) == []


def test_a_polyglot_goes_out_as_what_it_is_called_and_runs_nowhere(desk):
    """A GIF that is a script too, and a PNG with a page behind its end."""
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", file=("a.gif", b"GIF89a=1;alert(1)//<script>alert(1)</script>"))
    send(learner, desk, "B", kind="file", file=("b.png", photo("PNG") + b"<script>alert(1)</script>"))
    gif, png = rows_of(desk)
    for piece, media in ((gif, "image/gif"), (png, "image/png")):
        answer = learner.get(f"{address(desk)}{piece.id}/file")
        assert answer.headers["Content-Type"] == media
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"script" not in learner.get(f"{address(desk)}{png.id}/file").content
    assert learner.get(f"{address(desk)}{gif.id}/picture.png").status_code == 404  # no picture a reader can make out


def test_a_photo_loses_the_place_it_was_taken_at_and_no_pixel(desk):
    learner = desk.enter(desk.students[0])
    assert "hidden notes are removed" in learner.get(f"{address(desk)}?row=sub-competency:A").text
    photos = {f"photo.{kind.lower()}": photo(kind) for kind in ("JPEG", "PNG", "WEBP")}
    for name, sent in photos.items():
        assert b"the house of Ana" in sent
        send(learner, desk, kind="file", file=(name, sent))
    for piece in rows_of(desk):
        got = learner.get(f"{address(desk)}{piece.id}/file").content
        assert b"the house of Ana" not in got and piece.file.cleaned
        with Image.open(io.BytesIO(photos[piece.content])) as before, Image.open(io.BytesIO(got)) as after:
            assert before.tobytes() == after.tobytes()
            notes = after.getexif()
            # a JPEG still stands upright
            assert dict(notes) == ({0x0112: 6} if piece.content == "photo.jpeg" else {})


def test_those_who_mark_see_a_small_picture_of_our_own_making(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", file=("photo.jpg", photo(size=(1600, 900))))
    teacher = desk.enter(desk.teacher)
    page = html.document_fromstring(teacher.get(f"badges/{desk.badge.slug}/marking/{hers(desk)}").text)
    (source,) = page.xpath("//aside//img/@src")
    answer = teacher.http.get(f"{desk.scene.url}{source}", timeout=20)
    assert answer.headers["Content-Type"] == "image/png" and answer.headers["X-Content-Type-Options"] == "nosniff"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "PNG" and picture.size == (360, 640)  # turned as its note says
        assert not picture.getexif()


# -- sizes, room, broken uploads --------------------------------------------------------------------------------


@contextmanager
def limits(scene: Scene, **changed: Any) -> Iterator[None]:
    before = scene.tool.settings
    scene.tool.settings = before.model_copy(update={"evidence": before.evidence.model_copy(update=changed)})
    try:
        yield
    finally:
        scene.tool.settings = before


def test_a_file_that_is_too_large_keeps_every_word_and_the_limit_is_said_before(desk):
    learner = desk.enter(desk.students[0])
    with limits(desk.scene, largest_file=50_000):
        page = learner.get(f"{address(desk)}?row=sub-competency:A").text
        assert "Up to 50 kB" in page and 'data-most="50000"' in page
        answer = send(learner, desk, kind="file", content=NASTY, file=("a.pdf", PDF + b"x" * 50_000))
    assert answer.status_code == 413 and "one file may have 50 kB" in problem_in(answer)
    assert html.document_fromstring(answer.text).get_element_by_id("e-words").text.strip("\n") == NASTY
    assert rows_of(desk) == [] and leftovers(desk) == set()


def test_a_file_far_too_large_is_not_even_read_and_the_page_says_so(desk):
    learner = desk.enter(desk.students[0])
    with limits(desk.scene, largest_file=50_000):
        most = desk.tool.settings.server.max_upload
        sent = {"csrf": token_in(learner.get("").text), "tag": "sub-competency:A", "kind": "file"}
        answer = learner.http.post(
            f"{learner.home}{address(desk)}", data=sent, files={"file": ("a.pdf", b"x" * (most + 1))}, timeout=20
        )
    assert answer.status_code == 413 and "far larger than one file may be: 50 kB" in answer.text
    assert "any badge fits" not in answer.text and leftovers(desk) == set()


def test_another_page_takes_no_more_than_it_did(desk):
    """The room that files of evidence have is theirs alone."""
    with limits(desk.scene, largest_file=20_000_000):
        most = desk.tool.settings.server.max_upload
        answer = requests.post(f"{desk.scene.url}/verify", files={"file": ("a.png", b"x" * (most + 1))}, timeout=20)
    assert answer.status_code == 413


def test_all_of_a_learner_s_files_together_have_a_limit_also_when_two_come_at_once(desk):
    learner = desk.enter(desk.students[0])
    size = len(PDF) + 10_000
    with limits(desk.scene, largest_total=2 * size):
        send(learner, desk, kind="file", file=("a.pdf", PDF + b"x" * 10_000))
        answers = at_once(*(
            lambda n=n: send(learner, desk, "B", kind="file", content="Mine.", file=(f"{n}.pdf", PDF + b"x" * 10_000))
            for n in (1, 2)
        ))  # fmt: skip
        assert sorted(answer.status_code for answer in answers) == [200, 413]
        (refused,) = [answer for answer in answers if answer.status_code == 413]
        assert "All your files together may have" in problem_in(refused)
        # one that is withdrawn makes room
        first = rows_of(desk)[0]
        learner.post(f"{address(desk)}{first.id}/withdraw", {"tag": first.tag})
        assert send(learner, desk, kind="file", file=("c.pdf", PDF)).status_code == 200
    assert leftovers(desk) == set()


def test_no_files_are_taken_where_the_setting_names_none(desk):
    learner = desk.enter(desk.students[0])
    with limits(desk.scene, types=""):
        page = html.document_fromstring(learner.get(f"{address(desk)}?row=sub-competency:A").text)
        assert not page.xpath("//input[@type='file']")
        assert send(learner, desk, kind="file", file=("a.pdf", PDF)).status_code == 400


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let this process write no file longer than so many bytes: what a write beyond finds is EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_J13_a_full_disk_refuses_the_file_in_words_and_keeps_what_was_typed(desk):
    learner = desk.enter(desk.students[0])
    with full_disk(20_000_000):
        answer = send(learner, desk, kind="file", content=NASTY, file=("a.pdf", PDF + b"x" * 21_000_000))
        assert answer.status_code == 503 and "no room here for this file" in problem_in(answer)
        assert html.document_fromstring(answer.text).get_element_by_id("e-words").text.strip("\n") == NASTY
        assert rows_of(desk) == [] and leftovers(desk) == set()
        assert send(learner, desk, kind="text", content="Words alone.").status_code == 200
    assert send(learner, desk, "B", kind="file", file=("a.pdf", PDF + b"x" * 21_000_000)).status_code == 200


def test_a_folder_that_cannot_be_written_is_told_and_doctor_says_so(desk, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    learner = desk.enter(desk.students[0])
    with limits(desk.scene, dir=str(blocked)):
        answer = send(learner, desk, kind="file", content="Mine.", file=("a.pdf", PDF))
        assert answer.status_code == 503 and "Files cannot be kept here at the moment" in problem_in(answer)
        ok, told = evidence_files.check_folder(desk.tool)
        assert not ok and "cannot be written" in told
    assert evidence_files.check_folder(desk.tool)[0]


def test_an_upload_that_breaks_off_leaves_nothing_behind(desk):
    learner = desk.enter(desk.students[0])
    parts = urlsplit(f"{learner.home}{address(desk)}")
    cookies = "; ".join(f"{each.name}={each.value}" for each in learner.http.cookies)
    begin = (
        '--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n' + token_in(learner.get("").text) + "\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    ).encode() + PDF + b"x" * 300_000  # fmt: skip
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nCookie: {cookies}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(begin) + 500_000}\r\n\r\n"
    ).encode()
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=20) as line:
        line.sendall(head + begin)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while data := line.recv(65_536):
            answer += data
    assert answer.split(b" ")[1] == b"400"
    assert rows_of(desk) == [] and leftovers(desk) == set()


# -- who is given a file ----------------------------------------------------------------------------------------


def test_D14_a_file_is_its_learner_s_and_her_teachers_and_nobody_else_s(desk, make_room):  # noqa: F811
    ana, ben = desk.students[:2]
    learner = desk.enter(ana)
    send(learner, desk, kind="file", file=("a.pdf", PDF), act="draft")
    send(learner, desk, "B", kind="file", file=("b.pdf", PDF))
    draft, handed = rows_of(desk)
    assert learner.get(f"{address(desk)}{draft.id}/file").status_code == 200
    public_ids = [draft.file.public_id, handed.file.public_id]
    other = desk.enter(ben)
    answers = [
        other.get(f"{address(desk)}{each.id}/{what}") for each in (draft, handed) for what in ("file", "picture.png")
    ]
    answers += [
        other.post(f"{address(desk)}{each.id}/{act}")
        for each in (draft, handed)
        for act in ("withdraw", "discard", "hand-in")
    ]
    answers += [
        send(other, desk, kind="text", content="x", draft=draft.id),
        send(other, desk, kind="text", content="x", replaces=handed.id),
    ]
    teacher = desk.enter(desk.teacher)
    base = f"badges/{desk.badge.slug}/evidence/{hers(desk)}"
    assert teacher.get(f"{base}/{handed.id}/file").status_code == 200
    answers += [teacher.get(f"{base}/{draft.id}/file")]
    answers += [teacher.get(f"badges/{desk.badge.slug}/evidence/{desk.person_id(ben)}/{handed.id}/file")]
    elsewhere = make_room()
    elsewhere.publish(badge(desk.badge.slug))
    answers += [elsewhere.page.get(f"{base}/{handed.id}/file"), elsewhere.page.get(f"{base}/")]
    answers += [
        requests.get(f"{desk.scene.url}/evidence/{each}", timeout=20) for each in (*public_ids, draft.id, handed.id)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert "b.pdf" in teacher.get(f"{base}/").text and "a.pdf" not in teacher.get(f"{base}/").text
    assert rows_of(desk)[1].withdrawn_at is None and len(rows_of(desk)) == 2


@pytest.fixture
def shown(desk):
    """A badge that was earned with a file, which its learner shows on a public page."""
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", content="See page 2.", file=("talk.pdf", PDF))
    send(learner, desk, "B", kind="reflection", content="I would ask earlier.")
    desk.enter(desk.teacher)
    desk.page.post(f"badges/{desk.badge.slug}/marking/{hers(desk)}", marks(desk, desk.page, 3, 3))
    show(desk, *(each.id for each in rows_of(desk)))
    return desk


def show(desk: Classroom, *ids: str, public: bool = True) -> None:
    told = Choices(public=public, evidence=ids)
    choices.choose(desk.tool, desk.award()["id"], told, actor=f"person:{hers(desk)}", now=now())


def public_address(desk: Classroom) -> str:
    return f"{desk.scene.url}/evidence/{rows_of(desk)[0].file.public_id}"


def credential(desk: Classroom) -> dict[str, Any]:
    answer = requests.get(f"{desk.award()['credential_url']}.json", timeout=20)
    found: dict[str, Any] = answer.json()
    return found


def test_a_file_and_a_reflection_stand_in_the_credential_as_evidence_of_their_own_genre(shown):
    file, reflection = credential(shown)["evidence"]
    digest = hashlib.sha256(PDF).hexdigest()
    assert file == {
        "id": public_address(shown), "type": ["Evidence"], "name": "Row A", "narrative": "See page 2.",
        "description": f"talk.pdf ({len(PDF)} bytes, SHA-256 {digest})", "genre": "File",
    }  # fmt: skip
    assert (reflection["genre"], reflection["narrative"]) == ("Reflection", "I would ask earlier.")
    page = html.document_fromstring(requests.get(shown.award()["credential_url"], timeout=20).text)
    (link,) = page.xpath(f"//a[@href='{public_address(shown)}']")
    assert link.text == "talk.pdf" and "PDF document" in link.getparent().text_content()
    assert "own reflection" in page.text_content()


def test_a_file_that_is_shown_is_everybody_s_until_page_or_choice_is_withdrawn(shown):
    answer = requests.get(public_address(shown), timeout=20)
    assert answer.status_code == 200 and answer.content == PDF
    assert answer.headers["Content-Disposition"] == "attachment; filename=talk.pdf"
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    first, second = (each.id for each in rows_of(shown))
    show(shown, first, second, public=False)
    assert requests.get(public_address(shown), timeout=20).status_code == 404
    show(shown, first, second)
    assert requests.get(public_address(shown), timeout=20).status_code == 200
    show(shown, second)  # the page stays, the file is not on it any more
    assert requests.get(public_address(shown), timeout=20).status_code == 404


def test_I24_a_private_file_and_one_that_is_not_there_are_the_same_answer(shown):
    show(shown, public=False)
    private = requests.get(public_address(shown), timeout=20)
    nothing = requests.get(f"{shown.scene.url}/evidence/{'0' * 32}", timeout=20)
    assert private.status_code == nothing.status_code == 404
    changing = re.compile(r"[0-9A-Fa-f]{16,}|\d\d:\d\d UTC")
    assert changing.sub("", private.text) == changing.sub("", nothing.text)
    left = {"X-Request-ID", "Date"}
    assert {k: v for k, v in private.headers.items() if k not in left} == {
        k: v for k, v in nothing.headers.items() if k not in left
    }


def test_a_newer_version_leaves_the_one_in_the_credential_where_it_is(shown):
    first, second = rows_of(shown)
    learner = shown.enter(shown.students[0])
    page = learner.get(f"{address(shown)}?row=sub-competency:A").text
    assert "Your credential shows this" in page
    assert learner.post(f"{address(shown)}{first.id}/withdraw", {"tag": first.tag}).status_code == 409
    send(learner, shown, kind="file", file=("talk.pdf", PDF + b"%more\n"), replaces=first.id)
    assert requests.get(f"{shown.scene.url}/evidence/{first.file.public_id}", timeout=20).content == PDF
    claim = learner.get(f"badges/{shown.badge.slug}/claim").text
    assert "as handed in on" in claim
    newest = rows_of(shown)[-1]
    before = credential(shown)["id"]
    show(shown, newest.id, second.id)
    assert credential(shown)["id"] != before
    assert requests.get(f"{shown.scene.url}/evidence/{first.file.public_id}", timeout=20).status_code == 404
    assert requests.get(f"{shown.scene.url}/evidence/{newest.file.public_id}", timeout=20).content.endswith(b"%more\n")


def test_I04_what_is_signed_of_a_file_is_a_function_of_the_edition_s_row(shown):
    from lti_tool.services import editions

    with shown.tool.db.write() as session:
        award = session.get_one(Award, shown.award()["id"])
        edition = award.editions[-1]
        before, ident = edition.document, edition.id
        edition.document = edition.jwt = edition.signed_at = None
        award.status = "pending"
        file = session.scalars(select(EvidenceFile).join(Evidence).where(Evidence.person_id == hers(shown))).one()
        file.size, file.digest, file.evidence.content = 1, "0" * 64, "other.pdf"
    shown.tool.templates.clear()
    assert editions.sign_pending(shown.tool, award_id=shown.award()["id"]) == 1
    with shown.tool.db.read() as session:
        assert session.get_one(Edition, ident).document == before


def test_a_file_that_was_deleted_is_named_on_the_page_and_leads_nowhere(shown):
    first = rows_of(shown)[0]
    assert evidence_files.delete(shown.tool, [first.id], now()) == 1
    assert requests.get(f"{shown.scene.url}/evidence/{first.file.public_id}", timeout=20).status_code == 404
    page = requests.get(shown.award()["credential_url"], timeout=20).text
    assert "talk.pdf" in page and "not kept any more" in page and "/evidence/" not in page
    assert stored(shown) == [] and leftovers(shown) == set()


# -- what nobody needs any more ---------------------------------------------------------------------------------


def test_all_that_is_kept_of_somebody_is_found_and_deleted_for_good(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", file=("a.pdf", PDF))
    send(learner, desk, "B", kind="file", file=("b.txt", b"Mine."), act="draft")
    first, _ = rows_of(desk)
    send(learner, desk, kind="file", file=("c.pdf", PDF), replaces=first.id)
    with desk.tool.db.read() as session:
        kept = evidence_files.kept_of(desk.tool, session, hers(desk))
    assert [(each.name, each.path.read_bytes()) for each in kept] == [
        ("a.pdf", PDF),
        ("b.txt", b"Mine."),
        ("c.pdf", PDF),
    ]
    assert evidence_files.delete(desk.tool, [each.id for each in rows_of(desk)], now()) == 3
    assert rows_of(desk) == [] and not any(each.path.exists() for each in kept)


def test_files_without_a_row_are_put_aside_for_a_week_and_then_swept(desk):
    learner = desk.enter(desk.students[0])
    send(learner, desk, kind="file", file=("a.pdf", PDF))
    (mine,) = stored(desk)
    folder = desk.tool.settings.evidence_folder
    lost, part = folder / "ab" / ("ab" * 16), folder / ".part-broken"
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(b"x")
    part.write_bytes(b"x")
    sweep = lambda days: evidence_files.sweep(desk.tool, now() + timedelta(days=days), at_once=True)  # noqa: E731
    assert sweep(0) == 0 and lost.exists() and part.exists()  # its row may be on its way
    assert sweep(2) == 1 and not part.exists() and not lost.exists()
    aside = lost.with_name(lost.name + ".unclaimed")
    assert aside.exists() and sweep(5) == 0 and aside.exists()
    assert sweep(10) == 1 and not aside.exists()
    assert mine.exists()
    with desk.tool.db.write() as session:  # a restored database comes back to a file that was put aside
        row_ = session.scalars(select(EvidenceFile).join(Evidence).where(Evidence.person_id == hers(desk))).one()
        place, row_.place = row_.place, None
    sweep(12)
    assert not mine.exists()
    with desk.tool.db.write() as session:
        session.scalars(select(EvidenceFile).where(EvidenceFile.evidence_id == row_.evidence_id)).one().place = place
    sweep(13)
    assert mine.read_bytes() == PDF


# -- where those who mark meet it -------------------------------------------------------------------------------


def test_what_is_handed_in_stands_in_the_review_in_the_record_and_where_a_badge_is_given_by_hand(room):  # noqa: F811
    """Also of a badge that is marked in the LMS: it has no marking page."""
    room.publish(badge(rows=2))
    room.sync()
    ana = room.students[0]
    learner = room.enter(ana)
    assert "Add evidence or a reflection" in learner.get(f"badges/{room.badge.slug}").text
    send(learner, room, kind="reflection", content="Next time I begin with the end.")
    send(learner, room, kind="text", content="Not yet.", act="draft")
    send(learner, room, "B", kind="file", file=("talk.pdf", PDF))
    person = room.person_id(ana)
    teacher = room.enter(room.teacher)
    record = teacher.get(f"badges/{room.badge.slug}/record/{person}/sub-competency:A")
    pages = {
        "list": teacher.get(f"badges/{room.badge.slug}/evidence/{person}/").text,
        "give": teacher.get(f"badges/{room.badge.slug}/awards/give?person={person}").text,
    }
    for where, page in pages.items():
        assert "begin with the end" in page and "talk.pdf" in page and "Not yet." not in page, where
    assert "1 piece was handed in" in record.text
