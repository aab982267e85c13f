"""What keeps the house in order: imports, documentation, routes, secrets, loose ends."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from flask import Flask
from werkzeug.routing import Rule

from lti_tool import cli, create_app
from lti_tool.db import Database
from lti_tool.migrations import schema
from lti_tool.services.definition import read_definition
from lti_tool.settings import Settings, default_file
from tests.scene import settings_for

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMITTED_NEVER = re.compile(r"(\.pem|\.key|\.p12|\.pfx|(^|/)id_(rsa|ed25519)|(^|/)\.env)$")


def tracked() -> list[Path]:
    """Return the files of the repository as they lie here, new ones too."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:2000]:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


# -- imports ----------------------------------------------------------------------------------------------------


def test_nobody_imports_what_their_room_does_not_allow() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_rules_need_the_standard_library_and_nothing_else() -> None:
    graph = grimp.build_graph("lti_tool", include_external_packages=True, cache_dir=None)
    for module in [*graph.find_descendants("lti_tool.domain"), "lti_tool.domain"]:
        for imported in graph.find_modules_directly_imported_by(module):
            own = imported.startswith("lti_tool.domain") or imported == "lti_tool.sentence"
            assert own or imported in sys.stdlib_module_names, (module, imported)


# -- secrets and loose ends -------------------------------------------------------------------------------------


def test_L08_no_private_key_is_in_the_repository() -> None:
    words = re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY-----")
    at_line_start = re.compile(rf"^\s*{words.pattern}\s*$\s*^\s*[A-Za-z0-9+/=]{{40,}}", re.MULTILINE)
    found = [name for name, text in texts() if at_line_start.search(text)]
    found += [path.name for path in tracked() if COMMITTED_NEVER.search(path.relative_to(ROOT).as_posix())]
    assert found == []


def test_L08_a_private_jwk_is_a_private_key_too() -> None:
    private = re.compile(r'"kty"\s*:\s*"(RSA|OKP|EC)"[^{}]*"d"\s*:\s*"[A-Za-z0-9_-]{30,}')
    assert [name for name, text in texts() if private.search(text)] == []


def test_keys_are_ignored_by_git() -> None:
    for name in ("keys/lti-20261122T090000000000Z.pem", "data/lti_tool.db", ".env"):
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
        assert done.returncode == 0, f"{name} would be committed: add it to .gitignore"


def test_nothing_is_left_to_be_done() -> None:
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
    ours = [(name, text) for name, text in texts() if not name.endswith((".lock", "package-lock.json"))]
    assert [name for name, text in ours if marks.search(text)] == []


def test_a_lock_file_names_no_host_and_every_package_by_hash() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "tests/independent/requirements.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        packages = re.split(r"\n(?=[a-z0-9])", text)
        assert all("==" in package and "--hash=sha256:" in package for package in packages)


def test_the_lock_files_agree_with_the_declared_dependencies() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, extra in (("requirements.lock", []), ("requirements-dev.lock", declared["optional-dependencies"]["dev"])):
        locked = dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE))
        for requirement in [*declared["dependencies"], *extra]:
            package, exact = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:==(.+))?", requirement).groups()  # type: ignore[union-attr]
            version = locked.get(re.sub(r"[._-]+", "-", package).lower())
            assert version is not None and exact in (None, version), f"{requirement} is not in {name}: make lock"


# -- documentation ----------------------------------------------------------------------------------------------


def all_settings() -> list[tuple[str, str]]:
    return [
        (section, key)
        for section, field in Settings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    ]


