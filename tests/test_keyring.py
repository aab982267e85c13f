"""The keys in their folder: what is refused, how one takes over from another, and how long the old one is shown."""

from __future__ import annotations

import base64
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lti_tool.errors import ConfigurationError, SecretLost
from lti_tool.keyring import (
    KINDS,
    RETIRED_LTI_KEYS_STAY,
    keep_public,
    load_keyring,
    make_key,
    make_sealing_key,
    public_pem,
    sealing_keys,
    thumbprint,
)
from lti_tool.lti.jwks import public_jwks

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def only(folder: Path, kind: str) -> Path:
    (found,) = folder.glob(f"{KINDS[kind]}-*.pem")
    return found


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load_keyring(folder, NOON)
    return refused.value.sentence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    load_keyring(tmp_path / "keys", NOON)
    return tmp_path / "keys"


def test_the_first_start_makes_one_key_of_each_kind_that_only_the_owner_can_read(folder: Path) -> None:
    made = sorted(folder.iterdir())
    assert [path.name.rpartition("-")[0] for path in made] == [
        "credentials-ed25519",
        "credentials-rsa",
        "lti",
        "secrets",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_next_start_finds_the_same_keys(folder: Path) -> None:
    before = load_keyring(folder, NOON)
    after = load_keyring(folder, NOON + timedelta(days=1))
    assert [key.kid for key in before.keys] == [key.kid for key in after.keys]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_L06_a_key_that_others_can_read_stops_the_start_with_the_command_that_mends_it(folder: Path, mode: int) -> None:
    path = only(folder, "lti")
    path.chmod(mode)
    sentence = refusal(folder)
    assert f"mode {mode:04o}" in sentence and sentence.endswith(f"Run: chmod 600 {path}")
    path.chmod(0o600)
    load_keyring(folder, NOON)


def test_L06_an_empty_key_file_stops_the_start(folder: Path) -> None:
    path = only(folder, "ed25519")
    path.write_bytes(b"")
    assert f"{path} is empty" in refusal(folder) and f"rm {path}" in refusal(folder)


def test_L06_a_file_that_is_no_key_stops_the_start(folder: Path) -> None:
    path = only(folder, "rsa")
    path.write_text("-----BEGIN PRIVATE KEY-----\nnot one\n-----END PRIVATE KEY-----\n")
    assert f"{path} is not a private key in PEM form" in refusal(folder)


@pytest.mark.parametrize(("kind", "other"), [("lti", "ed25519"), ("ed25519", "rsa"), ("rsa", "ed25519")])
def test_L06_a_key_of_another_kind_than_its_name_says_stops_the_start(folder: Path, kind: str, other: str) -> None:
    path = only(folder, kind)
    path.write_bytes(only(folder, other).read_bytes())
    assert f"mv {path} {path}.bak" in refusal(folder)


def test_L06_a_key_on_another_curve_stops_the_start(folder: Path) -> None:
    path = only(folder, "ed25519")
    path.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
    assert "not of the kind its name says" in refusal(folder)


def test_L06_a_short_rsa_key_stops_the_start(folder: Path) -> None:
    path = only(folder, "lti")
    path.write_bytes(pem_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    assert "shorter than 2048 bits" in refusal(folder)


def pem_of(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_key_without_its_date_is_told_how_to_be_named(folder: Path) -> None:
    path = only(folder, "lti")
    path.rename(folder / "lti-mine.pem")
    assert "Name it lti-20261122T090000000000Z.pem" in refusal(folder)


def test_half_a_key_is_never_read_while_another_process_writes_it(tmp_path: Path) -> None:
    """Both start on an empty folder: whatever each makes, what is there afterwards can be read."""
    threads = [
        threading.Thread(target=load_keyring, args=(tmp_path / "keys", NOON + timedelta(seconds=i))) for i in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keyring = load_keyring(tmp_path / "keys", NOON)
    assert keyring.lti and keyring.ed25519 and keyring.rsa


def test_the_newest_key_of_a_kind_signs_and_the_one_before_is_retired_from_then(folder: Path) -> None:
    before = load_keyring(folder, NOON)
    later = NOON + timedelta(days=100)
    made = make_key(folder, "lti", later)
    after = load_keyring(folder, later)
    assert after.lti.kid == made.kid and after.lti.retired is None
    (retired,) = [key for key in after.of("lti") if key.kid == before.lti.kid]
    assert retired.retired == later
    assert after.ed25519.kid == before.ed25519.kid


def test_L04_after_a_rotation_both_lti_keys_are_published_for_seven_days_and_the_new_one_signs(folder: Path) -> None:
    old = load_keyring(folder, NOON).lti
    turned = NOON + timedelta(days=30)
    new = make_key(folder, "lti", turned)
    keyring = load_keyring(folder, turned)

    def published(when: datetime) -> list[str]:
        return [jwk["kid"] for jwk in public_jwks(keyring.published_lti(when))["keys"]]

    assert keyring.lti.kid == new.kid
    assert published(turned) == [new.kid, old.kid]
    assert published(turned + RETIRED_LTI_KEYS_STAY - timedelta(seconds=1)) == [new.kid, old.kid]
    assert published(turned + RETIRED_LTI_KEYS_STAY) == [new.kid]
    assert timedelta(days=7) == RETIRED_LTI_KEYS_STAY


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_L05_a_retired_credential_key_is_found_for_ever(folder: Path, kind: str) -> None:
    old = load_keyring(folder, NOON).of(kind)[0]
    for year in range(1, 4):
        make_key(folder, kind, NOON + timedelta(days=365 * year))
    keyring = load_keyring(folder, NOON + timedelta(days=3650))
    found = keyring.credential_key(old.kid)
    assert found is not None and found.public_jwk() == old.public_jwk()
    assert len(keyring.of(kind)) == 4 and keyring.of(kind)[0].kid != old.kid


def test_an_lti_key_is_no_credential_key(folder: Path) -> None:
    keyring = load_keyring(folder, NOON)
    assert keyring.credential_key(keyring.lti.kid) is None
    assert keyring.credential_key("unknown") is None


def test_a_public_jwk_holds_nothing_private(folder: Path) -> None:
    for key in load_keyring(folder, NOON).keys:
        jwk = key.public_jwk()
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & jwk.keys()
        assert jwk["kid"] == key.kid and jwk["alg"] == ("EdDSA" if key.kind == "ed25519" else "RS256")


def test_the_thumbprint_is_the_one_of_rfc_7638() -> None:
    """The example of section 3.1, https://www.rfc-editor.org/rfc/rfc7638#section-3.1"""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1"
        "n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    n = int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4)))
    public = rsa.RSAPublicNumbers(e=65537, n=n).public_key()
    assert thumbprint(public) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


# -- sealing ----------------------------------------------------------------------------------------------------


def test_a_secret_is_opened_by_the_key_that_sealed_it_and_by_every_later_set(folder: Path) -> None:
    sealed = load_keyring(folder, NOON).seal({"token": "geheim-é"})
    assert "geheim" not in sealed
    make_sealing_key(folder, NOON + timedelta(days=1))
    after = load_keyring(folder, NOON + timedelta(days=1))
    assert after.unseal(sealed) == {"token": "geheim-é"}
    newest = after.resealed(sealed)
    sorted(folder.glob("secrets-*.key"))[0].unlink()
    left = load_keyring(folder, NOON)
    assert left.unseal(newest) == {"token": "geheim-é"}
    with pytest.raises(SecretLost):
        left.unseal(sealed)


def test_L06_a_sealing_key_that_others_can_read_or_that_is_none_stops_the_start(folder: Path) -> None:
    (path,) = folder.glob("secrets-*.key")
    path.chmod(0o644)
    assert refusal(folder).endswith(f"Run: chmod 600 {path}")
    path.chmod(0o600)
    path.write_text("not a key")
    assert "not one that seals secrets" in refusal(folder)
    path.write_text("")
    assert "is empty" in refusal(folder)


def test_a_keyring_shows_no_sealing_key_when_it_is_printed(folder: Path) -> None:
    (path,) = folder.glob("secrets-*.key")
    assert path.read_text().strip() not in repr(load_keyring(folder, NOON))


# -- keys that signed elsewhere ---------------------------------------------------------------------------------


def test_L05_the_public_half_of_a_key_is_published_and_never_signs(folder: Path, tmp_path: Path) -> None:
    elsewhere = load_keyring(tmp_path / "elsewhere", NOON + timedelta(days=1))  # newer than any of ours
    for key in (elsewhere.ed25519, elsewhere.rsa):
        keep_public(folder, key.kind, public_pem(key), key.created)
    before, found = load_keyring(folder, NOON).lti, load_keyring(folder, NOON)
    for kind in ("ed25519", "rsa"):
        ours, theirs = found.of(kind)
        assert theirs.kid == getattr(elsewhere, kind).kid and theirs.private is None and theirs.retired is not None
        assert getattr(found, kind) == ours and ours.retired is None
        assert found.credential_key(theirs.kid) == theirs
        assert theirs.public_jwk() == getattr(elsewhere, kind).public_jwk()
    assert found.lti.kid == before.kid


def test_a_key_that_is_here_whole_is_listed_once(folder: Path) -> None:
    key = load_keyring(folder, NOON).ed25519
    keep_public(folder, "ed25519", public_pem(key), key.created)
    (found,) = load_keyring(folder, NOON).of("ed25519")
    assert found.private is not None and found.retired is None


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [("ed25519", b"nothing", "not a public key in PEM form"), ("rsa", None, "not of the kind its name says")],
)
def test_L06_a_public_half_that_is_none_stops_the_start_with_a_line(
    folder: Path, kind: str, content: bytes | None, said: str
) -> None:
    other = public_pem(load_keyring(folder, NOON).ed25519)
    keep_public(folder, kind, content if content is not None else other, NOON)
    assert said in refusal(folder)


def test_the_half_of_an_lti_key_is_not_kept(folder: Path) -> None:
    with pytest.raises(ValueError, match="no public half of lti"):
        keep_public(folder, "lti", b"", NOON)


def test_sealing_keys_can_be_told_apart_without_being_shown(folder: Path) -> None:
    make_sealing_key(folder, NOON + timedelta(days=1))
    (new, made), (old, first) = sealing_keys(folder)
    assert new != old and (made, first) == (NOON + timedelta(days=1), NOON)
    for path in folder.glob("secrets-*.key"):
        assert path.read_bytes().strip().decode() not in (new, old)
