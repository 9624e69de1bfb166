"""Settings of server operators and WEBIRC gateways."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tcpd.config.values import NETWORKS, Network, Type
from tcpd.policy.passwords import PasswordHash

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class Operator:
    """Credentials for OPER.

    :ivar name: 1 to 32 ASCII letters, digits, ``.``, ``_`` and ``-``.
    :ivar hash: hash of the password.
    """

    name: str
    hash: PasswordHash


@dataclass(frozen=True, slots=True)
class Gateway:
    """Gateway that may send WEBIRC.

    :ivar networks: networks that it connects from.
    :ivar hash: hash of its password.
    """

    networks: tuple[Network, ...]
    hash: PasswordHash


def _lines(text: str, form: str) -> list[tuple[str, str]]:
    """Split each line into its last word, the hash, and the text before it.

    Errors never quote a line: it may contain the hash or a password.
    """
    found = []
    for line in text.split("\n"):
        if line.strip():
            head, _, last = line.strip().rpartition(" ")
            if not head.strip():
                raise ValueError(f"a line is one word; write {form}")
            if "$" in head:
                raise ValueError(f"a line has text after the hash; write {form}")
            found.append((head.strip(), last))
    return found


def _hash(text: str, number: int, form: str) -> PasswordHash:
    try:
        return PasswordHash.parse(text)
    except ValueError as error:
        raise ValueError(f"line {number} of the value is not {form}: {error}") from None


def _parse_operators(text: str) -> tuple[Operator, ...]:
    found: dict[str, Operator] = {}
    for number, (name, hash) in enumerate(_lines(text, "NAME HASH"), 1):
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                f"line {number} of the value does not begin with a name of 1 to 32 letters, "
                "digits, dots, hyphens and underscores"
            )
        if name in found:
            raise ValueError(f"line {number} of the value repeats a name")
        found[name] = Operator(name, _hash(hash, number, "NAME HASH"))
    return tuple(found.values())


def _parse_gateways(text: str) -> tuple[Gateway, ...]:
    found = []
    for number, (networks, hash) in enumerate(_lines(text, "NETWORKS HASH"), 1):
        try:
            parsed = NETWORKS.parse(networks)
        except ValueError:
            raise ValueError(
                f"line {number} of the value does not begin with networks; write addresses or "
                "ADDRESS/PREFIX, separated by commas, before the hash"
            ) from None
        found.append(Gateway(parsed, _hash(hash, number, "NETWORKS HASH")))
    return tuple(found)


#: A tuple of :class:`Operator`.
OPERATORS: Type[tuple[Operator, ...]] = Type(
    "NAME HASH, one a line",
    _parse_operators,
    lambda value: "\n    ".join(f"{each.name} {each.hash}" for each in value),
)
#: A tuple of :class:`Gateway`.
GATEWAYS: Type[tuple[Gateway, ...]] = Type(
    "NETWORKS HASH, one a line",
    _parse_gateways,
    lambda value: "\n    ".join(f"{NETWORKS.show(each.networks)} {each.hash}" for each in value),
)
