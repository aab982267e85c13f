"""Every difference between LMSs: the default is what the specification says, an LMS overrides it, with evidence.

"Seen" is a running Moodle 4.5.6; "source" is Canvas' own (instructure/canvas-lms)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from lti_tool.errors import ScoreRefused
from lti_tool.http import Response

Listing = Literal["line_items", "results", "memberships"]

# A substitution variable the platform did not fill in comes as it was written. Both do it: Canvas sends
# "$Person.sourcedId" (captured 2025), Moodle "$ResourceLink.id.history" (seen).
_UNRESOLVED = re.compile(r"\$[A-Za-z]")

# RFC 8288, 3: <address>; name="value"; name=value. Each run of white space can be read in one way only.
_PARAMETER = re.compile(r"\s*;\s*([^\s=;,<>]+)(?:\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"<>]*)))?")
_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[^\s=;,<>]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"<>]*))?)*)")
LONGEST_LINK_HEADER = 16_384


class Platform:
    """An LMS that does what the specifications say."""

    name = "your LMS"

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

    def score_members(self) -> dict[str, Any]:
        """Return members to add to a score."""
        return {}

    def line_item_members(self) -> dict[str, Any]:
        """Return members to add to a line item that is made."""
        return {}

    def concluded(self, response: Response) -> bool:
        """Say whether a refusal means that the course has ended."""
        return False

    def score_refusal(self, response: Response) -> ScoreRefused | None:
        """Read why a score was refused for good; None where trying again later may help.

        The LMS's own words are matched, never repeated: Moodle's repeat the whole score, with the person in it."""
        if response.status in (400, 403, 409, 412, 422):
            return ScoreRefused(f"the platform answered {response.status}", reason=f"score_refused_{response.status}")
        return None

    def link_makes_column(self, claims: Mapping[str, Any]) -> bool:
        """Say whether a link placed by this deep linking request gets a column whether we ask for one or not."""
        return False

    def after_placing(self) -> str:
        """Say what an instructor still has to do in the LMS once links were placed; empty where nothing is left."""
        return ""

    def where_to_grade(self) -> str:
        """Say where an instructor marks a gradebook column of ours."""
        return "Open the gradebook of the course and enter the points in the column."

    def keep_out_of_total(self) -> str:
        """Say which clicks keep a column out of the course total, which AGS cannot ask for."""
        return "Look in the gradebook's settings for the column's weight, and set it to 0."


class Canvas(Platform):
    name = "Canvas"

    def page_limit(self, listing: Listing) -> int | None:
        # Source, lib/api.rb: 10 a page unless asked, 50 or 100 at most; names and roles has 50 as default and maximum.
        return 50 if listing == "memberships" else 100

    def is_course(self, context_types: Collection[str]) -> bool:
        # Source, jwt_message.rb: a launch from account, global or user navigation has the account as its context.
        return not any(kind == "Account" or kind.endswith("#Account") for kind in context_types)

    def score_members(self) -> dict[str, Any]:
        # Source, scores_controller.rb: without this a score makes a submission, uses up one of the learner's attempts
        # and, once they are used up, is refused with 422 (hypothesis/lms #5098).
        return {"https://canvas.instructure.com/lti/submission": {"new_submission": False}}

    def line_item_members(self) -> dict[str, Any]:
        # Source, line_items_controller.rb: the assignment Canvas makes for it then waits for no submission.
        return {"https://canvas.instructure.com/lti/submission_type": {"type": "none"}}

    def concluded(self, response: Response) -> bool:
        # Source, gradebook_services.rb: "This course has concluded. AGS requests will no longer be accepted …"
        return response.status == 422 and b"concluded" in response.body[:4000]

    def score_refusal(self, response: Response) -> ScoreRefused | None:
        text = response.body[:4000].decode("utf-8", "replace")
        for words, reason, sentence in (
            # Source, scores_controller.rb and gradebook_services.rb
            ("not a student", "not_a_student", "Canvas does not know this person as a student of the course."),
            ("unpublished", "unpublished", "The assignment behind this column is not published in Canvas yet."),
            ("maximum number of allowed attempts", "no_attempts_left", "The learner has no attempt left in Canvas."),
            ("before last updated timestamp", "earlier_timestamp", "The gradebook holds a newer grade."),
        ):
            if words in text:
                return ScoreRefused(f"{response.status} {reason}", reason=reason, sentence=sentence)
        return super().score_refusal(response)

    def link_makes_column(self, claims: Mapping[str, Any]) -> bool:
        # Source, assignment.rb update_line_items: an assignment of a tool always has a line item, with neither tag nor
        # resourceId unless the item brought them.
        return claims.get("https://www.instructure.com/placement") == "assignment_selection"

    def after_placing(self) -> str:
        # Source, deep_linking_modules.rb: workflow_state "unpublished".
        return "Canvas makes an unpublished assignment of whatever has a gradebook column: publish it there."

    def where_to_grade(self) -> str:
        return (
            "In Canvas open Grades, find the column, and enter the points or open SpeedGrader from the column's menu."
        )

    def keep_out_of_total(self) -> str:
        return (
            "In Canvas open Assignments, put the badge's assignments into a group of their own, and either give that "
            "group 0 % (Assignments, menu, Assignment Groups Weight) or tick “Do not count this assignment towards the "
            "final grade” on each."
        )


class Moodle(Platform):
    name = "Moodle"

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
                "409 earlier timestamp", reason="earlier_timestamp", sentence="The gradebook holds a newer grade."
            )
        if response.status == 400 and "Incorrect score received" in response.reason:
            # Seen: one answer for a person not enrolled, a teacher, and an unknown person alike.
            return ScoreRefused(
                "400 incorrect score",
                reason="not_a_student",
                sentence="Moodle does not take a score for this person: not a participant who can be graded.",
            )
        if response.status == 500 and response.body.strip() == b"[]":
            # Seen: a locked grade answers 500 with an empty list.
            return ScoreRefused("500 []", reason="grade_locked", sentence="This grade is locked in Moodle's gradebook.")
        return super().score_refusal(response)

    def after_placing(self) -> str:
        # Seen: one item fills the activity's form, several are listed; either way nothing is there until it is saved.
        return "Moodle then shows the new activity, or the list of them: save it there."

    def where_to_grade(self) -> str:
        return "In Moodle open Grades, switch Edit mode on, and enter the points in the column."

    def keep_out_of_total(self) -> str:
        return "In Moodle open Grades, Gradebook setup, and set the weight of the badge's columns to 0."


_PLATFORMS = {"canvas": Canvas(), "moodle": Moodle()}
_OTHER = Platform()


def platform_of(product: str | None) -> Platform:
    """Return what is known of a product: `canvas`, `moodle`, or anything else."""
    return _PLATFORMS.get((product or "").lower(), _OTHER)


def is_unresolved(value: str) -> bool:
    """Say whether a custom value is a substitution variable that was not filled in."""
    return _UNRESOLVED.match(value) is not None
