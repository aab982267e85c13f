"""What the log says of a launch, a sync and a refusal, at its loudest."""

from __future__ import annotations

import logging

import pytest
import requests

from tests.scene import Scene


@pytest.mark.parametrize("mood", ["canvas", "moodle"])
def test_L12_at_debug_level_no_token_name_or_address_is_logged(
    scene: Scene, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="lti_tool")
    scene.mood = mood
    scene.publish()
    scene.grade("student1", 4, 4, 4, 4)
    assert scene.sync()["state"] == "done"
    scene.launch("student1")
    forged = {"state": "no-such-login", "id_token": "eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFAYi5jIn0."}
    assert requests.post(f"{scene.url}/lti/launch", data=forged, timeout=20).status_code in (400, 401)

    log = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in caplog.records)
    assert "launch registration=" in log  # it is the real log that is looked at
    assert "eyJ" not in log, "a token"
    for name in ("teacher1", "student1"):
        person = scene.lms.user(name)
        for told in (person.email, person.name):
            assert told and told not in log, told
