"""Every difference between LMSs: the default is what the specification says, an LMS overrides it, with evidence.

"Seen" is a running Moodle 4.5.6; "source" is Canvas' own (instructure/canvas-lms)."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from lti_tool.errors import AccessRefused, ScopeMissing, ScoreRefused, ServiceError
from lti_tool.http import Response, same_origin
from lti_tool.sentence import Sentence

Listing = Literal["line_items", "results", "memberships"]

# A substitution variable the platform did not fill in comes as it was written. Both do it: Canvas sends
# "$Person.sourcedId" (captured 2025), Moodle "$ResourceLink.id.history" (seen).
_UNRESOLVED = re.compile(r"\$[A-Za-z]")

# RFC 8288, 3: <address>; name="value"; name=value. Each run of white space can be read in one way only.
_PARAMETER = re.compile(r"\s*;\s*([^\s=;,<>]+)(?:\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"<>]*)))?")
_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[^\s=;,<>]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"<>]*))?)*)")
LONGEST_LINK_HEADER = 16_384

RESOURCE_LINK, DEEP_LINKING = "LtiResourceLinkRequest", "LtiDeepLinkingRequest"
SUBMISSION_REVIEW, DATA_PRIVACY = "LtiSubmissionReviewRequest", "LtiDataPrivacyLaunchRequest"

# What can be found wrong with a platform, and mended by clicks in it. In a click, [[…]] is a label of the LMS.
Trouble = Literal[
    "keys",
    "token",
    "launch",
    "deployment",
    "roster",
    "columns_read",
    "columns_write",
    "scopes",
    "clock",
    "course",
    "concluded",
    "unpublished",
]
Clicks = Sequence[str]


# Message type → the placements a platform offers for it.
Messages = Mapping[str, Collection[str]]


Section = tuple[str, str]  # id and name; the name is "" where only the id is told
LONGEST_SECTION = 255
MOST_SECTIONS = 50
LONGEST_ID = 30  # digits, of a section
LONGEST_TERM = 100  # characters
LOW_BUCKET, BUCKET_FILLS = 150.0, 10.0  # Canvas' throttle units: room for two or three requests; and a second


def _ids(text: str) -> list[str]:
    """Read ids with commas between."""
    found = dict.fromkeys(each.strip()[:LONGEST_SECTION] for each in text.split(","))
    return [each for each in found if each][:MOST_SECTIONS]


class CourseTotal(NamedTuple):
    """What a column does to the course total, and what an instructor clicks to keep it out; [[…]] is a label."""

    what: Sentence
    clicks: tuple[Sentence, ...] = ()
    hint: str = ""


class Platform:
    """An LMS that does what the specifications say."""

    name: str = Sentence("your LMS")
    tells_all_groups = True  # whose section or group everybody is in, where it tells them at all
    numbers_clients = True  # so that an LMS elsewhere may give the same client id

    def page_limit(self, listing: Listing) -> int | None:
        """Return the `limit` to ask for, or None to send none: the platform may ignore it."""
        return None

    def next_page(self, link_header: str) -> str | None:
        """Return the address of rel="next" as it was sent, upper case and all (RFC 8288)."""
        for address, parameters in _LINK.findall(link_header[:LONGEST_LINK_HEADER]):
            for name, quoted, bare in _PARAMETER.findall(parameters):
                if name.lower() == "rel" and "next" in (quoted or bare).lower().split():
                    return str(address)
        return None

    def is_course(self, context_types: Collection[str]) -> bool:
        """Say whether a context is one in which people learn."""
        return True

    def score_time(self, now: datetime, last: datetime | None) -> datetime:
        """Return a score's timestamp: now, but later than the last one, as AGS 2.0 asks."""
        return now if last is None else max(now, last + timedelta(milliseconds=1))

    def score_members(self, *, replace: bool = True) -> dict[str, Any]:
        """Return members to add to a score. Without `replace`, a teacher's own grade is to stay where it can be told.

        AGS has no way to say so: a teacher's grade between our reading and our score would be lost."""
        return {}

    def score_comment(self, comment: str, sent: str | None) -> str | None:
        """Return the comment to send along, where `sent` is the one that went with the score before.

        The whole of it each time: Moodle takes a comment away when a later score comes without one (seen)."""
        return comment or None

    def line_item_members(self) -> dict[str, Any]:
        """Return members to add to a line item that is made."""
        return {}

    def concluded(self, response: Response) -> bool:
        """Say whether a refusal means that the course has ended."""
        return False

    def rest(self, response: Response) -> float:
        """Return how many seconds to leave the platform alone after an answer, so that it need not refuse the next."""
        return 0.0

    def course_ends(self, custom: Mapping[str, str]) -> tuple[datetime, ...]:
        """Return the moments after which the platform may refuse its services for the course, as a launch tells."""
        return ()

    def course_begins(self, custom: Mapping[str, str]) -> datetime | None:
        """Return when the course begins, as a launch tells; None where it does not."""
        return None

    def term(self, custom: Mapping[str, str]) -> str:
        """Return the name of the course's term, as a launch tells; empty where it does not."""
        return ""

    def access_refusal(self, response: Response) -> ServiceError | None:
        """Read why a service answers 401 to a new token; None where it does not tell."""
        return None

    def maximum_changed(self) -> str:
        """Say what becomes of the grades in a column whose maximum a teacher changes.

        What AGS 2.0 leaves open: whether `resultMaximum` follows."""
        return Sentence("Look through the grades that were entered before: your LMS may have kept or changed them.")

    def score_refusal(self, response: Response) -> ScoreRefused | None:
        """Read why a score was refused for good; None where trying again later may help.

        The LMS's own words are matched, never repeated: Moodle's repeat the whole score, with the person in it."""
        if response.status in (400, 403, 409, 412, 422):
            return ScoreRefused(f"the platform answered {response.status}", reason=f"score_refused_{response.status}")
        return None

    # Registration

    def describes(self, issuer_host: str, configuration_host: str) -> bool:
        """Say whether a host may describe an issuer (LTI Dynamic Registration 1.0, 3.5.1).

        The host alone is compared: Moodle's issuer is the site's address with its path, and its configuration lies
        deeper than that (seen), so neither is the beginning of the other everywhere."""
        return issuer_host == configuration_host

    def token_audience(self, authorization_server: str | None) -> str | None:
        """Return the `aud` for token requests, None for the token address (LTI Dynamic Registration 1.0)."""
        return authorization_server

    def messages(self, launch_url: str, icon_url: str, offered: Messages) -> list[dict[str, Any]]:
        """Return the messages to register, of those the platform says it can send. None named: what every LMS has."""
        wanted = [kind for kind in (RESOURCE_LINK, DEEP_LINKING, SUBMISSION_REVIEW, DATA_PRIVACY) if kind in offered]
        made: list[dict[str, Any]] = []
        for kind in wanted or [RESOURCE_LINK, DEEP_LINKING]:
            message: dict[str, Any] = {"type": kind, "target_link_uri": launch_url, "label": "Badges"}
            if "ContentArea" in offered.get(kind, ()):
                message["placements"] = ["ContentArea"]
            made.append(message)
        return made

    def custom_parameters(self) -> dict[str, str]:
        """Return the custom parameters the tool reads, before those the platform does not know are left out."""
        return {"context_id_history": "$Context.id.history", "resource_link_id_history": "$ResourceLink.id.history"}

    def roster_link(self, context_id: str) -> str | None:
        """Return the resource link to read a roster with, so that it carries our custom parameters filled in for each.

        None: this platform does not do that for the person in the roster."""
        return None

    def sections(self, custom: Mapping[str, str]) -> tuple[Section, ...] | None:
        """Return the sections or groups that custom parameters name; None where they tell nothing of it."""
        return None

    def own_number(self, custom: Mapping[str, str]) -> str:
        """Return the number the LMS itself knows a person by, as custom parameters name it; empty where none does."""
        return ""

    def further_scopes(self, notices: Collection[str]) -> list[str]:
        """Return scopes to ask for beside those every LMS has."""
        return []

    def tool_members(self) -> dict[str, Any]:
        """Return members to add to the tool's configuration."""
        return {}

    def believed_scopes(self, answered: Sequence[str] | None) -> list[str] | None:
        """Return the scopes a registration's answer grants, None where it cannot be believed or says nothing."""
        return None if answered is None else list(answered)

    def after_registration(self) -> Clicks:
        """Say what an administrator clicks in the LMS once it has registered the tool."""
        return (Sentence("Switch the tool on in your LMS, and let courses use it."),)

    def mend(self, trouble: Trouble) -> Clicks:
        """Say what to click in the LMS, in its own labels, to mend what was found."""
        return {
            "keys": (
                Sentence("Check in the LMS's settings of the tool that its key address is the one registered here."),
            ),
            "token": (
                Sentence("Open the tool's registration in the LMS and see that it is switched on."),
                Sentence("Compare its client id, and the address of our keys, with those below."),
            ),
            "launch": (Sentence("Open Badges once in a course, as somebody who teaches there."),),
            "deployment": (Sentence("Approve the deployment below, if you know where it comes from."),),
            "roster": (Sentence("Let the tool use Names and Role Provisioning Services."),),
            "columns_read": (
                Sentence("Let the tool use Assignment and Grade Services, line items and results included."),
            ),
            "columns_write": (
                Sentence("Let the tool make line items and send scores (Assignment and Grade Services)."),
            ),
            "scopes": (Sentence("Grant the tool what is named above in its registration."),),
            "clock": (Sentence("Set the clock of the machine that is wrong by NTP."),),
            "course": (Sentence("Let the tool into this course again, in its settings or the LMS's."),),
            "concluded": (Sentence("Open the course again in your LMS, then press Sync now here."),),
            "unpublished": (Sentence("Publish the column in your LMS's gradebook."),),
        }[trouble]

    def link_makes_column(self, claims: Mapping[str, Any]) -> bool:
        """Say whether a link placed by this deep linking request gets a column whether we ask for one or not."""
        return False

    def after_placing(self) -> str:
        """Say what an instructor still has to do in the LMS once links were placed; empty where nothing is left."""
        return ""

    def open_by_column(self) -> Clicks:
        """Say how an instructor opens something for whoever has a full score in a column; empty where it is unknown."""
        return ()

    def keep_out_of_total(self) -> CourseTotal:
        """Say what a new column does to the course total, which AGS has no word for, and what keeps it out."""
        return CourseTotal(
            Sentence(
                "Each column counts towards the course total in most LMSs, and a tool cannot change that. In the "
                "gradebook, give the new columns a weight of 0, or leave them out of the total, where your LMS "
                "offers it."
            )
        )


