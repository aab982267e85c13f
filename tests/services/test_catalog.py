"""Badges put into a course, published into its gradebook, versioned, given out again, and never twice."""

from __future__ import annotations

import html
import io
import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from lti_tool.cli import main
from lti_tool.domain.badge import Picture, Stack
from lti_tool.errors import CannotPublish, Conflict, DefinitionInvalid, NotFound
from lti_tool.lti.ags import LINE_ITEM
from lti_tool.models import Achievement, AchievementVersion, Course, CourseBadge, Issuer, Job
from lti_tool.services import catalog, sync, work
from tests.classroom import at_once, badge, gate, make_room, replace, room, row, shared  # noqa: F401 (fixtures)
from tests.scene import LIBRARY, now
from tests.services.test_awards import environment


def made(room) -> int:  # noqa: F811
    """How often the LMS was asked to make a column of this badge."""
    return sum(
        r.service == "lineitems" and r.method == "POST" and room.badge.resource_id in r.body for r in room.lms.requests
    )


def version_of(room) -> AchievementVersion:  # noqa: F811
    with room.tool.db.read() as session:
        found = room.course_badge(session).version
        assert found is not None and found.achievement is not None and found.picture_png
        return found


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 300), colour).save(out, "PNG")
    return out.getvalue()


def ready(room, job: Job) -> None:  # noqa: F811
    with room.tool.db.write() as session:
        session.get_one(Job, job.id).not_before = now()


# -- putting in


def test_a_definition_is_new_then_unchanged_then_changed(room):  # noqa: F811
    one = badge("put")
    assert room.put(one) == "new"
    assert room.put(one) == "unchanged"
    assert room.put(replace(one, name="Other")) == "changed"


def test_a_published_badge_keeps_its_version_until_the_change_is_published(room):  # noqa: F811
    one = badge()
    room.publish(one)
    assert room.put(one) == "unchanged"
    assert room.put(replace(one, name="Other")) == "changed"
    assert version_of(room).definition["name"] == "Careful Work"
    assert "Careful Work" in room.enter(room.students[0]).page.text
    assert room.publish_again().state == "done"
    assert (version_of(room).definition["name"], version_of(room).number) == ("Other", 2)


def test_putting_the_published_content_again_takes_a_waiting_change_back(room):  # noqa: F811
    one = badge()
    room.publish(one)
    room.put(replace(one, name="Other"))
    room.put(one)
    assert room.publish_again().outcome["version"] == "unchanged"


def test_a_picture_file_that_did_not_come_along_is_told(room):  # noqa: F811
    with pytest.raises(DefinitionInvalid, match=r"p\.png, which did not come with it"):
        room.put(badge(picture=Picture(alt="x", file="p.png")))


def test_another_picture_under_the_same_file_name_is_another_version(room):  # noqa: F811
    one = badge(picture=Picture(alt="x", file="p.png"))
    room.publish(one, png("red"))
    assert room.put(one, png("red")) == "unchanged"
    assert room.put(one, png("blue")) == "changed"
    room.publish_again()
    assert version_of(room).number == 2 and version_of(room).picture_png == png("blue")


