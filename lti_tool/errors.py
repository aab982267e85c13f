"""Every deliberate exception: its HTTP status, a sentence for people, and a detail for the log."""

from __future__ import annotations

from lti_tool.sentence import Sentence


class ToolError(Exception):
    """Something went wrong that we foresaw.

    `sentence` is shown to people, in their language where it is a `Sentence`, `reason` is one word for the log and
    for tests, `detail` goes to the log only and never holds a token, a name or an e-mail address."""

    status = 500
    reason = "error"
    sentence: str = Sentence("Something went wrong here. Try again in a minute.")
    what_to_do: str = ""

    def __init__(
        self,
        detail: str = "",
        *,
        sentence: str | None = None,
        what_to_do: str | None = None,
        reason: str | None = None,
        status: int | None = None,
    ) -> None:
        if sentence is not None:
            self.sentence = sentence
        if what_to_do is not None:
            self.what_to_do = what_to_do
        if reason is not None:
            self.reason = reason
        if status is not None:
            self.status = status
        self.detail = detail
        super().__init__(detail or self.sentence)

    @property
    def told(self) -> str:
        """The sentence, and what to do where there is something."""
        if not self.what_to_do:
            return self.sentence
        return Sentence("%(sentence)s %(what_to_do)s", sentence=self.sentence, what_to_do=self.what_to_do)


# -- start-up ---------------------------------------------------------------------------------------------------


class ConfigurationError(ToolError):
    """The installation cannot start as it is; the sentence says what to write."""

    reason = "configuration"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, sentence=sentence)


# -- launches (tables A to D of the certification and attack tests) ---------------------------------------------


class LaunchRefused(ToolError):
    """A launch that is malformed (400) or could not be verified (401)."""

    status = 401
    reason = "launch_refused"
    sentence = Sentence("This launch could not be checked, so nothing was opened.")
    what_to_do = Sentence(
        "Go back to your course and open Badges again. If it keeps happening, tell your LMS administrator."
    )


class LaunchMalformed(LaunchRefused):
    status = 400
    reason = "launch_malformed"
    sentence = Sentence("Your LMS sent an incomplete launch, so nothing was opened.")


class NotPermitted(ToolError):
    status = 403
    reason = "not_permitted"
    sentence = Sentence("Your role in this course does not open this page.")
    what_to_do = Sentence("If you think it should, ask the person who runs the course.")


class NotFound(ToolError):
    """Not there, or not yours: the same answer, so that neither can be told from the other."""

    status = 404
    reason = "not_found"
    sentence = Sentence("There is nothing at this address.")
    what_to_do = Sentence("It may not be public, or the address may be incomplete. Ask whoever sent it to you.")


class Gone(ToolError):
    """A credential that anybody could see, of somebody who was erased."""

    status = 410
    reason = "gone"
    sentence = Sentence("This credential was withdrawn, because its holder asked for it.")
    what_to_do = Sentence("It does not count any more, and nothing else is kept about it.")


class Erased(ToolError):
    """A launch by somebody who was erased: nothing is kept about her until she says so."""

    status = 403
    reason = "erased"
    sentence = Sentence("What was kept about you here was erased, as it was asked for.")

    def __init__(self, registration_id: int, sub: str) -> None:
        super().__init__("erased before")
        self.registration_id, self.sub = registration_id, sub


class NotWatching(ToolError):
    """The figures, asked for by somebody who may not read them."""

    status = 403
    reason = "not_watching"
    sentence = Sentence("The figures of this tool are not public.")
    what_to_do = Sentence("Whoever runs it names who may read them, by network or by token.")


class SessionEnded(ToolError):
    status = 401
    reason = "session_ended"
    sentence = Sentence("This page has ended.")
    what_to_do = Sentence("Go back to your course and open Badges again. What was saved is kept.")


class NotSignedIn(ToolError):
    """A page of administrators, opened without an administrator's session."""

    status = 401
    reason = "not_signed_in"
    sentence = Sentence("You are not signed in as an administrator.")
    what_to_do = Sentence(
        "A one-time sign-in address lets you in; it works once, and a session ends by itself after a while."
    )


class OwnSessionEnded(ToolError):
    """A page that a learner opened without her LMS, and whose session is over."""

    status = 401
    reason = "own_session_ended"
    sentence = Sentence("This visit has ended.")
    what_to_do = Sentence("Ask for a new link to your badges. What was saved is kept.")


class OwnLinkRefused(ToolError):
    """A one-time link to somebody's badges, or one that confirms her address, that opens nothing (any more)."""

    status = 410
    reason = "own_link"
    sentence = Sentence("This link cannot be used.")


