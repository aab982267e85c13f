"""Settings: where they come from, and that a wrong one stops the start with a line that says what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from lti_tool.errors import ConfigurationError
from lti_tool.settings import Settings, load_settings

PUBLIC = {"LTI_TOOL_SERVER__BASE_URL": "https://badges.example.edu"}


def refusal(**told: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(told)
    return refused.value.sentence


def test_every_setting_has_a_default_that_starts() -> None:
    settings = load_settings({})
    assert settings.base_url == "http://localhost:8000"
    assert not settings.production and not settings.network.allow_private


def test_a_file_overrides_the_defaults_and_the_environment_overrides_both(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[issuer]\nname = "Hallwood"\nslug = "hallwood"\n[queue]\nsync_every = 120\n')
    told = {"LTI_TOOL_CONFIG": str(file), "LTI_TOOL_ISSUER__NAME": "Hallwood University"}
    settings = load_settings(told)
    assert (settings.issuer.name, settings.issuer.slug) == ("Hallwood University", "hallwood")
    assert settings.queue.sync_every == 120


def test_the_environment_is_read_as_the_setting_s_type() -> None:
    settings = load_settings({"LTI_TOOL_NETWORK__ALLOW_PRIVATE": "true", "LTI_TOOL_SERVER__TRUSTED_PROXIES": "2"})
    assert settings.network.allow_private is True and settings.server.trusted_proxies == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LTI_TOOL_SERVER__BASE_ADDRESS", "server.base_address is not a setting. Known here: base_url, "),
        ("LTI_TOOL_SERVR__BASE_URL", "servr is not a setting. Known here: server, database, "),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(name: str, said: str) -> None:
    sentence = refusal(**{name: "x"})
    assert said in sentence


def test_an_unknown_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[privacy]\nclaims = "automatic"\n')
    sentence = refusal(LTI_TOOL_CONFIG=str(file))
    assert str(file) in sentence and "privacy.claims is not a setting. Known here: claim" in sentence


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LTI_TOOL_SERVER__TRUSTED_PROXIES", "one", "trusted_proxies cannot be 'one': write a whole number"),
        ("LTI_TOOL_SERVER__TRUSTED_PROXIES", "6", "server.trusted_proxies cannot be '6': write 5 or less"),
        (
            "LTI_TOOL_NETWORK__ALLOW_PRIVATE",
            "perhaps",
            "allow_private cannot be 'perhaps': write true or false",
        ),
        ("LTI_TOOL_QUEUE__PLATFORM_SHARE", "0", "queue.platform_share cannot be '0': write more than 0"),
        ("LTI_TOOL_PRIVACY__CLAIM", "never", "cannot be 'never': write 'required' or 'automatic'"),
        ("LTI_TOOL_ISSUER__ACCENT", "blue", "issuer.accent cannot be 'blue': write a colour, as \"#0E5468\""),
        ("LTI_TOOL_ISSUER__SLUG", "A B", "write small letters, digits and hyphens, as"),
        ("LTI_TOOL_QUEUE__URL", "amqp://host", 'write "sqlite:///path", "redis://host:6379/0" or'),
        ("LTI_TOOL_QUEUE__URL", "redis://host:port/0", 'write "sqlite:///path", "redis://host:6379/0" or'),
        ("LTI_TOOL_DATABASE__URL", "badges.db", "database.url cannot be 'badges.db': write \"sqlite:///path\""),
        ("LTI_TOOL_DATABASE__URL", "postgres://host/name", 'or "postgresql+psycopg://user:password@host/name"'),
        ("LTI_TOOL_DATABASE__URL", "mysql://host/name", 'or "postgresql+psycopg://user:password@host/name"'),
        ("LTI_TOOL_SERVER__LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ],
)
def test_a_value_of_the_wrong_type_names_the_key_and_what_it_may_be(name: str, value: str, said: str) -> None:
    sentence = refusal(**{name: value})
    assert sentence.startswith("the environment: ") and said in sentence


def test_a_section_written_as_a_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('server = "https://badges.example.edu"\n')
    assert "must be a section, written as [server]" in refusal(LTI_TOOL_CONFIG=str(file))


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    gone, broken = tmp_path / "gone.toml", tmp_path / "broken.toml"
    broken.write_text("[server\n")
    assert str(gone) in refusal(LTI_TOOL_CONFIG=str(gone))
    assert str(broken) in refusal(LTI_TOOL_CONFIG=str(broken))


def test_an_address_that_may_hold_a_password_is_not_repeated() -> None:
    sentence = refusal(LTI_TOOL_DATABASE__URL="postgresql+psycopg://tool:sesame@host:port/badges")
    assert "database.url cannot be what it is" in sentence and "sesame" not in sentence


def test_a_password_is_not_repeated_where_another_setting_is_missing_or_a_token_is_short() -> None:
    sentence = refusal(LTI_TOOL_MAIL__URL="smtp://joe:sesame@localhost:25")
    assert "mail.sender has to name" in sentence and "sesame" not in sentence
    assert "sesame" not in refusal(LTI_TOOL_METRICS__TOKEN="sesame")


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("server", 'trusted_proxies = "1"', "server.trusted_proxies has to be a whole number"),
        ("server", "trusted_proxies = true", "server.trusted_proxies has to be a whole number"),
        ("queue", "sync_every = 600.0", "queue.sync_every has to be a whole number"),
        ("queue", 'platform_share = "0.5"', "queue.platform_share has to be a number"),
        ("network", 'allow_private = "yes"', "network.allow_private has to be true or false"),
        ("network", "allow_private = 1", "network.allow_private has to be true or false"),
        ("wallets", 'transaction_code = "false"', "wallets.transaction_code has to be true or false"),
        ("issuer", "name = 1926", "issuer.name has to be text"),
        ("keys", "dir = 7", "keys.dir has to be text"),
    ],
)
def test_a_file_writes_each_value_as_its_type(tmp_path: Path, section: str, line: str, said: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"[{section}]\n{line}\n")
    sentence = refusal(LTI_TOOL_CONFIG=str(file))
    assert sentence.startswith(f"{file}: ") and said in sentence


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[queue]\nplatform_share = 1\n")
    assert load_settings({"LTI_TOOL_CONFIG": str(file)}).queue.platform_share == 1


@pytest.mark.parametrize(
    "value",
    ["https://example.edu/badges", "https://example.edu?x=1", "https://me@example.edu", "badges.example.edu", ""],
)
def test_the_base_address_is_a_bare_host(value: str) -> None:
    sentence = refusal(LTI_TOOL_SERVER__BASE_URL=value)
    assert "server.base_url cannot be" in sentence and '"https://badges.example.edu"' in sentence


def test_a_slash_at_the_end_of_the_base_address_is_dropped() -> None:
    assert load_settings({"LTI_TOOL_SERVER__BASE_URL": "https://badges.example.edu/"}).base_url[-1] == "u"


def test_plain_http_in_public_is_refused() -> None:
    sentence = refusal(LTI_TOOL_SERVER__BASE_URL="http://badges.example.edu")
    assert "without https" in sentence and 'Write "https://' in sentence


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "tool.localhost"])
def test_plain_http_at_home_is_taken(host: str) -> None:
    assert not load_settings({"LTI_TOOL_SERVER__BASE_URL": f"http://{host}"}).production


def test_L07_the_demo_s_network_setting_is_refused_in_production() -> None:
    sentence = refusal(**PUBLIC, LTI_TOOL_NETWORK__ALLOW_PRIVATE="true")
    assert "network.allow_private = true is not allowed" in sentence and "Remove it" in sentence


@pytest.mark.parametrize("password", ["change-me", "demo"])
def test_L07_an_example_password_is_refused_in_production(password: str) -> None:
    url = f"postgresql+psycopg://lti_tool:{password}@postgres/lti_tool"
    assert "database.url still holds the example password" in refusal(**PUBLIC, LTI_TOOL_DATABASE__URL=url)
    assert load_settings({"LTI_TOOL_DATABASE__URL": url}).database.url == url


def test_production_follows_from_the_base_address() -> None:
    assert load_settings(PUBLIC).production
    assert not load_settings({"LTI_TOOL_SERVER__BASE_URL": "https://localhost:8443"}).production


def test_settings_cannot_be_changed_once_read() -> None:
    settings: Settings = load_settings({})
    with pytest.raises(ValueError, match="frozen"):
        settings.keys.dir = Path("elsewhere")