def test_another_courses_picture_under_the_same_file_name_is_not_taken_for_ours(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    one = badge(picture=Picture(alt="x", file="p.png"))
    first.publish(one, png("red"))
    second.publish(one, png("blue"))
    assert version_of(first).picture_png == png("red") and version_of(second).picture_png == png("blue")


def test_a_badge_put_in_many_times_at_once_is_there_once(room):  # noqa: F811
    room.badge = badge()
    done = at_once(*[lambda: room.put(room.badge)] * 4)
    assert sorted(done) == ["new", "unchanged", "unchanged", "unchanged"]


# -- columns


@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_publishing_makes_a_column_for_each_row_and_gate_with_its_marks(make_room, mood):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    rows = (row("A"), row("B", points=(0, 1, "2.5", 10)))
    assert room.publish(badge(sub_competencies=rows, gates=(gate("exam", "points", "150"),))).state == "done"
    assert [(c.tag, c.resource_id, c.maximum, c.label) for c in room.columns] == [
        ("sub-competency:A", room.badge.resource_id, 4, "A Row A"),
        ("sub-competency:B", room.badge.resource_id, 10, "B Row B"),
        ("gate:exam", room.badge.resource_id, 150, "Gate exam"),
    ]
    with room.tool.db.read() as session:
        assert [(c.state, c.found) for c in room.course_badge(session).columns] == [("bound", False)] * 3


def test_publishing_again_makes_nothing(room):  # noqa: F811
    room.publish(badge())
    assert made(room) == 2
    assert room.publish_again().outcome["version"] == "unchanged"
    room.publish(replace(room.badge, name="Other"))
    assert made(room) == 2 and len(room.columns) == 2


def test_a_column_that_is_there_with_both_marks_is_used_and_one_with_one_mark_is_not(room):  # noqa: F811
    one = badge()
    tool = room.scene.lti_tool["moodle"].client_id
    ours = room.lms.add_column(
        room.course, "Renamed by the teacher", 7, tag="sub-competency:A", resource_id=one.resource_id, client_id=tool
    )
    room.lms.add_column(
        room.course, "Other badge", 4, tag="sub-competency:B", resource_id="badge:other", client_id=tool
    )
    room.lms.add_column(room.course, "No tag", 4, resource_id=one.resource_id, client_id=tool)
    room.publish(one)
    assert made(room) == 1
    with room.tool.db.read() as session:
        first, second = room.course_badge(session).columns
        assert (first.found, first.label, first.score_maximum) == (True, "Renamed by the teacher", "7")
        assert first.url == room.lms.lineitem_url(ours) and not second.found
    # its other maximum counts exactly: 5.25 of 7 is 3 of 4
    room.grade(room.students[0], 5.25)
    room.lms.grade(room.course, next(c for c in room.columns if c.tag == "sub-competency:B"), room.students[0], 3)
    room.sync()
    assert room.award()["status"] == "issued"


@pytest.mark.parametrize("skip", [0, 1])
def test_where_the_answer_is_lost_before_the_column_is_made_the_next_try_makes_it(room, skip):  # noqa: F811
    room.lms.faults.on("lineitems", "drop", method="POST", count=1, skip=skip)
    job = room.publish(badge())
    assert job.state == "due" and len(room.columns) == skip
    ready(room, job)
    assert room.publish_again().state == "done"
    assert len(room.columns) == 2


def test_where_the_answer_is_lost_after_the_column_is_made_the_next_try_finds_it(room):  # noqa: F811
    # the column is made, and what comes back does not tell its address
    room.lms.faults.on("lineitems", "rows", method="POST", count=1, drop=["id"])
    job = room.publish(badge())
    assert job.state == "due" and len(room.columns) == 1
    with room.tool.db.read() as session:
        assert room.course_badge(session).status == "draft"
    ready(room, job)
    assert room.publish_again().state == "done"
    assert [c.tag for c in room.columns] == ["sub-competency:A", "sub-competency:B"]


def test_two_publishers_at_once_make_each_column_once(room):  # noqa: F811
    room.put(badge(rows=3))
    pages = [room.enter(room.teacher) for _ in range(3)]
    answers = at_once(*(lambda page=page: page.post(f"badges/{room.badge.slug}/publish") for page in pages))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [c.tag for c in room.columns] == ["sub-competency:A", "sub-competency:B", "sub-competency:C"]
    with room.tool.db.read() as session:
        assert room.course_badge(session).status == "active" and len(room.course_badge(session).columns) == 3


def test_two_courses_that_publish_the_same_new_badge_at_once_share_its_version(make_room):  # noqa: F811
    rooms = [make_room() for _ in range(3)]
    one = badge()
    for each in rooms:
        each.put(one)
    jobs = at_once(*(each.publish_again for each in rooms))
    for job in jobs:
        assert (job.state, job.attempts) == ("done", 1), job.problem
    assert len({version_of(each).id for each in rooms}) == 1


def test_three_courses_that_publish_different_badges_under_one_slug_at_once_have_an_achievement_each(make_room):  # noqa: F811
    rooms = [make_room() for _ in range(3)]
    one = badge()
    for number, each in enumerate(rooms):
        each.put(replace(one, name=f"Careful Work {number}"))
    jobs = at_once(*(each.publish_again for each in rooms))
    assert [(job.state, job.attempts) for job in jobs] == [("done", 1)] * 3
    slugs = {version_of(each).achievement.slug for each in rooms}
    assert slugs == {one.slug, f"{one.slug}-2", f"{one.slug}-3"}


@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_K05_K06_in_a_copied_course_the_columns_that_came_along_are_bound_and_no_awards(make_room, mood):  # noqa: F811
    room = make_room(mood=mood)  # noqa: F811
    room.publish(badge())
    room.grade(room.students[0], 4, 4)
    room.sync()
    copied = make_room(mood=mood)
    copied.course = copied.lms.copy_course(room.course)
    copied.teacher, copied.badge = room.teacher, room.badge
    copied.page = copied.enter(copied.teacher)
    before = made(copied)
    assert copied.publish().state == "done"
    assert made(copied) == before and len(copied.columns) == 2
    with copied.tool.db.read() as session:
        assert [c.found for c in copied.course_badge(session).columns] == [True, True]
        urls = {c.url for c in copied.course_badge(session).columns}
        assert not urls & {c.url for c in room.course_badge(session).columns}
    copied.sync()
    assert copied.awards() == [] and len(room.awards()) == 1


# -- versions and owners


def test_equal_content_in_another_course_is_the_same_version(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    first.publish(badge())
    second.publish(first.badge)
    assert version_of(first).id == version_of(second).id


def test_other_content_under_the_same_slug_in_another_course_is_an_achievement_of_its_own(make_room):  # noqa: F811
    first, second, third = make_room(), make_room(), make_room()
    first.publish(badge())
    second.publish(replace(first.badge, name="Second"))
    third.publish(replace(first.badge, name="Third"))
    slugs = [version_of(each).achievement.slug for each in (first, second, third)]
    assert slugs == [first.badge.slug, f"{first.badge.slug}-2", f"{first.badge.slug}-3"]
    with first.tool.db.read() as session:
        owners = [
            session.scalars(select(Achievement.owner_course_id).where(Achievement.slug == slug)).one() for slug in slugs
        ]
    assert owners == [first.id, second.id, third.id]
    # the local slug stays what the file says: it is in the gradebook and in `awards list`
    assert second.columns[0].resource_id == f"badge:{first.badge.slug}"
    # the owner's next version is the first achievement's
    first.publish(replace(first.badge, name="First again"))
    assert (version_of(first).achievement.slug, version_of(first).number) == (slugs[0], 2)
    # and a course that goes back to the owner's content takes that version
    second.publish(replace(first.badge, name="Careful Work"))
    assert (version_of(second).achievement.slug, version_of(second).number) == (slugs[0], 1)


def test_a_course_that_does_not_own_an_achievement_makes_its_own_when_it_changes_it(make_room):  # noqa: F811
    owner, other = make_room(), make_room()
    owner.publish(badge())
    other.publish(owner.badge)
    other.publish(replace(owner.badge, name="Changed here"))
    assert version_of(other).achievement.slug == f"{owner.badge.slug}-2"
    assert version_of(owner).definition["name"] == "Careful Work"


def test_a_slug_that_only_begins_alike_is_no_reason_for_a_suffix(make_room):  # noqa: F811
    first, second = make_room(), make_room()
    first.publish(badge())
    second.publish(badge(f"{first.badge.slug}-longer"))
    assert version_of(second).achievement.slug == f"{first.badge.slug}-longer"


def test_a_version_is_never_edited(room):  # noqa: F811
    room.publish(badge())
    first = version_of(room)
    room.publish(replace(room.badge, name="Other"))
    with room.tool.db.read() as session:
        kept = session.get_one(AchievementVersion, first.id)
        assert (kept.definition, kept.digest) == (first.definition, first.digest)


# -- what keeps a badge from being published


def refused(room, definition) -> str:  # noqa: F811
    room.put(definition)
    with pytest.raises(CannotPublish) as error:
        room.publish_again()
    page = room.page.get(f"badges/{definition.slug}/plan")
    assert page.status_code == 200
    told = room.page.post(f"badges/{definition.slug}/publish")
    assert told.status_code == 409 and error.value.sentence in html.unescape(told.text)
    assert [c for c in room.lms.columns(room.course) if c.resource_id == definition.resource_id] == []
    return error.value.sentence


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (badge("o1", rows=0, stack=Stack(("a", "b"))), "“a” is a part of it, and has not been published yet"),
        (badge("o2", prerequisites=("never-there",)), "“never-there” first, which has not been published here yet"),
        (badge("o5", sub_competencies=(row("A", source="moodle-rubric"),)), "web services are not connected"),
        (badge("o6", sub_competencies=(row("A", source="canvas-rubric"),)), "canvas-rubric"),
        (badge("o7", gates=(gate(source="moodle-course-grade"),)), "web services are not connected"),
    ],
    ids=lambda value: getattr(value, "slug", None),
)
def test_G11_what_cannot_be_read_here_yet_is_told_before_anything_is_made(room, definition, reason):  # noqa: F811
    assert reason in refused(room, definition)


