"""How a line of the log looks, and the request it belongs to: a page, the job it started, and the calls of the job."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

TEXT = "%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s"
# What a proxy may give: nginx' 32 hex digits, a UUID, Amazon's trace ids. Nothing that could forge a line or a header.
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{7,63}")

_request_id: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """Return the id of the request that is being answered, or that started the job at hand; empty outside of both."""
    return _request_id.get()


def begin_request(given: str | None) -> str:
    """Start a request's id: the one that was given where it is sane, else a new one; returns it."""
    told = given if given is not None and SANE.fullmatch(given) else secrets.token_hex(8).upper()
    _request_id.set(told)
    return told


def end_request() -> None:
    """Let what this thread does next belong to no request."""
    _request_id.set("")


@contextmanager
def of_request(told: str) -> Iterator[None]:
    """Give every line within the block this id."""
    token = _request_id.set(told)
    try:
        yield
    finally:
        _request_id.reset(token)


class _Named(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _request_id.get() or "-"
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": _request_id.get(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second start changes it and leaves those of whoever runs us (gunicorn, a test) alone."""


def start(form: str, level: int | str | None = None) -> None:
    """Write the log to standard error as `text` or `json`, and the tool's own lines from this level on.

    Without one, as a command does that says itself what became of it, only errors nobody foresaw are written."""
    root = logging.getLogger()
    ours = next((handler for handler in root.handlers if isinstance(handler, _Handler)), None)
    if ours is None and not root.handlers:
        ours = _Handler(sys.stderr)
        ours.addFilter(_Named())
        root.addHandler(ours)
    if ours is not None:
        ours.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
        ours.setLevel(logging.ERROR if level is None else logging.NOTSET)
    if level is not None:
        logging.getLogger("lti_tool").setLevel(level)
