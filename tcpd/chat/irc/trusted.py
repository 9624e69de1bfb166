"""Who is more than a client: operators, and gateways that speak for their clients (WEBIRC)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tcpd.config.values import NETWORKS, Network, Type
from tcpd.policy.passwords import PasswordHash

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True)
class Operator:
    """Who may become an operator of the daemon by OPER.

    :ivar name: what they say there; ASCII letters, digits, ``.``, ``_`` and ``-``.
    :ivar hash: of their password.
    """

    name: str
    hash: PasswordHash


@dataclass(frozen=True, slots=True)
class Gateway:
    """Who may tell by WEBIRC whom it stands for.

    :ivar networks: where it connects from.
    :ivar hash: of its password.
    """

    networks: tuple[Network, ...]
    hash: PasswordHash


def _lines(text: str, form: str) -> list[tuple[str, str]]:
    """What stands before the last word of each line, and that word, which is never shown."""
    found = []
    for line in text.split("\n"):
        if line.strip():
            head, _, last = line.strip().rpartition(" ")
            # neither says what stands there: it may be the hash
            if not head.strip():
                raise ValueError(f"a line is one word; write {form}")
            if "$" in head:
                raise ValueError(f"a line goes on behind the hash; write {form}")
            found.append((head.strip(), last))
    return found


def _hash(text: str, number: int, form: str) -> PasswordHash:
    try:
        return PasswordHash.parse(text)
    except ValueError as error:
        raise ValueError(f"line {number} of it is not {form}: {error}") from None


def _parse_operators(text: str) -> tuple[Operator, ...]:
    found: dict[str, Operator] = {}
    for number, (name, hash) in enumerate(_lines(text, "NAME HASH"), 1):
        # what stands there is not quoted: it may be the password
        if _NAME.fullmatch(name) is None:
            raise ValueError(
                f"line {number} of it begins with no name of an operator: one has 1 to 32 letters, "
                "digits, dots, hyphens and underscores"
            )
        if name in found:
            raise ValueError(f"line {number} of it has the name of another line")
        found[name] = Operator(name, _hash(hash, number, "NAME HASH"))
    return tuple(found.values())


def _parse_gateways(text: str) -> tuple[Gateway, ...]:
    found = []
    for number, (networks, hash) in enumerate(_lines(text, "NETWORKS HASH"), 1):
        try:
            parsed = NETWORKS.parse(networks)
        except ValueError:
            raise ValueError(
                f"line {number} of it begins with no networks; write addresses or ADDRESS/PREFIX, "
                "separated by commas, before the hash"
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