def test_without_the_right_to_make_columns_it_is_said_who_can_give_it(room):  # noqa: F811
    with room.tool.db.write() as session:
        course = session.get_one(Course, room.id)
        course.scopes = [scope for scope in course.scopes if scope != LINE_ITEM]
    assert "may not make gradebook columns" in refused(room, badge())


def test_without_a_gradebook_service_it_is_said(room):  # noqa: F811
    with room.tool.db.write() as session:
        session.get_one(Course, room.id).line_items_url = None
    assert "gradebook is closed to the tool" in refused(room, badge())


def test_without_an_issuer_that_has_name_and_address_nothing_is_published(room):  # noqa: F811
    def name(text: str) -> None:
        with room.tool.db.write() as session:
            session.scalars(select(Issuer)).one().name = text

    name("")
    try:
        assert "institution that issues badges has no name" in refused(room, badge())
    finally:
        name("Hallwood University")


def test_a_scope_that_the_token_does_not_bring_is_told_and_the_badge_stays_a_draft(room):  # noqa: F811
    room.tool.tokens._tokens.clear()
    room.lms.faults.on(
        "token", "scope_subset", scopes=[s for s in room.scene.lti_tool["moodle"].scopes if "lineitem" not in s]
    )
    job = room.publish(badge())
    assert (job.state, job.attempts, job.outcome["reason"]) == ("failed", 1, "scope_missing")
    with room.tool.db.read() as session:
        assert room.course_badge(session).status == "draft"
    room.tool.tokens._tokens.clear()


