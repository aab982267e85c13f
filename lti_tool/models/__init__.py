"""All tables. A UNIQUE constraint states a business rule; code only words it.

Registration → Deployment → Course; Registration → Person; Person × Course → Enrolment.
Achievement → AchievementVersion (frozen); Course × AchievementVersion → CourseBadge → Column.
Result (raw, as received) → Mastery → Award → Edition (what is signed). Mark (made here) → Posting → Result."""

from lti_tool.models.administrators import Administrator, AdminSession, Binding, BindingCode, SignInAddress
from lti_tool.models.awards import (
    AWARD_STATES,
    LIVE_STATES,
    Award,
    AwardFile,
    Edition,
    Evidence,
    Mark,
    Mastery,
    Posting,
    Result,
    Review,
    StatusList,
)
from lti_tool.models.badges import (
    Achievement,
    AchievementVersion,
    Column,
    CourseBadge,
    EarlierVersion,
    Issuer,
    Prerequisite,
    Publication,
)
from lti_tool.models.base import Base
from lti_tool.models.launches import Browser, Launch, Login, Message
from lti_tool.models.people import (
    ContextNotice,
    Course,
    CourseCopy,
    Deployment,
    Enrolment,
    Invite,
    Person,
    PersonLink,
    Registration,
    ResourceLink,
    may_be_awarded,
)
from lti_tool.models.work import AuditEvent, Figure, Job, Presence

__all__ = [
    "AWARD_STATES",
    "LIVE_STATES",
    "Achievement",
    "AchievementVersion",
    "AdminSession",
    "Administrator",
    "AuditEvent",
    "Award",
    "AwardFile",
    "Base",
    "Binding",
    "BindingCode",
    "Browser",
    "Column",
    "ContextNotice",
    "Course",
    "CourseBadge",
    "CourseCopy",
    "Deployment",
    "EarlierVersion",
    "Edition",
    "Enrolment",
    "Evidence",
    "Figure",
    "Invite",
    "Issuer",
    "Job",
    "Launch",
    "Login",
    "Mark",
    "Mastery",
    "Message",
    "Person",
    "PersonLink",
    "Posting",
    "Prerequisite",
    "Presence",
    "Publication",
    "Registration",
    "ResourceLink",
    "Result",
    "Review",
    "SignInAddress",
    "StatusList",
    "may_be_awarded",
]
