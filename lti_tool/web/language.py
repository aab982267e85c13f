"""Which language a page speaks."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.support import NullTranslations
from flask import Flask, g, request
from flask_babel import Babel, Domain, get_locale, get_translations
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from lti_tool.sentence import Sentence
from lti_tool.services import words

ENGLISH = Locale("en")


class OfThePage(Babel):  # type: ignore[misc]
    """Flask-Babel with the words of our files, read as they are: nothing has to be compiled."""

    def init_app(self, app: Flask, *arguments: Any, **options: Any) -> None:
        """Give templates `_` and `ngettext`, and let them say a sentence made elsewhere by printing it."""
        super().init_app(app, *arguments, **options)
        app.jinja_env.globals.update(gettext=_gettext, ngettext=_ngettext)
        app.jinja_env.finalize = say

    @cached_property
    def domain_instance(self) -> Domain:
        return _Words()


@pass_context
def _gettext(context: Context, text: str, **values: Any) -> str:
    return _filled(context, get_translations().ugettext(text), values)


@pass_context
def _ngettext(context: Context, one: str, many: str, num: int, **values: Any) -> str:
    return _filled(context, get_translations().ungettext(one, many, num), {"num": num, **values})


def _filled(context: Context, text: str, values: dict[str, Any]) -> str:
    """Put values into a text as Jinja's own does; a name whose letters run the other way is set apart in it."""
    safe = Markup(text) if context.eval_ctx.autoescape else text  # noqa: S704 (of our own files)
    return safe % {name: _apart(value) for name, value in values.items()}


def _apart(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return words.said(value) if isinstance(value, Sentence) else words.name(value)


class _Words(Domain):  # type: ignore[misc]
    def get_translations(self) -> NullTranslations:
        locale = get_locale()
        return words.translations(locale.language if locale is not None else ENGLISH.language)


def choose_locale() -> Locale:
    """Return the locale of the launch; without one that we speak, what the browser asks for; else English."""
    who = g.get("session")
    asked = [who.locale] if who is not None else []
    for tag in (*asked, *request.accept_languages.values()):
        if (found := spoken(tag)) is not None:
            return found
    return ENGLISH


@lru_cache(maxsize=1024)
def spoken(tag: str) -> Locale | None:
    """Return the locale a tag names (es-MX, es_mx, es) if there are words for its language, else None.

    A country nobody knows leaves the language."""
    parts = tag.strip().replace("_", "-").split("-")
    if parts[0].lower() not in words.LANGUAGES:
        return None
    country = next((part.upper() for part in parts[1:] if len(part) == 2 and part.isalpha()), None)
    try:
        return Locale(parts[0].lower(), country)
    except UnknownLocaleError:
        return Locale(parts[0].lower())


def say(value: Any) -> Any:
    """Say what a template prints, where it is a sentence made elsewhere."""
    return words.said(value) if isinstance(value, Sentence) else value


def of_page() -> dict[str, str]:
    """Return what a page says of its own language: the values of `lang` and `dir`."""
    locale = get_locale() or ENGLISH
    return {"lang": locale.language, "dir": locale.text_direction}
