"""The audit log: who did what, and when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from lti_tool.db import insert_rows
from lti_tool.models import AuditEvent

OPERATOR = "operator"
TOOL = "tool"
NOBODY = "nobody"  # somebody we do not know: a refused sign-in


def person(person_id: str) -> str:
    return f"person:{person_id}"


def administrator(administrator_id: str) -> str:
    return f"administrator:{administrator_id}"


def record(session: Session, now: datetime, actor: str, action: str, subject: str, **detail: Any) -> None:
    """Add a row in the caller's transaction, so that an act and its record stand or fall together."""
    session.add(AuditEvent(at=now, actor=actor, action=action, subject=subject, detail=detail))


def record_all(
    session: Session, now: datetime, actor: str, action: str, subjects: Iterable[tuple[str, dict[str, Any]]]
) -> None:
    """Add a row for each subject with its detail, in one statement: for what is done to a whole class."""
    told = {"at": now, "actor": actor, "action": action}
    insert_rows(session, AuditEvent, [{**told, "subject": subject, "detail": detail} for subject, detail in subjects])
