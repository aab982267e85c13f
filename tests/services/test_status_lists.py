"""Status lists as they are served: current, signed seldom, by one for all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from sqlalchemy import delete, func, select, update

from lti_tool.credentials import signing, status_list
from lti_tool.models import Edition, SignedStatusList, StatusList
from lti_tool.services import award_acts, checking, editions, keys, places, status_lists, tokens
from lti_tool.services.tool import open_tool
from tests.classroom import Classroom, at_once, badge, make_room, shared  # noqa: F401 (fixtures)
from tests.scene import now
from tests.services.test_awards import bit, edition_of, environment


@pytest.fixture
def own(make_room: Callable[..., Classroom]) -> Iterator[Classroom]:  # noqa: F811
    made = make_room(students=4)
    assert made.publish(badge("listed")).state == "done"
    for student in made.students:
        made.grade(student, 3, 3)
    assert made.sync().state == "done"
    yield made
    made.tool.status_lag = 0
    made.tool.status_lists.clear()
    with made.tool.db.write() as session:
        session.execute(delete(SignedStatusList))


@pytest.fixture
def signatures(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is signed, by the list's number; the signing itself is the real one."""
    made: list[int] = []
    real = status_list.status_list_credential

    def counted(n: int, *told: Any, **more: Any) -> bytes:
        made.append(n)
        return real(n, *told, **more)

    monkeypatch.setattr(status_list, "status_list_credential", counted)
    return made


def number(room: Classroom) -> int:
    return edition_of(room, room.award()["id"]).status_list_id


def revoke(room: Classroom, student: int) -> None:
    award = room.award(room.students[student])
    award_acts.revoke(room.tool, award["id"], "Given by mistake.", actor="operator", now=now())


def is_set(content: bytes, edition: Edition) -> bool:
    return status_list.read_bit(json.loads(content)["credentialSubject"]["encodedList"], edition.status_index)