# -- taking out


def test_H12_a_draft_is_removed_and_a_published_badge_never(room):  # noqa: F811
    room.put(badge())
    catalog.remove_draft(room.tool, room.id, room.badge.slug, actor="operator", now=now())
    with pytest.raises(NotFound), room.tool.db.read() as session:
        room.course_badge(session)
    room.publish(badge())
    room.grade(room.students[0], 3, 3)
    room.sync()
    with pytest.raises(Conflict, match="stays"):
        catalog.remove_draft(room.tool, room.id, room.badge.slug, actor="operator", now=now())
    assert room.page.post(f"badges/{room.badge.slug}/remove").status_code == 409
    assert room.award()["status"] == "issued"


def test_a_badge_whose_publishing_failed_halfway_is_not_removed_with_its_columns(room):  # noqa: F811
    room.lms.faults.on("lineitems", "drop", method="POST", count=1, skip=1)
    room.publish(badge())
    with pytest.raises(Conflict):
        catalog.remove_draft(room.tool, room.id, room.badge.slug, actor="operator", now=now())


# -- by command


@pytest.fixture
def cli(room, monkeypatch, capsys):  # noqa: F811
    """Run a command in this process, with the scene's settings in its environment."""
    for name, value in environment(room.scene).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        status = main(arguments)
        told = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return run


