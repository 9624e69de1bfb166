"""Types of values: text to value and back, with units.

``parse`` raises :class:`ValueError` with a text that says what is wrong and what is valid, to
follow ``FILE:LINE: [section] key:``. ``show`` returns text that ``parse`` converts back.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tcpd.config.files import from_system, to_system
from tcpd.config.locations import CREDENTIAL

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Type(Generic[T]):
    """The type of a key.

    :ivar name: the name on the reference page, e.g. ``duration``.
    :ivar parse: text to value; raises :class:`ValueError` with a sentence for the operator.
    :ivar show: value to text, the inverse of ``parse``.
    :ivar resolve: makes the path in a value absolute, given the directory of the ini file; raises
        as ``parse``. ``None`` if the value is not a path.
    """

    name: str
    parse: Callable[[str], T]
    show: Callable[[T], str]
    resolve: Callable[[T, str], T] | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate per second with a burst; see :mod:`tcpd.policy.buckets`.

    :ivar per_second: tokens that are added per second; greater than 0.
    :ivar burst: the capacity in tokens; at least 1.
    """

    per_second: float
    burst: float


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _parse_text(text: str) -> str:
    if "\n" in text:
        raise ValueError("it has several lines; write it on one, or do not indent the next key")
    return text


def _parse_path(text: str) -> str:
    return to_system(_parse_text(text))


def _parse_boolean(text: str) -> bool:
    word = text.lower()
    if word in ("yes", "true", "on", "1"):
        return True
    if word in ("no", "false", "off", "0"):
        return False
    raise ValueError(f"{text!r} is not yes or no")


_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
# A hundred years: more is a typing error, and the end might not be a valid date.
_LONGEST = 36500 * 86400.0


def _parse_duration(text: str) -> float:
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        raise ValueError(
            f"{text!r} is not a duration; write a number with ms, s, min, h or d, like 30s"
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than 36500d, the maximum")
    return seconds


def _show_duration(seconds: float) -> str:
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "min", "s"):
        if seconds % _SECONDS[unit] == 0:
            return f"{_number(seconds / _SECONDS[unit])}{unit}"
    return f"{_number(seconds)}s"


_BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)", re.ASCII)


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _BYTES:
        raise ValueError(
            f"{text!r} is not a size; write a whole number with B, KiB, MiB or GiB, like 64KiB"
        )
    return int(match[1]) * _BYTES[match[2]]


def _show_size(size: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|min|h)(?:\s+burst\s+(\d+))?", re.ASCII)


def _parse_rate(text: str) -> Rate | None:
    if text == "none":
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a rate; write 10/s, 10/s burst 30, or none")
    per_second = float(match[1]) / _SECONDS[match[2]]
    if per_second <= 0:
        raise ValueError(f"{text!r} is a rate of 0; write none for no limit")
    burst = float(match[3]) if match[3] else max(1.0, float(match[1]))
    if burst < 1:
        raise ValueError(f"{text!r} has a burst of 0; it must be at least 1")
    return Rate(per_second, burst)


def _show_rate(rate: Rate | None) -> str:
    if rate is None:
        return "none"
    for unit in ("s", "min", "h"):
        shown = f"{_number(rate.per_second * _SECONDS[unit])}/{unit} burst {_number(rate.burst)}"
        if _parse_rate_or_none(shown) == rate:
            return shown
    return f"{_number(rate.per_second)}/s burst {_number(rate.burst)}"


def _parse_rate_or_none(text: str) -> Rate | None:
    try:
        return _parse_rate(text)
    except ValueError:
        return None


def _parse_networks(text: str) -> tuple[Network, ...]:
    found: list[Network] = []
    for word in re.split(r"[\s,]+", text.strip()):
        if not word:
            continue
        try:
            found.append(_plain_network(ipaddress.ip_network(word)))
        except ValueError:
            try:
                loose = ipaddress.ip_network(word, strict=False)
            except ValueError:
                raise ValueError(
                    f"{word!r} is not a network; write addresses or ADDRESS/PREFIX, "
                    "like 192.0.2.0/24 or 2001:db8::/32"
                ) from None
            raise ValueError(f"{word!r} has bits set after its prefix; write {loose}") from None
    return tuple(found)