@pytest.mark.parametrize(("section", "key"), all_settings())
def test_every_setting_is_in_the_default_file_with_a_comment_and_in_the_readme(section: str, key: str) -> None:
    default = tomllib.loads(default_file().read_text())[section][key]
    block = re.search(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", default_file().read_text(), re.MULTILINE | re.DOTALL)
    assert block and re.search(rf"^{key} = .*# \S", block[1], re.MULTILINE)
    (row,) = re.findall(rf"^\| `{section}\.{key}` \| (.*?) \|", README, re.MULTILINE)
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    assert row == (f"`{shown}`" if shown else "empty")


def commands(parser: argparse.ArgumentParser, path: str = "lti-tool") -> Iterator[tuple[str, list[str]]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield path, [o for action in parser._actions for o in action.option_strings if o.startswith("--")]
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, f"{path} {name}")


@pytest.mark.parametrize(("command", "options"), list(commands(cli.parser())))
def test_every_command_is_in_the_readme_with_its_options(command: str, options: list[str]) -> None:
    words = command.replace("lti-tool keys rotate", "lti-tool keys rotate lti")
    rows = [line for line in README.splitlines() if line.startswith("| `") and words in line]
    assert rows, f"{command} is not in the README's table"
    for option in set(options) - {"--help", "--json"}:
        assert option in rows[0], f"{command} {option} is not in the README's table"


def test_the_readme_promises_no_command_that_is_not_there() -> None:
    known = {command for command, _ in commands(cli.parser())}
    promised = set(re.findall(r"lti-tool [a-z]+(?: [a-z]+)?", README))
    groups = {command.rsplit(" ", 1)[0] for command in known if command.count(" ") == 2}
    unknown = {each for each in promised if each not in known and " ".join(each.split()[:2]) not in known - groups}
    assert unknown <= groups, unknown - groups


def test_the_readme_s_make_targets_are_the_makefile_s() -> None:
    targets = set(re.findall(r"^([a-z]+):(?! [A-Z]+ :=)", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"debian"}
    assert targets == set(re.findall(r"^\| `make ([a-z]+)`", README, re.MULTILINE))


def test_the_readme_tells_nothing_of_one_machine() -> None:
    assert not re.search(r"(/home/|/root/|/work/|pypi\.org|npmjs|debian\.org)", README)


# -- the readme's own blocks ------------------------------------------------------------------------------------


def marked(language: str) -> list[str]:
    """Return the blocks of the README that are marked as tested, without the indentation of their list."""
    found = re.finditer(rf"^( *)<!-- tested -->\n\1```{language}\n(.*?)^\1```", README, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{match[1]}", "", match[2], flags=re.MULTILINE) for match in found]


def test_the_readme_s_commands_run_in_their_order(tmp_path: Path) -> None:
    assert len(marked("sh")) >= 3
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LTI_TOOL_")}
    told = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LTI_TOOL_SERVER__BASE_URL": "https://badges.example.edu",
        "LTI_TOOL_DATABASE__URL": f"sqlite:///{tmp_path / 'tool.db'}",
        "LTI_TOOL_QUEUE__URL": f"sqlite:///{tmp_path / 'queue.db'}",
        "LTI_TOOL_KEYS__DIR": str(tmp_path / "keys"),
        "LTI_TOOL_ISSUER__NAME": "Example University",
        "LTI_TOOL_ISSUER__URL": "https://www.example.edu",
    }
    for block in marked("sh"):
        shell = ["sh", "-eu", "-c", block]
        done = subprocess.run(shell, cwd=ROOT, env={**inherited, **told}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def test_the_readme_s_badge_definition_is_one() -> None:
    (text,) = marked("toml")
    badge = read_definition(text, "README.md")
    assert (badge.slug, len(badge.sub_competencies), len(badge.gates)) == ("oral-communication", 1, 1)


# -- addresses --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application as it runs in production."""
    folder = tmp_path_factory.mktemp("house")
    settings = settings_for(
        folder,
        f"sqlite:///{folder / 'tool.db'}",
        "https://badges.example.edu",
        LTI_TOOL_NETWORK__ALLOW_PRIVATE="false",
    )
    schema.upgrade(Database(settings.database.url))
    return create_app(settings)


def guard_of(app: Flask, rule: Rule) -> str | None:
    return "public" if rule.endpoint == "static" else getattr(app.view_functions[rule.endpoint], "guard", None)


def shape(address: str) -> str:
    return re.sub(r"<[^>]*>", "<>", address)


def an_address(rule: Rule) -> str:
    """Return an address of the route, of something that is not there."""
    numbers = {name for name in rule.arguments if f"int:{name}" in rule.rule}
    built = rule.build({name: 77 if name in numbers else "nothing" for name in rule.arguments}, append_unknown=False)
    assert built is not None
    return built[1]


def test_L14_every_route_is_guarded_or_declared_public(app: Flask) -> None:
    undeclared = [rule.rule for rule in app.url_map.iter_rules() if guard_of(app, rule) is None]
    assert undeclared == []


def test_L14_a_guard_stands_exactly_where_an_address_names_a_launch(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        private = rule.rule.startswith(("/course/", "/me/", "/admin/", "/own/badges/"))
        assert (guard_of(app, rule) != "public") == private, rule.rule


WITHOUT_A_SESSION = {
    "/lti/login",
    "/lti/launch",
    "/lti/notices",
    "/lti/again",  # with the sealed proof of a launch a moment ago
    "/verify",
    "/sign-in/<secret>",
    "/endorse/<secret>",
    # A mail carries the token that stops others like it; its program presses without a cookie (RFC 8058).
    "/mail/stop/<token>",
    # A wallet shows a secret that it was given: a code, an access token, an address.
    "/oid4vci/token",
    "/oid4vci/nonce",
    "/oid4vci/credential",
    "/exchanges/<address>",
    # A backpack shows its own secrets; what a learner's browser sends carries a token bound to its cookie.
    "/oauth/register",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/authorize/<request_id>",
    # Anybody may ask for a link; the mail's own secret confirms, or opens with a token bound to the browser.
    "/own",
    "/own/confirm/<secret>",
    "/own/link/<secret>",
}


def test_L14_what_changes_something_is_a_post_with_a_token(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and guard_of(app, rule) == "public":
            assert rule.rule in WITHOUT_A_SESSION, f"{rule.rule} needs no session"


def test_every_public_address_is_in_the_readme(app: Flask) -> None:
    written = {shape(each) for each in re.findall(r"(?<=[` ])/[^`\s|]*(?=`)", README)}
    public = {shape(rule.rule) for rule in app.url_map.iter_rules() if guard_of(app, rule) == "public"}
    assert public - written == set()


def test_the_readme_s_table_names_no_address_that_is_not_there(app: Flask) -> None:
    table = README.partition("## Addresses")[2].partition("##")[0]
    written = {shape(each) for each in re.findall(r"`(?:[A-Z,]+ )?(/[^`\s]*)`", table) if "…" not in each}
    assert written - {shape(rule.rule) for rule in app.url_map.iter_rules()} - {"/verify"} == set()


def test_L14_every_answer_carries_the_security_headers(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        address = an_address(rule)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            answer = client.open(address, method=method, base_url="https://badges.example.edu")
            where = f"{method} {rule.rule} answered {answer.status_code}"
            assert answer.status_code < 500, where
            assert answer.headers["X-Content-Type-Options"] == "nosniff", where
            assert answer.headers["Referrer-Policy"] == "no-referrer", where
            assert "max-age" in answer.headers["Strict-Transport-Security"], where
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'"), where
            assert "'unsafe-eval'" not in policy and not re.search(r"script-src[^;]*'unsafe-inline'", policy), where
            if answer.mimetype == "text/html":
                assert "frame-ancestors" in policy and "base-uri 'none'" in policy, where


def test_L14_a_private_address_opens_for_nobody_without_a_launch(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if guard_of(app, rule) == "public":
            continue
        address = an_address(rule)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            answer = client.open(address, method=method, base_url="https://badges.example.edu")
            assert answer.status_code in (400, 401, 403, 404), f"{method} {rule.rule} answered {answer.status_code}"
            assert "Set-Cookie" not in answer.headers
