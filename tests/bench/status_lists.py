"""How soon a withdrawal shows, and what it costs: `python -m tests.bench.status_lists`.

Two web processes on one database answer `/status/1` all the time, to one asker each; a third process withdraws. What
is measured is the answers: when the bit is first set in both, and how many different lists were answered, which is how
many were signed."""

from __future__ import annotations

import base64
import gzip
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from sqlalchemy import insert, select

from lti_tool.credentials import status_list
from lti_tool.models import Award, CourseBadge, Edition, Person, Registration
from lti_tool.services import award_acts, places, status_lists
from lti_tool.services.tool import Tool
from tests.bench.platforms import installation
from tests.bench.servers import free_port, postgresql, web_server
from tests.bench.table import Figure, table
from tests.scene import now

FULL = 60_000  # withdrawn rows of one list, near the most it can have
BURST = 1000
SINGLE = 10
ROUNDS = 5


def measure() -> str:
    found = {"SQLite": _one_database("")}
    with postgresql() as (server, _pid):
        found["PostgreSQL"] = _one_database(server)
    names = list(found["SQLite"])
    rows = [(name, *(found[database][name] for database in found)) for name in names]
    return (
        f"{__doc__.partition(chr(10) + chr(10))[2].strip()}\n\n"  # type: ignore[union-attr]
        + table(("what", *found), rows)
    )


def _one_database(server: str) -> dict[str, str]:
    with TemporaryDirectory(prefix="bench-") as folder, installation(server, "http://nowhere", 1, 1) as (tool, told):
        badge_id, award_ids = _awards(tool, 2 * BURST + SINGLE)
        with _watched(told, Path(folder)) as watch:
            single = [_shown(tool, watch, [award_id]) for award_id in award_ids[:SINGLE]]
            rest = award_ids[SINGLE:]
            act = _burst(tool, watch, badge_id, rest[:BURST], together=True)
            each = _burst(tool, watch, badge_id, rest[BURST:], together=False)
        _withdraw_rows(tool, FULL - 2 * BURST - SINGLE)
        built, read = _built(tool)
        served = _served(tool)
    return {
        "one withdrawal, until both processes show it (s)": f"{Figure(single):.2f}",
        f"{BURST:,} in one act: seconds · signatures · until both show all (s)": act,
        f"{BURST:,} one after the other: seconds · signatures · until both show all (s)": each,
        f"a list of {status_list.ENTRIES:,} with {FULL:,} withdrawn: read its rows (ms)": f"{Figure(read):.0f}",
        "… read, pack and sign it (ms)": f"{Figure(built):.0f}",
        "… answer it when nothing changed, in the process (a second)": f"{Figure(served):,.0f}",
    }


def _awards(tool: Tool, count: int) -> tuple[str, list[str]]:
    """Give a badge to many, without grades and without signatures: only their places matter here."""
    at = now()
    with tool.db.write() as session:
        registration = session.scalars(select(Registration.id)).one()
        badge = session.scalars(select(CourseBadge)).one()
        assert badge.version is not None
        people = [
            {
                "id": f"{n:032x}", "registration_id": registration, "sub": f"u{n}", "subject_id": f"urn:u{n}",
                "created_at": at,
            }
            for n in range(count)
        ]  # fmt: skip
        session.execute(insert(Person), people)
        awards = [
            {
                "id": f"{n:032x}", "achievement_id": badge.version.achievement_id, "version_id": badge.version_id,
                "course_badge_id": badge.id, "course_id": badge.course_id, "person_id": f"{n:032x}",
                "scope": f"course:{badge.course_id}", "status": "issued", "issued_at": at, "earned_at": at,
                "decision": {"version": 1, "rule": "all", "rows": []},
            }
            for n in range(count)
        ]  # fmt: skip
        session.execute(insert(Award), awards)
        _editions(session, [str(award["id"]) for award in awards], None)
        return badge.id, [str(award["id"]) for award in awards]


def _editions(session, award_ids: Sequence[str], withdrawn) -> None:  # type: ignore[no-untyped-def]
    at = now()
    given = places.status_places(session, len(award_ids), at)
    first = 1 if withdrawn is None else 2
    rows = [
        {
            "id": f"{list_id:x}-{index:x}", "award_id": award_id, "number": first + number, "salt": "s", "choices": {},
            "status_list_id": list_id, "status_index": index, "valid_from": at, "withdrawn_at": withdrawn,
            "document": b"x" * 5000, "signed_at": at,
        }
        for number, (award_id, (list_id, index)) in enumerate(zip(award_ids, given, strict=True))
    ]  # fmt: skip
    session.execute(insert(Edition), rows)


