"""Typed settings: config/default.toml, then the file in LTI_TOOL_CONFIG, then the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lti_tool.errors import ConfigurationError

PREFIX = "LTI_TOOL_"
ENVIRONMENT = "the environment"
# How a file writes a value of each type; all others are text.
WRITTEN: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false, without quotation marks"),
    int: ((int,), "a whole number, without quotation marks"),
    float: ((int, float), "a number, without quotation marks"),
}
# What files of evidence can be, by the names that `evidence.types` gives them: see services.file_types.
FILE_TYPES = (
    *("pdf", "docx", "xlsx", "pptx", "odt", "ods", "odp", "doc", "xls", "ppt", "txt", "md", "csv"),
    *("jpg", "png", "webp", "gif", "mp3", "m4a", "wav", "ogg", "flac", "mp4", "mov", "webm"),
)

# What a setting with a pattern is told by.
EXAMPLES = {
    "issuer.slug": 'small letters, digits and hyphens, as "hallwood"',
    "issuer.accent": 'a colour, as "#0E5468"',
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Section):
    base_url: str
    trusted_proxies: int = Field(ge=0, le=5)
    logins_per_minute: int = Field(ge=1)
    pages_per_minute: int = Field(ge=1)
    max_upload: int = Field(ge=100_000)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]

    @field_validator("base_url")
    @classmethod
    def _no_path(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError('write the whole address, as "https://badges.example.edu"')
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise ValueError('write it without a path, as "https://badges.example.edu": did:web needs the bare host')
        return f"{parts.scheme}://{parts.netloc}"


class Log(_Section):
    format: Literal["text", "json"]


class Metrics(_Section):
    networks: str
    token: str

    @field_validator("networks")
    @classmethod
    def _known(cls, value: str) -> str:
        for each in networks_of(value):
            if not each.prefixlen:
                raise ValueError("everybody is no network: write the addresses of whoever watches the tool")
        return value

    @field_validator("token")
    @classmethod
    def _long(cls, value: str) -> str:
        if value and len(value) < 16:
            raise ValueError("write at least 16 characters; `openssl rand -hex 24` makes some")
        return value


def networks_of(value: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Read networks that stand between spaces or commas; raises ValueError."""
    return tuple(ipaddress.ip_network(each) for each in re.split(r"[\s,]+", value.strip()) if each)


class Database(_Section):
    url: str
    revocations: str

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")) or not _is_address(value):
            raise ValueError('write "sqlite:///path" or "postgresql+psycopg://user:password@host/name"')
        return value

    @property
    def journal(self) -> Path:
        """The file of `revocations`, or its default: named after the database, and beside it where that is a file."""
        return Path(self.revocations) if self.revocations else self.beside("revocations.jsonl")

    def beside(self, ending: str) -> Path:
        """Return a path named after the database: beside it where that is a file, else in data/."""
        name = urlsplit(self.url).path[1:]
        file = Path(name) if self.url.startswith("sqlite:") else Path("data", name or "database")
        return file.with_name(f"{file.stem}.{ending}")


class Queue(_Section):
    url: str
    sync_every: int = Field(ge=10)
    sync_at_least: int = Field(ge=60)
    sync_on_launch_after: int = Field(ge=0)
    platform_share: float = Field(gt=0, le=1)

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        known = ("sqlite:///", "redis://", "rediss://", "postgresql+psycopg://")
        if not value.startswith(known) or not _is_address(value):
            raise ValueError('write "sqlite:///path", "redis://host:6379/0" or "postgresql+psycopg://…"')
        return value


def _is_address(value: str) -> bool:
    try:
        return urlsplit(value).port != 0
    except ValueError:  # a port that is none
        return False


class Keys(_Section):
    dir: Path


class Issuer(_Section):
    slug: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    name: str
    url: str
    email: str
    description: str
    accent: str = Field(pattern=r"^#[0-9A-Fa-f]{6}$")

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        # It goes into every credential, where only a legal IRI can be signed.
        if value and not re.fullmatch(r"https?://[^\s<>\"{}|^`\\]+", value):
            raise ValueError('write the whole address, as "https://www.example.edu"')
        return value


