"""The story by commands alone: import, publish, sync, look, export, verify, rotate, revoke."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from lti_tool.errors import ToolError
from lti_tool.services import sync, work
from tests.cli.conftest import Run, Said
from tests.scene import LIBRARY, ORAL, Scene, now

FILE = LIBRARY / f"{ORAL}.toml"


def put(run: Run, scene: Scene, *files: Path, publish: bool = True) -> Said:
    where = ["--platform", str(scene.platform[scene.mood]), "--context", scene.context]
    return run("badges", "import", *map(str, files), *where, *(["--publish"] if publish else []), "--json")


@pytest.fixture(params=["canvas", "moodle"])
def course(request: pytest.FixtureRequest, beside: Scene) -> Scene:
    """A course somebody has opened once: its service addresses are known from the launch."""
    beside.mood = request.param
    beside.launch("teacher1")
    return beside


def test_grades_become_an_award_that_is_verified_and_revoked(course: Scene, run: Run, tmp_path: Path) -> None:
    (row,) = put(run, course, FILE).json
    assert (row["badge"], row["status"]) == (ORAL, "active")
    assert len([c for c in course.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}"]) == 4

    course.grade("student1", 4, 3, 3, 3)
    course.grade("student2", 1, 1, 1, 1)
    (synced,) = run("sync", "--json").json
    assert (synced["state"], synced["awards"]) == ("done", 1)

    (award,) = run("awards", "list", "--context", course.context, "--json").json
    promised = {"id", "badge", "badge_version", "platform", "context", "user", "status", "issued_at", "claimed_at"}
    assert award.keys() >= promised | {"credential_url", "achievement"}
    assert (award["badge"], award["user"]) == (ORAL, course.lms.user("student1").id)
    assert (award["status"], award["claimed_at"]) == ("issued", None)
    assert len(run("awards", "show", award["id"], "--json").json["decision"]["rows"]) == 4
    assert ORAL in run("awards", "show", award["id"]).out

    course.launch("student1").post(f"badges/{ORAL}/claim", {"public": "on"})
    file = tmp_path / "credential.json"
    file.write_bytes(requests.get(f"{award['credential_url']}.json", timeout=20).content)
    for what in (str(file), award["credential_url"]):
        said = run("verify", what)
        assert said.status == 0, said.out

    # I07: a key that is retired keeps verifying what it signed
    assert run("keys", "rotate", "credentials").status == 0
    assert run("verify", str(file)).status == 0

    assert run("awards", "revoke", award["id"], "--reason", "Given by mistake.").status == 0
    revoked = run("verify", str(file))
    assert revoked.status == 1 and revoked.err.count("\n") == 1 and "lti-tool: " in revoked.err
    report = run("verify", award["credential_url"], "--json")
    assert report.status == 1 and isinstance(report.json, dict)
    (revoked,) = run("awards", "list", "--json").json
    assert revoked["status"] == "revoked"


def test_an_altered_file_does_not_verify(course: Scene, run: Run, tmp_path: Path) -> None:
    put(run, course, FILE)
    course.grade("student1", 4, 4, 4, 4)
    run("sync")
    course.launch("student1").post(f"badges/{ORAL}/claim", {"public": "on"})
    (award,) = run("awards", "list", "--json").json
    text = requests.get(f"{award['credential_url']}.json", timeout=20).text
    assert "Oral Communication" in text
    file = tmp_path / "altered.json"
    file.write_text(text.replace("Oral Communication", "Moral Communication"))
    assert run("verify", str(file)).status == 1


def test_importing_the_same_file_again_makes_no_second_column(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    again = put(run, course, FILE)
    assert again.status == 0, again.err
    assert len([c for c in course.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}"]) == 4


def test_F18_importing_the_same_file_again_makes_no_deleted_column_and_says_so(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    deleted = next(c for c in course.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}")
    course.lms.delete_column(course.lms.course("EMP101"), deleted)
    run("sync")
    (row,) = put(run, course, FILE).json
    assert (row["what"], row["status"]) == ("unchanged", "active")
    assert len(row["columns"]) == 1 and f"“{deleted.label}” is not in the gradebook any more" in row["columns"][0]
    assert len([c for c in course.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}"]) == 3


def test_a_badge_in_force_is_active_however_it_is_imported_again(course: Scene, run: Run, tmp_path: Path) -> None:
    put(run, course, FILE)
    (row,) = put(run, course, FILE, publish=False).json
    assert (row["what"], row["status"]) == ("unchanged", "active")
    other = tmp_path / "other.toml"
    other.write_text(FILE.read_text().replace('name = "Oral Communication"', 'name = "Speaking"'))
    (row,) = put(run, course, other, publish=False).json
    assert (row["what"], row["status"]) == ("changed", "active")  # the change waits beside it
    (row,) = put(run, course, other).json
    assert row["what"] == "unchanged" and row["columns"] != []
    (row,) = put(run, course, other).json
    assert row["columns"] == []


def test_a_draft_has_no_columns(course: Scene, run: Run) -> None:
    (row,) = put(run, course, FILE, publish=False).json
    assert row["status"] == "draft"
    assert not [c for c in course.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}"]


def test_where_one_of_several_files_is_wrong_none_is_put_in(course: Scene, run: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(FILE.read_text().replace('rule = "all"', 'rule = "most"'))
    said = put(run, course, FILE, wrong)
    assert said.status == 1 and str(wrong) in said.err and said.out == ""
    where = ["--platform", str(course.platform[course.mood]), "--context", course.context]
    assert run("badges", "export", *where, "--json").json == []


def test_the_stacked_example_is_imported_once_its_parts_are_there_and_comes_by_itself(course: Scene, run: Run) -> None:
    stacked = LIBRARY / "stacked-example.toml"
    early = put(run, course, stacked)
    assert early.status == 1
    assert "The badge “Oral Communication” is a part of it, and has not been published yet." in early.err
    parts = [FILE, LIBRARY / "collaboration.toml", LIBRARY / "intercultural-fluency.toml"]
    assert put(run, course, *parts).status == 0
    done = put(run, course, stacked)
    assert done.status == 0, done.err
    for part in parts:
        course.grade("student1", 4, 4, 4, 4, slug=part.stem)
    run("sync")
    awards = run("awards", "list", "--json").json
    assert {award["badge"] for award in awards} == {*(part.stem for part in parts), "working-with-others"}
    assert {award["status"] for award in awards} == {"issued"}


def test_what_is_exported_is_what_was_imported(course: Scene, run: Run, tmp_path: Path) -> None:
    put(run, course, FILE, LIBRARY / "empathy.toml")
    where = ["--platform", str(course.platform[course.mood]), "--context", course.context]
    exported = run("badges", "export", *where, "--to", str(tmp_path / "out"))
    assert exported.status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["empathy.toml", f"{ORAL}.toml"]
    assert run("badges", "validate", *exported.out.split()).status == 0
    again = put(run, course, tmp_path / "out" / f"{ORAL}.toml")
    assert again.status == 0, again.err
    course.grade("student1", 4, 4, 4, 4)
    run("sync")
    (award,) = run("awards", "list", "--json").json
    assert award["badge_version"] == 1


def test_a_course_that_cannot_be_synced_is_told_with_exit_1(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    course.lms.faults.on("token", "status", status=401, count=99)
    said = run("sync", "--context", course.context)
    assert said.status == 1 and said.err.startswith("lti-tool: ")


def test_a_context_without_a_badge_is_refused(course: Scene, run: Run) -> None:
    said = run("sync", "--context", "no-such-course")
    assert said.status == 1 and "no-such-course" in said.err


def test_a_failed_job_is_listed_and_tried_again(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    (course_id,) = sync.courses_to_sync(course.tool)
    job_id = work.request(course.tool, "sync", str(course_id), now())
    work.wait(course.tool, job_id, {"sync": _fails})
    (row,) = run("jobs", "list", "--json").json
    assert (row["id"], row["attempts"]) == (job_id, 1) and row["problem"] == "The LMS is asleep."
    assert run("jobs", "retry", str(job_id)).status == 0
    assert run("jobs", "list", "--json").json == []
    assert run("jobs", "list", "--all", "--json").json[0]["state"] == "done"


def _fails(*_: object) -> dict[str, object]:
    raise ToolError(sentence="The LMS is asleep.")


def test_a_platform_that_has_awards_is_never_removed(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    course.grade("student1", 4, 4, 4, 4)
    run("sync")
    platform = str(course.platform[course.mood])
    said = run("platforms", "remove", platform)
    assert said.status == 1 and f"platforms disable {platform}" in said.err


def test_doctor_finds_a_platform_in_use_well(course: Scene, run: Run) -> None:
    put(run, course, FILE)
    said = run("doctor", "--platform", str(course.platform[course.mood]), "--json")
    assert said.status == 0, said.out
