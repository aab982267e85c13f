"""The whole story over HTTP, in both moods."""

from __future__ import annotations

import json

import pytest
import requests

from tests.scene import ORAL, Scene


@pytest.mark.parametrize("mood", ["moodle", "canvas"])
def test_grades_become_a_badge_that_anyone_can_check_and_that_can_be_revoked(scene: Scene, mood: str) -> None:
    scene.mood = mood
    teacher = scene.publish()
    columns = [c for c in scene.lms.columns("EMP101") if c.resource_id == f"badge:{ORAL}"]
    assert len(columns) == 4
    scene.grade("student1", 4, 3, 3, 3)
    scene.grade("student2", 4, 3, 1, 3)
    assert teacher.post("sync", {"slug": ORAL}).status_code == 200

    award = scene.award_of("student1")
    assert award["status"] == "issued"
    assert [a for a in scene.awards() if a["user"] == scene.lms.user("student2").id] == []

    url = award["credential_url"]
    for form in ("", ".json", ".jwt", ".png"):
        assert requests.get(url + form, timeout=10).status_code == 404

    student = scene.launch("student1")
    assert "Oral Communication" in student.page.text
    claimed = student.post(f"badges/{ORAL}/claim", {"public": "on"})
    assert claimed.status_code == 200

    page = requests.get(url, timeout=10)
    assert page.status_code == 200
    document = requests.get(f"{url}.json", timeout=10).json()
    reached = {r["resultDescription"]: r["achievedLevel"] for r in document["credentialSubject"]["result"]}
    assert len(reached) == 4
    checked = requests.post(f"{scene.url}/verify", data={"text": url}, timeout=30)
    assert "Genuine and in force" in checked.text

    done = teacher.post(f"badges/{ORAL}/awards/{award['id']}/revoke", {"reason": "Given by mistake."})
    assert done.status_code == 200
    page = requests.get(url, timeout=10)
    assert page.status_code == 200 and "Given by mistake." in page.text
    checked = requests.post(f"{scene.url}/verify", data={"text": json.dumps(document)}, timeout=30)
    assert "Do not rely on this one" in checked.text
