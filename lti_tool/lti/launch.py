"""A launch: the platform's answer to a login, checked from the outside in, and used up.

Security Framework 1.0, 5.1.3: https://www.imsglobal.org/spec/security/v1p0/#authentication-response-validation"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from pylti1p3.exception import LtiException, OIDCException
from pylti1p3.message_launch import MessageLaunch

from lti_tool.errors import LaunchRefused
from lti_tool.lti import claims as c
from lti_tool.lti.claims import Launch, check_claims, read_launch
from lti_tool.lti.login import same_secret
from lti_tool.lti.platform_keys import KeyCache
from lti_tool.lti.platform_token import LARGEST_TOKEN, key_id, verified_claims
from lti_tool.lti.refusals import REFUSALS, refusal
from lti_tool.lti.registration import LoginRow, Registration, ToolConf, digest
from lti_tool.lti.request import FormRequest, NoCookies, OneLogin
from lti_tool.lti.roles import Role

# A launch answers a login, and a login lives ten minutes: an older token answers none of ours. Moodle's lasts 60 s,
# Canvas' an hour, made when the link was clicked.
OLDEST_TOKEN = timedelta(minutes=10)


@dataclass(frozen=True)
class Told:
    """Whom and where a token names, before anything of it is checked: to look rows up with, and never to trust."""

    sub: str | None = None
    deployment_id: str | None = None
    context_id: str | None = None
    link_id: str | None = None


def told_by(form: Mapping[str, str]) -> Told:
    """Read what a launch's token names; nothing where it cannot be read, or has what no row can have."""
    payload = form.get("id_token", "")[:LARGEST_TOKEN].split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode(f"{payload[0]}=="))
        context, link = ((claims.get(claim) or {}).get("id") for claim in (c.CONTEXT, c.RESOURCE_LINK))
        named = (claims.get("sub"), claims.get(c.DEPLOYMENT_ID), context, link)
    except (ValueError, LookupError, AttributeError, RecursionError):
        return Told()
    return Told(*(name if isinstance(name, str) and c.can_be_kept(name) else None for name in named))


class StorageNeeded(LaunchRefused):
    """The launch is good, but its browser sent no cookie; the platform may hold the browser's secret for us.

    The page that is shown asks `lti.get_data` for `storage_key(state)` in the frame `target`, with `origin` as the
    target origin, and posts the launch again with what came back as `browser_secret`. Nothing was used up."""

    def __init__(self, target: str, origin: str) -> None:
        status, sentence, what_to_do = REFUSALS["browser"]
        super().__init__("no cookie", reason="browser", status=status, sentence=sentence, what_to_do=what_to_do)
        self.target = target
        self.origin = origin


def verify_launch(
    form: Mapping[str, str],
    *,
    find_login: Callable[[str], LoginRow | None],
    use_login: Callable[[str, Launch], bool],
    find_registration: Callable[[int], Registration | None],
    deployment_status: Callable[[Registration, str], str],
    keys: KeyCache,
    browser_secret: str | None,
    now: datetime,
) -> Launch:
    """Check a launch and use its login up; of any number of equal posts exactly one returns.

    `find_login` and `use_login` get the state's `digest`. `find_registration` returns None for one that is gone or
    switched off. `deployment_status` returns "approved", or a word for the log. `use_login` is asked last, with the
    launch as it was checked: it marks an unused row as used in one atomic statement, which may do more in the same
    transaction, and says whether this call did it.
    `browser_secret` is what the cookie `login_cookie(state)` held, or what platform storage gave back.
    Between finding and using, the platform's keys may be fetched: each callable keeps its transaction to itself.

    Raises StorageNeeded, LaunchRefused (401; 403 for somebody else's submission) or LaunchMalformed (400)."""
    if form.get("error"):
        raise _platform_error(form["error"])
    row, registration = _find_login(form, find_login, find_registration, now)
    check = _Check(form, row, registration, use_login, deployment_status, keys, browser_secret, now)
    check.validate()
    return check.launch


def _find_login(
    form: Mapping[str, str],
    find_login: Callable[[str], LoginRow | None],
    find_registration: Callable[[int], Registration | None],
    now: datetime,
) -> tuple[LoginRow, Registration]:
    """Find the login this answers. Only who was sent a state gets further; nobody else makes us fetch or compute."""
    state = form.get("state")
    if not state:
        raise refusal("state_missing")
    row = find_login(digest(state))
    if row is None:
        raise refusal("state_unknown")
    if row.consumed_at is not None:
        raise refusal("state_used")
    if now >= row.expires_at:
        raise refusal("state_expired")
    registration = find_registration(row.registration_id)
    if registration is None:
        raise refusal("registration_disabled", f"registration {row.registration_id}")
    return row, registration


