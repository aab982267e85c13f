"""The platform and its browsers, in a process of their own: `python -m tests.bench.generator`.

Reads one JSON line for each measurement, writes one with what it saw. Four threads keep one connection each and do
login → redirect → launch, pair after pair, for learners who come back with the cookie their browser keeps. Every
id_token is signed after the login's answer, because the nonce is in it."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tests.bench.servers import cores

CONNECTIONS = 4
LEARNERS = 200

ISSUER = "https://lms.example"
CLIENT_ID = "10000000000042"
DEPLOYMENT_ID = "1:8865aa05b4b79b64a91a86042e43af5ea8ae79eb"
CONTEXT_ID = "4dde05e8ca1973bcca9bffc13e1548820eee93a3"
KID = "bench-key"
LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/"

HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


def claims(base_url: str, learner: int, nonce: str, now: int) -> dict[str, Any]:
    """Return a learner's launch from a course's navigation, with what Canvas sends in one."""
    roles = "http://purl.imsglobal.org/vocab/lis/v2/"
    return {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "azp": CLIENT_ID,
        "sub": f"535fa085-f2b4-4655-84cd-{learner:012d}",
        "iat": now,
        "exp": now + 3600,
        "nonce": nonce,
        "name": f"Learner Number {learner}",
        "given_name": "Learner",
        "family_name": f"Number {learner}",
        "email": f"learner{learner}@example.edu",
        "locale": "en",
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}version": "1.3.0",
        f"{LTI}deployment_id": DEPLOYMENT_ID,
        f"{LTI}target_link_uri": f"{base_url}/lti/launch",
        f"{LTI}resource_link": {"id": CONTEXT_ID, "title": "Employability Skills", "description": None},
        f"{LTI}context": {
            "id": CONTEXT_ID,
            "label": "EMP101",
            "title": "Employability Skills",
            "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"],
        },
        f"{LTI}roles": [
            f"{roles}institution/person#Student",
            f"{roles}membership#Learner",
            f"{roles}system/person#User",
        ],
        f"{LTI}tool_platform": {
            "guid": "bsFXkvEmKDNhr8tw7ha2SvGHWUgXz5wJ9S9p0gEJ:canvas-lms",
            "name": "Example University",
            "version": "cloud",
            "product_family_code": "canvas",
        },
        f"{LTI}launch_presentation": {
            "document_target": "iframe",
            "return_url": f"{ISSUER}/courses/42/external_content/success/external_tool_redirect",
            "locale": "en",
            "height": 800,
            "width": 1200,
        },
        f"{LTI}lis": {"person_sourcedid": f"SIS-{learner}", "course_offering_sourcedid": "SIS-EMP101"},
        f"{LTI}custom": {"canvas_course_id": "42", "canvas_user_id": str(learner)},
        f"{AGS}claim/endpoint": {
            "scope": [f"{AGS}scope/{each}" for each in ("lineitem", "result.readonly", "score")],
            "lineitems": f"{ISSUER}/api/lti/courses/42/line_items",
        },
        "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": {
            "context_memberships_url": f"{ISSUER}/api/lti/courses/42/names_and_roles",
            "service_versions": ["2.0"],
        },
    }


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Platform:
    """Signs id tokens with one key object."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._header = base64url(json.dumps({"typ": "JWT", "alg": "RS256", "kid": KID}).encode())

    def jwks(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "alg": "RS256",
                    "kid": KID,
                    "n": base64url(numbers.n.to_bytes(256, "big")),
                    "e": base64url(numbers.e.to_bytes(3, "big")),
                }
            ]
        }

    def id_token(self, base_url: str, learner: int, nonce: str) -> str:
        payload = json.dumps(claims(base_url, learner, nonce, int(time.time())), separators=(",", ":"))
        signed = f"{self._header}.{base64url(payload.encode())}"
        return f"{signed}.{base64url(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


@dataclass
class Target:
    """A server under measurement, and the cookie each learner's browser keeps for it."""

    port: int
    answer: int  # the status of a good launch: a page, or the redirect to one
    browsers: dict[int, str] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"


def pair(platform: Platform, target: Target, connection: HTTPConnection, learner: int) -> None:
    """Do one login and its launch as one browser. Raises RuntimeError for any answer but the good one."""
    kept = target.browsers.get(learner)
    sent = {
        "iss": ISSUER,
        "client_id": CLIENT_ID,
        "lti_deployment_id": DEPLOYMENT_ID,
        "login_hint": f"learner-{learner}",
        "lti_message_hint": f"course-42-{learner}",
        "target_link_uri": f"{target.base_url}/lti/launch",
    }
    cookies = [kept] if kept else []
    answer = _post(connection, target, "/lti/login", sent, cookies)
    location = answer.getheader("Location", "")
    if answer.status != 302 or not location.startswith(f"{ISSUER}/authorize?"):
        raise RuntimeError(f"login answered {answer.status} {location[:80]}")
    asked = dict(parse_qsl(urlsplit(location).query))
    cookies += [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie", [])]
    token = platform.id_token(target.base_url, learner, asked["nonce"])
    answer = _post(connection, target, "/lti/launch", {"id_token": token, "state": asked["state"]}, cookies)
    if answer.status != target.answer:
        raise RuntimeError(f"launch answered {answer.status}")
    for value in answer.headers.get_all("Set-Cookie", []):
        if value.startswith("browser="):
            target.browsers[learner] = value.partition(";")[0]


def _post(
    connection: HTTPConnection, target: Target, path: str, form: dict[str, str], cookies: list[str]
) -> HTTPResponse:
    headers = {**HEADERS, "Host": f"localhost:{target.port}"}
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    connection.request("POST", path, urlencode(form), headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def measure(platform: Platform, target: Target, seconds: float, least: int = 0) -> dict[str, float]:
    """Return pairs a second and how busy this process was, over a time in which nobody waits for anybody.

    At least `least` pairs are done, however long that takes."""

    def one(connection: HTTPConnection, number: int, turn: int) -> None:
        pair(platform, target, connection, number + CONNECTIONS * (turn % (LEARNERS // CONNECTIONS)))

    return over_connections(target.port, seconds, least, one)


def over_connections(
    port: int, seconds: float, least: int, one: Callable[[HTTPConnection, int, int], None]
) -> dict[str, float]:
    """Do the same over some connections that stay open: `one` with its connection's number and its turn.

    Returns how many were done, their rate a second, the median and the 99th per cent of their seconds, and which share
    of a processor this process took."""
    until = time.monotonic() + seconds
    done: list[list[float]] = [[] for _ in range(CONNECTIONS)]
    problems: list[BaseException] = []

    def run(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            turn = 0
            while (started := time.monotonic()) < until or turn < least // CONNECTIONS:
                one(connection, number, turn)
                done[number].append(time.monotonic() - started)
                turn += 1
        except Exception as error:
            problems.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CONNECTIONS)]
    started, cpu = time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.monotonic() - started
    if problems:
        raise problems[0]
    times = sorted(each for of_thread in done for each in of_thread)
    return {
        "done": len(times),
        "rate": len(times) / spent,
        "median": times[len(times) // 2],
        "slow": times[int(len(times) * 0.99)],
        "busy": (time.process_time() - cpu) / spent,
    }


def main() -> None:
    os.sched_setaffinity(0, cores()[1])
    platform = Platform()
    targets: dict[int, Target] = {}
    print(json.dumps(platform.jwks()), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        target = targets.setdefault(asked["port"], Target(asked["port"], asked["answer"]))
        print(json.dumps(measure(platform, target, asked["seconds"], asked["least"])), flush=True)


if __name__ == "__main__":
    main()
