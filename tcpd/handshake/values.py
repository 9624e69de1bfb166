"""The report's values with their sources, and their format for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The types of values. Tuples become lists in JSON.
Plain = int | float | str | bool | tuple[str, ...] | None

#: Texts chosen by the peer (SNI, ALPN, account) are truncated to this many characters.
_LONGEST_TEXT = 255


class Source(StrEnum):
    """The source of a value. The names are stable: they are in the JSON."""

    #: Read from the saved SYN, or reported by the kernel or the daemon.
    SEEN = "seen"
    #: Derived from seen values by a rule that ``why`` names.
    DERIVED = "derived"
    #: Unknown; ``why`` gives the reason.
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the report.

    :ivar name: stable; lower-case ASCII with underscores: its key in JSON.
    :ivar label: the label, for people.
    :ivar value: ``None`` if unavailable, or if it is known to be absent.
    :ivar unit: ``bytes``, ``us``, ``s``, ``segments``, ...; empty if there is none.
    :ivar source: the source of the value.
    :ivar why: a rule, a reason or a remark, without a full stop; may be empty for a seen value.
    :ivar text: the value for people; if empty, :func:`shown` formats it.
    """

    name: str
    label: str
    value: Plain
    unit: str
    source: Source
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A titled group of values: a packet or a layer.

    :ivar name: stable: its key in JSON.
    :ivar title: the title, for people.
    :ivar values: the values, in the order of the report.
    :ivar note: a remark on the whole section without a full stop, or empty.
    """

    name: str
    title: str
    values: tuple[Value, ...]
    note: str = ""

    def value(self, name: str) -> Value | None:
        """Return the value with this name, or ``None``."""
        return next((value for value in self.values if value.name == name), None)


def seen(
    name: str, label: str, value: Plain, unit: str = "", *, why: str = "", text: str = ""
) -> Value:
    """Make a seen value. Escapes its texts."""
    return Value(name, label, _safe(value), unit, Source.SEEN, why, safe(text))


def derived(
    name: str, label: str, value: Plain, unit: str = "", *, why: str, text: str = ""
) -> Value:
    """Make a derived value. Escapes its texts."""
    return Value(name, label, _safe(value), unit, Source.DERIVED, why, safe(text))


def unavailable(name: str, label: str, why: str) -> Value:
    """Make an unavailable value with its reason."""
    return Value(name, label, None, "", Source.UNAVAILABLE, why, "")


def known(name: str, label: str, value: Plain, unit: str = "", *, why: str) -> Value:
    """Make a seen value, or an unavailable one with this reason if it is ``None``."""
    if value is None:
        return unavailable(name, label, why)
    return seen(name, label, value, unit)


def safe(text: str) -> str:
    r"""Make text safe for a terminal: unprintable characters become escapes such as ``\x1b``.

    Stricter than :mod:`tcpd.wire.safe_text`, a package that this one may not import: joiners are
    escaped too.

    :param text: any text, lone surrogates included; truncated after 255 characters.
    """
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    return text if text.isprintable() else "".join(map(_shown_character, text))


def ascii_only(text: str) -> str:
    r"""Escape all characters but ASCII, such as ``\u00e9``."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def shown(value: Value) -> str:
    """Format a value with its unit for people."""
    if value.source is Source.UNAVAILABLE:
        return "not available"
    if value.text:
        return value.text
    match value.value:
        case None | () | "":
            return "none"
        case bool() as yes:
            return "yes" if yes else "no"
        case tuple() as texts:
            return ", ".join(texts)
        case int() | float() as number if value.unit in _TIMES:
            return duration(number * _TIMES[value.unit])
        case 1 if value.unit.isalpha():
            return f"1 {value.unit.removesuffix('s')}"
        case other:
            return f"{other} {value.unit}".rstrip()


_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def duration(seconds: float) -> str:
    """Format a duration in ASCII: ``18 us``, ``1.23 ms``, ``42.1 s``, ``2 h 5 min``.

    :param seconds: not negative.
    """
    if seconds < 0.001:
        return f"{round(seconds * 1e6)} us"
    if seconds < 1:
        return f"{_short(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_short(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 100 else str(round(number))


def _safe(value: Plain) -> Plain:
    match value:
        case str():
            return safe(value)
        case tuple():
            return tuple(map(safe, value))
        case _:
            return value


def _shown_character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
