"""`lti-tool export` and `import`: everything goes along, and comes back byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from flask import Flask
from sqlalchemy import select

from lti_tool import create_app
from lti_tool.credentials import signing
from lti_tool.credentials.verify import verify
from lti_tool.errors import NotFound
from lti_tool.http import Response
from lti_tool.models import AuditEvent, Award, Base, Edition, Endorsement, EvidenceFile, Person, StatusList
from lti_tool.services import audit, award_acts, checking, choices, editions, export, revocations
from lti_tool.services.choices import Choices
from lti_tool.services.definition import read_definition
from lti_tool.settings import load_settings
from tests.cli.conftest import Run
from tests.evidence import PDF
from tests.scene import Scene, make_database, now, token_in
from tests.services.test_endorsements import say

FORMS = (".json", ".jwt", ".png")
SERVER = os.environ.get("TEST_DATABASE", "")  # PostgreSQL, else SQLite: see make_database
# From which kind of database to which. With a server to hand an institution goes from a file to it, and back, too.
WAYS = {"the same kind": (SERVER, SERVER)}
if SERVER:
    WAYS |= {"PostgreSQL to SQLite": (SERVER, ""), "SQLite to PostgreSQL": ("", SERVER)}


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a test an empty database, of the kind it was parametrized with."""
    with make_database(getattr(request, "param", SERVER), tmp_path) as url:
        yield url


@pytest.fixture
def left(beside: Scene) -> Scene:
    """An institution with a public award, a private one, and one that was taken back."""
    beside.publish()
    for student in ("student1", "student2", "student3"):
        beside.grade(student, 4, 4, 4, 4)
    assert beside.sync()["state"] == "done"
    choices.choose(beside.tool, beside.award_of("student1")["id"], Choices(public=True), actor="operator", now=now())
    choices.choose(beside.tool, beside.award_of("student3")["id"], Choices(public=True), actor="operator", now=now())
    award_acts.revoke(beside.tool, beside.award_of("student3")["id"], "A mistake.", actor="operator", now=now())
    return beside


@contextmanager
def another(scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch, server: str = "") -> Iterator[None]:
    """Point the commands at a new installation at the same address, with an empty database and no keys."""
    folder.mkdir()
    with make_database(server, folder) as url:
        monkeypatch.setenv("LTI_TOOL_DATABASE__URL", url)
        monkeypatch.setenv("LTI_TOOL_DATABASE__REVOCATIONS", str(folder / "revocations.jsonl"))
        monkeypatch.setenv("LTI_TOOL_EVIDENCE__DIR", str(folder / "evidence"))
        monkeypatch.setenv("LTI_TOOL_QUEUE__URL", f"sqlite:///{folder / 'queue.db'}")
        monkeypatch.setenv("LTI_TOOL_KEYS__DIR", str(folder / "keys"))
        yield


def path_of(award: dict[str, Any], scene: Scene) -> str:
    return str(award["credential_url"]).removeprefix(scene.url)


def served(scene: Scene) -> dict[str, bytes]:
    """Return every public form of every public credential, as the old installation answers it."""
    found = {}
    for award in scene.awards():
        for form in FORMS:
            answer = requests.get(f"{award['credential_url']}{form}", timeout=10)
            if award["public"]:
                assert answer.status_code == 200
                found[f"{path_of(award, scene)}{form}"] = answer.content
            else:
                assert answer.status_code == 404
    return found


def get(app: Flask, path: str, scene: Scene) -> Any:
    return app.test_client().get(path, base_url=scene.url)