CANVAS = "https://canvas.instructure.com/lti/"
TOOL_ID = "lti-tool-badges"
NOTICE_HANDLERS = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
_PICKER = {"launch_width": 900, "launch_height": 700}
# Message, placement, label, and what Canvas alone knows of it. Where badges are opened, chosen for an assignment, put
# into a module, and found by a learner over all courses.
CANVAS_PLACEMENTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (
        RESOURCE_LINK,
        "course_navigation",
        "Badges",
        {
            "course_navigation/default_enabled": True,
            "visibility": "members",
            "display_type": "full_width_in_context",
        },
    ),
    (DEEP_LINKING, "assignment_selection", "Badges", _PICKER),
    (DEEP_LINKING, "link_selection", "Badges", _PICKER),
    (RESOURCE_LINK, "user_navigation", "My badges", {}),
)


class Canvas(Platform):
    name = "Canvas"

    def page_limit(self, listing: Listing) -> int | None:
        # Source, lib/api.rb: 10 a page unless asked, 50 or 100 at most; names and roles has 50 as default and maximum.
        return 50 if listing == "memberships" else 100

    def is_course(self, context_types: Collection[str]) -> bool:
        # Source, jwt_message.rb: a launch from account, global or user navigation has the account as its context.
        return not any(kind == "Account" or kind.endswith("#Account") for kind in context_types)

    def score_members(self, *, replace: bool = True) -> dict[str, Any]:
        # Source, scores_controller.rb: without this a score makes a submission, uses up one of the learner's attempts
        # and, once they are used up, is refused with 422 (hypothesis/lms #5098). The second leaves a grade by a person.
        members = {"new_submission": False, **({} if replace else {"prioritize_non_tool_grade": True})}
        return {"https://canvas.instructure.com/lti/submission": members}

    def score_comment(self, comment: str, sent: str | None) -> str | None:
        # Source, scores_controller.rb: each score with a comment adds another comment to the submission.
        return None if comment == sent else comment or None

    def line_item_members(self) -> dict[str, Any]:
        # Source, line_items_controller.rb: the assignment Canvas makes for it then waits for no submission.
        return {"https://canvas.instructure.com/lti/submission_type": {"type": "none"}}

    def concluded(self, response: Response) -> bool:
        # Source, gradebook_services.rb: "This course has concluded. AGS requests will no longer be accepted …"
        return response.status == 422 and b"concluded" in response.body[:4000]

    def access_refusal(self, response: Response) -> ServiceError | None:
        # Source, lib/lti/ims/advantage_errors.rb and concerns/advantage_services.rb.
        text = response.body[:4000].decode("utf-8", "replace")
        if "Insufficient permissions" in text:
            return ScopeMissing("401 Insufficient permissions")
        if "not linked to a Tool associated with this Context" in text:
            return AccessRefused(
                "401 not in this course",
                reason="tool_not_in_course",
                sentence=Sentence("The tool is no longer there in this Canvas course."),
                what_to_do=Sentence("Put it back into the course, and everything goes on as before."),
            )
        if "Developer Key" in text:  # "Invalid Developer Key", "Unknown or inactive Developer Key"
            return AccessRefused(
                "401 developer key",
                reason="key_switched_off",
                sentence=Sentence("The tool's developer key is switched off in Canvas."),
            )
        return None

    def maximum_changed(self) -> str:
        # Source, lti/result.rb: a result keeps the maximum it was first graded on, and a new grade is put on that
        # scale; one that nobody touches stays as it was.
        return Sentence(
            "Grades entered before go on counting as they were then, though Canvas shows them beside the new maximum: "
            "enter those again that are meant otherwise."
        )

    def score_refusal(self, response: Response) -> ScoreRefused | None:
        text = response.body[:4000].decode("utf-8", "replace")
        for words, reason, sentence in (
            # Source, scores_controller.rb and gradebook_services.rb
            (
                "not a student",
                "not_a_student",
                Sentence("Canvas does not know this person as a student of the course."),
            ),
            (
                "unpublished",
                "unpublished",
                Sentence("The assignment behind this column is not published in Canvas yet."),
            ),
            (
                "maximum number of allowed attempts",
                "no_attempts_left",
                Sentence("The learner has no attempt left in Canvas."),
            ),
            ("before last updated timestamp", "earlier_timestamp", Sentence("The gradebook holds a newer grade.")),
        ):
            if words in text:
                return ScoreRefused(f"{response.status} {reason}", reason=reason, sentence=sentence)
        return super().score_refusal(response)

    # Registration

    def describes(self, issuer_host: str, configuration_host: str) -> bool:
        # Source, lib/lti/oidc.rb: every cloud customer has the issuer canvas.instructure.com, and the configuration
        # lies at sso.canvaslms.com; beta and test likewise. Captured 2025: also at the customer's *.instructure.com.
        for environment in ("", ".beta", ".test"):
            if issuer_host == f"canvas{environment}.instructure.com":
                return configuration_host in (
                    issuer_host,
                    f"sso{environment}.canvaslms.com",
                ) or configuration_host.endswith(f"{environment}.instructure.com")
        return super().describes(issuer_host, configuration_host)

    def token_audience(self, authorization_server: str | None) -> str | None:
        # Source, client_credentials_provider.rb: `aud` must be the token address of the host that is called. What its
        # configuration names as authorization_server is a bare host name (captured 2025).
        return None

    def messages(self, launch_url: str, icon_url: str, offered: Messages) -> list[dict[str, Any]]:
        # Captured 2025: placements are offered with the prefix; older documentation has them without, and both are
        # taken (source, resource_placement.rb). A message may stand there once for each placement.
        made = []
        for kind, placement, label, members in CANVAS_PLACEMENTS:
            known = offered.get(kind, ())
            named = next((name for name in (f"{CANVAS}{placement}", placement) if name in known), None)
            if offered and named is None:
                continue
            made.append(
                {
                    "type": kind,
                    "target_link_uri": launch_url,
                    "label": label,
                    "icon_uri": icon_url,
                    "placements": [named or f"{CANVAS}{placement}"],
                    **{f"{CANVAS}{name}": value for name, value in members.items()},
                }
            )
        return made

    def custom_parameters(self) -> dict[str, str]:
        # Captured 2025: Canvas knows $Context.id.history and $Activity.id.history, and no $ResourceLink.id.history.
        return {
            "context_id_history": "$Context.id.history",
            "activity_id_history": "$Activity.id.history",
            "canvas_api_domain": "$Canvas.api.domain",
            "canvas_course_id": "$Canvas.course.id",
            "canvas_user_id": "$Canvas.user.id",
            "canvas_assignment_id": "$Canvas.assignment.id",
            "canvas_section_ids": "$Canvas.course.sectionIds",
            "canvas_section_names": "$com.instructure.User.sectionNames",
            "canvas_course_begins": "$Canvas.course.startAt",
            "canvas_course_ends": "$Canvas.course.endAt",
            "canvas_term_begins": "$Canvas.term.startAt",
            "canvas_term_ends": "$Canvas.term.endAt",
            "canvas_term": "$Canvas.term.name",
        }

    def rest(self, response: Response) -> float:
        # Source, request_throttle.rb: a bucket of 600 units that fills by 10 a second; a request takes 50 of it until
        # it has ended. Every tool's share is its own, and all its workers drink from it.
        try:
            remaining = float(response.headers.get("X-Rate-Limit-Remaining", "inf"))
        except ValueError:
            return 0.0
        return max(0.0, LOW_BUCKET - remaining) / BUCKET_FILLS

    def course_ends(self, custom: Mapping[str, str]) -> tuple[datetime, ...]:
        # Source, variable_expander.rb: the course's own end and its term's. Which of the two counts is an option of
        # the course that no variable tells, so both do. As JSON writes a time, or as Ruby does: "… 00:00:00 -0700".
        told = (_moment(custom.get(name, "")) for name in ("canvas_course_ends", "canvas_term_ends"))
        return tuple(moment for moment in told if moment is not None)

    def course_begins(self, custom: Mapping[str, str]) -> datetime | None:
        told = (_moment(custom.get(name, "")) for name in ("canvas_course_begins", "canvas_term_begins"))
        return next((moment for moment in told if moment is not None), None)

    def term(self, custom: Mapping[str, str]) -> str:
        # Source, enrollment_term: courses without a term are in the one that Canvas makes for them.
        told = " ".join(custom.get("canvas_term", "").split())[:LONGEST_TERM]
        return "" if told == "Default Term" else told

    def roster_link(self, context_id: str) -> str | None:
        # Source, names_and_roles: `rlid` may be the course's own id, and both section variables are among the few that
        # are then filled in for each member.
        return context_id

    def own_number(self, custom: Mapping[str, str]) -> str:
        return str(custom.get("canvas_user_id", ""))

    def sections(self, custom: Mapping[str, str]) -> tuple[Section, ...] | None:
        # Documented: ids with commas between; names as a JSON list, sorted by the id of the section, "useful in
        # conjunction with" the ids. https://canvas.instructure.com/doc/api/file.tools_variable_substitutions.html
        if "canvas_section_ids" not in custom:
            return None
        ids = sorted(
            (each for each in _ids(custom["canvas_section_ids"]) if each.isdecimal() and len(each) <= LONGEST_ID),
            key=int,
        )
        try:
            told = json.loads(custom.get("canvas_section_names", ""))
        except ValueError:
            told = None
        names = told if isinstance(told, list) and len(told) == len(ids) else [""] * len(ids)
        return tuple((id_, str(name)[:LONGEST_SECTION]) for id_, name in zip(ids, names, strict=True))

    def further_scopes(self, notices: Collection[str]) -> list[str]:
        # Documentation (pns.md): the notice that a course was copied.
        return [NOTICE_HANDLERS] if "LtiContextCopyNotice" in notices else []

    def tool_members(self) -> dict[str, Any]:
        return {f"{CANVAS}privacy_level": "public", f"{CANVAS}tool_id": TOOL_ID}

    def key_configuration(self, base_url: str, host: str, description: str, scopes: Sequence[str]) -> dict[str, Any]:
        """Return the configuration of a developer key, as “Enter URL” reads it (Canvas' lti_dev_key_config.md)."""
        launch_url, icon_url = f"{base_url}/lti/launch", f"{base_url}/lti/icon.png"
        placements = []
        for kind, placement, label, members in CANVAS_PLACEMENTS:
            place: dict[str, Any] = {
                "placement": placement,
                "text": label,
                "enabled": True,
                "message_type": kind,
                "target_link_uri": launch_url,
                "icon_url": icon_url,
            }
            if placement == "course_navigation":
                place |= {"default": "enabled", "visibility": "members"}
            if "launch_width" in members:
                place |= {"selection_width": members["launch_width"], "selection_height": members["launch_height"]}
            placements.append(place)
        return {
            "title": "Badges",
            "description": description,
            "oidc_initiation_url": f"{base_url}/lti/login",
            "target_link_uri": launch_url,
            "public_jwk_url": f"{base_url}/.well-known/jwks.json",
            "scopes": [*scopes, NOTICE_HANDLERS],
            "custom_fields": self.custom_parameters(),
            "extensions": [
                {
                    "platform": "canvas.instructure.com",
                    "domain": host,
                    "tool_id": TOOL_ID,
                    "privacy_level": "public",
                    "settings": {"text": "Badges", "icon_url": icon_url, "placements": placements},
                }
            ],
        }

    def after_registration(self) -> Clicks:
        return (
            Sentence(
                "Look through what Badges asks for, leave it switched on, and press [[Install]] or [[Enable & Close]]."
            ),
            Sentence("Where Canvas shows it under [[Admin]] → [[Developer Keys]], switch [[State]] to [[On]]."),
            Sentence(
                "If it is not in your courses yet: [[Settings]] → [[Apps]] → [[View App Configurations]] → "
                "[[+ App]], type [[By Client ID]], with the client id below."
            ),
            Sentence(
                "Open [[Badges]] once in a course as an instructor. If it is not in the course's menu: "
                "[[Settings]] → [[Navigation]]."
            ),
        )

    def mend(self, trouble: Trouble) -> Clicks:
        key = Sentence("Open [[Admin]] → [[Developer Keys]] and find Badges.")
        services = Sentence("Choose the pencil, then [[LTI Advantage Services]].")
        save = Sentence("Press [[Save]]. Badges notices it by itself.")
        return {
            "token": (
                key,
                "See that [[State]] is [[On]], and that the number under [[Details]] is the client id below.",
                "Choose the pencil, see that [[Public JWK URL]] is the address of our keys below, and press [[Save]].",
            ),
            "launch": (
                "Open a course and choose [[Badges]] in its menu, as an instructor.",
                "If it is not there: [[Settings]] → [[Navigation]], drag [[Badges]] up, and press [[Save]].",
            ),
            "deployment": (
                "In Canvas the app's gear menu shows its deployment id: [[Settings]] → [[Apps]] → "
                "[[View App Configurations]] → gear → [[Deployment Id]].",
                "Approve it below if it is the one that is shown.",
            ),
            "roster": (
                key,
                services,
                "Turn on [[Can retrieve user data associated with the context the tool is installed in]].",
                save,
            ),
            "columns_read": (
                key,
                services,
                "Turn on [[Can create and view assignment data in the gradebook associated with the tool]] and "
                "[[Can view submission data for assignments associated with the tool]].",
                save,
            ),
            "columns_write": (
                key,
                services,
                "Turn on [[Can create and view assignment data in the gradebook associated with the tool]] and "
                "[[Can create and update submission results for assignments associated with the tool]].",
                save,
            ),
            "scopes": (key, services, "Turn on what is named above, then press [[Save]].", "Open Badges once more."),
            "course": (
                Sentence("Open the course and choose [[Settings]] → [[Apps]] → [[View App Configurations]]."),
                Sentence("If Badges is not in the list: [[+ App]], type [[By Client ID]], or ask your administrator."),
                Sentence("Open Badges again from the course."),
            ),
            "concluded": (
                Sentence(
                    "Open [[Settings]] → [[Course Details]] and set an end date that lies ahead. A course that "
                    "was concluded by hand is opened again by an administrator of Canvas."
                ),
                Sentence("Come back here and press [[Sync now]]."),
            ),
            "unpublished": (
                Sentence("In [[Assignments]], find the assignment with the column's name."),
                Sentence("Press the sign beside it, so that it turns green: [[Published]]."),
            ),
        }.get(trouble) or super().mend(trouble)

    def link_makes_column(self, claims: Mapping[str, Any]) -> bool:
        # Source, assignment.rb update_line_items: an assignment of a tool always has a line item, with neither tag nor
        # resourceId unless the item brought them.
        return claims.get("https://www.instructure.com/placement") == "assignment_selection"

    def after_placing(self) -> str:
        # Source, deep_linking_modules.rb: workflow_state "unpublished".
        return Sentence("Canvas makes an unpublished assignment of whatever has a gradebook column: publish it there.")

    def open_by_column(self) -> Clicks:
        # Documented: module requirements ("score at least"), which ask for the assignment in that module or before it.
        return (
            Sentence("In [[Modules]], add the column's assignment to a module, and choose the module's [[Edit]]."),
            Sentence("[[Add requirement]]: [[score at least]] 1."),
            Sentence("Give the module that is to open this one under [[Prerequisites]]."),
        )

    def keep_out_of_total(self) -> CourseTotal:
        return CourseTotal(
            Sentence(
                "Canvas makes an assignment of each column. It counts towards the course total, and learners see it. "
                "A tool cannot change that; you can:"
            ),
            (
                Sentence("In [[Assignments]], open the new assignment and choose [[Edit]]."),
                Sentence("Tick [[Do not count this assignment towards the final grade]]."),
                Sentence("[[Save]]. Do the same for each column."),
            ),
            Sentence(
                "Where the course weights its assignment groups, it is quicker to move them all into one group with a "
                "weight of 0 %."
            ),
        )