class Mail(_Section):
    url: str
    sender: str
    reply_to: str

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        parts = urlsplit(value)
        whole = parts.scheme in ("smtp", "smtps") and parts.hostname and not (parts.query or parts.fragment)
        if value and not (whole and _is_address(value) and not parts.path.strip("/")):
            raise ValueError('write "smtp://user:password@host:587" or "smtps://user:password@host:465"')
        if parts.username and not parts.password:
            raise ValueError("it names a user without a password")
        return value

    @field_validator("sender", "reply_to")
    @classmethod
    def _mailbox(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", value):
            raise ValueError('write an e-mail address and nothing else, as "badges@example.edu"')
        return value

    @model_validator(mode="after")
    def _both(self) -> Mail:
        if self.url and not self.sender:
            raise ValueError("mail.url names a server, so mail.sender has to name the address mail comes from")
        return self


# What people are told of, as services.notifications names it; "digest" is for those who teach.
TOLD = ("earned", "confirmed", "renewed", "reissued", "revoked", "expiring", "unclaimed", "digest")


class Notifications(_Section):
    by_mail: str
    unclaimed_after: int = Field(ge=0, le=365)
    digest_hour: int = Field(ge=0, le=23)
    time_zone: str

    @field_validator("by_mail")
    @classmethod
    def _told(cls, value: str) -> str:
        if unknown := [each for each in value.split() if each not in TOLD]:
            raise ValueError(f"{unknown[0]!r} is nothing that people are told of. Known here: {' '.join(TOLD)}")
        return value

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        try:
            zone_of(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError('write a name as "UTC" or "America/Chicago"') from None
        return value


def zone_of(name: str) -> tzinfo:
    """Return the zone of a name. Every machine knows UTC, one without the tz database too."""
    return UTC if name == "UTC" else ZoneInfo(name)


class Privacy(_Section):
    claim: Literal["required", "automatic"]


class Wallets(_Section):
    transaction_code: bool


class Evidence(_Section):
    dir: str
    types: str
    largest_file: int = Field(ge=10_000, le=2_000_000_000)
    largest_total: int = Field(ge=10_000)

    @field_validator("types")
    @classmethod
    def _known(cls, value: str) -> str:
        unknown = [name for name in value.split() if name not in FILE_TYPES]
        if unknown:
            raise ValueError(f"{unknown[0]} is not known here. Known: {' '.join(FILE_TYPES)}")
        return value


class Lti(_Section):
    approve_registrations: Literal["ask", "automatic"]
    approve_deployments: Literal["first-launch", "ask"]
    teaching_assistants: Literal["none", "review", "manage"]


class Network(_Section):
    allow_private: bool


class Settings(_Section):
    """All settings. `production` is not a setting: it follows from the base address."""

    server: Server
    database: Database
    queue: Queue
    keys: Keys
    issuer: Issuer
    mail: Mail
    notifications: Notifications
    privacy: Privacy
    wallets: Wallets
    evidence: Evidence
    lti: Lti
    network: Network
    log: Log
    metrics: Metrics

    @property
    def base_url(self) -> str:
        return self.server.base_url

    @property
    def evidence_folder(self) -> Path:
        """Return the folder of `evidence.dir`, or its default, named after the database."""
        return Path(self.evidence.dir) if self.evidence.dir else self.database.beside("evidence")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def production(self) -> bool:
        return self.https and not _loopback(self.host)


@dataclass(frozen=True)
class _Source:
    name: str
    values: dict[str, Any]


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raises ConfigurationError naming the key, where it stands, and what to write."""
    environ = os.environ if environ is None else environ
    sources = [_Source("config/default.toml", _read_toml(default_file()))]
    if path := environ.get("LTI_TOOL_CONFIG"):
        sources.append(_Source(path, _read_toml(Path(path))))
    sources.append(_Source(ENVIRONMENT, _from_environment(environ)))

    merged: dict[str, Any] = {}
    told_by: dict[tuple[str, str], str] = {}
    for source in sources:
        for section, values in source.values.items():
            if not isinstance(values, dict):
                raise ConfigurationError(f"{source.name}: {section!r} must be a section, written as [{section}]")
            for key, value in values.items():
                if source.name != ENVIRONMENT:  # which has nothing but text
                    _check_type(source.name, section, key, value)
                merged.setdefault(section, {})[key] = value
                told_by[section, key] = source.name
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigurationError(_first_problem(error, told_by)) from None
    _check_production(settings)
    return settings


def default_file() -> Path:
    """Return config/default.toml: beside the code in a checkout, in the working directory of an installation."""
    beside = Path(__file__).resolve().parent.parent / "config" / "default.toml"
    return beside if beside.exists() else Path("config/default.toml")


def badge_library() -> Path:
    """Return the folder of the example badge definitions."""
    return default_file().parent / "badges"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"The configuration file {path} is not there.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and "__" in name:
            section, _, key = name.removeprefix(PREFIX).lower().partition("__")
            values.setdefault(section, {})[key] = value
    return values


def _check_type(source: str, section: str, key: str, value: Any) -> None:
    """Refuse a value that is no more than like the setting's: `allow_private = "yes"` would open a network."""
    sections = Settings.model_fields.get(section)
    field = getattr(sections.annotation, "model_fields", {}).get(key) if sections is not None else None
    if field is None:
        return  # no setting at all, which is told elsewhere
    types, written = WRITTEN.get(field.annotation, ((str,), "text, in quotation marks"))
    if type(value) not in types:
        raise ConfigurationError(f"{source}: {section}.{key} has to be {written}")


def _first_problem(error: ValidationError, told_by: dict[tuple[str, str], str]) -> str:
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]]
    name = ".".join(where)
    source = told_by.get((where[0], where[1]), "") if len(where) > 1 else ""
    prefix = f"{source}: " if source else ""
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known_keys(where))
        return f"{prefix}{name} is not a setting. Known here: {known}"
    if problem["type"] == "missing":
        return f"{name} is missing. config/default.toml has it with its default"
    message = _what_to_write(name, problem)
    # An address may hold a password, a section such an address, and this goes to a log.
    hidden = isinstance(problem["input"], dict) or name.endswith(".token")
    hidden = hidden or (name.endswith(".url") and "@" in str(problem["input"]))
    return f"{prefix}{name} cannot be {'what it is' if hidden else repr(problem['input'])}: {message}"