def test_an_export_holds_what_an_institution_needs_to_leave(left: Scene, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "leaving"
    done = run("export", str(folder), "--json")
    assert done.status == 0, done.err
    told = done.json
    assert (told["awards"], told["credentials"], told["achievements"], told["keys"]) == (3, 3, 1, False)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["issuer"].startswith("did:web:") and manifest["counts"]["awards"] == 3

    # every file is in the list of digests, and as it says
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {*sums, "manifest.json", "SHA256SUMS"} and len(files) == told["files"]
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")} == {0o600, 0o700}

    # byte for byte, apart by whether they are public
    for path, content in served(left).items():
        if not path.endswith(".png"):
            assert (folder / "public" / path.lstrip("/")).read_bytes() == content
    ob2 = path_of(left.award_of("student1"), left).replace("credentials", "ob2/assertions")
    assert json.loads((folder / "public" / ob2.lstrip("/")).read_text()) == requests.get(f"{left.url}{ob2}").json()
    private = path_of(left.award_of("student2"), left)
    assert (folder / "private" / f"{private.lstrip('/')}.json").exists()
    assert not (folder / "public" / f"{private.lstrip('/')}.json").exists()

    # the definition is one, with its picture
    (definition,) = (folder / "definitions").rglob("*.toml")
    assert read_definition(definition.read_text(), definition.name).name == "Oral Communication"
    assert definition.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert any("award.revoked" in line for line in (folder / "audit.jsonl").read_text().splitlines())


def test_names_stand_in_the_personal_folder_alone_and_private_keys_nowhere(
    left: Scene, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0
    with left.tool.db.read() as session:
        names = {person.name for person in session.scalars(select(Person)) if person.name}
    assert names
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".png":
            text = path.read_text()
            found = {name for name in names if name in text}
            assert path.parent.name == "personal" or not found, (path, found)
            assert "PRIVATE KEY" not in text and '"d"' not in text


def test_public_files_at_the_old_address_go_on_verifying_without_this_program(
    left: Scene, run: Run, tmp_path: Path
) -> None:
    """Nothing but the folder answers: a static web server."""
    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0

    def static(url: str) -> Response:
        # did:web of an address with a port is https by its definition
        path = folder / "public" / url.replace("https://", "http://").removeprefix(f"{left.url}/")
        if not path.is_file():
            raise NotFound(url)
        return Response(200, "OK", {}, path.read_bytes(), url)

    def file_of(user: str, form: str) -> bytes:
        path = folder / "public" / f"{path_of(left.award_of(user), left).lstrip('/')}.{form}"
        return path.read_bytes()

    for user, ok, withdrawn in (("student1", True, "passed"), ("student3", False, "failed")):
        report = verify(file_of(user, "json"), now=now(), fetch=static)
        assert (report.ok, report.outcome("withdrawn")) == (ok, withdrawn)
        token = file_of(user, "jwt").decode()
        key = jwt.PyJWK.from_json(static(jwt.get_unverified_header(token)["kid"]).body.decode())
        assert jwt.decode(token, key, algorithms=["RS256"])["jti"] == left.award_of(user)["credential_url"]


@pytest.mark.parametrize(
    ("database_url", "server", "with_keys"),
    [
        pytest.param(*way, with_keys, id=f"{name}, with{'' if with_keys else 'out'} keys")
        for name, way in WAYS.items()
        for with_keys in ((False, True) if name == "the same kind" else (True,))
    ],
    indirect=["database_url"],
)
def test_an_import_answers_the_same_bytes_and_every_check_agrees(
    left: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, with_keys: bool
) -> None:
    folder = tmp_path / "leaving"
    before, awards = served(left), left.awards()
    assert run("export", str(folder), *(["--with-keys"] if with_keys else [])).status == 0
    kid = left.tool.keyring.ed25519.kid
    with another(left, tmp_path / "new", monkeypatch, server):
        assert run("db", "upgrade").status == 0
        done = run("import", str(folder), "--json")
        assert done.status == 0, done.err
        assert (done.json["awards"], done.json["credentials"], done.json["keys"]) == (3, 3, with_keys)
        app = create_app(load_settings())
        tool = app.extensions["lti_tool"]
        assert tool.db.engine.dialect.name == ("postgresql" if server else "sqlite")
        assert run("awards", "list", "--json").json == awards
        for path, content in before.items():
            answer = get(app, path, left)
            assert (answer.status_code, answer.data) == (200, content), path
        private = path_of(left.award_of("student2"), left)
        assert get(app, f"{private}.json", left).status_code == 404
        did = get(app, "/.well-known/did.json", left).json
        assert any(each["id"].endswith(kid) for each in did["verificationMethod"])
        assert get(app, f"/keys/{kid}", left).json["kid"] == kid
        assert (tool.keyring.credential_key(kid).private is not None) == with_keys
        for user, ok in (("student1", True), ("student2", True), ("student3", False)):
            url = f"{left.award_of(user)['credential_url']}.json"
            assert checking.check(tool, url, now(), everyone_sees=True).ok == ok
        # the status list is signed anew, and what is withdrawn stands in it
        listed = get(app, "/status/1", left).json
        assert signing.verify_proof(listed, tool.keyring.ed25519.public)
        assert run("doctor", "--json").json
        assert revocations.standing(tool)[0]
        goes_on(tool)
        tool.db.engine.dispose()


def goes_on(tool: Any) -> None:
    """See that the new installation can go on: rows get new numbers, new credentials a fresh list."""
    with tool.db.write() as session:
        audit.record(session, now(), "operator", "test", "test")
        session.flush()
        award = session.scalars(select(Award).where(Award.status == "issued").order_by(Award.id)).first()
        used = award.editions[-1].status_list_id
        award_acts.withdraw_editions(session, award, now())
        award_acts.restore(session, award, "issued", now())
    assert editions.sign_pending(tool) == 1
    with tool.db.write() as session:
        edition = session.scalars(select(Edition).where(Edition.award_id == award.id, Edition.number == 2)).one()
        assert edition.status_list_id == used + revocations.FURTHER
        session.add(StatusList(created_at=now()))  # the next number is a free one
        session.flush()
        actions = list(session.scalars(select(AuditEvent.action)))
    assert {"award.revoked", "database.imported"} <= set(actions)


@pytest.mark.parametrize(("database_url", "server"), WAYS.values(), ids=WAYS, indirect=["database_url"])
def test_rows_come_back_as_they_were(
    left: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    def rows(tool: Any) -> dict[str, list[Any]]:
        found = {}
        with tool.db.read() as session:
            for table in export.tables(with_keys=False):
                if table.name not in ("audit_event", "status_list"):
                    # A token that nobody had asked for is made for the export, and stays where it is taken in.
                    columns = [column for column in table.columns if (table.name, column.name) != ("edition", "jwt")]
                    every = session.execute(select(*columns).order_by(*table.primary_key))
                    found[table.name] = [tuple(row) for row in every]
        return found

    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0
    before = rows(left.tool)
    assert sum(map(len, before.values())) > 50
    with another(left, tmp_path / "new", monkeypatch, server):
        assert run("db", "upgrade").status == 0 and run("import", str(folder)).status == 0
        tool = create_app(load_settings()).extensions["lti_tool"]
        assert rows(tool) == before
        tool.db.engine.dispose()


def hand_in(scene: Scene) -> None:
    visitor = scene.launch("student1")
    sent = {"csrf": token_in(visitor.get("").text), "tag": "sub-competency:OC-1", "kind": "file", "act": "submit"}
    address = f"{visitor.home}badges/oral-communication/evidence/"
    assert visitor.http.post(address, data=sent, files={"file": ("talk.pdf", PDF)}, timeout=20).status_code == 200


def test_files_of_evidence_go_along_and_come_back_and_none_of_them_is_for_a_web_server(
    beside: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside.publish()
    hand_in(beside)
    folder = tmp_path / "leaving"
    done = run("db", "backup", str(tmp_path / "monday.backup"))
    assert done.status == 0 and f"copy {beside.tool.settings.evidence_folder} too" in done.out
    assert run("export", str(folder)).status == 0
    (file,) = (path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == PDF)
    assert file.relative_to(folder).parts[:2] == ("personal", "evidence")
    with another(beside, tmp_path / "new", monkeypatch):
        assert run("db", "upgrade").status == 0 and run("import", str(folder)).status == 0
        tool = create_app(load_settings()).extensions["lti_tool"]
        with tool.db.read() as session:
            place = session.scalars(select(EvidenceFile.place)).one()
        path = tool.settings.evidence_folder / str(place)
        assert path.read_bytes() == PDF and stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.is_relative_to(tmp_path / "new")
        tool.db.engine.dispose()


def test_without_the_personal_folder_people_have_no_names(
    left: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0
    for path in (folder / "personal").iterdir():
        path.unlink()
    with another(left, tmp_path / "new", monkeypatch):
        assert run("db", "upgrade").status == 0
        done = run("import", str(folder))
        assert done.status == 0, done.err
        tool = create_app(load_settings()).extensions["lti_tool"]
        with tool.db.read() as session:
            people = session.scalars(select(Person)).all()
        assert people and {person.name for person in people} == {""}
        tool.db.engine.dispose()


@pytest.fixture
def told(left: Scene) -> Scene:
    """Two learners who let their credentials say something of them; the first took her name out again."""
    first = left.award_of("student1")["id"]
    said = Choices(public=True, name=True, narrative="I led the debate.")
    for each in (said, Choices(public=True, narrative="I led the debate.")):
        choices.choose(left.tool, first, each, actor="operator", now=now())
    second = left.award_of("student2")["id"]
    choices.choose(left.tool, second, Choices(name=True, narrative="I led it, too."), actor="operator", now=now())
    return left


def editions_of(tool: Any, award_id: str) -> list[Edition]:
    with tool.db.read() as session:
        query = select(Edition).where(Edition.award_id == award_id).order_by(Edition.number)
        return list(session.scalars(query))


def name_of(scene: Scene, user: str) -> str:
    return str(scene.lms.user(user).name)


def test_I20_what_a_learner_has_taken_out_of_her_credential_is_not_exported_as_public(
    told: Scene, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0
    plain, named, newest = editions_of(told.tool, told.award_of("student1")["id"])
    for edition in (plain, named, newest):
        for form in ("json", "jwt"):
            live = requests.get(f"{told.url}/credentials/{edition.id}.{form}", timeout=20).status_code == 200
            assert live == (edition is not named)
            assert (folder / "public" / "credentials" / f"{edition.id}.{form}").exists() == live
            assert (folder / "private" / "credentials" / f"{edition.id}.{form}").exists() != live
    assert (folder / "public" / "ob2" / "assertions" / named.id).exists()  # says that it was replaced, and nothing else
    name, words = name_of(told, "student1"), "I led the debate."
    holding = {
        text: {path.relative_to(folder).parts[0] for path in folder.rglob("*.json*") if text in path.read_text()}
        for text in (name, words)
    }
    assert holding == {name: {"private", "personal"}, words: {"public", "private", "personal"}}


def test_an_endorsement_of_an_award_without_a_page_is_not_exported_as_public(
    left: Scene, run: Run, tmp_path: Path
) -> None:
    award = left.award_of("student1")["id"]
    teacher = left.launch("teacher1")
    for about in (award, ""):
        page = teacher.post(
            "badges/oral-communication/endorsements", {"reviewer": "Dr Chen", "words": "", "award": about}
        )
        found = re.search(r"<code>(http[^<]*/endorse/[^<]+)</code>", page.text)
        assert found, page.text
        assert say(found[1]).status_code == 200
    with left.tool.db.read() as session:
        of = {each.award_id: f"{each.id}.json" for each in session.scalars(select(Endorsement))}

    def folders(folder: str) -> dict[str, list[str]]:
        assert run("export", str(tmp_path / folder)).status == 0
        return {
            name: sorted(path.relative_to(tmp_path / folder).parts[0] for path in (tmp_path / folder).rglob(name))
            for name in of.values()
        }

    assert folders("public") == {of[award]: ["public"], of[None]: ["public"]}
    choices.choose(left.tool, award, Choices(), actor="operator", now=now())
    assert requests.get(f"{left.url}/endorsements/{of[award]}", timeout=20).status_code == 404
    assert folders("private") == {of[award]: ["private"], of[None]: ["public"]}


def as_before(folder: Path) -> None:
    """Make of an export one that an earlier version wrote, with all choices in one place."""
    rows, apart = folder / "tables" / "edition.jsonl", folder / "personal" / "edition.jsonl"
    whole = []
    for row, told in zip(rows.read_text().splitlines(), apart.read_text().splitlines(), strict=True):
        values, choice = json.loads(row), json.loads(told)
        assert values["id"] == choice["id"]
        whole.append(json.dumps({**values, "choices": {**values["choices"], **choice["choices"]}}) + "\n")
    apart.unlink()
    before, after = hashlib.sha256(rows.read_bytes()).hexdigest(), "".join(whole).encode()
    rows.write_bytes(after)
    sums = (folder / "SHA256SUMS").read_text().replace(before, hashlib.sha256(after).hexdigest())
    (folder / "SHA256SUMS").write_text(sums)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sums"] = hashlib.sha256(sums.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("how", ["whole", "without personal", "of an earlier version"])
def test_I20_after_an_import_credentials_say_what_they_said_and_no_more_is_public(
    told: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    folder = tmp_path / "leaving"
    first, second = (editions_of(told.tool, told.award_of(user)["id"]) for user in ("student1", "student2"))
    assert first[1].choices["name"] == name_of(told, "student1")
    assert run("export", str(folder)).status == 0
    if how == "without personal":
        shutil.rmtree(folder / "personal")
    elif how == "of an earlier version":
        as_before(folder)
    with another(told, tmp_path / "new", monkeypatch):
        assert run("db", "upgrade").status == 0
        done = run("import", str(folder))
        assert done.status == 0, done.err
        app = create_app(load_settings())
        tool = app.extensions["lti_tool"]
        for before in (first, second):
            assert [e.choices for e in editions_of(tool, before[0].award_id)] == [e.choices for e in before]
        statuses = [get(app, f"/credentials/{each.id}.json", told).status_code for each in first]
        assert statuses == [200, 404, 200]
        tool.db.engine.dispose()


def test_an_import_refuses_what_is_not_whole_not_empty_or_of_another_address(
    left: Scene, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "leaving"
    assert run("export", str(folder)).status == 0
    refused = run("export", str(folder))
    assert refused.status == 1 and "is not empty" in refused.err
    refused = run("import", str(folder))
    assert refused.status == 1 and "This installation is not empty" in refused.err
    with another(left, tmp_path / "new", monkeypatch):
        assert run("db", "upgrade").status == 0

        monkeypatch.setenv("LTI_TOOL_SERVER__BASE_URL", "http://localhost:1")
        assert run("db", "upgrade").status == 0
        refused = run("import", str(folder))
        assert refused.status == 1 and "set server.base_url to it" in refused.err
        monkeypatch.setenv("LTI_TOOL_SERVER__BASE_URL", left.url)

        changed = next((folder / "private" / "credentials").glob("*.json"))
        content = changed.read_bytes()
        changed.write_bytes(content.replace(b"Oral", b"Aural"))
        refused = run("import", str(folder))
        assert refused.status == 1 and f"{changed.name} is missing, or is not as it was written" in refused.err
        changed.unlink()
        assert "is missing, or is not as it was written" in run("import", str(folder)).err
        changed.write_bytes(content)

        manifest = folder / "manifest.json"
        kept = manifest.read_bytes()
        manifest.unlink()
        refused = run("import", str(folder))
        assert refused.status == 1 and "is no whole export" in refused.err
        manifest.write_bytes(kept)

        assert run("awards", "list", "--json").json == []
        assert run("import", str(folder)).status == 0


KEPT = {
    *("achievement", "achievement_version", "administrator", "audit_event", "award", "binding", "context_notice"),
    *("course", "course_badge", "course_copy", "deployment", "drift", "earlier_version", "edition", "enrolment"),
    *("evidence", "evidence_file", "gradebook_column", "issuer", "mark", "mastery", "person", "person_link", "posting"),
    *("prerequisite", "publication", "registration", "resource_link", "result", "review", "source_answer"),
    *("source_link", "status_list", "withdrawn_elsewhere"),
    *("endorsement", "endorsement_request", "outside_badge"),
    *("rights_request", "erasure", "retention_period", "retention_run"),
    *("award_tally", "tally"),
    *("notification", "mail_choice"),
    "own_address",
    "why_not",
}


def test_somebody_has_decided_for_each_table_whether_it_goes_along() -> None:
    """A new table: is it a secret or something that passes (`export.LEFT_OUT`), or does it go along?"""
    decided = KEPT | export.LEFT_OUT | export.WITH_KEYS
    assert set(Base.metadata.tables) <= decided
    assert not KEPT & (export.LEFT_OUT | export.WITH_KEYS)


def test_nothing_that_goes_along_points_to_what_does_not() -> None:
    for with_keys in (False, True):
        along = {table.name for table in export.tables(with_keys=with_keys)}
        for table in export.tables(with_keys=with_keys):
            for key in table.foreign_keys:
                assert key.column.table.name in along, f"{table.name}.{key.parent.name}"
