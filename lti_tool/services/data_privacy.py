"""A data privacy launch: what is kept about a person, in kinds, counts and times.

https://www.imsglobal.org/spec/lti-dp/v1p0. Whoever looks at somebody else gets no grade, no badge and no course named:
that an LMS calls her an administrator makes her none here. Herself she finds nothing counted that is not released."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from lti_tool.errors import NotPermitted
from lti_tool.lti.claims import Launch as VerifiedLaunch
from lti_tool.lti.roles import is_administrator
from lti_tool.models import (
    AuditEvent,
    Award,
    Column,
    Course,
    CourseBadge,
    Edition,
    Endorsement,
    Enrolment,
    Evidence,
    EvidenceFile,
    Launch,
    Mark,
    Mastery,
    OAuthGrant,
    OutsideBadge,
    OwnAddress,
    OwnAddressRequest,
    OwnSession,
    Person,
    Result,
    RightsRequest,
    ShareLink,
    SourceAnswer,
    WalletOffer,
    WhyNot,
)
from lti_tool.sentence import Sentence
from lti_tool.services import audit, retention
from lti_tool.services.her_data import Hidden, hidden_from, shown, who_is
from lti_tool.services.issuer import issuer_row
from lti_tool.services.pages.student import DataPrivacy, KeptData
from lti_tool.services.tool import Tool
from lti_tool.services.words import days_words

NOTHING = Hidden(frozenset(), frozenset(), frozenset())


def page(tool: Tool, launch: VerifiedLaunch, now: datetime) -> DataPrivacy:
    """Return what is kept about the person a data privacy launch is for; a look at somebody else is written down.

    Raises NotPermitted for anybody but that person herself and the LMS's administrators."""
    assert launch.for_user is not None
    own = launch.for_user.user_id == launch.sub
    if not own and not is_administrator(launch.roles):
        raise NotPermitted(
            "a data privacy launch for somebody else",
            reason="for_user_other",
            sentence=Sentence("This is about the data of somebody else."),
            what_to_do=Sentence(
                "You can open this page for yourself; an administrator of your LMS can open it for others."
            ),
        )
    with tool.db.write() as session:
        viewer, person = _person(session, launch, launch.sub), _person(session, launch, launch.for_user.user_id)
        if viewer is not None and viewer.disabled:
            raise NotPermitted("the person is disabled")
        if person is not None and not own:
            actor = audit.person(viewer.id) if viewer is not None else f"platform:{launch.registration_id}"
            audit.record(session, now, actor, "privacy.looked", audit.person(person.id))
        hidden = _hidden(session, person, now) if person is not None and own else NOTHING
        issuer = issuer_row(session)
        return DataPrivacy(
            own=own,
            kept=tuple(kept(session, person, hidden)) if person is not None else (),
            issuer=issuer.name,
            issuer_url=issuer.url,
            issuer_email=issuer.email,
        )


def own(tool: Tool, person_id: str, now: datetime) -> list[KeptData]:
    """Return what is kept about somebody who looks at her own page."""
    with tool.db.read() as session:
        person = session.get_one(Person, person_id)
        return kept(session, person, _hidden(session, person, now))


def _hidden(session: Session, person: Person, now: datetime) -> Hidden:
    return hidden_from(session, who_is(session, person.id), now)


def _person(session: Session, launch: VerifiedLaunch, sub: str) -> Person | None:
    return session.scalar(select(Person).where(Person.registration_id == launch.registration_id, Person.sub == sub))


