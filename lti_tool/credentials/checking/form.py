"""The form each part of an Open Badges 3.0 credential must have: what the official JSON Schema asks for.

The schema itself is no part of any installed package, so its rules stand here as tables; the tests hold them against
it (https://www.imsglobal.org/spec/ob/v3p0#data-models).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lti_tool.credentials.untrusted import Json, Refused, as_list, moment, strings
from lti_tool.sentence import Sentence

Rule = Callable[[Any], bool] | str  # a test of a value, or the name of the part it must be

LANGUAGE = re.compile(r"[a-z]{2,4}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
EXTENSION = re.compile(r"ext:[a-z|A-Z|0-9|.|\-|_]+")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _words(value: Any) -> bool:
    """A text, or a text in several languages."""
    return _text(value) or (isinstance(value, dict) and bool(value) and all(map(_text, value.values())))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _moment(value: Any) -> bool:
    return moment(value) is not None


def _language(value: Any) -> bool:
    return _text(value) and LANGUAGE.fullmatch(value) is not None


def _one_of(*words: str, extensible: bool = True) -> Rule:
    return lambda value: _text(value) and (value in words or (extensible and EXTENSION.match(value) is not None))


ACHIEVEMENT_TYPES = [
    "Achievement",
    "ApprenticeshipCertificate",
    "Assessment",
    "Assignment",
    "AssociateDegree",
    "Award",
    "Badge",
    "BachelorDegree",
    "Certificate",
    "CertificateOfCompletion",
    "Certification",
    "CommunityService",
    "Competency",
    "Course",
    "CoCurricular",
    "Degree",
    "Diploma",
    "DoctoralDegree",
    "Fieldwork",
    "GeneralEducationDevelopment",
    "JourneymanCertificate",
    "LearningProgram",
    "License",
    "Membership",
    "ProfessionalDoctorate",
    "QualityAssuranceCredential",
    "MasterCertificate",
    "MasterDegree",
    "MicroCredential",
    "ResearchDoctorate",
    "SecondarySchoolDiploma",
]
IDENTITY_TYPES = [
    "name",
    "sourcedId",
    "systemId",
    "productId",
    "userName",
    "accountId",
    "emailAddress",
    "nationalIdentityNumber",
    "isbn",
    "issn",
    "lisSourcedId",
    "oneRosterSourcedId",
    "sisSourcedId",
    "ltiContextId",
    "ltiDeploymentId",
    "ltiToolId",
    "ltiPlatformId",
    "ltiUserId",
    "identifier",
]
RESULT_TYPES = [
    "GradePointAverage",
    "LetterGrade",
    "Percent",
    "PerformanceLevel",
    "PredictedScore",
    "RawScore",
    "Result",
    "RubricCriterion",
    "RubricCriterionLevel",
    "RubricScore",
    "ScaledScore",
    "Status",
]
STATUSES = ["Completed", "Enrolled", "Failed", "InProgress", "OnHold", "Provisional", "Withdrew"]
TARGET_TYPES = [
    "ceasn:Competency",
    "ceterms:Credential",
    "CFItem",
    "CFRubric",
    "CFRubricCriterion",
    "CFRubricCriterionLevel",
    "CTDL",
]

# Part → its members, each with its rule. A list stands for one or several; a star before the name: it must be there.
PARTS: dict[str, dict[str, Rule | list[Rule]]] = {
    "Credential": {
        "name": _words,
        "description": _words,
        "image": "Image",
        "awardedDate": _moment,
        "evidence": ["Evidence"],
        "endorsementJwt": [_text],
        "credentialSchema": ["CredentialSchema"],
        "credentialStatus": ["Status"],
        "refreshService": ["Service"],
        "termsOfUse": ["Terms"],
        "issuer": "Profile",
    },
    "AchievementSubject": {
        "activityStartDate": _moment,
        "activityEndDate": _moment,
        "creditsEarned": _number,
        "identifier": ["IdentityObject"],
        "image": "Image",
        "licenseNumber": _words,
        "narrative": _words,
        "result": ["Result"],
        "role": _words,
        "source": "Profile",
        "term": _words,
        "*achievement": "Achievement",
    },
    "Achievement": {
        "*id": _text,
        "*name": _words,
        "*description": _words,
        "*criteria": "Criteria",
        "achievementType": _one_of(*ACHIEVEMENT_TYPES),
        "alignment": ["Alignment"],
        "creator": "Profile",
        "creditsAvailable": _number,
        "endorsementJwt": [_text],
        "fieldOfStudy": _words,
        "humanCode": _words,
        "image": "Image",
        "inLanguage": _language,
        "otherIdentifier": ["IdentifierEntry"],
        "related": ["Related"],
        "resultDescription": ["ResultDescription"],
        "specialization": _words,
        "tag": [_words],
        "version": _words,
    },
    "ResultDescription": {
        "*id": _text,
        "*name": _words,
        "*resultType": _one_of(*RESULT_TYPES),
        "alignment": ["Alignment"],
        "allowedValue": [_words],
        "requiredLevel": _text,
        "requiredValue": _words,
        "rubricCriterionLevel": ["RubricCriterionLevel"],
        "valueMin": _words,
        "valueMax": _words,
    },
    "RubricCriterionLevel": {
        "*id": _text,
        "*name": _words,
        "alignment": ["Alignment"],
        "description": _words,
        "level": _words,
        "points": _words,
    },
    "Result": {
        "achievedLevel": _text,
        "alignment": ["Alignment"],
        "resultDescription": _text,
        "status": _one_of(*STATUSES, extensible=False),
        "value": _words,
    },
    "Alignment": {
        "*targetName": _words,
        "*targetUrl": _text,
        "targetCode": _words,
        "targetDescription": _words,
        "targetFramework": _words,
        "targetType": _one_of(*TARGET_TYPES),
    },
    "Criteria": {"id": _text, "narrative": _words},
    "Image": {"*id": _text, "caption": _words},
    "Evidence": {
        "id": _text,
        "narrative": _words,
        "name": _words,
        "description": _words,
        "genre": _words,
        "audience": _words,
    },
    "IdentityObject": {
        "*hashed": _truth,
        "*identityHash": _text,
        "*identityType": _one_of(*IDENTITY_TYPES),
        "salt": _text,
    },
    "IdentifierEntry": {"*identifier": _text, "*identifierType": _one_of(*IDENTITY_TYPES)},
    "Related": {"*id": _text, "inLanguage": _language, "version": _words},
    "Profile": {
        "*id": _text,
        "name": _words,
        "url": _text,
        "phone": _words,
        "description": _words,
        "endorsementJwt": [_text],
        "image": "Image",
        "email": _words,
        "otherIdentifier": ["IdentifierEntry"],
        "official": _words,
        "parentOrg": "Profile",
        "dateOfBirth": _text,
    },
    "CredentialSchema": {"*id": _text},
    "Status": {"id": _text},
    "Service": {"*id": _text},
    "Terms": {"id": _text},
}

TYPED = frozenset(PARTS) - {"Credential", "CredentialSchema", "Status", "Service", "Terms", "Criteria"}
CLOSED = {  # parts that may have no other members
    "Image": {"id", "type", "caption"},
    "IdentityObject": {"type", "hashed", "identityHash", "identityType", "salt"},
    "IdentifierEntry": {"type", "identifier", "identifierType"},
}


def check_form(document: Json) -> None:
    """Raise Refused for the first value that the standard does not allow where it stands."""
    _check("Credential", document)
    subject = document["credentialSubject"]
    if "AchievementSubject" in strings(subject.get("type")):
        _check("AchievementSubject", subject)


def _check(part: str, value: Any) -> None:
    if not isinstance(value, dict):
        raise Refused(Sentence("No. A part of it, %(part)s, is not in the form of one.", part=part))
    if part in TYPED and part not in strings(value.get("type")):
        raise Refused(Sentence("No. A part of it, %(part)s, does not say what it is.", part=part))
    if part in CLOSED and not value.keys() <= CLOSED[part]:
        raise Refused(Sentence("No. A part of it, %(part)s, says more than the standard allows.", part=part))
    for starred, rule in PARTS[part].items():
        name = starred.removeprefix("*")
        if name not in value:
            if starred != name:
                raise Refused(Sentence("No. “%(name)s” of its %(where)s is missing.", name=name, where=part))
            continue
        values, rules = (as_list(value[name]), rule) if isinstance(rule, list) else ([value[name]], [rule])
        for each in values:
            if isinstance(rules[0], str):
                _check(rules[0], each)
            elif not rules[0](each):
                raise Refused(
                    Sentence(
                        "No. “%(name)s” of its %(where)s is not what the standard allows there.", name=name, where=part
                    )
                )
