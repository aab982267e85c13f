"""All tables. A UNIQUE constraint states a business rule; code only words it.

Registration → Deployment → Course; Registration → Person; Person × Course → Enrolment.
Achievement → AchievementVersion (frozen); Course × AchievementVersion → CourseBadge → Column.
Result (raw, as received) → Mastery → Award → Edition (what is signed). Mark (made here) → Posting → Result.
Connection → SourceLink (a row's place in the LMS) → SourceAnswer (as received) → Mastery.
Award → AwardTally (what is counted of it) → Tally (how often, without people).
OAuthClient (a backpack) → OAuthRequest → OAuthGrant (what a person allows) → OAuthCode, OAuthToken.
OwnAddressRequest → OwnAddress (what a person confirmed); OwnLinkRequest → OwnLink → OwnSession, all by the address."""

from lti_tool.models.administrators import Administrator, AdminSession, Binding, BindingCode, SignInAddress
from lti_tool.models.awards import (
    AWARD_STATES,
    LIVE_STATES,
    Award,
    AwardFile,
    Edition,
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
from lti_tool.models.counting import AwardTally, Tally
from lti_tool.models.endorsements import ENDORSED, Endorsement, EndorsementRequest
from lti_tool.models.evidence import Evidence, EvidenceFile
from lti_tool.models.frameworks import FrameworkFile
from lti_tool.models.launches import Browser, Launch, Login, Message
from lti_tool.models.notifications import MAIL_STATES, Mail, MailChoice, MailServer, Notification
from lti_tool.models.oauth import OAuthClient, OAuthCode, OAuthGrant, OAuthRequest, OAuthToken
from lti_tool.models.own_access import (
    OwnAddress,
    OwnAddressRequest,
    OwnLink,
    OwnLinkRequest,
    OwnReminder,
    OwnSession,
)
from lti_tool.models.people import (
    DRIFTS_OF_A_COLUMN,
    DRIFTS_OF_THE_COURSE,
    ContextNotice,
    Course,
    CourseCopy,
    Deployment,
    Drift,
    Enrolment,
    Invite,
    Person,
    PersonLink,
    Registration,
    ResourceLink,
    may_be_awarded,
)
from lti_tool.models.revocations import SignedStatusList, WithdrawnElsewhere
from lti_tool.models.rights import Erasure, RetentionPeriod, RetentionRun, RightsRequest
from lti_tool.models.showing import PARTS, ShareLink
from lti_tool.models.sources import Connection, ConnectionRequest, SourceAnswer, SourceFile, SourceLink, SourceSeen
from lti_tool.models.stacks import OutsideBadge
from lti_tool.models.wallets import UsedNonce, WalletOffer
from lti_tool.models.why_not import REASONS, WhyNot
from lti_tool.models.work import AuditEvent, Figure, Job, PlatformLoad, Presence

__all__ = [
    "AWARD_STATES",
    "DRIFTS_OF_A_COLUMN",
    "DRIFTS_OF_THE_COURSE",
    "ENDORSED",
    "LIVE_STATES",
    "MAIL_STATES",
    "PARTS",
    "REASONS",
    "Achievement",
    "AchievementVersion",
    "AdminSession",
    "Administrator",
    "AuditEvent",
    "Award",
    "AwardFile",
    "AwardTally",
    "Base",
    "Binding",
    "BindingCode",
    "Browser",
    "Column",
    "Connection",
    "ConnectionRequest",
    "ContextNotice",
    "Course",
    "CourseBadge",
    "CourseCopy",
    "Deployment",
    "Drift",
    "EarlierVersion",
    "Edition",
    "Endorsement",
    "EndorsementRequest",
    "Enrolment",
    "Erasure",
    "Evidence",
    "EvidenceFile",
    "Figure",
    "FrameworkFile",
    "Invite",
    "Issuer",
    "Job",
    "Launch",
    "Login",
    "Mail",
    "MailChoice",
    "MailServer",
    "Mark",
    "Mastery",
    "Message",
    "Notification",
    "OAuthClient",
    "OAuthCode",
    "OAuthGrant",
    "OAuthRequest",
    "OAuthToken",
    "OutsideBadge",
    "OwnAddress",
    "OwnAddressRequest",
    "OwnLink",
    "OwnLinkRequest",
    "OwnReminder",
    "OwnSession",
    "Person",
    "PersonLink",
    "PlatformLoad",
    "Posting",
    "Prerequisite",
    "Presence",
    "Publication",
    "Registration",
    "ResourceLink",
    "Result",
    "RetentionPeriod",
    "RetentionRun",
    "Review",
    "RightsRequest",
    "ShareLink",
    "SignInAddress",
    "SignedStatusList",
    "SourceAnswer",
    "SourceFile",
    "SourceLink",
    "SourceSeen",
    "StatusList",
    "Tally",
    "UsedNonce",
    "WalletOffer",
    "WhyNot",
    "WithdrawnElsewhere",
    "may_be_awarded",
]
