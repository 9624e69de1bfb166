"""Passwords, kept as salted scrypt hashes (RFC 7914; docs/decisions/0009).

A hash says itself how it was made, in the form that other programs use for this too (the PHC string
format): ``$scrypt$ln=15,r=8,p=1$SALT$HASH``. ``ln`` is the logarithm of the cost, ``r`` the size of
a block and ``p`` how often; salt and hash are base64 without padding. Making or checking one with
these costs 32 MiB and some 80 ms, so it belongs into a thread where others wait.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from dataclasses import dataclass

#: What new hashes cost.
_COST, _BLOCK, _TIMES = 15, 8, 1
_SALT_BYTES = 16
_HASH_BYTES = 32

# What a hash may ask for: one that somebody wrote by hand shall not take all memory.
_MOST_COST, _MOST_BLOCK, _MOST_TIMES = 18, 16, 8
_MOST_MEMORY = 512 << 20

_FORM = re.compile(
    r"\$scrypt\$ln=(?P<cost>\d{1,2}),r=(?P<block>\d{1,2}),p=(?P<times>\d{1,2})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{22,86})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A hash that was read. Its repr does not show it.

    :raise ValueError: by :meth:`parse`, for a text that is none.
    """

    cost: int
    block: int
    times: int
    salt: bytes
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Read what :func:`hash_password` made."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("it is not a password hash; tcpd-ctl hash-password makes one")
        cost, block, times = (int(match[name]) for name in ("cost", "block", "times"))
        if not (
            1 <= cost <= _MOST_COST and 1 <= block <= _MOST_BLOCK and 1 <= times <= _MOST_TIMES
        ):
            raise ValueError("the password hash asks for more work than is sensible")
        return cls(cost, block, times, _unbase64(match["salt"]), _unbase64(match["hash"]))

    def __repr__(self) -> str:
        return "PasswordHash(...)"

    def __str__(self) -> str:
        return (
            f"$scrypt$ln={self.cost},r={self.block},p={self.times}"
            f"${_base64(self.salt)}${_base64(self.hash)}"
        )

    def fits(self, password: str) -> bool:
        """Tell whether a password is the one. Takes its time, and always the same."""
        made = _scrypt(password, self.salt, self.cost, self.block, self.times, len(self.hash))
        return hmac.compare_digest(made, self.hash)


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Make a hash of a password.

    :param password: as it will be typed; it is hashed as UTF-8.
    :param salt: for tests; by default it is drawn at random.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    made = _scrypt(password, salt, _COST, _BLOCK, _TIMES, _HASH_BYTES)
    return str(PasswordHash(_COST, _BLOCK, _TIMES, salt, made))


def verify_password(password: str, hashed: str) -> bool:
    """Tell whether a password fits a hash.

    :raise ValueError: if ``hashed`` is not a hash.
    """
    return PasswordHash.parse(hashed).fits(password)


def _scrypt(password: str, salt: bytes, cost: int, block: int, times: int, size: int) -> bytes:
    # surrogates: a terminal may hand over bytes that are not its encoding's
    data = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(
        data, salt=salt, n=1 << cost, r=block, p=times, maxmem=_MOST_MEMORY, dklen=size
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("the password hash is cut") from error
