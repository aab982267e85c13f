"""Twenty small LMSs behind one port, each with its own mood of the day: `python -m tests.bench.campus PORT JSON`.

Only what a sync asks: a token, a roster, the columns, one column's results. `JSON` says how each platform is: the
seconds it takes, by its number, and the status it answers instead. What is not named takes `else` seconds and answers
well."""

from __future__ import annotations

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STUDENTS = 30
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
PLACE = re.compile(r"/p(\d+)/")


def answers() -> dict[str, bytes]:
    """Return what is answered, by the end of the path: a class of STUDENTS whose grades do not change."""
    people = [f"student-{number}" for number in range(STUDENTS)]
    members = [{"user_id": each, "status": "Active", "roles": [LEARNER], "name": each} for each in people]
    results = [{"id": f"r/{each}", "userId": each, "resultScore": 1, "resultMaximum": 4} for each in people]
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600}
    documents = {"token": token, "memberships": {"members": members}, "results": results}
    return {name: json.dumps(document).encode() for name, document in documents.items()}


class Campus(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    found = answers()
    seconds: dict[str, float]
    statuses: dict[str, int]

    def do_GET(self) -> None:
        place = PLACE.match(self.path)
        number = place[1] if place else ""
        time.sleep(self.seconds.get(number, self.seconds["else"]))
        status = self.statuses.get(number, 200)
        body = self._answer() if status == 200 else b"no"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self) -> bytes:
        home, _, asked = self.path.partition("?")[0].rpartition("/")
        if asked != "lineitems":
            return self.found[asked]
        column = {"id": f"http://{self.headers['Host']}{home}/column", "label": "A", "scoreMaximum": 4}
        return json.dumps([column]).encode()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:  # a client that gave up waiting
        pass


def main() -> None:
    told = json.loads(sys.argv[2])
    Campus.seconds, Campus.statuses = told["seconds"], told["statuses"]
    Server(("127.0.0.1", int(sys.argv[1])), Campus).serve_forever()


if __name__ == "__main__":
    main()
