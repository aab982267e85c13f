"""docker-compose.yml: the form, the promises, and its commands run by hand beside a PostgreSQL and a Redis."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml

from lti_tool.errors import ConfigurationError
from lti_tool.settings import load_settings
from tests import servers

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ENDS = {"migrate", "demo-platforms"}  # one-shot services: others wait for their end, so they need no health check
BIN = Path(sys.executable).parent
FILLED_IN = {
    "BASE_URL": "https://badges.example.edu",
    "POSTGRES_PASSWORD": "3b9f2c",
    "ISSUER_NAME": "Hallwood University",
    "ISSUER_URL": "https://hallwood.example",
}


def interpolate(text: str, told: Mapping[str, str]) -> str:
    """Fill in ${NAME}, ${NAME:-default} and ${NAME:?message} as Compose does; raises KeyError with the message."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match["name"], match["kind"], match["rest"]
        if told.get(name):
            return told[name]
        if kind == ":-":
            return str(rest)
        raise KeyError(rest or name)

    return re.sub(r"\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}", value, text)


def settings_of(service: str, told: Mapping[str, str]) -> dict[str, str]:
    """Return what a service's container has in its environment where `told` stands in .env."""
    whole = told if SERVICES[service].get("env_file") == ".env" else {}
    return {**whole, **{name: interpolate(value, told) for name, value in SERVICES[service]["environment"].items()}}


def example() -> dict[str, str]:
    lines = (ROOT / "config" / "docker.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# -- the file ---------------------------------------------------------------------------------------------------


def test_the_file_has_the_form_of_the_compose_specification() -> None:
    """tests/compose-spec.json is the Compose Specification's own JSON Schema, https://github.com/compose-spec/"""
    schema = json.loads((ROOT / "tests" / "compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_it_has_the_tool_a_worker_postgresql_redis_and_the_demo_lms_as_a_profile() -> None:
    assert SERVICES.keys() >= {"tool", "worker", "postgres", "redis", "demo-lms"}
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["demo"]} == {
        "demo-lms",
        "demo-platforms",
    }


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ENDS))
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD" and check["interval"] and check["timeout"] and check["retries"]


