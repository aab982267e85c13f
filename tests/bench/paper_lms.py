"""The grade services of an LMS that is nothing but arithmetic: a class of any size, each page at the same cost.

The demo LMS keeps its people in lists, so that its own page 1,000 costs more than its page 1. This one answers what
Canvas answers (pages of 50 members and 100 results, Link headers), and works each page out from its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

MEMBERS, RESULTS = 50, 100  # a page, as Canvas has them
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
MOST = 4  # points of a column


def user_id(number: int) -> str:
    return f"{number:08x}-5eed-4bad-8e00-{number:012x}"


def points(number: int, place: int) -> int:
    """Everybody is short in the first column, so that nothing is awarded: signing has a table of its own."""
    return number % 2 if place == 0 else (number * 3 + place) % (MOST + 1)


def member(number: int) -> dict[str, Any]:
    return {
        "status": "Active",
        "name": f"Student Number {number}",
        "given_name": "Student",
        "family_name": f"Number {number}",
        "email": f"student{number}@lms.example",
        "user_id": user_id(number),
        "lti11_legacy_user_id": user_id(number),
        "roles": [LEARNER],
    }


def result(number: int, place: int, base: str) -> dict[str, Any]:
    address = f"{base}/columns/{place}/results/{number}"
    given = {"resultScore": points(number, place), "resultMaximum": MOST}
    return {"id": address, "userId": user_id(number), **given, "scoreOf": f"{base}/columns/{place}"}


def _handler(students: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave in one packet
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"access_token": "paper", "token_type": "bearer", "expires_in": 3600}, "")

        def do_GET(self) -> None:
            base = f"http://{self.headers['Host']}"
            parts = urlsplit(self.path)
            page = int(parse_qs(parts.query).get("page", ["1"])[0])
            size = MEMBERS if parts.path == "/members" else RESULTS
            numbers = range((page - 1) * size, min(page * size, students))
            link = f'<{base}{parts.path}?page={page + 1}>; rel="next"' if page * size < students else ""
            if parts.path == "/members":
                self._answer({"id": base, "context": {"id": "paper"}, "members": [member(n) for n in numbers]}, link)
            else:
                place = int(parts.path.split("/")[2])
                self._answer([result(n, place, base) for n in numbers], link)

        def _answer(self, document: Any, link: str) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if link:
                self.send_header("Link", link)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    return Handler


def _serve(students: int, told: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(students))
    told.send(server.server_port)
    server.serve_forever()


@contextmanager
def paper_lms(students: int) -> Iterator[str]:
    """Run the services while the block runs; gives their address."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(students, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join(10)