class FormExpired(ToolError):
    """A POST without the right CSRF token."""

    status = 400
    reason = "csrf"
    sentence = Sentence("This form does not belong to the page you have open, so nothing was changed.")
    what_to_do = Sentence("Open Badges again from your course, then try once more.")


class BadInput(ToolError):
    status = 400
    reason = "bad_input"
    sentence = Sentence("Something in what was sent cannot be used.")


class Conflict(ToolError):
    status = 409
    reason = "conflict"
    sentence = Sentence("Somebody else changed this in the meantime.")
    what_to_do = Sentence("Look at how it stands now, then try again.")


class TooMany(ToolError):
    status = 429
    reason = "rate_limited"
    sentence = Sentence("Too many requests came from your network just now.")
    what_to_do = Sentence("Wait a minute, then try again.")


class JobLost(ToolError):
    """A worker that was taken for dead has lost its job to another one: it stops, and what it says counts no more."""

    reason = "job_lost"


class Busy(ToolError):
    status = 503
    reason = "database_busy"
    sentence = Sentence("The tool is busy at the moment; nothing was changed.")
    what_to_do = Sentence("Try again in a few seconds.")


class DiskFull(ToolError):
    """The database cannot be written: no room, or a disk that takes nothing any more. What is there can be read."""

    status = 503
    reason = "disk_full"
    sentence = Sentence("The tool has no room left to store anything, so nothing was changed.")
    what_to_do = Sentence("Whoever runs it has to look at its disk. What was stored before is kept.")


# -- registration -----------------------------------------------------------------------------------------------


class InviteRefused(ToolError):
    """An address for registration that is unknown, used, withdrawn or too old."""

    status = 403
    reason = "invite"
    sentence = Sentence("This registration address cannot be used.")
    what_to_do = Sentence(
        "Ask an administrator of Badges for a new invite link: each works once, and only for a while."
    )


class RegistrationRefused(ToolError):
    """A platform that was not registered. The invite stays as it was unless `made`: the platform made a client."""

    status = 400
    reason = "registration_refused"
    sentence = Sentence("Your LMS could not be registered, and nothing was changed here.")
    what_to_do = Sentence(
        "The same invite link can be used again. If it keeps happening, an administrator can register by hand."
    )
    made = False


# -- the LMS's services -----------------------------------------------------------------------------------------


class ServiceError(ToolError):
    """An LMS service did not do what was asked. `retry_after` is in seconds where the LMS named a time.

    `lasting`: asking again will not help until a person has changed something."""

    status = 502
    reason = "service_failed"
    sentence = Sentence("Your LMS did not answer as it should.")
    what_to_do = Sentence("Nothing was lost. Try again in a few minutes.")
    retry_after: float | None = None
    lasting = False


class ServiceUnreachable(ServiceError):
    reason = "service_unreachable"
    sentence = Sentence("Your LMS could not be reached.")


class ServiceBusy(ServiceError):
    reason = "service_busy"
    sentence = Sentence("Your LMS asks for a pause before it answers again.")


class TokenRefused(ServiceError):
    """The token endpoint itself refuses: a state of the registration."""

    reason = "token_refused"
    lasting = True
    sentence = Sentence("Your LMS does not let the tool in any more.")
    what_to_do = Sentence("The LMS administrator has to look at the tool's registration: is the key still switched on?")


class AccessRefused(ServiceError):
    """A service answers 401 even to a new token: a state of the course, not of the registration."""

    reason = "access_refused"
    lasting = True
    sentence = Sentence("Your LMS does not let the tool read this course.")
    what_to_do = Sentence(
        "Is the tool still switched on in this course? The LMS administrator can see it in the registration."
    )


class ScopeMissing(ServiceError):
    """`scope` is the one that would have done, where it is known."""

    reason = "scope_missing"
    scope = ""
    lasting = True
    sentence = Sentence("Your LMS has not given the tool a permission it needs.")
    what_to_do = Sentence("The LMS administrator can grant it in the tool's registration.")


class ColumnMissing(ServiceError):
    """A line item answers 404: deleted in the LMS. Never made again silently."""

    reason = "column_missing"
    lasting = True
    sentence = Sentence("A gradebook column of this badge is no longer there.")


class CourseConcluded(ServiceError):
    reason = "course_concluded"
    lasting = True
    sentence = Sentence("This course has ended; the LMS no longer gives out its grades.")
    what_to_do = Sentence("What was awarded stays, and can be checked for ever.")


class ScoreRefused(ServiceError):
    """The LMS refused one score for good (not a student, unpublished, earlier timestamp …)."""

    reason = "score_refused"
    lasting = True
    sentence = Sentence("The gradebook did not take this score.")