def _withdraw_rows(tool: Tool, count: int) -> None:
    """Fill the list: rows as they are, each with a signed document, withdrawn one by one long ago."""
    with tool.db.write() as session:
        award_id = session.scalars(select(Award.id).order_by(Award.id).limit(1)).one()  # its first edition has number 1
        _editions(session, [award_id] * count, now())


# -- watching ---------------------------------------------------------------------------------------------------


class Watch:
    """What one process answered: each list that differed from the one before, and when it came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[tuple[float, bytes]] = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        with requests.Session() as http:
            while not self.over.is_set():
                encoded = http.get(self.url, timeout=10).json()["credentialSubject"]["encodedList"][1:]
                bits = gzip.decompress(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
                if not self.seen or self.seen[-1][1] != bits:
                    self.seen.append((time.monotonic(), bits))
                time.sleep(0.02)

    def shows(self, indexes: Sequence[int]) -> bool:
        bits = self.seen[-1][1] if self.seen else bytes(status_list.ENTRIES // 8)
        return all(bits[index >> 3] & (0x80 >> (index & 7)) for index in indexes)


@contextmanager
def _watched(told: dict[str, str], folder: Path) -> Iterator[list[Watch]]:
    with ExitStack() as stack:
        watches = []
        for name in ("one", "two"):
            port = free_port()
            command = ["-m", "lti_tool.cli", "serve", "--port", str(port)]
            stack.enter_context(web_server(command, port, told=told, log=folder / f"{name}.log"))
            watches.append(Watch(f"http://127.0.0.1:{port}/status/1"))
        until = time.monotonic() + 30
        while not all(watch.seen for watch in watches) and time.monotonic() < until:
            time.sleep(0.05)
        yield watches
        for watch in watches:
            watch.over.set()


def _indexes(tool: Tool, award_ids: Sequence[str]) -> list[int]:
    with tool.db.read() as session:
        rows = dict(session.execute(select(Edition.award_id, Edition.status_index)).all())
    return [rows[award_id] for award_id in award_ids]


def _until_shown(watch: Sequence[Watch], indexes: Sequence[int], since: float) -> float:
    while not all(each.shows(indexes) for each in watch):
        if time.monotonic() - since > 30:
            raise RuntimeError("a withdrawal did not show within 30 seconds")
        time.sleep(0.005)
    return max(each.seen[-1][0] for each in watch) - since


def _shown(tool: Tool, watch: Sequence[Watch], award_ids: Sequence[str]) -> float:
    indexes = _indexes(tool, award_ids)
    time.sleep(1.0)
    for award_id in award_ids:
        award_acts.revoke(tool, award_id, "Measured.", actor="operator", now=now())
    return _until_shown(watch, indexes, time.monotonic())


def _burst(tool: Tool, watch: Sequence[Watch], badge_id: str, award_ids: Sequence[str], *, together: bool) -> str:
    indexes = _indexes(tool, award_ids)
    time.sleep(1.5)
    before = {bits for each in watch for _, bits in each.seen}
    started = time.monotonic()
    if together:
        award_acts.revoke_many(tool, badge_id, award_ids, "Measured.", actor="operator", now=now())
    else:
        for award_id in award_ids:
            award_acts.revoke(tool, award_id, "Measured.", actor="operator", now=now())
    ended = time.monotonic()
    shown = _until_shown(watch, indexes, ended)
    signed = {bits for each in watch for _, bits in each.seen} - before
    return f"{ended - started:.2f} · {len(signed)} · {shown:.2f}"


# -- making and answering ---------------------------------------------------------------------------------------


def _built(tool: Tool) -> tuple[list[float], list[float]]:
    built, read = [], []
    for number in range(ROUNDS + 1):
        tool.status_lists.clear()
        started = time.perf_counter()
        with tool.db.read() as session:
            assert len(places.withdrawn_indexes(session, 1)) >= FULL
        middle = time.perf_counter()
        status_lists._sign(tool, 1, now(), store=False)
        if number:
            read.append(1000 * (middle - started))
            built.append(1000 * (time.perf_counter() - middle))
    return built, read


def _served(tool: Tool) -> list[float]:
    rates = []
    status_lists.signed(tool, 1, now())
    for _ in range(ROUNDS):
        started, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < 0.5:
            status_lists.signed(tool, 1, now())
            count += 1
        rates.append(count / spent)
    return rates


if __name__ == "__main__":
    print(measure())
