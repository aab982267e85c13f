"""Commands around registration: invites, changing a platform, moving it, and what `doctor` tells of it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.cli.conftest import Run
from tests.cli.test_operator import options
from tests.scene import Scene, now


def test_an_invite_is_an_address_that_lasts_as_long_as_it_was_told(installed: Path, run: Run) -> None:
    said = run("platforms", "invite")
    assert said.status == 0 and said.out.startswith("https://badges.example.edu/lti/register?invite=")
    told = run("platforms", "invite", "--expires", "30m", "--json").json
    ends = datetime.fromisoformat(told["expires_at"]) - now()
    assert timedelta(minutes=29) < ends <= timedelta(minutes=30)


@pytest.mark.parametrize("value", ["", "24", "h", "0h", "-1h", "31d", "1y", "1.5h", "99999999999999h"])
def test_a_duration_that_is_none_is_wrong_usage(installed: Path, run: Run, value: str) -> None:
    said = run("platforms", "invite", f"--expires={value}")
    assert said.status == 2 and "is not a duration" in said.err


def test_a_platform_is_changed_and_what_is_not_named_stays(installed: Path, run: Run) -> None:
    run("platforms", "add", *options(), "--auth-audience", "https://example.instructure.com/aud")
    assert run("platforms", "change", "1", "--name", "Main", "--product", "canvas").status == 0
    row = run("platforms", "show", "1", "--json").json
    assert (row["name"], row["product"], row["client_id"]) == ("Main", "canvas", "10000000000002")
    assert row["auth_audience"] == "https://example.instructure.com/aud"
    assert run("platforms", "change", "1", "--auth-audience", "").status == 0
    assert run("platforms", "show", "1", "--json").json["auth_audience"] is None
    wrong = run("platforms", "change", "1", "--jwks-url", "http://plain.example/x")
    assert wrong.status == 1 and "--jwks-url must be an address" in wrong.err
    assert run("platforms", "change", "1", "--auth-audience", "urn:x:aud").status == 0
    assert run("platforms", "show", "1", "--json").json["auth_audience"] == "urn:x:aud"
    assert run("platforms", "change", "9", "--name", "x").status == 1


def test_a_platform_moves_to_another_client_id_unless_that_one_is_in_use(installed: Path, run: Run) -> None:
    run("platforms", "add", *options(), "--deployment-id", "1:a")
    moved = run("platforms", "change", "1", "--client-id", "10000000000099", "--deployment-id", "9:z")
    assert moved.status == 0 and "has moved to client id 10000000000099" in moved.out
    (row,) = run("platforms", "list", "--json").json
    assert row["client_id"] == "10000000000099"
    assert [(each["deployment_id"], each["status"]) for each in row["deployments"]] == [
        ("1:a", "active"),
        ("9:z", "active"),
    ]


def test_an_lms_registers_by_the_address_of_the_command_and_is_approved_by_one(beside: Scene, run: Run) -> None:
    lms = beside.site.moodle
    address = run("platforms", "invite").out.strip()
    assert requests.get(lms.registration_address(address), timeout=30).status_code == 200
    row = run("platforms", "list", "--json").json[-1]
    assert (row["status"], row["registered_by"]) == ("pending", "invite")
    told = {each["check"]: each for each in run("doctor", "--json").json}
    name = f"platform {row['id']} {row['name']}"
    assert told[f"{name}: approval"]["ok"] is False
    assert run("platforms", "enable", str(row["id"])).status == 0
    assert run("platforms", "show", str(row["id"]), "--json").json["status"] == "active"


def test_a_deployment_is_switched_off_and_on(installed: Path, run: Run) -> None:
    run("platforms", "add", *options(), "--deployment-id", "1:a")
    assert run("deployments", "disable", "1").status == 0
    assert run("deployments", "list", "--json").json[0]["status"] == "disabled"
    assert run("deployments", "approve", "1").status == 0
    assert "no deployment 9" in run("deployments", "disable", "9").err


def test_L11_doctor_warns_of_a_clock_that_is_five_minutes_wrong(beside: Scene, run: Run) -> None:
    platform = str(beside.platform["moodle"])
    for lms in beside.site.lmses.values():
        lms.clock = lambda: time.time() + 300
    said = run("doctor", "--platform", platform, "--json")
    assert said.status == 1
    (wrong,) = [each for each in said.json if each["check"].endswith(": clock")]
    assert not wrong["ok"] and "this machine's clock is behind" in wrong["sentence"]
    for lms in beside.site.lmses.values():
        lms.clock = time.time
    assert run("doctor", "--platform", platform).status == 0


def test_doctor_tells_what_to_click_in_the_lms(beside: Scene, run: Run) -> None:
    tool = beside.lti_tool["canvas"]
    tool.scopes = [scope for scope in tool.scopes if not scope.endswith("/score")]
    said = run("doctor", "--platform", str(beside.platform["canvas"]))
    assert said.status == 1 and "In Canvas: Open “Admin” → “Developer Keys”" in said.out