def test_I11_a_list_is_long_random_cacheable_for_a_minute_and_answers_304(own: Classroom) -> None:
    url = f"{own.scene.url}/status/{number(own)}"
    answer = requests.get(url, timeout=10)
    assert (
        answer.headers["Cache-Control"] == "public, max-age=60" and answer.json()["credentialSubject"]["ttl"] == 60000
    )
    again = requests.get(url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    indexes = [edition_of(own, each["id"]).status_index for each in own.awards()]
    assert len(set(indexes)) == 4 and max(indexes) - min(indexes) > 4
    revoke(own, 0)
    changed = requests.get(url, headers={"If-None-Match": answer.headers["ETag"]}, timeout=10)
    assert changed.status_code == 200 and changed.headers["ETag"] != answer.headers["ETag"]


def test_a_thousand_withdrawals_of_one_act_are_one_signature(own: Classroom, signatures: list[int]) -> None:
    n, tool = number(own), own.tool
    status_lists.signed(tool, n, now())
    signatures.clear()
    with tool.db.read() as session:
        badge_id = own.course_badge(session).id
    ids = [each["id"] for each in own.awards()]
    award_acts.revoke_many(tool, badge_id, ids, "A mistake.", actor="operator", now=now())
    for _ in range(5):
        content = status_lists.signed(tool, n, now()).content
    assert signatures == [n]
    assert all(is_set(content, edition_of(own, each)) for each in ids)


def test_of_withdrawals_one_after_the_other_one_signature_tells_all_within_a_second(
    own: Classroom, signatures: list[int]
) -> None:
    n, tool, start = number(own), own.tool, now()
    tool.status_lag = 0.7
    first = edition_of(own, own.award(own.students[0])["id"])
    status_lists.signed(tool, n, start)
    signatures.clear()
    for student, after in enumerate((0.1, 0.2, 0.3)):  # each is asked for, and waits for the others
        revoke(own, student)
        assert not is_set(status_lists.signed(tool, n, start + timedelta(seconds=after)).content, first)
    assert signatures == []
    content = status_lists.signed(tool, n, start + timedelta(seconds=0.7)).content
    assert signatures == [n]
    assert [is_set(content, edition_of(own, own.award(s)["id"])) for s in own.students] == [True, True, True, False]
    status_lists.signed(tool, n, start + timedelta(seconds=5))
    assert signatures == [n]


def test_a_list_that_nobody_asked_for_lately_is_current_at_once(own: Classroom, signatures: list[int]) -> None:
    n, start = number(own), now()
    own.tool.status_lag = 0.7
    status_lists.signed(own.tool, n, start)
    revoke(own, 0)
    content = status_lists.signed(own.tool, n, start + timedelta(seconds=2)).content
    assert is_set(content, edition_of(own, own.award(own.students[0])["id"]))


def test_I09_the_tool_s_own_checks_are_never_behind(own: Classroom) -> None:
    own.tool.status_lag = 0.7
    award = own.award(own.students[0])
    url = f"{own.scene.url}/credentials/{edition_of(own, award['id']).id}.json"
    assert checking.check(own.tool, url, now(), everyone_sees=True).ok
    revoke(own, 0)
    report = checking.check(own.tool, url, now(), everyone_sees=True)
    assert report.outcome("withdrawn") == "failed"


def test_our_own_address_is_answered_from_here_however_it_is_written(own: Classroom) -> None:
    url = f"{own.scene.url}/credentials/{edition_of(own, own.award(own.students[0])['id']).id}.json"
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    for written in (url, f"{scheme}://{host.upper()}/{path}", f"{scheme}://{host.replace(':', '.:')}/{path}"):
        # Its page is not public: whoever asks over the network is told nothing.
        assert checking.check(own.tool, written, now(), everyone_sees=True).ok, written


def test_what_one_process_has_signed_no_other_signs_again(own: Classroom, signatures: list[int]) -> None:
    n = number(own)
    other = open_tool(own.scene.settings)
    mine = status_lists.signed(own.tool, n, now())
    assert status_lists.signed(other, n, now()).content == mine.content
    assert signatures == [n]
    revoke(own, 0)
    theirs = status_lists.signed(other, n, now() + timedelta(seconds=1))
    assert status_lists.signed(own.tool, n, now() + timedelta(seconds=1)).content == theirs.content != mine.content
    assert signatures == [n, n]
    other.db.engine.dispose()


ASKING = """
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from lti_tool.services import status_lists
from lti_tool.services.tool import open_tool
from lti_tool.settings import load_settings
tool = open_tool(load_settings())
sys.stdin.readline()
print(status_lists.signed(tool, int(sys.argv[1]), datetime.now(UTC)).etag)
"""


def test_processes_that_ask_at_once_answer_the_same_signature(own: Classroom) -> None:
    n = number(own)
    command = [sys.executable, "-c", ASKING, str(n)]
    told = environment(own.scene)
    asking = [
        subprocess.Popen(command, env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for each in asking:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    answers = {each.communicate(timeout=60)[0] for each in asking}
    assert len(answers) == 1 and answers != {""}


def test_threads_that_ask_at_once_make_one_signature(own: Classroom, signatures: list[int]) -> None:
    n = number(own)
    found = at_once(*[lambda: status_lists.signed(own.tool, n, now()).content] * 6)
    assert len(set(found)) == 1 and signatures == [n]


def test_whoever_takes_too_long_to_sign_is_not_waited_for(
    own: Classroom, signatures: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_lists, "OF_OTHERS", 0.05)
    n = number(own)
    with status_lists._one_signs(own.tool, n) as alone:
        assert alone
        assert status_lists.signed(own.tool, n, now()).content
    assert signatures == [n]


def test_I07_L05_after_a_rotation_a_list_is_signed_by_the_new_key_and_old_credentials_verify(own: Classroom) -> None:
    n, tool = number(own), own.tool
    first = edition_of(own, own.award(own.students[0])["id"])
    old = tool.keyring.ed25519
    before = json.loads(status_lists.signed(tool, n, now()).content)
    # An edition that is frozen before the rotation and signed after it
    with tool.db.write() as session:
        last = session.get_one(Edition, edition_of(own, own.award(own.students[3])["id"]).id)
        last.signed_at, last.document, last.jwt = None, None, None
        last.award.status = "pending"
    keys.rotate(tool, "credentials", actor="operator", now=now())
    new = tool.keyring.ed25519
    assert new.kid != old.kid
    after = json.loads(status_lists.signed(tool, n, now()).content)
    assert before["proof"]["verificationMethod"].endswith(old.kid)
    assert after["proof"]["verificationMethod"].endswith(new.kid) and signing.verify_proof(after, new.public)
    assert editions.sign_pending(tool) == 1
    listed = requests.get(f"{own.scene.url}/.well-known/did.json", timeout=10).json()
    assert {old.kid, new.kid} <= {each["id"].rpartition("#")[2] for each in listed["verificationMethod"]}
    for kid in (old.kid, new.kid):
        assert requests.get(f"{own.scene.url}/keys/{kid}", timeout=10).json()["kid"] == kid
    for student in (own.students[0], own.students[3]):
        edition = edition_of(own, own.award(student)["id"])
        assert edition.document is not None
        assert checking.check(tool, edition.document, now()).ok
        assert checking.check(tool, tokens.jwt_of(tool, edition.id).decode(), now()).ok
    assert json.loads(first.document or b"")["proof"]["verificationMethod"].endswith(old.kid)
    assert bit(own.scene, first) == 0


def test_a_list_from_a_host_whose_clock_is_ahead_is_signed_anew(own: Classroom) -> None:
    n, tool = number(own), own.tool
    status_lists.signed(tool, n, now() + timedelta(hours=13))
    listed = json.loads(status_lists.signed(tool, n, now()).content)
    assert datetime.fromisoformat(listed["validFrom"]) <= now()


def test_a_list_is_closed_when_half_full_and_another_begun(own: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    with own.tool.db.write() as session:
        used = session.scalar(select(func.count()).where(Edition.status_list_id == number(own)))
        monkeypatch.setattr(places, "FULLEST", used + 2)
        given = places.status_places(session, used + 5, now())
        numbers = [n for n, _ in given]
        assert [numbers.count(n) for n in sorted(set(numbers))] == [2, used + 2, 1]
        assert len(set(given)) == used + 5
        is_open = dict(session.execute(select(StatusList.id, StatusList.closed)).all())
        assert [closed for _, closed in sorted(is_open.items())] == [True, True, False]
        session.rollback()


def test_a_place_in_use_is_never_given(own: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    with own.tool.db.read() as session:
        taken = list(session.scalars(select(Edition.status_index)))
    drawn = [[taken[0], taken[1]], [5, taken[2]], [6]]
    monkeypatch.setattr(status_list, "pick_indexes", lambda found, count: drawn.pop(0))
    with own.tool.db.write() as session:
        assert [index for _, index in places.status_places(session, 2, now())] == [5, 6]
        session.rollback()


def test_a_stored_copy_of_a_retired_key_or_of_yesterday_is_signed_anew(own: Classroom, signatures: list[int]) -> None:
    n = number(own)
    status_lists.signed(own.tool, n, now())
    own.tool.status_lists.clear()
    status_lists.signed(own.tool, n, now() + timedelta(hours=1))
    assert signatures == [n]
    status_lists.signed(own.tool, n, now() + timedelta(days=1, minutes=1))
    assert signatures == [n, n]
    own.tool.status_lists.clear()
    with own.tool.db.write() as session:
        session.execute(update(SignedStatusList).values(kid="another"))
    status_lists.signed(own.tool, n, now() + timedelta(days=1, minutes=2))
    assert signatures == [n, n, n]
