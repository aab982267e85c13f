"""A running demo LMS, a tool that talks to it over HTTP, and a fresh course for every test."""

from __future__ import annotations

import itertools
import json
import threading
import time
import uuid
from urllib.parse import urlencode

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, redirect, request
from jwt.algorithms import RSAAlgorithm
from werkzeug.serving import make_server

from lti_tool import demo

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
LINEITEM = "application/vnd.ims.lis.v2.lineitem+json"
LINEITEMS = "application/vnd.ims.lis.v2.lineitemcontainer+json"
SCORE = "application/vnd.ims.lis.v1.score+json"
NUMBERS = itertools.count(1)


class Clock:
    """Real time, moved on by hand."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


class FakeTool:
    """The smallest tool: a JWKS, a login that redirects, a launch that keeps what it was sent."""

    def __init__(self):
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = "tool-key-1"
        self.jwks_asked = 0
        self.launches = []
        app = Flask("fake_tool")

        @app.get("/jwks")
        def jwks():
            self.jwks_asked += 1
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
            return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]}

        @app.route("/login", methods=["GET", "POST"])
        def login():
            return redirect(self.auth_address(request.values, request.url_root))

        @app.post("/launch")
        def launch():
            self.launches.append(request.form.to_dict())
            return "<h1 id=launched>Launched</h1>"

        self.server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        self.url = f"http://localhost:{self.server.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def auth_address(self, asked, root=None, **changes):
        """Answer a third-party login: the address of the LMS's authentication endpoint."""
        query = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": asked["client_id"],
            "redirect_uri": f"{self.url}/launch",
            "state": "state-1",
            "login_hint": asked["login_hint"],
            "lti_message_hint": asked["lti_message_hint"],
            "nonce": "nonce-1",
            **changes,
        }
        return f"{self.auth_url}?{urlencode({k: v for k, v in query.items() if v is not None})}"


class _Quiet(demo.server.QuietHandler):
    pass


class Talk:
    """The tool's side of one platform and one course."""

    def __init__(self, lms, fake, tool, course):
        self.lms, self.fake, self.tool, self.course = lms, fake, tool, course
        self.token = None

    def assertion(self, **changes):
        now = int(self.lms.clock())
        claims = {
            "iss": self.tool.client_id,
            "sub": self.tool.client_id,
            "aud": self.lms.token_url,
            "iat": now,
            "exp": now + 60,
            "jti": uuid.uuid4().hex,
            **changes,
        }
        kid = claims.pop("kid", self.fake.kid)
        return jwt.encode(
            {k: v for k, v in claims.items() if v is not None}, self.fake.private, "RS256", headers={"kid": kid}
        )

    def ask_token(self, scope=None, **changes):
        form = {
            "grant_type": "client_credentials",
            "client_assertion": self.assertion(**changes),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "scope": scope
            if scope is not None
            else " ".join([SCOPE + "lineitem", SCOPE + "result.readonly", SCOPE + "score", NRPS]),
        }
        return requests.post(self.lms.token_url, data=form, timeout=10)

    def call(self, method, url, body=None, token=None, **headers):
        self.token = self.token or self.ask_token().json()["access_token"]
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Authorization": f"Bearer {token or self.token}", **headers}
        return requests.request(
            method, url, headers=headers, data=None if body is None else json.dumps(body), timeout=10
        )

    @property
    def lineitems_url(self):
        return self.lms.lineitems_url(self.course, self.tool)

    def create(self, label="Listens", maximum=4, **more):
        return self.call(
            "POST", self.lineitems_url, {"label": label, "scoreMaximum": maximum, **more}, Content_Type=LINEITEM
        )

    def part(self, lineitem, part):
        path, mark, query = lineitem.partition("?")
        return path + part + mark + query

    def results(self, lineitem, **query):
        url = self.part(lineitem, "/results")
        url += ("&" if "?" in url else "?") + urlencode(query) if query else ""
        return self.call("GET", url)

    def score(self, lineitem, user, given=None, maximum=4, *, moment=None, grading="FullyGraded", **more):
        body = {
            "userId": user.id,
            "timestamp": iso(self.lms.clock() if moment is None else moment),
            "activityProgress": "Completed",
            "gradingProgress": grading,
            **more,
        }
        if given is not None:
            body |= {"scoreGiven": given, "scoreMaximum": maximum}
        return self.call("POST", self.part(lineitem, "/scores"), body, Content_Type=SCORE)


def iso(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03}Z"


@pytest.fixture(scope="session")
def clock():
    return Clock()


@pytest.fixture(scope="session")
def site(clock):
    with demo.start(clock=clock) as running:
        yield running


@pytest.fixture(scope="session")
def fake():
    tool = FakeTool()
    yield tool
    tool.server.shutdown()
    tool.server.server_close()


def talk_to(lms, fake, clock):
    clock.ahead = 0.0
    fake.auth_url = lms.auth_url
    lms.faults.clear()
    lms.requests.clear()
    tool = lms.register_tool(f"{fake.url}/login", f"{fake.url}/launch", f"{fake.url}/jwks")
    course = lms.add_course(f"C{next(NUMBERS)}")
    lms.add_user(course, "instructor")
    for _ in range(3):
        lms.add_user(course, "student")
    return Talk(lms, fake, tool, course)


@pytest.fixture
def canvas(site, fake, clock):
    return talk_to(site.canvas, fake, clock)


@pytest.fixture
def moodle(site, fake, clock):
    return talk_to(site.moodle, fake, clock)


@pytest.fixture(params=["canvas", "moodle"])
def any_mood(request, site, fake, clock):
    return talk_to(site.lmses[request.param], fake, clock)
