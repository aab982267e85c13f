"""Deep linking: what an instructor can place in her course, and the answer that places it.

A column is never made twice. One that is in the gradebook already is known by resourceId and tag, as when publishing;
a column that the LMS makes with a link carries both, and publishing finds it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from lti_tool.credentials.ob3 import achievement_address
from lti_tool.domain.badge import Badge, SubCompetency
from lti_tool.errors import BadInput, ServiceError
from lti_tool.grades.columns import WantedColumn, find_column, wanted_columns
from lti_tool.lti.ags import LINE_ITEM, LINE_ITEM_READ, LineItem, list_line_items
from lti_tool.lti.claims import DeepLinking
from lti_tool.lti.deep_linking import NewLineItem, ResourceLinkItem, response_jwt
from lti_tool.lti.platforms import platform_of
from lti_tool.lti.registration import origin_of
from lti_tool.models import Course, CourseBadge
from lti_tool.sentence import Sentence, counted
from lti_tool.services import audit, catalog, library_cards, messages
from lti_tool.services.access import course_service, registration_value
from lti_tool.services.launches import LaunchSession, platform_origins
from lti_tool.services.pages.instructor import PlaceCard, Placed, PlacePage, PlaceRow
from lti_tool.services.tool import Tool
from lti_tool.services.words import said

GENERAL = "badges"  # the value of the link to all badges of a course
MOST_NAMED = 3  # columns that one sentence names


@dataclass(frozen=True)
class _Choice:
    """Something that can be placed. `column` is the one the LMS may make with it."""

    item: ResourceLinkItem
    resource_id: str = ""
    column: WantedColumn | None = None
    bound: bool = False


@dataclass(frozen=True)
class _Offer:
    """All that can be placed now, by the value its form field sends."""

    settings: DeepLinking
    link_makes_column: bool
    columns: bool
    choices: dict[str, _Choice]


# -- the picker -------------------------------------------------------------------------------------------------


def picker(
    tool: Tool, who: LaunchSession, *, chosen: Collection[str] = (), fresh: str = "", with_columns: bool = True
) -> PlacePage:
    """Return what can be placed; `fresh` is the slug of a badge just taken from the library, chosen as it stands."""
    with tool.db.read() as session:
        settings, second = messages.deep_linking(session, who.launch_id)
        course = session.get_one(Course, who.course_id)
        columns = _columns_are_made(course, settings)
        cards = [
            _card(badge, chosen, columns, second, fresh if settings.accept_multiple else "")
            for badge in _badges(session, course.id)
        ]
        library = library_cards.cards(session, course.id, {card.slug for card in cards})
    platform = platform_of(who.product)
    return PlacePage(
        cards=tuple(sorted(cards, key=lambda card: (card.slug != fresh, card.name.casefold(), card.slug))),
        library=tuple(card for card in library if not card.in_use),
        multiple=settings.accept_multiple,
        columns=columns,
        with_columns=with_columns,
        general=GENERAL,
        general_chosen=GENERAL in chosen,
        where=said(platform.name),
        afterwards=said(platform.after_placing()),
    )


def _badges(session: Session, course_id: int) -> Sequence[CourseBadge]:
    query = (
        select(CourseBadge)
        .where(CourseBadge.course_id == course_id, CourseBadge.status != "retired")
        .options(selectinload(CourseBadge.version), selectinload(CourseBadge.columns))
    )
    return [badge for badge in session.scalars(query) if catalog.has_definition(badge)]


def _columns_are_made(course: Course, settings: DeepLinking) -> bool:
    """Tell whether columns may come with the links: the LMS takes them, and the tool may look which are there."""
    can_look = course.line_items_url is not None and bool({LINE_ITEM, LINE_ITEM_READ} & set(course.scopes))
    return can_look and settings.accept_line_item is not False


def _card(badge: CourseBadge, chosen: Collection[str], columns: bool, second: bool, fresh: str) -> PlaceCard:
    definition = catalog.definition_of(badge)
    wanted, bound = _wanted(definition), _bound(badge)
    rows = []
    for row in definition.sub_competencies:
        value = f"{badge.slug} {row.code}"
        column = _column_word(wanted.get(row.tag), row.tag in bound, columns, second)
        picked = value in chosen or (badge.slug == fresh and column == "new")
        points = wanted[row.tag].maximum if row.tag in wanted else ""
        rows.append(PlaceRow(value, row.code, row.name, points, column, picked))
    return PlaceCard(
        value=badge.slug,
        slug=badge.slug,
        name=definition.name,
        level=definition.level,
        status=badge.status,
        rows=tuple(rows),
        chosen=badge.slug in chosen or (badge.slug == fresh and not columns),
    )


def _column_word(wanted: WantedColumn | None, bound: bool, columns: bool, second: bool) -> str:
    if bound:
        return "second" if second else "there"
    return "new" if wanted is not None and columns else "none"


def _wanted(definition: Badge) -> dict[str, WantedColumn]:
    return {column.tag: column for column in wanted_columns(definition)} if definition.columns == "each" else {}


def _bound(badge: CourseBadge) -> set[str]:
    return {column.tag for column in badge.columns if column.state == "bound"}


# -- the answer -------------------------------------------------------------------------------------------------


def place(tool: Tool, who: LaunchSession, chosen: Sequence[str], *, with_columns: bool, now: datetime) -> Placed:
    """Answer the deep linking request with what was chosen.

    It may be sent again: the LMS may have thrown the first answer away, and which columns are there is looked up each
    time. Raises BadInput with the sentence that says what to choose otherwise."""
    chosen = list(dict.fromkeys(chosen))
    offer = _offer(tool, who, chosen)
    if not chosen:
        raise BadInput("nothing chosen", sentence=Sentence("Choose what to place first."))
    if len(chosen) > 1 and not offer.settings.accept_multiple:
        raise BadInput("more than one", sentence=Sentence("Your LMS takes one link at a time here. Choose one."))
    if gone := [value for value in chosen if value not in offer.choices]:
        raise BadInput(
            f"{len(gone)} values that are not offered",
            sentence=Sentence("Something you chose is no longer in this course. Look at the list again."),
        )
    choices = [offer.choices[value] for value in chosen]
    # Where the LMS makes a column with the link anyway, it had better be ours.
    ask = offer.columns and (with_columns or offer.link_makes_column)
    items = _with_columns(tool, who, offer, choices) if ask else [choice.item for choice in choices]
    return _answer(tool, who, offer.settings, items, now)


def cancel(tool: Tool, who: LaunchSession, now: datetime) -> Placed:
    """Answer the deep linking request with nothing: its LMS goes on as if it had not been made."""
    with tool.db.read() as session:
        settings, _ = messages.deep_linking(session, who.launch_id)
    return _answer(tool, who, settings, [], now)


def _offer(tool: Tool, who: LaunchSession, chosen: Sequence[str]) -> _Offer:
    slugs = {value.partition(" ")[0] for value in chosen}
    target = f"{tool.settings.base_url}/lti/launch"
    icon = f"{tool.settings.base_url}/lti/icon.png"
    with tool.db.read() as session:
        settings, second = messages.deep_linking(session, who.launch_id)
        course = session.get_one(Course, who.course_id)
        text = _("The badges of this course, and where each learner stands.")
        choices = {GENERAL: _Choice(ResourceLinkItem(_("Badges"), text, target, icon=icon))}
        for badge in _badges(session, course.id):
            if badge.slug in slugs:
                choices |= _choices(tool, badge, target, icon)
        return _Offer(settings, second, _columns_are_made(course, settings), choices)


def _choices(tool: Tool, badge: CourseBadge, target: str, icon: str) -> dict[str, _Choice]:
    definition, version = catalog.definition_of(badge), badge.version
    if version is not None:  # a draft's picture is not public
        address = achievement_address(tool.settings.base_url, version.achievement.slug, version.number)
        icon = f"{address}.png"
    wanted, bound = _wanted(definition), _bound(badge)
    custom = {messages.BADGE: badge.slug}
    found = {badge.slug: _Choice(ResourceLinkItem(definition.name, definition.description, target, custom, icon))}
    for row in definition.sub_competencies:
        item = ResourceLinkItem(
            title=wanted[row.tag].label if row.tag in wanted else f"{row.code} {row.name}",
            text=_text_of(row, definition),
            url=target,
            custom={**custom, messages.SUB_COMPETENCY: row.code},
            icon=icon,
        )
        found[f"{badge.slug} {row.code}"] = _Choice(item, definition.resource_id, wanted.get(row.tag), row.tag in bound)
    return found


def _text_of(row: SubCompetency, badge: Badge) -> str:
    belongs = _("Belongs to the badge “%(name)s”.", name=badge.name)
    return f"{row.description} {belongs}" if row.description else belongs


def _with_columns(tool: Tool, who: LaunchSession, offer: _Offer, choices: Sequence[_Choice]) -> list[ResourceLinkItem]:
    """Ask for a column with each sub-competency that has none yet."""
    asked = [choice for choice in choices if choice.column is not None and not choice.bound]
    there = _there(tool, who, asked)
    second = [each.item.title for each in choices if each.column and (each.bound or _key(each) in there)]
    if second and offer.link_makes_column:
        raise BadInput(
            "a second column",
            sentence=counted(
                "%(names)s is in the gradebook already, and %(lms)s would make a second column with an assignment, "
                "which nobody reads.",
                "%(names)s are in the gradebook already, and %(lms)s would make a second column with an assignment, "
                "which nobody reads.",
                len(second),
                names=_names(second),
                lms=platform_of(who.product).name,
            ),
            what_to_do=Sentence("Place it from a module instead, or choose another."),
        )
    items = []
    for choice in choices:
        column = choice.column
        if column is None or choice.bound or _key(choice) in there:
            items.append(choice.item)
            continue
        line_item = NewLineItem(column.label, Decimal(column.maximum), choice.resource_id, column.tag)
        items.append(ResourceLinkItem(**{**vars(choice.item), "line_item": line_item}))
    return items


def _there(tool: Tool, who: LaunchSession, asked: Sequence[_Choice]) -> set[tuple[str, str]]:
    """Return which of these columns are in the gradebook already, by resourceId and tag."""
    if not asked or who.course_id is None:
        return set()
    resource_ids = {choice.resource_id for choice in asked}
    only = next(iter(resource_ids)) if len(resource_ids) == 1 else None
    try:
        service, line_items_url = course_service(tool, who.course_id)
        items: Sequence[LineItem] = list_line_items(service, line_items_url, resource_id=only)
    except ServiceError as error:
        raise BadInput(
            error.detail,
            sentence=Sentence(
                "%(sentence)s So it is not known which gradebook columns are there already.", sentence=error.sentence
            ),
            what_to_do=Sentence("Try again in a minute, or place links without columns."),
            status=503,
        ) from error
    return {_key(choice) for choice in asked if find_column(items, *_key(choice)) is not None}


def _key(choice: _Choice) -> tuple[str, str]:
    return choice.resource_id, choice.column.tag if choice.column else ""


def _names(titles: Sequence[str]) -> str:
    quoted = [f"“{title}”" for title in titles[:MOST_NAMED]]
    if (more := len(titles) - MOST_NAMED) > 0:
        return counted("%(names)s and one more", "%(names)s and %(num)s more", more, names=quoted)
    if len(quoted) == 1:
        return quoted[0]
    return Sentence("%(names)s and %(last)s", names=quoted[:-1], last=quoted[-1])


def _answer(
    tool: Tool, who: LaunchSession, settings: DeepLinking, items: Sequence[ResourceLinkItem], now: datetime
) -> Placed:
    with tool.db.write() as session:
        course = session.get_one(Course, who.course_id)
        registration, deployment_id = registration_value(course.registration), course.deployment.deployment_id
        columns = sum(item.line_item is not None for item in items)
        if items:
            actor, subject = audit.person(who.person_id), f"course:{course.id}"
            audit.record(session, now, actor, "links.placed", subject, links=len(items), columns=columns)
    jwt = response_jwt(registration, deployment_id, settings, items, key=tool.keyring.lti, now=now)
    # The LMS may lead on from one of its hosts to another, and a form's policy holds for that too.
    origins = {origin_of(settings.return_url), *platform_origins(tool, who.registration_id)}
    return Placed(settings.return_url, jwt, tuple(item.title for item in items), tuple(sorted(origins)))