def kept(session: Session, person: Person, hidden: Hidden) -> list[KeptData]:
    """Count each kind of data, without what is hidden.

    One of which there is nothing is listed too: that it would be kept is worth knowing."""
    erased = _("until the institution erases it")
    days = retention.periods(session)
    of_course = _after_the_course(days["course"], erased)
    named = (
        (_("name"), person.name),
        (_("name in credentials"), person.shown_name),
        (_("e-mail address"), person.email),
        (_("SIS id"), person.sis_id),
    )
    told = [word for word, value in named if value]
    identity = ", ".join([_("its identifier"), *told])
    mine = and_(Award.person_id == person.id, *shown(Award, hidden))
    award_ids = list(session.scalars(select(Award.id).where(mine)))
    public = session.scalar(select(func.count()).select_from(Award).where(mine, Award.page_public)) or 0
    results = (
        _counted(Result.received_at)
        .join(Column, Result.column_id == Column.id)
        .join(CourseBadge)
        .join(Course)
        .where(Course.registration_id == person.registration_id, Result.user_sub == person.sub, *shown(Result, hidden))
    )
    answers = (
        _counted(SourceAnswer.received_at)
        .join(CourseBadge, CourseBadge.id == SourceAnswer.course_badge_id)
        .join(Course)
        .where(Course.registration_id == person.registration_id, SourceAnswer.user_sub == person.sub)
        .where(*shown(SourceAnswer, hidden))
    )
    subjects = [audit.person(person.id), *(f"award:{award_id}" for award_id in award_ids)]
    events = _counted(AuditEvent.at).where(
        or_(AuditEvent.actor == audit.person(person.id), AuditEvent.subject.in_(subjects)), *shown(AuditEvent, hidden)
    )
    courses = session.scalar(select(func.count()).select_from(Enrolment).where(Enrolment.person_id == person.id)) or 0

    def line(what: str, why: str, query: Any, ends: str = erased) -> KeptData:
        count, since, until = session.execute(query).one()
        return KeptData(what, why, count, since, until, ends)

    return [
        KeptData(
            _("The person in the LMS: %(identity)s", identity=identity),
            _("To know the person again, and to write the name on pages for the teachers."),
            1,
            person.created_at,
            None,
            erased,
        ),
        KeptData(
            _("Courses, with the role in each"),
            _("To award badges to learners only, and to show teachers their class."),
            courses,
            None,
            None,
            of_course,
        ),
        line(
            _("Open visits"),
            _("To let the pages work that were opened from the LMS."),
            _counted(Launch.created_at).where(Launch.person_id == person.id),
            _("for 12 hours after each visit"),
        ),
        line(
            _("Grades, as the gradebook sent them"),
            _("To work out levels, and to show where each came from."),
            results,
            of_course,
        ),
        line(
            _("Grades from the LMS's own rubrics, its course grade or a file"),
            _("To work out levels where the gradebook does not tell them."),
            answers,
            of_course,
        ),
        line(
            _("Levels worked out from them, with earlier ones"),
            _("To decide about a badge, and to say why."),
            _counted(Mastery.decided_at).where(Mastery.person_id == person.id, *shown(Mastery, hidden)),
            of_course,
        ),
        line(
            _("Marks, with comments, made here by those who teach"),
            _("To put them into the gradebook, and to work out levels."),
            _counted(Mark.marked_at).where(Mark.person_id == person.id, *shown(Mark, hidden)),
            of_course,
        ),
        line(
            _("Evidence put beside a badge's rows"),
            _("To let those who mark see what was done."),
            _counted(Evidence.created_at).where(Evidence.person_id == person.id, *shown(Evidence, hidden)),
            _after_the_course(days["evidence"], erased),
        ),
        line(
            _("Files among that evidence"),
            _("To let those who mark see what was done, and everybody while a public page shows it."),
            _counted(EvidenceFile.stored_at).join(Evidence).where(Evidence.person_id == person.id),
            _("until the learner withdraws it, or the institution erases it"),
        ),
        line(
            _("Badges of other issuers, handed in to count here"),
            _("To let those who teach decide whether they count, and to check that they still do."),
            _counted(OutsideBadge.handed_at).where(OutsideBadge.person_id == person.id),
        ),
        line(
            ngettext(
                "Awards, each with the record of its decision; %(num)s with a public page",
                "Awards, each with the record of its decision; %(num)s with a public page",
                public,
            )
            if public
            else _("Awards, each with the record of its decision; none with a public page"),
            _("To let anyone check what was awarded, as long as it counts."),
            _counted(Award.earned_at).where(mine),
        ),
        line(
            _("Why a badge was not claimed, where that was put off, asked or answered"),
            _("To ask once only, and to count the answers without the person."),
            _counted(func.coalesce(WhyNot.answered_at, WhyNot.asked_at, WhyNot.put_off_at)).join(Award).where(mine),
        ),
        line(
            _("Signed credentials"),
            _("The files themselves. They name their owner by a random identifier, and hold what was chosen."),
            _counted(Edition.valid_from).join(Award).where(mine),
        ),
        line(
            _("What people outside said of the awards"),
            _("To show it with the award, as long as its page is public."),
            _counted(Endorsement.said_at).join(Award, Award.id == Endorsement.award_id).where(mine),
        ),
        line(
            _("Offers of a badge to a wallet"),
            _("To hand it out once, and to one wallet."),
            _counted(WalletOffer.created_at).join(Award).where(mine),
            _("for a day after each"),
        ),
        line(
            _("Links that show a badge for a while"),
            _("To open for whoever is given one, and to tell how often it was opened."),
            _counted(ShareLink.created_at).join(Award).where(mine),
            _("for thirty days after each has ended"),
        ),
        line(
            _("Backpacks that were let in to fetch badges"),
            _("To let them do so until it is ended, and to show which they are."),
            _counted(OAuthGrant.created_at).where(OAuthGrant.person_id == person.id),
            _("thirty days after it is ended, or a day after it ran out"),
        ),
        line(
            _("What was asked about this data, and what was decided"),
            _("To answer it, and to show later that it was answered."),
            _counted(RightsRequest.asked_at).where(RightsRequest.person_id == person.id),
        ),
        line(
            _("A private e-mail address, to open the badges without the LMS"),
            _("To send a link when one is asked for, and for nothing else."),
            _counted(OwnAddress.confirmed_at).where(OwnAddress.person_id == person.id),
            _("until it is removed, or the institution erases it"),
        ),
        line(
            _("Addresses that were entered for that and are not confirmed"),
            _("To know whom a confirmation is for."),
            _counted(OwnAddressRequest.created_at).where(OwnAddressRequest.person_id == person.id),
            _("for two days after each"),
        ),
        line(
            _("Visits without the LMS that are open"),
            _("To let the pages work that a link to that address has opened."),
            _counted(OwnSession.created_at)
            .join(OwnAddress, OwnAddress.address == OwnSession.address)
            .where(OwnAddress.person_id == person.id),
            _("for eight hours after each began"),
        ),
        line(_("Entries in the log of who did what"), _("To be able to say later who changed something."), events),
    ]


def _after_the_course(days: int | None, ever: str) -> str:
    return _("for %(time)s after the course ended", time=days_words(days)) if days is not None else ever


def _counted(column: Any) -> Any:
    return select(func.count(column), func.min(column), func.max(column))
