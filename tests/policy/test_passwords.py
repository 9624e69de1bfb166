"""Password hashes."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tcpd.policy.passwords import PasswordHash, hash_password, verify_password


def test_hash_contains_parameters_and_matches_its_password_only() -> None:
    hashed = hash_password("grüße")
    assert hashed.startswith("$scrypt$ln=15,r=8,p=1$")
    assert verify_password("grüße", hashed)
    assert not verify_password("gruesse", hashed)
    assert hash_password("grüße") != hashed


def test_hash_is_plain_scrypt() -> None:
    """RFC 7914, with the parameters of the PHC string."""
    _, name, parameters, salt, digest = hash_password("tea", b"0123456789abcdef").split("$")
    assert (name, parameters) == ("scrypt", "ln=15,r=8,p=1")
    expected = hashlib.scrypt(
        b"tea", salt=base64.b64decode(salt + "=="), n=1 << 15, r=8, p=1, maxmem=1 << 26, dklen=32
    )
    assert base64.b64decode(digest + "=") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tea",
        "$scrypt$ln=15,r=8,p=1$short$short",
        "$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$scrypt$ln=15,r=8,p=99$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
        "$argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZg",
    ],
)
def test_invalid_hash_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        verify_password("tea", text)


def test_repr_has_no_secret() -> None:
    assert repr(PasswordHash.parse(hash_password("tea"))) == "PasswordHash(...)"