def place(room) -> list[str]:  # noqa: F811
    return ["--platform", str(room.scene.platform[room.mood]), "--context", room.course.id]


def test_what_is_exported_is_what_was_imported(room, cli, tmp_path):  # noqa: F811
    files = sorted(LIBRARY.glob("*.toml"))
    done = cli("badges", "import", *map(str, files), *place(room), "--json")
    assert done.returncode == 0, done.stderr
    assert {each["what"] for each in json.loads(done.stdout)} == {"new"}
    out = cli("badges", "export", *place(room), "--to", str(tmp_path / "out"))
    assert out.returncode == 0, out.stderr
    for path in files:
        read = catalog.read_file(path)[0]
        assert catalog.read_file(tmp_path / "out" / f"{read.slug}.toml")[0] == read
    again = cli("badges", "import", *map(str, (tmp_path / "out").glob("*.toml")), *place(room), "--json")
    assert {each["what"] for each in json.loads(again.stdout)} == {"unchanged"}


def test_import_and_publish_by_command(room, cli, tmp_path):  # noqa: F811
    room.badge = badge()
    path = Path(tmp_path / "one.toml")
    path.write_text(catalog.write_definition(room.badge), encoding="utf-8")
    done = cli("badges", "import", str(path), *place(room), "--publish", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["status"] == "active" and len(room.columns) == 2


def test_a_file_with_a_mistake_keeps_all_files_out(room, cli, tmp_path):  # noqa: F811
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(catalog.write_definition(badge("fine")), encoding="utf-8")
    bad.write_text('[badge]\nslug = "x"\n', encoding="utf-8")
    done = cli("badges", "import", str(good), str(bad), *place(room))
    assert done.returncode == 1 and f"{bad}:1: name is missing" in done.stderr and done.stdout == ""
    with room.tool.db.read() as session:
        assert session.scalars(select(CourseBadge).where(CourseBadge.course_id == room.id)).all() == []


def test_importing_into_a_course_that_was_never_launched_is_refused(room, cli):  # noqa: F811
    never = room.lms.add_course("NEVER")
    done = cli(
        "badges",
        "import",
        str(LIBRARY / "empathy.toml"),
        "--platform",
        str(room.scene.platform["moodle"]),
        "--context",
        never.id,
    )
    assert done.returncode == 1 and "Open the tool once inside that course" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_course_in_two_deployments_has_to_be_named(room, cli):  # noqa: F811
    deployment = room.lms.add_deployment(room.scene.lti_tool["moodle"])
    link = room.lms.add_link(room.course, room.scene.lti_tool["moodle"], deployment_id=deployment)
    room.enter(room.teacher, link=link)
    done = cli("badges", "import", str(LIBRARY / "empathy.toml"), *place(room))
    assert done.returncode == 1 and "--deployment" in done.stderr
    assert (
        cli("badges", "import", str(LIBRARY / "empathy.toml"), *place(room), "--deployment", deployment).returncode == 0
    )


def test_a_sync_for_a_draft_reads_no_columns(room):  # noqa: F811
    room.put(badge())
    assert room.id not in sync.courses_to_sync(room.tool)
    assert work.listing(room.tool) == work.listing(room.tool)
