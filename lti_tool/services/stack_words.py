"""What a badge made of badges takes, in words."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import ngettext

from lti_tool.domain.badge import Badge, months_and_days
from lti_tool.services.words import words


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
    months, days = months_and_days(text)
    years, months = divmod(months, 12)
    parts = []
    if years:
        parts.append(ngettext("one year", "%(some)s years", years, some=words(years)))
    if months:
        parts.append(ngettext("one month", "%(some)s months", months, some=words(months)))
    if days:
        parts.append(ngettext("one day", "%(some)s days", days, some=words(days)))
    if len(parts) < 2:
        return parts[0] if parts else ""
    return _("%(time)s and %(more)s", time=", ".join(parts[:-1]), more=parts[-1])
