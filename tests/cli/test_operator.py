"""Commands that need no course: database, platforms, deployments, keys, definition files, usage."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from lti_tool.services import presence
from tests.cli.conftest import Run
from tests.scene import LIBRARY, Scene, now

CANVAS = {
    "name": "Canvas",
    "issuer": "https://canvas.instructure.com",
    "client-id": "10000000000002",
    "auth-login-url": "https://sso.canvaslms.com/api/lti/authorize_redirect",
    "auth-token-url": "https://example.instructure.com/login/oauth2/token",
    "jwks-url": "https://sso.canvaslms.com/api/lti/security/jwks",
}


def options(**changes: str) -> list[str]:
    told = {**CANVAS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return [part for name, value in told.items() for part in (f"--{name}", value)]


# -- usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [[], ["platforms"], ["awards", "revoke", "x"], ["frobnicate"], ["keys", "rotate"]]
)
def test_wrong_usage_exits_2_and_says_how_it_goes(run: Run, arguments: list[str]) -> None:
    said = run(*arguments)
    assert said.status == 2 and said.out == "" and "usage: lti-tool" in said.err


def test_the_version_is_the_package_s(run: Run) -> None:
    said = run("--version")
    assert said.status == 0 and said.out.startswith("lti-tool 0.")


# -- database and settings --------------------------------------------------------------------------------------


def test_a_command_on_a_database_without_schema_says_which_command_is_missing(empty: Path, run: Run) -> None:
    said = run("platforms", "list")
    assert said.status == 1 and said.out == "" and "lti-tool db upgrade" in said.err
    assert len(said.err.splitlines()) == 1


def test_the_upgrade_can_be_said_again(empty: Path, run: Run) -> None:
    assert "went to schema" in run("db", "upgrade").out
    again = run("db", "upgrade")
    assert again.status == 0 and "is at schema" in again.out


def test_a_wrong_setting_is_one_line_on_stderr(installed: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_TOOL_PRIVACY__CLAIM", "never")
    said = run("platforms", "list", "--json")
    assert said.status == 1 and said.out == "" and len(said.err.splitlines()) == 1


# -- platforms --------------------------------------------------------------------------------------------------


def test_a_platform_is_added_shown_switched_off_and_on_and_removed(installed: Path, run: Run) -> None:
    added = run(
        "platforms", "add", *options(), "--product", "canvas", "--deployment-id", "1:a", "2:b", "--deployment-id", "3:c"
    )
    assert added.status == 0
    platform = added.out.strip()
    assert platform.isdigit()
    (row,) = run("platforms", "list", "--json").json
    assert (row["id"], row["product"], row["status"]) == (int(platform), "canvas", "active")
    assert [each["deployment_id"] for each in row["deployments"]] == ["1:a", "2:b", "3:c"]
    assert "10000000000002" in run("platforms", "show", platform).out
    assert run("platforms", "disable", platform).status == 0
    assert run("platforms", "show", platform, "--json").json["status"] == "disabled"
    assert run("platforms", "enable", platform).status == 0
    assert run("platforms", "show", platform, "--json").json["status"] == "active"
    assert run("platforms", "remove", platform).status == 0
    assert run("platforms", "list", "--json").json == []
    assert run("platforms", "list").out == "none\n"


def test_two_customers_of_one_issuer_are_two_platforms_and_the_same_twice_is_refused(installed: Path, run: Run) -> None:
    first, second = run("platforms", "add", *options()), run("platforms", "add", *options(client_id="10000000000003"))
    assert first.out != second.out
    again = run("platforms", "add", *options())
    assert again.status == 1 and "is registered already" in again.err and "platforms list" in again.err


@pytest.mark.parametrize("option", ["auth_login_url", "auth_token_url", "jwks_url"])
@pytest.mark.parametrize("value", ["http://canvas.example/x", "canvas.example", "javascript:alert(1)", "https://u@h/x"])
def test_an_address_that_is_not_https_is_refused_by_its_option(
    installed: Path, run: Run, option: str, value: str
) -> None:
    said = run("platforms", "add", *options(**{option: value}))
    assert said.status == 1 and f"--{option.replace('_', '-')} must be an address" in said.err
    assert run("platforms", "list", "--json").json == []


@pytest.mark.parametrize("word", ["show", "disable", "enable", "remove"])
def test_an_unknown_platform_is_refused(installed: Path, run: Run, word: str) -> None:
    said = run("platforms", word, "77")
    assert said.status == 1 and "no platform 77" in said.err


def test_deployments_are_listed_and_approved(installed: Path, run: Run) -> None:
    run("platforms", "add", *options(), "--deployment-id", "1:a")
    (row,) = run("deployments", "list", "--json").json
    assert (row["deployment_id"], row["status"], row["platform_name"]) == ("1:a", "active", "Canvas")
    assert run("deployments", "approve", str(row["id"])).status == 0
    assert "no deployment 9" in run("deployments", "approve", "9").err


# -- administrators ---------------------------------------------------------------------------------------------


def test_an_administrator_s_one_time_address_is_printed_alone_and_as_json(installed: Path, run: Run) -> None:
    said = run("admin", "invite", "--email", "vera@hallwood.example")
    assert said.status == 0 and re.fullmatch(r"https://badges\.example\.edu/sign-in/[\w-]{43}\n", said.out)
    assert "works once" in said.err and said.out.strip() not in said.err
    told = run("admin", "invite", "--json").json
    assert told["address"] != said.out.strip()
    left = datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    wrong = run("admin", "invite", "--email", "vera")
    assert wrong.status == 1 and wrong.out == "" and "not an e-mail address" in wrong.err


# -- keys -------------------------------------------------------------------------------------------------------


def test_keys_are_listed_and_rotated_one_kind_at_a_time(installed: Path, run: Run) -> None:
    before = {row["kind"]: row["kid"] for row in run("keys", "list", "--json").json}
    assert before.keys() == {"lti", "ed25519", "rsa", "secrets"}
    assert run("keys", "rotate", "lti").status == 0
    after = run("keys", "list", "--json").json
    assert [row["state"] for row in after if row["kind"] == "lti"] == ["signs", "retired"]
    assert {row["kind"]: row["kid"] for row in after if row["state"] == "retired"} == {"lti": before["lti"]}
    said = run("keys", "rotate", "credentials")
    assert said.status == 0 and len(said.out.splitlines()) == 2
    assert sum(row["state"] == "retired" for row in run("keys", "list", "--json").json) == 3


def test_L06_no_command_starts_with_a_key_that_others_can_read(installed: Path, run: Run) -> None:
    (path,) = (installed / "keys").glob("lti-*.pem")
    path.chmod(0o644)
    said = run("platforms", "list")
    assert said.status == 1 and f"chmod 600 {path}" in said.err


# -- definition files -------------------------------------------------------------------------------------------


def test_every_badge_of_the_library_is_valid(run: Run) -> None:
    files = sorted(str(path) for path in LIBRARY.glob("*.toml"))
    said = run("badges", "validate", *files)
    assert said.status == 0 and len(said.out.splitlines()) == len(files) and said.err == ""


def test_a_wrong_definition_is_told_by_file_line_and_reason(tmp_path: Path, run: Run) -> None:
    good = LIBRARY / "empathy.toml"
    lines = good.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("required_level"))
    lines[at] = 'required_level = "Legendary"'
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("\n".join(lines))
    said = run("badges", "validate", str(good), str(wrong))
    assert said.status == 1 and str(good) in said.out
    assert f"{wrong}:" in said.err and "Legendary" in said.err


def test_what_a_valid_file_is_made_of_is_counted_in_its_own_words(tmp_path: Path, run: Run) -> None:
    whole = (LIBRARY / "empathy.toml").read_text()
    about, first, *_ = whole.split("[[sub_competency]]")
    single, stack = tmp_path / "single.toml", tmp_path / "stack.toml"
    single.write_text(f"{about}[[sub_competency]]{first}")
    stack.write_text(f'{about}[stack]\nmembers = ["initiative", "collaboration"]\n')
    said = run("badges", "validate", str(single), str(stack))
    assert said.status == 0, said.err
    assert [line.rpartition(", no problem")[0].rsplit(", ", 1)[1] for line in said.out.splitlines()] == [
        "1 sub-competency",
        "2 badges in the stack",
    ]


def test_a_definition_that_is_not_toml_or_not_there_is_told(tmp_path: Path, run: Run) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[badge\n")
    assert f"{broken}:1" in run("badges", "validate", str(broken)).err
    assert run("badges", "validate", str(tmp_path / "gone.toml")).status == 1


def test_an_import_into_a_course_nobody_has_opened_is_refused(installed: Path, run: Run) -> None:
    run("platforms", "add", *options())
    said = run("badges", "import", str(LIBRARY / "empathy.toml"), "--platform", "1", "--context", "EMP101")
    assert said.status == 1 and said.err.startswith("lti-tool: ") and "EMP101" in said.err


# -- listings of an empty installation --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("platforms", "list"), ("deployments", "list"), ("awards", "list"), ("jobs", "list"), ("sync",)]
)
def test_with_json_a_listing_prints_one_document_and_nothing_else(
    installed: Path, run: Run, words: tuple[str, ...]
) -> None:
    said = run(*words, "--json")
    assert said.status == 0 and json.loads(said.out) == [] and said.err == ""


def test_doctor_looks_at_the_installation_and_exits_1_where_something_is_wrong(installed: Path, run: Run) -> None:
    well = run("doctor", "--json")
    assert well.status == 0, well.out
    assert {row["check"] for row in well.json} >= {"configuration", "keys", "database", "issuer", "jobs", "worker"}
    run(
        "platforms",
        "add",
        *options(jwks_url="https://nowhere.invalid/jwks", auth_token_url="https://nowhere.invalid/t"),
    )
    ill = run("doctor", "--json")
    assert ill.status == 1 and ill.err == "lti-tool: wrong: platform 1 Canvas: keys, platform 1 Canvas: token.\n"
    assert [row["check"] for row in ill.json if not row["ok"]] == [
        "platform 1 Canvas: keys",
        "platform 1 Canvas: token",
    ]


def test_a_worker_stays_well_under_a_schema_that_came_later_and_none_is_started_on_it(beside: Scene, run: Run) -> None:
    assert run("worker", "--check").status == 1
    presence.seen(beside.tool, presence.new_worker(), now())
    assert run("worker", "--check").status == 0
    with beside.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert requests.get(f"{beside.url}/readyz", timeout=10).status_code == 200
    checked = run("worker", "--check")
    assert checked.status == 0, checked.err
    assert "newer version" in run("worker").err
    with beside.tool.db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert "lti-tool db upgrade" in run("worker", "--check").err


def test_a_job_that_is_not_there_cannot_be_tried_again(installed: Path, run: Run) -> None:
    said = run("jobs", "retry", "5")
    assert said.status == 1 and "no job 5" in said.err


def test_a_file_to_verify_that_is_not_there_is_one_line(installed: Path, run: Run) -> None:
    said = run("verify", str(installed / "gone.json"))
    assert said.status == 1 and "cannot be read" in said.err
