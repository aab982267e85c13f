"""pylti1p3's request, cookies and session over plain values, so that this room needs no web framework."""

from __future__ import annotations

from collections.abc import Mapping

from pylti1p3.cookie import CookieService
from pylti1p3.request import Request
from pylti1p3.session import SessionService


class FormRequest(Request):
    """The parameters of a login or launch, from query or form alike."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = params

    @property
    def session(self) -> dict[str, object]:
        return {}

    def is_secure(self) -> bool:
        return True

    def get_param(self, key: str) -> str:
        return self._params.get(key) or ""


class NoCookies(CookieService):
    """Sets no cookie: the login row holds the hash of a browser secret, and the web layer sets that secret's cookie."""

    def get_cookie(self, name: str) -> str | None:
        return None

    def set_cookie(self, name: str, value: str | int, exp: int | None = 3600) -> None:
        return None


class OneLogin(SessionService):
    """Holds the nonce of the login being made until it is in the login row, and nothing else.

    pylti1p3 would keep every nonce in the browser's signed cookie, look it up and never use it up."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.nonce = ""

    def save_nonce(self, nonce: str) -> None:
        self.nonce = nonce

    def check_nonce(self, nonce: str) -> bool:
        return False

    def check_state_is_valid(self, state: str, id_token_hash: str) -> bool:
        return False
