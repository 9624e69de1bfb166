"""Passwords, kept as salted scrypt hashes (RFC 7914; docs/decisions/0009).

A hash is a PHC string, ``$scrypt$ln=15,r=8,p=1$SALT$HASH``. ``ln`` is the binary logarithm of the
cost, ``r`` the block size and ``p`` the parallelization; salt and hash are base64 without padding.
With these parameters one hash takes 32 MiB and about 80 ms, so the daemon computes it in a thread.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass

# The parameters of new hashes.
_COST, _BLOCK, _PARALLEL = 15, 8, 1
_SALT_BYTES = 16
_HASH_BYTES = 32

# Upper bounds for a hash in a configuration: a mistyped one must not exhaust memory.
_MAX_COST, _MAX_BLOCK, _MAX_PARALLEL = 18, 16, 8
_MAX_MEMORY = 512 << 20

_FORM = re.compile(
    r"\$scrypt\$ln=(?P<cost>\d{1,2}),r=(?P<block>\d{1,2}),p=(?P<parallel>\d{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{22,86})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A parsed password hash. Its ``repr`` does not show it."""

    cost: int
    block: int
    parallel: int
    salt: bytes
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Parse the result of :func:`hash_password`.

        :raise ValueError: if the text is not a hash, or its parameters are too large.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("it is not a password hash; tcpd-ctl hash-password makes one")
        cost, block, parallel = (int(match[name]) for name in ("cost", "block", "parallel"))
        if not (
            1 <= cost <= _MAX_COST and 1 <= block <= _MAX_BLOCK and 1 <= parallel <= _MAX_PARALLEL
        ):
            raise ValueError(
                "the parameters of the password hash are out of range; "
                "tcpd-ctl hash-password makes one"
            )
        return cls(cost, block, parallel, _unbase64(match["salt"]), _unbase64(match["hash"]))

    def __repr__(self) -> str:
        return "PasswordHash(...)"

    def __str__(self) -> str:
        return (
            f"$scrypt$ln={self.cost},r={self.block},p={self.parallel}"
            f"${_base64(self.salt)}${_base64(self.hash)}"
        )

    def matches(self, password: str) -> bool:
        """Whether the password has this hash. The time does not depend on the result."""
        computed = _scrypt(
            password, self.salt, self.cost, self.block, self.parallel, len(self.hash)
        )
        return hmac.compare_digest(computed, self.hash)


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Hash a password.

    :param password: hashed as UTF-8.
    :param salt: random by default; tests set it.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    computed = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL, _HASH_BYTES)
    return str(PasswordHash(_COST, _BLOCK, _PARALLEL, salt, computed))


def verify_password(password: str, hashed: str) -> bool:
    """Whether a password has a hash.

    :raise ValueError: if ``hashed`` is not a hash.
    """
    return PasswordHash.parse(hashed).matches(password)


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int, size: int) -> bytes:
    # surrogates: bytes from a terminal that are invalid in its encoding
    data = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(
        data, salt=salt, n=1 << cost, r=block, p=parallel, maxmem=_MAX_MEMORY, dklen=size
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("the password hash is incomplete") from error