class _Check(MessageLaunch[FormRequest, ToolConf, OneLogin, NoCookies]):
    """pylti1p3's chain of checks, with what it leaves open closed.

    The registration is the one the login row names: nothing of an unverified token is used to find it, so a token of
    platform A, or with the issuer of B, meets the wrong key or the wrong issuer (B09, B10)."""

    def __init__(
        self,
        form: Mapping[str, str],
        row: LoginRow,
        registration: Registration,
        use_login: Callable[[str, Launch], bool],
        deployment_status: Callable[[Registration, str], str],
        keys: KeyCache,
        browser_secret: str | None,
        now: datetime,
    ) -> None:
        request = FormRequest(form)
        no_requests = cast(Any, object())  # instead of a requests session: nothing here goes out except through http.py
        super().__init__(request, ToolConf(registration), OneLogin(request), NoCookies(), requests_session=no_requests)
        self.set_auto_validation(False)
        self._row = row
        self._found = registration
        self._use_login = use_login
        self._deployment_status = deployment_status
        self._keys = keys
        self._browser_secret = browser_secret
        self._now = now
        self._header: dict[str, str] = {}
        self.launch: Launch

    @property
    def claims(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._jwt["body"])

    def validate(self) -> MessageLaunch[Any, Any, Any, Any]:
        """The one use comes last: what is refused uses nothing up."""
        self.validate_jwt_format()
        self.validate_registration()
        self.validate_jwt_signature()
        self.validate_nonce()
        self.validate_state()
        self.validate_message()
        self.validate_deployment()
        if not self._use_login(self._row.state_hash, self.launch):
            raise refusal("state_used")
        return self

    def validate_jwt_format(self) -> MessageLaunch[Any, Any, Any, Any]:
        """Read the key's id of the header; the rest of the token is not looked at before its signature was."""
        token = self._get_request_param("id_token")
        if not token:
            raise refusal("token_missing")
        self._header = {"kid": key_id(token)}
        return self

    def validate_registration(self) -> MessageLaunch[Any, Any, Any, Any]:
        self._registration = self._tool_config.find_registration_by_params(self._found.issuer, self._found.client_id)
        return self

    def validate_jwt_signature(self) -> MessageLaunch[Any, Any, Any, Any]:
        token, kid = self._get_request_param("id_token"), self._header["kid"]
        body = verified_claims(token, kid, self._found, self._keys, self._now, OLDEST_TOKEN)
        # The name is in use with and without Lti in front; pylti1p3 knows it without.
        if body.get(c.MESSAGE_TYPE) == f"Lti{c.DATA_PRIVACY_REQUEST}":
            body[c.MESSAGE_TYPE] = c.DATA_PRIVACY_REQUEST
        self._jwt = cast(Any, {"header": self._header, "body": body})
        return self

    def validate_nonce(self) -> MessageLaunch[Any, Any, Any, Any]:
        """The nonce and the target must be this login's: A's nonce with B's state is refused."""
        nonce = self.claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(digest(nonce), digest(self._row.nonce)):
            raise refusal("nonce", "no nonce" if nonce is None else "not the nonce of this login")
        if self.claims.get(c.TARGET_LINK_URI) != self._row.target_link_uri:
            raise refusal("target_link_uri", "not the target_link_uri of this login")
        return self

    def validate_state(self) -> MessageLaunch[Any, Any, Any, Any]:
        """The browser must be the one that began."""
        if not same_secret(self._browser_secret, self._row.browser_hash):
            if self._browser_secret is None and self._row.storage_target is not None:
                raise StorageNeeded(self._row.storage_target, self._found.storage_origin)
            raise refusal("browser", "no cookie" if self._browser_secret is None else "another browser's cookie")
        return self

    def validate_message(self) -> MessageLaunch[Any, Any, Any, Any]:
        check_claims(self.claims)
        if self.claims[c.MESSAGE_TYPE] == c.SUBMISSION_REVIEW_REQUEST:
            # pylti1p3 asks for `lineitem`; Moodle leaves it out where a link has more than one column (seen in 4.5.6).
            self.claims[c.AGS] = {"lineitem": "", **self.claims[c.AGS]}
        try:
            super().validate_message()
            self.launch = read_launch(self.claims, self._found)
        except (LtiException, OIDCException) as error:
            raise refusal("claim_malformed", f"pylti1p3: {error}"[:200]) from error
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise refusal("claim_malformed", type(error).__name__) from error
        _check_for_user(self.launch)
        return self

    def validate_deployment(self) -> MessageLaunch[Any, Any, Any, Any]:
        status = self._deployment_status(self._found, self.claims[c.DEPLOYMENT_ID])
        if status != "approved":
            raise refusal("deployment", f"the deployment is {status}")
        return self

    def get_client_id(self) -> str:
        return self._found.client_id

    def _get_request_param(self, key: str) -> str:
        return self._request.get_param(key)


def _check_for_user(launch: Launch) -> None:
    """Refuse a look at somebody else's submission to whoever teaches nobody here; the page then asks for her rights.

    Moodle 4.5.6 signs such a launch for a student who writes another's id into the address (seen)."""
    if launch.message_type != c.SUBMISSION_REVIEW_REQUEST or launch.for_user is None:
        return
    may_look = {Role.INSTRUCTOR, Role.ADMINISTRATOR, Role.TEACHING_ASSISTANT} & set(launch.course_roles)
    if not may_look and launch.for_user.user_id != launch.sub:
        raise refusal("for_user_other")


def _platform_error(error: str) -> LaunchRefused:
    """Turn the platform's error answer (OpenID Connect Core, 3.1.2.6) into a refusal, without its description."""
    known = error in ("login_required", "launch_no_longer_valid", "unauthorized_client", "access_denied")
    word = "".join(character for character in error[:40] if character.isalnum() or character == "_")
    return refusal(error if known else "platform_error", f"the platform answered with the error {word}")