def _what_to_write(name: str, problem: Mapping[str, Any]) -> str:
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "bool_parsing" | "bool_type":
            return "write true or false"
        case "int_parsing" | "int_type" | "int_from_float":
            return "write a whole number"
        case "float_parsing" | "float_type" | "finite_number":
            return "write a number"
        case "string_type":
            return 'write it in quotes, as "…"'
        case "list_type" | "tuple_type":
            return 'write a list, as ["…", "…"]'
        case "literal_error":
            return f"write {limits['expected']}"
        case "greater_than":
            return f"write more than {limits['gt']}"
        case "greater_than_equal":
            return f"write {limits['ge']} or more"
        case "less_than_equal":
            return f"write {limits['le']} or less"
        case "string_pattern_mismatch" if name in EXAMPLES:
            return f"write {EXAMPLES[name]}"
    return re.sub(r"^(Value error|Assertion failed), ", "", problem["msg"])


def _known_keys(where: list[str]) -> list[str]:
    field = Settings.model_fields.get(where[0])
    if field is None or len(where) == 1:
        return list(Settings.model_fields)
    return list(getattr(field.annotation, "model_fields", {}))


def _check_production(settings: Settings) -> None:
    if not settings.https and not _loopback(settings.host) and not settings.network.allow_private:
        raise ConfigurationError(
            f"server.base_url is {settings.base_url}: without https no browser keeps the tool's cookie inside an LMS. "
            'Write "https://…"'
        )
    if not settings.production:
        return
    if settings.network.allow_private:
        raise ConfigurationError(
            "network.allow_private = true is not allowed with a public https address: anybody who registers a platform "
            "could make the tool call your internal network. Remove it"
        )
    for name, url in (("database.url", settings.database.url), ("queue.url", settings.queue.url)):
        if ":demo@" in url or ":change-me@" in url:
            raise ConfigurationError(
                f"{name} still holds the example password. Give the database one of its own and write it there"
            )


def _loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")
