"""A backpack that is not ours: authlib's OAuth 2 client, and plain HTTP for what the specification adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

from tests.scene import Scene, Visitor, browser_session, token_in

CREDENTIALS = "https://purl.imsglobal.org/spec/ob/v3p0/scope/credential.readonly"
PROFILE = "https://purl.imsglobal.org/spec/ob/v3p0/scope/profile.readonly"
UPSERT = "https://purl.imsglobal.org/spec/ob/v3p0/scope/credential.upsert"
EVERYTHING = f"{CREDENTIALS} {PROFILE} offline_access"


def metadata(site: str = "http://localhost:4567", **changes: Any) -> dict[str, Any]:
    """Return a registration as the specification's example has it."""
    return {
        "client_name": "A Backpack",
        "client_uri": f"{site}/",
        "logo_uri": f"{site}/logo.png",
        "tos_uri": f"{site}/terms",
        "policy_uri": f"{site}/privacy",
        "software_id": "c88b6ed8-269e-448e-99be-7e2ff47167d1",
        "software_version": "v4.0.30319",
        "redirect_uris": [f"{site}/authorize"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": EVERYTHING,
        **changes,
    }


@dataclass
class Window:
    """The browser window that a backpack has opened: its cookies, and the page it shows."""

    http: requests.Session = field(default_factory=browser_session)
    page: requests.Response | None = None

    def open(self, address: str) -> requests.Response:
        self.page = self.http.get(address, timeout=20)
        return self.page

    @property
    def code(self) -> str:
        """The code that is shown."""
        assert self.page is not None
        return self.page.text.split('bigcode mt-3"><code>')[1].split("<")[0]

    def press(self, does: str, **more: str) -> requests.Response:
        """Press a button of the page as it is shown now."""
        assert self.page is not None
        page = self.http.get(self.page.url, timeout=20)
        token = token_in(page.text)
        if does == "continue" and 'value="refuse"' in page.text:  # the second form's token
            token = token_in(page.text.split('value="refuse"')[1])
        sent = {"csrf": token, "do": does, **more}
        return self.http.post(self.page.url, data=sent, timeout=20, allow_redirects=False)


class Backpack:
    """A registered backpack. `auth` is its client; `tokens` what it was given last."""

    def __init__(self, scene: Scene, **changes: Any) -> None:
        self.scene = scene
        described = requests.get(f"{scene.url}/ims/ob/v3p0/discovery", timeout=20).json()
        self.scheme = described["components"]["securitySchemes"]["OAuth2ACG"]
        self.flow = self.scheme["flows"]["authorizationCode"]
        self.told = requests.post(self.scheme["x-imssf-registrationUrl"], json=metadata(**changes), timeout=20)
        self.tokens: dict[str, Any] = {}
        if self.told.status_code == 201:
            self.renew()

    @property
    def name(self) -> str:
        return str(self.told.json()["client_name"])

    def renew(self, scope: str = EVERYTHING) -> None:
        answer = self.told.json()
        self.redirect_uri = answer["redirect_uris"][0]
        self.verifier = generate_token(48)
        self.auth = OAuth2Session(
            answer["client_id"],
            answer["client_secret"],
            token_endpoint_auth_method="client_secret_basic",
            scope=scope,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
        )

    def address(self, **changes: Any) -> str:
        """Return where it sends a browser; `state` is kept to be compared."""
        url, self.state = self.auth.create_authorization_url(
            self.flow["authorizationUrl"], code_verifier=self.verifier, **changes
        )
        return url

    def send(self, window: Window | None = None, **changes: Any) -> Window:
        window = window or Window()
        window.open(self.address(**changes))
        return window

    def fetch_tokens(self, back: str) -> dict[str, Any]:
        """Exchange the code of an answered redirect."""
        self.tokens = self.auth.fetch_token(
            self.flow["tokenUrl"], authorization_response=back, code_verifier=self.verifier, state=self.state
        )
        return self.tokens

    def exchange(self, **form: str) -> requests.Response:
        """Come to the token endpoint with a form of one's own making."""
        secret = (self.auth.client_id, self.auth.client_secret)
        return requests.post(self.flow["tokenUrl"], data=form, auth=secret, timeout=20)

    def get(self, path: str, token: str | None = None) -> requests.Response:
        headers = {"Authorization": f"Bearer {token or self.tokens['access_token']}"}
        url = path if path.startswith("http") else f"{self.scene.url}/ims/ob/v3p0/{path}"
        return requests.get(url, headers=headers, timeout=20)


def allow(learner: Visitor, code: str, **choices: str) -> requests.Response:
    """Type a code into her pages in the course, and allow what it asks."""
    asked = learner.post("backpacks/", {"code": code})
    assert asked.status_code == 200, asked.text
    return learner.post(asked.url.split(f"/{learner.launch}/")[1], {"do": "allow", **choices})


def answer_in(location: str) -> dict[str, str]:
    """Return the parameters of a redirect back to the backpack."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


def connect(backpack: Backpack, learner: Visitor, **choices: str) -> dict[str, Any]:
    """Do it all, from the backpack's first redirect to its tokens."""
    window = backpack.send()
    allow(learner, window.code, **choices)
    back = window.press("continue")
    assert back.status_code == 303, back.text
    return backpack.fetch_tokens(back.headers["Location"])