class Moodle(Platform):
    name = "Moodle"
    tells_all_groups = False  # see `sections`: only a launch tells, of whoever launches
    numbers_clients = False  # seen: 15 letters and digits at random; and whose `aud` it is, Moodle 4.5 does not look

    def page_limit(self, listing: Listing) -> int | None:
        # Seen: `limit` on results answers 404 with an HTML page (PHP: $lastpage is null). Without it, everything comes
        # in one page, line items and memberships too.
        return None

    def next_page(self, link_header: str) -> str | None:
        # Seen: <…?type_id=1&amp;limit=2&amp;from=2>; rel=“next” with curly quotes, which http.client reads as Latin-1.
        with contextlib.suppress(UnicodeError):
            link_header = link_header.encode("latin-1").decode("utf-8")
        return super().next_page(link_header.replace("&amp;", "&").replace("“", '"').replace("”", '"'))

    def score_time(self, now: datetime, last: datetime | None) -> datetime:
        # Seen: 409 unless a score is at least a whole second later than the last change, a teacher's edit included.
        second = now.astimezone(UTC).replace(microsecond=0)
        return second if last is None else max(second, last.replace(microsecond=0) + timedelta(seconds=1))

    def score_refusal(self, response: Response) -> ScoreRefused | None:
        if response.status == 409:
            # Seen: "Refusing score with an earlier timestamp for item 7 and user 5"
            return ScoreRefused(
                "409 earlier timestamp",
                reason="earlier_timestamp",
                sentence=Sentence("The gradebook holds a newer grade."),
            )
        if response.status == 400 and "Incorrect score received" in response.reason:
            # Seen: one answer for a person not enrolled, a teacher, and an unknown person alike.
            return ScoreRefused(
                "400 incorrect score",
                reason="not_a_student",
                sentence=Sentence("Moodle does not take a score for this person: not a participant who can be graded."),
            )
        if response.status == 500 and response.body.strip() == b"[]":
            # Seen: a locked grade answers 500 with an empty list.
            return ScoreRefused(
                "500 []", reason="grade_locked", sentence=Sentence("This grade is locked in Moodle's gradebook.")
            )
        return super().score_refusal(response)

    # Registration

    def custom_parameters(self) -> dict[str, str]:
        return {**super().custom_parameters(), "moodle_group_ids": "$Moodle.Person.userGroupIds"}

    def sections(self, custom: Mapping[str, str]) -> tuple[Section, ...] | None:
        # Source, mod/lti/locallib.php: the groups of whoever launches, by number and without their names. A roster
        # that is read by a service has nobody who launches, so only launches tell.
        if "moodle_group_ids" not in custom:
            return None
        return tuple((id_, "") for id_ in _ids(custom["moodle_group_ids"]))

    def messages(self, launch_url: str, icon_url: str, offered: Messages) -> list[dict[str, Any]]:
        # Seen: of everything sent, one deep-linking message with its target_link_uri is kept; labels, placements,
        # custom parameters of a message and all other types are dropped. What is not kept is not asked for.
        return [{"type": kind, "target_link_uri": launch_url} for kind in (RESOURCE_LINK, DEEP_LINKING)]

    def believed_scopes(self, answered: Sequence[str] | None) -> list[str] | None:
        # Seen: a tool that asked for two read scopes was answered with line item and score too, and had neither.
        return None

    def after_registration(self) -> Clicks:
        return (
            Sentence("In [[Manage tools]] Badges stands as [[Pending]]: press [[Activate]]."),
            Sentence(
                "Press its gear, set [[Tool configuration usage]] to [[Show in activity chooser and as a "
                "preconfigured tool]], and press [[Save changes]]. Or let each teacher do it: course → "
                "[[More]] → [[LTI External tools]] → [[Show in activity chooser]]."
            ),
            Sentence(
                "In a course switch [[Edit mode]] on, press [[Add an activity or resource]], choose "
                "[[Badges]], and open it once as its teacher."
            ),
        )

    def mend(self, trouble: Trouble) -> Clicks:
        tool = Sentence(
            "Open [[Site administration]] → [[Plugins]] → [[Activity modules]] → [[External tool]] → [[Manage tools]]."
        )
        gear = Sentence("Press the gear of Badges, then open [[Services]].")
        save = Sentence("Press [[Save changes]]. Badges notices it by itself.")
        grades = Sentence(
            "Set [[IMS LTI Assignment and Grade Services]] to [[Use this service for grade sync and "
            "column management]]."
        )
        return {
            "token": (
                tool,
                "See that Badges is not [[Pending]]: press [[Activate]].",
                "Press the list icon, [[View configuration details]], and compare [[Client ID]] with the one below.",
                "Press the gear and see that [[Public keyset]] is the address of our keys below.",
            ),
            "launch": (
                "Open a course, then [[More]] → [[LTI External tools]], and switch [[Show in activity chooser]] on.",
                "Switch [[Edit mode]] on, press [[Add an activity or resource]], choose [[Badges]], and open it once.",
            ),
            "deployment": (
                tool,
                "Press the list icon, [[View configuration details]]: it shows [[Deployment ID]].",
                "Approve it below if it is the one that is shown.",
            ),
            "roster": (
                tool,
                gear,
                "Set [[IMS LTI Names and Role Provisioning]] to [[Use this service to retrieve members' information as "
                "per privacy settings]].",
                save,
            ),
            "columns_read": (tool, gear, grades, save),
            "columns_write": (tool, gear, grades, save),
            "scopes": (tool, gear, grades, save),
            "course": (
                tool,
                Sentence("See that Badges is there, and not [[Pending]]: press [[Activate]]."),
                Sentence(
                    "In the course: [[More]] → [[LTI External tools]], and switch [[Show in activity chooser]] on."
                ),
            ),
        }.get(trouble) or super().mend(trouble)

    def maximum_changed(self) -> str:
        # Seen for a PUT: every grade is put on the new scale. The gradebook's own form asks the teacher instead.
        return Sentence(
            "Moodle asks whether to rescale existing grades. With [[Yes]] they count as before; with [[No]] each keeps "
            "its points, so that its share of the new maximum is another, and levels follow it."
        )

    def after_placing(self) -> str:
        # Seen: one item fills the activity's form, several are listed; either way nothing is there until it is saved.
        return Sentence("Moodle then shows the new activity, or the list of them: save it there.")

    def open_by_column(self) -> Clicks:
        # Documented: conditional activities, condition "Grade".
        return (
            Sentence("Open the activity's settings, then [[Restrict access]] → [[Add restriction]] → [[Grade]]."),
            Sentence("Choose the column, tick [[must be ≥]] and write 100."),
            Sentence("[[Save and return to course]]."),
        )

    def keep_out_of_total(self) -> CourseTotal:
        return CourseTotal(
            Sentence(
                "Moodle makes a grade item of each column, and it counts towards the course total. A tool cannot "
                "change that; you can:"
            ),
            (
                Sentence("Open [[Grades]] and choose [[Gradebook setup]]."),
                Sentence("In [[Weights]], tick the box beside each new column and write 0."),
                Sentence("[[Save changes]]."),
            ),
            Sentence(
                "Weights are there with the aggregations Natural and Weighted mean of grades. With another one a "
                "column cannot be kept out this way."
            ),
        )


