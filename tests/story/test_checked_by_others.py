"""What the running tool gives out, fetched as a stranger fetches it, in the hands of implementations not ours."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import requests

from lti_tool.credentials import contexts
from lti_tool.credentials.baking import unbake_png
from lti_tool.models import Award
from tests.interop import outside
from tests.interop.test_schemas import CREDENTIAL, errors
from tests.scene import ORAL, Scene, now

Json = dict[str, Any]


def get(url: str) -> requests.Response:
    answer = requests.get(url, timeout=20)
    assert answer.status_code == 200, url
    return answer


def by_digital_bazaar(scene: Scene, credential: Json) -> Json:
    """Ask Digital Bazaar's libraries, giving them what the tool itself answers for the issuer and the status list."""
    did = get(f"{scene.url}/.well-known/did.json").json()
    status = get(credential["credentialStatus"]["statusListCredential"]).json()
    pinned = {url: contexts.load_context(url) for url in contexts.PINNED}
    documents = {**pinned, did["id"]: did, status["id"]: status}
    given = {"now": now().isoformat(), "documents": documents, "credentials": {"it": credential}}
    answer: Json = outside.run("data_integrity.mjs", given)["it"]
    return answer


def by_jose(token: str) -> Json:
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    keys = {header["kid"]: get(header["kid"]).json()}
    answer: Json = outside.run("jwt.mjs", {"now": now().isoformat(), "keys": keys, "tokens": {"it": token}})["it"]
    return answer


@pytest.fixture
def credential_url(scene: Scene) -> str:
    scene.publish()
    scene.grade("student1", 4, 3, 3, 2)
    scene.sync()
    scene.launch("student1").post(f"badges/{ORAL}/claim", {"public": "yes"})
    url: str = scene.award_of("student1")["credential_url"]
    return url


def test_every_form_of_a_claimed_badge_is_accepted_by_others_and_a_changed_copy_is_not(
    scene: Scene, credential_url: str
) -> None:
    credential = get(f"{credential_url}.json").json()
    assert errors(CREDENTIAL, credential) == []
    answer = by_digital_bazaar(scene, credential)
    assert (answer["verified"], answer["revoked"], answer["reasons"]) == (True, False, [])

    token = get(f"{credential_url}.jwt").text
    assert by_jose(token)["verified"]
    baked = unbake_png(get(f"{credential_url}.png").content)
    assert baked is not None and json.loads(baked) == credential

    forged = json.loads(json.dumps(credential))
    forged["credentialSubject"]["result"][0]["achievedLevel"] = forged["credentialSubject"]["achievement"][
        "resultDescription"
    ][0]["rubricCriterionLevel"][0]["id"]
    assert not by_digital_bazaar(scene, forged)["verified"]
    header, payload, signature = token.split(".")
    assert not by_jose(f"{header}.{payload[:-8]}AAAAAAAA.{signature}")["verified"]


def test_a_revoked_badge_is_revoked_for_others_at_once(scene: Scene, credential_url: str) -> None:
    credential = get(f"{credential_url}.json").json()
    assert by_digital_bazaar(scene, credential)["revoked"] is False
    award = scene.award_of("student1")
    scene.launch("teacher1").post(f"badges/{ORAL}/awards/{award['id']}/revoke", {"reason": "Given by mistake."})
    assert by_digital_bazaar(scene, credential)["revoked"] is True


def test_the_credential_says_which_level_was_reached_in_what(scene: Scene, credential_url: str) -> None:
    subject = get(f"{credential_url}.json").json()["credentialSubject"]
    rows = {row["id"]: row for row in subject["achievement"]["resultDescription"]}
    reached = {}
    for result in subject["result"]:
        row = rows[result["resultDescription"]]
        levels = {level["id"]: level["name"] for level in row["rubricCriterionLevel"]}
        reached[row["name"]] = (levels[result["achievedLevel"]], levels[row["requiredLevel"]])
    assert reached == {
        "Adapts the message to the audience": ("Advanced", "Proficient"),
        "Builds a clear line of thought": ("Proficient", "Proficient"),
        "Listens actively": ("Proficient", "Proficient"),
        "Answers questions on the spot": ("Developing", "Developing"),
    }
    assert set(subject) == {"id", "type", "achievement", "result", "source"}
    assert subject["id"].startswith("urn:uuid:")


def test_H18_a_badge_given_by_hand_is_accepted_by_others_with_its_evidence(scene: Scene) -> None:
    teacher = scene.publish()
    scene.sync()
    page = teacher.get(f"badges/{ORAL}/awards/give").text
    person = re.findall(r'<option value="([^"]+)"', page)[0]
    chosen = {f"level:sub-competency:OC-{number}": "Proficient" for number in (1, 2, 3, 4)}
    teacher.post(f"badges/{ORAL}/awards/give", {"person": person, "note": "Seen <live>.", "levels": "chosen", **chosen})
    (award,) = scene.awards()
    with scene.tool.db.write() as session:
        session.get_one(Award, award["id"]).page_public = True
    credential = get(f"{award['credential_url']}.json").json()
    assert errors(CREDENTIAL, credential) == []
    answer = by_digital_bazaar(scene, credential)
    assert (answer["verified"], answer["revoked"], answer["reasons"]) == (True, False, [])
    assert credential["evidence"][0]["narrative"] == "Seen <live>."
    assert by_jose(get(f"{award['credential_url']}.jwt").text)["verified"]


def test_H11_a_badge_issued_again_is_accepted_by_others_and_the_old_one_is_revoked(
    scene: Scene, credential_url: str
) -> None:
    old = get(f"{credential_url}.json").json()
    scene.grade("student1", 3, 3, 3, 2)
    scene.sync()
    award, teacher = scene.award_of("student1"), scene.launch("teacher1")
    path = f"badges/{ORAL}/awards/{award['id']}/reissue"
    seal = re.findall(r'name="seal" value="([0-9a-f]+)"', teacher.get(path).text)[0]
    teacher.post(path, {"reason": "Entered wrong.", "seal": seal})
    fresh = get(f"{scene.award_of('student1')['credential_url']}.json").json()
    assert fresh["id"] != old["id"] and fresh["validFrom"] == old["validFrom"]
    assert errors(CREDENTIAL, fresh) == []
    answer = by_digital_bazaar(scene, fresh)
    assert (answer["verified"], answer["revoked"], answer["reasons"]) == (True, False, [])
    assert by_digital_bazaar(scene, old)["revoked"] is True