def _plain_network(network: Network) -> Network:
    """Convert an IPv4-mapped network (RFC 4291 section 2.5.5.2) to IPv4, as for peers."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - 96))


def _show_networks(networks: Iterable[Network]) -> str:
    return ", ".join(str(network) for network in networks)


_CREDENTIAL_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.@-]{1,255}")


def _parse_file(text: str) -> str:
    name = _parse_text(text).removeprefix(CREDENTIAL)
    if name != text and _CREDENTIAL_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{text!r} is not the name of a credential: use letters, digits, dots, hyphens, "
            "underscores and @, at most 255"
        )
    return to_system(text)


def _parse_files(text: str) -> tuple[str, ...]:
    return tuple(_parse_file(line.strip()) for line in text.split("\n") if line.strip())


def _parse_alpn(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if len(name) > 255 or not (name.isascii() and name.isprintable()):
            raise ValueError(
                f"{name!r} is not an ALPN protocol: use 1 to 255 printable ASCII characters, like "
                "http/1.1"
            )
    return names


TEXT: Type[str] = Type("text", _parse_text, str)
#: A path as given; a relative one is relative to the directory of its ini file.
PATH: Type[str] = Type("path", _parse_path, from_system)
#: A path, or ``credential:NAME``; see :func:`tcpd.config.locations.locate`.
FILE: Type[str] = Type("path, or credential:NAME", _parse_file, from_system)
#: A tuple of :data:`FILE` values.
FILES: Type[tuple[str, ...]] = Type(
    "paths, or credential:NAME, one a line",
    _parse_files,
    lambda files: "\n    ".join(map(from_system, files)),
)
BOOLEAN: Type[bool] = Type("yes or no", _parse_boolean, lambda value: "yes" if value else "no")
#: Seconds, as a float.
DURATION: Type[float] = Type("duration", _parse_duration, _show_duration)
#: Bytes, as an int.
SIZE: Type[int] = Type("size", _parse_size, _show_size)
#: A :class:`Rate`, or ``None`` for no limit.
RATE: Type[Rate | None] = Type("rate", _parse_rate, _show_rate)
#: A tuple of ALPN protocols (RFC 7301 section 6), in order of preference.
ALPN: Type[tuple[str, ...]] = Type("names, separated by commas or blanks", _parse_alpn, ", ".join)
#: A tuple of :mod:`ipaddress` networks.
NETWORKS: Type[tuple[Network, ...]] = Type("networks", _parse_networks, _show_networks)


def whole_number(low: int, high: int) -> Type[int]:
    """A whole number from ``low`` to ``high``, inclusive."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return Type(f"whole number from {low} to {high}", parse, str)


def at_least(kind: Type[T], low: T) -> Type[T]:
    """The same type with a minimum."""

    def parse(text: str) -> T:
        value = kind.parse(text)
        if value < low:  # type: ignore[operator]
            raise ValueError(f"{text!r} is too small; the minimum is {kind.show(low)}")
        return value

    return Type(f"{kind.name}, at least {kind.show(low)}", parse, kind.show)


def between(kind: Type[T], low: T, high: T) -> Type[T]:
    """The same type with a minimum and a maximum."""
    least = at_least(kind, low)

    def parse(text: str) -> T:
        value = least.parse(text)
        if value > high:  # type: ignore[operator]
            raise ValueError(f"{text!r} is too large; the maximum is {kind.show(high)}")
        return value

    return Type(f"{kind.name} from {kind.show(low)} to {kind.show(high)}", parse, kind.show)


def choice(*words: str) -> Type[str]:
    """One of several words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of: {', '.join(words)}")
        return text

    return Type(" or ".join(words), parse, str)


def or_word(kind: Type[T], word: str) -> Type[T | None]:
    """The same type, or a word that means ``None``."""

    def parse(text: str) -> T | None:
        return None if text == word else kind.parse(text)

    def show(value: T | None) -> str:
        return word if value is None else kind.show(value)

    return Type(f"{kind.name}, or {word}", parse, show)
