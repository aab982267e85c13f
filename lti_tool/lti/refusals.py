"""Every reason for which a login or launch is refused, with its status and the sentence a teacher reads.

`reason` is the word in the log and in tests. 400 is a launch that is malformed, 401 one that could not be verified,
403 one that is good and asks for what its person may not see."""

from __future__ import annotations

from lti_tool.errors import LaunchMalformed, LaunchRefused
from lti_tool.sentence import Sentence

_AGAIN = Sentence("Go back to your course and open Badges again.")
_ADMIN = Sentence("Your LMS administrator can mend this. Tell them the error number below.")
_NEW_WINDOW = Sentence("Go back to your course and open Badges in a new window, or allow cookies for it.")

# reason: (status, sentence, what to do)
REFUSALS: dict[str, tuple[int, str, str]] = {
    # the login request
    "login_parameter": (400, Sentence("Your LMS began to open Badges but left something out."), _ADMIN),
    "client_id_needed": (
        400,
        Sentence("Your LMS is registered here more than once and did not say which registration it means."),
        Sentence("Your LMS administrator has to make it send its client_id when it opens Badges."),
    ),
    "target_link_uri_elsewhere": (
        400,
        Sentence("Your LMS asked for a page that does not belong to this tool."),
        _ADMIN,
    ),
    "registration_unknown": (401, Sentence("This tool does not know your LMS."), _ADMIN),
    "registration_pending": (
        401,
        Sentence("Your LMS has registered Badges, and is still waiting to be approved."),
        Sentence("An administrator of Badges approves it on the page of the platform. Then open Badges again."),
    ),
    # the answer of the platform instead of a launch
    "login_required": (
        401,
        Sentence(
            "Your LMS could not see that you are signed in, often because the browser blocks its cookies in a frame."
        ),
        Sentence("Sign in to your LMS again, then open Badges in a new window."),
    ),
    "launch_no_longer_valid": (401, Sentence("This launch was used already or took too long."), _AGAIN),
    "unauthorized_client": (401, Sentence("Your LMS does not allow this tool here."), _ADMIN),
    "access_denied": (401, Sentence("Your LMS does not let you open this tool here."), _ADMIN),
    "platform_error": (401, Sentence("Your LMS broke off before Badges could open."), _AGAIN),
    # state, browser, time
    "state_missing": (401, Sentence("This launch did not start at your LMS."), _AGAIN),
    "state_unknown": (401, Sentence("This launch is not one this tool is waiting for."), _AGAIN),
    "state_expired": (401, Sentence("This launch took too long. Start again from your course."), _AGAIN),
    "state_used": (401, Sentence("This launch was opened already. Start again from your course."), _AGAIN),
    "browser": (
        401,
        Sentence("This launch was begun in another browser, or the browser blocks cookies here."),
        _NEW_WINDOW,
    ),
    # the token itself
    "token_missing": (400, Sentence("Your LMS sent nothing to check."), _AGAIN),
    "token_malformed": (401, Sentence("What your LMS sent cannot be read."), _AGAIN),
    "token_too_large": (400, Sentence("What your LMS sent is far larger than any launch."), _ADMIN),
    "algorithm": (401, Sentence("Your LMS signed this launch in a way that is not allowed."), _ADMIN),
    "kid_missing": (401, Sentence("Your LMS did not say with which key it signed this launch."), _ADMIN),
    "kid_unknown": (401, Sentence("Your LMS signed this launch with a key that it does not publish."), _ADMIN),
    "signature": (401, Sentence("The signature of this launch is not that of your LMS."), _AGAIN),
    "issuer": (401, Sentence("This launch says it comes from another LMS than the one that began it."), _ADMIN),
    "audience": (401, Sentence("This launch was made for another tool."), _ADMIN),
    "azp": (401, Sentence("This launch was made for another tool."), _ADMIN),
    "claim_missing": (401, Sentence("Your LMS left out something without which a launch cannot be checked."), _ADMIN),
    "expired": (401, Sentence("This launch has expired."), _AGAIN),
    "too_old": (401, Sentence("This launch was made too long ago."), _AGAIN),
    "iat_future": (
        401,
        Sentence(
            "This launch says it was made in the future: a clock is wrong, that of your LMS or that of this tool."
        ),
        _ADMIN,
    ),
    "not_yet_valid": (401, Sentence("This launch is not valid yet: a clock is wrong."), _ADMIN),
    "nonce": (401, Sentence("This launch does not answer the login that was begun."), _AGAIN),
    "target_link_uri": (401, Sentence("Your LMS opened another page than it announced."), _AGAIN),
    "registration_disabled": (401, Sentence("This tool is switched off for your LMS."), _ADMIN),
    "deployment": (401, Sentence("This tool has not been approved for your part of the LMS yet."), _ADMIN),
    # the message
    "version": (400, Sentence("Your LMS speaks another version of LTI than 1.3."), _ADMIN),
    "message_type": (400, Sentence("Your LMS asked for something this tool does not do."), _ADMIN),
    "deployment_id": (
        400,
        Sentence("Your LMS did not say from which of its installations of this tool you come."),
        _ADMIN,
    ),
    "roles": (400, Sentence("Your LMS did not say what your role is."), _ADMIN),
    "resource_link": (400, Sentence("Your LMS did not say which link you opened."), _AGAIN),
    "sub": (
        400,
        Sentence("Your LMS did not say who you are, and badges are given to people."),
        Sentence("Sign in to your LMS, then open Badges again. Your LMS must not open this tool anonymously."),
    ),
    "context": (400, Sentence("Your LMS described this course in a way that cannot be read."), _ADMIN),
    "for_user": (400, Sentence("Your LMS did not say whose work is to be shown."), _AGAIN),
    "for_user_other": (
        403,
        Sentence("This is the work of somebody else."),
        Sentence("Only those who teach the course can open it."),
    ),
    "deep_linking_settings": (400, Sentence("Your LMS did not say where the chosen link should go."), _AGAIN),
    "deep_linking_type": (
        400,
        Sentence("Your LMS asked for something other than a link to a tool, and badges are placed as such links."),
        Sentence("Choose Badges where your LMS adds an activity, an assignment or an external tool to a course."),
    ),
    "deep_linking_elsewhere": (
        400,
        Sentence("The chosen links would go to a page that does not belong to your LMS, so nothing was opened."),
        _ADMIN,
    ),
    "too_long": (400, Sentence("Your LMS sent an identifier that is longer than LTI allows, or no text."), _ADMIN),
    # a notice of the platform: nobody but its administrator reads these
    "notice_malformed": (400, Sentence("What your LMS sent is not a list of notices."), _ADMIN),
    "notice_type": (400, Sentence("Your LMS sent a notice this tool did not ask for."), _ADMIN),
    "claim_malformed": (400, Sentence("Something your LMS sent about this launch cannot be read."), _ADMIN),
}


def refusal(reason: str, detail: str = "", *, sentence: str | None = None) -> LaunchRefused:
    """Return the exception of a reason. `detail` is for the log: no token, name or e-mail address in it.

    `sentence` takes the place of the reason's own where it can say more."""
    status, its_own, what_to_do = REFUSALS[reason]
    kind = LaunchMalformed if status == 400 else LaunchRefused
    return kind(detail or reason, reason=reason, status=status, sentence=sentence or its_own, what_to_do=what_to_do)