class PagingLoop(ServiceError):
    reason = "paging_loop"
    sentence = Sentence("Your LMS sent the same page of results twice, so none of them were used.")


class SourceMissing(ServiceError):
    """What a row's grades were read from is no longer there, or was never matched."""

    reason = "source_missing"
    lasting = True
    sentence = Sentence("What the grades of a row are read from is no longer there.")
    what_to_do = Sentence("Match the row again under “Sources”.")


class NotConnected(ServiceError):
    """No connection to the LMS's own interface, or one that it refuses: a state of the connection."""

    reason = "not_connected"
    lasting = True
    sentence = Sentence("This course is not connected to your LMS's own rubrics.")
    what_to_do = Sentence("Connect it under “Sources”.")


class SecretLost(NotConnected):
    """A stored secret that no key opens."""

    reason = "secret_lost"
    sentence = Sentence("The stored access to your LMS cannot be read any more.")
    what_to_do = Sentence("Connect it again.")


class AddressRefused(ServiceError):
    """An address we do not go to: another host, plain http, a private network."""

    reason = "address_refused"
    lasting = True
    sentence = Sentence("An address that was given cannot be used.")


# -- badges -----------------------------------------------------------------------------------------------------


class DefinitionInvalid(ToolError):
    """A badge definition that cannot be used; `problems` are (line or 0, reason) in the order of the file."""

    status = 422
    reason = "definition_invalid"
    sentence = Sentence("This badge definition cannot be used.")

    def __init__(self, file: str, problems: list[tuple[int, str]]) -> None:
        self.file = file
        self.problems = problems
        super().__init__("; ".join(self.lines()))

    def lines(self) -> list[str]:
        return [
            Sentence("%(where)s: %(problem)s", where=f"{self.file}:{line}" if line else self.file, problem=text)
            for line, text in self.problems
        ]


class CannotPublish(ToolError):
    status = 409
    reason = "cannot_publish"
    sentence = Sentence("This badge cannot be published yet.")


class CredentialHeldBack(ToolError):
    """A credential failed its own check before release."""

    reason = "credential_held_back"
    sentence = Sentence("A credential did not pass its own check and was held back.")


class CertificateFailed(ToolError):
    """The typesetter could not make a certificate; the other forms say the same."""

    reason = "certificate_failed"
    sentence = Sentence("The certificate could not be made.")
    what_to_do = Sentence("The other files hold the same credential. Try again later.")


class PreviewFailed(ToolError):
    """The typesetter could not make the picture beside a link; the page says the same."""

    reason = "preview_failed"
    sentence = Sentence("This picture could not be made.")
    what_to_do = Sentence("The page it belongs to says the same. Try again later.")


class NotAcceptable(ToolError):
    """A client asks for a kind of content in which an address does not exist."""

    status = 406
    reason = "not_acceptable"
    sentence = Sentence("There is nothing of this kind at this address.")
    what_to_do = Sentence("Open it in a browser: the page names every form there is.")


# -- wallets ----------------------------------------------------------------------------------------------------


class WalletRefused(ToolError):
    """A wallet's request that is not granted: `reason` is the error code of OAuth 2.0 or OpenID4VCI.

    The detail is told to the wallet as `error_description`: ASCII, and nothing of what was sent."""

    status = 400
    reason = "invalid_request"
    sentence = Sentence("The wallet's request cannot be granted.")


class ProofRefused(WalletRefused):
    """A proof that does not show that the wallet holds its key."""

    reason = "invalid_proof"


# -- mail -------------------------------------------------------------------------------------------------------


class MailServerFailed(ToolError):
    """The mail server takes no mail at all now: out of reach, or it does not let the tool in. Nothing went out."""

    status = 502
    reason = "mail_unreachable"
    sentence = Sentence("The mail server could not be reached.")
    what_to_do = Sentence("Nothing was lost: mails wait and are tried again. Are mail.url and the server right?")


class MailNotTaken(ToolError):
    """The mail server does not take a mail now, and may later."""

    reason = "mail_not_taken"
    sentence = Sentence("The mail server put this mail off.")


class MailRefused(ToolError):
    """The mail server will never take a mail."""

    reason = "mail_refused"
    sentence = Sentence("The mail server refused this mail.")
    what_to_do = Sentence("Is there such an address, and may the tool write to it? The person is told inside the tool.")


class MailUnanswered(ToolError):
    """A mail was handed over, and the answer was lost: it may have been taken."""

    reason = "mail_unanswered"
    sentence = Sentence("The mail server's answer was lost.")