@pytest.mark.parametrize("name", ["tool", "worker"])
def test_nothing_starts_before_the_schema_is_there(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["command"] == ["lti-tool", "db", "upgrade"]


def test_only_loopback_ports_are_opened() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000", "127.0.0.1:9000:9000"]


@pytest.mark.parametrize("name", ["BASE_URL", "POSTGRES_PASSWORD", "ISSUER_NAME", "ISSUER_URL"])
def test_what_has_no_default_is_asked_for_by_name(name: str) -> None:
    told = {key: value for key, value in FILLED_IN.items() if key != name}
    with pytest.raises(KeyError, match=f"write {name} into .env"):
        settings_of("tool", told)


def test_every_variable_stands_in_the_example_file() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    text = (ROOT / "config" / "docker.env.example").read_text()
    assert asked == {name for name in asked if re.search(rf"^(# )?{name}=", text, re.MULTILINE)}


def test_the_example_s_password_is_refused_and_another_one_is_taken() -> None:
    with pytest.raises(ConfigurationError, match="example password"):
        load_settings(settings_of("tool", example()))
    settings = load_settings(settings_of("tool", {**example(), "POSTGRES_PASSWORD": secrets.token_hex(24)}))
    assert settings.production and settings.server.trusted_proxies == 1


@pytest.mark.parametrize("name", ["migrate", "tool", "worker", "demo-platforms"])
def test_every_setting_can_be_written_into_the_env_file(name: str) -> None:
    more = {"LTI_TOOL_MAIL__URL": "smtps://mail.example.edu", "LTI_TOOL_MAIL__SENDER": "badges@example.edu"}
    settings = load_settings(settings_of(name, {**FILLED_IN, **more, "LTI_TOOL_KEYS__DIR": "/elsewhere"}))
    assert settings.mail.url == "smtps://mail.example.edu"
    assert str(settings.keys.dir) == "/keys"  # what the services share is set in one place


def test_the_demo_lms_learns_no_secret_of_the_tool() -> None:
    assert settings_of("demo-lms", {**FILLED_IN, "LTI_TOOL_MAIL__URL": "smtps://u:secret@mail.example.edu"}) == {}


def test_the_image_is_built_from_the_lock_file_and_holds_no_key() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text and "USER tool" in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*" and not any(line.startswith("!keys") for line in ignored)


# -- its commands, by hand --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The services' own settings, with the two servers and the key folder at the places they have here."""
    keys = tmp_path_factory.mktemp("compose") / "keys"
    with servers.postgresql() as database, servers.redis() as queue:
        told = settings_of("tool", FILLED_IN)
        assert told["LTI_TOOL_DATABASE__URL"] == "postgresql+psycopg://lti_tool:3b9f2c@postgres/lti_tool"
        assert told["LTI_TOOL_QUEUE__URL"] == "redis://redis:6379/0" and told["LTI_TOOL_KEYS__DIR"] == "/keys"
        here = {
            "LTI_TOOL_DATABASE__URL": database,
            "LTI_TOOL_DATABASE__REVOCATIONS": str(keys.with_name("revocations.jsonl")),
            "LTI_TOOL_QUEUE__URL": queue,
            "LTI_TOOL_KEYS__DIR": str(keys),
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LTI_TOOL_")}
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        yield {**inherited, **told, **here, "PATH": path}


def command_of(name: str, port: int) -> list[str]:
    return [str(port) if part == "8000" else part for part in SERVICES[name]["command"]]


def health_check(name: str, port: int, environment: Mapping[str, str]) -> int:
    command = [part.replace(":8000/", f":{port}/") for part in SERVICES[name]["healthcheck"]["test"][1:]]
    return subprocess.run(command, env=dict(environment), cwd=ROOT, capture_output=True, check=False).returncode


@contextmanager
def started(command: list[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=dict(environment), cwd=ROOT, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_services_start_in_their_order_and_are_healthy(environment: dict[str, str]) -> None:
    port = servers.free_port()
    assert health_check("tool", port, environment) != 0
    assert health_check("worker", port, environment) != 0
    for _ in range(2):  # the second start of an installation finds everything done
        subprocess.run(command_of("migrate", port), env=environment, cwd=ROOT, check=True)
    with (
        started(command_of("tool", port), environment) as tool,
        started(command_of("worker", port), environment) as worker,
    ):
        until = time.monotonic() + 40
        while health_check("tool", port, environment) != 0:
            assert time.monotonic() < until and tool.poll() is None
            time.sleep(0.3)
        while health_check("worker", port, environment) != 0:
            assert time.monotonic() < until and worker.poll() is None
        assert worker.poll() is None
        answer = requests.get(f"http://127.0.0.1:{port}/.well-known/did.json", timeout=10)
        assert answer.json()["id"] == "did:web:badges.example.edu"
        assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_the_demo_lms_starts_and_answers_its_health_check(environment: dict[str, str], tmp_path: Path) -> None:
    port = servers.free_port()
    command = [part.replace("--port=9000", f"--port={port}") for part in SERVICES["demo-lms"]["command"]]
    command = [part.replace("--data=/data", f"--data={tmp_path}") for part in command]
    check = [part.replace(":9000/", f":{port}/") for part in SERVICES["demo-lms"]["healthcheck"]["test"][1:]]
    with started(command, environment) as lms:
        until = time.monotonic() + 20
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
            assert time.monotonic() < until and lms.poll() is None
            time.sleep(0.3)
        told = requests.get(f"http://127.0.0.1:{port}/canvas/api/lti/security/openid-configuration", timeout=10)
        if told.status_code == 200:
            assert told.json()["token_endpoint"].startswith("http://demo-lms:9000/")
