"""What a badge made of badges takes, in words."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import ngettext

from lti_tool.domain.badge import Badge
from lti_tool.services.words import time_parts, words


def rule_words(badge: Badge) -> str:
    """Say what a stack takes: "Any two of these three badges, in this order, within one year."; empty for others."""
    stack = badge.stack
    if stack is None:
        return ""
    of = len(stack.members)
    if stack.counts_credits:
        whole = ngettext("Badges of one credit together", "Badges of %(num)s credits together", stack.needed)
    elif stack.needed < of:
        whole = _("Any %(some)s of these %(all)s badges", some=words(stack.needed), all=words(of))
    elif of == 1:
        whole = _("This badge")
    else:
        whole = _("All %(all)s of these badges", all=words(of))
    if stack.ordered:
        whole = _("%(badges)s, in this order", badges=whole)
    if stack.within:
        whole = _("%(badges)s, all issued within %(time)s", badges=whole, time=duration(stack.within))
    return _("%(sentence)s.", sentence=whole)


def duration(text: str) -> str:
    """Say how long an ISO 8601 duration is: "one year and six months"."""
    parts = time_parts(text)
    if len(parts) < 2:
        return parts[0] if parts else ""
    return _("%(time)s and %(more)s", time=", ".join(parts[:-1]), more=parts[-1])