# Brightspace has one token address for all its customers, and takes one audience there, on another host
# (hypothesis/lms, lms/product/d2l/_plugin/misc.py: api.brightspace.com/auth/token).
_AUDIENCES = {"https://auth.brightspace.com": "https://api.brightspace.com"}


def may_name_audience(token_url: str, audience: str | None) -> bool:
    """Say whether an assertion for `audience` can be of use at its token address alone: it lies on the same host, or is
    known. None is the token address itself.

    Whoever receives an assertion can use it where its `aud` is taken. An LMS that names another's token address would
    be handed that one's access tokens. A bare host name is taken for one (Canvas writes it so)."""
    if not audience:
        return True
    scheme, mark, _ = token_url.partition("://")
    named = audience if "://" in audience else f"{scheme}{mark}{audience}"
    return same_origin(token_url, named) or any(
        same_origin(token_url, at) and same_origin(named, known) for at, known in _AUDIENCES.items()
    )


_PLATFORMS = {"canvas": Canvas(), "moodle": Moodle()}
_OTHER = Platform()


def platform_of(product: str | None) -> Platform:
    """Return what is known of a product: `canvas`, `moodle`, or anything else."""
    return _PLATFORMS.get((product or "").lower(), _OTHER)


def product_of(family: object) -> str:
    """Return the product a `product_family_code` names: `canvas`, `moodle` or `other`."""
    return family.lower() if isinstance(family, str) and family.lower() in _PLATFORMS else "other"


def canvas_key_configuration(base_url: str, host: str, description: str, scopes: Sequence[str]) -> dict[str, Any]:
    """Return what Canvas reads where a developer key is made by “Enter URL”."""
    return Canvas().key_configuration(base_url, host, description, scopes)


def is_unresolved(value: str) -> bool:
    """Say whether a custom value is a substitution variable that was not filled in."""
    return _UNRESOLVED.match(value) is not None


def _moment(value: str) -> datetime | None:
    """Read a moment as platforms write it; one without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(re.sub(r" (?=UTC$|[+-]\d\d:?\d\d$)", "", value).replace("UTC", "Z"))
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
