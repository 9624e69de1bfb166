"""A value of the report, with where it comes from; and how values are written for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: What a value can be. Tuples are lists in JSON.
Plain = int | float | str | bool | tuple[str, ...] | None

#: Peers choose some texts (SNI, ALPN, account); more than this of one is cut off.
_LONGEST_TEXT = 255


class Source(StrEnum):
    """Where a value comes from. The words are stable: they are in the JSON."""

    #: It stood in a packet that was kept, or the kernel or the daemon told it as it is.
    SEEN = "seen"
    #: It follows from what was seen, by a rule of the protocol that ``why`` names.
    DERIVED = "derived"
    #: It is not known; ``why`` tells the reason.
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Value:
    """One line of the report.

    :ivar name: stable; lower-case ASCII with underscores: its key in JSON.
    :ivar label: for people.
    :ivar value: ``None`` where it is unavailable, and where it was seen that there is none.
    :ivar unit: ``bytes``, ``us``, ``s``, ``segments``, ``hops``, ...; empty where there is none.
    :ivar source: where it comes from.
    :ivar why: a rule, a reason or a remark, without a full stop; may be empty for what was seen.
    :ivar text: how it is shown to people; empty: as :func:`shown` does it.
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
    """Values that belong together.

    :ivar name: stable: its key in JSON.
    :ivar title: for people.
    :ivar values: in the order in which they are shown.
    :ivar note: a sentence about all of it without a full stop, or empty.
    """

    name: str
    title: str
    values: tuple[Value, ...]
    note: str = ""

    def value(self, name: str) -> Value | None:
        """The value of a name; ``None`` if the section has none."""
        return next((value for value in self.values if value.name == name), None)


def seen(
    name: str, label: str, value: Plain, unit: str = "", *, why: str = "", text: str = ""
) -> Value:
    """A value that stood in a packet or was told as it is. Texts are made safe to show."""
    return Value(name, label, _safe(value), unit, Source.SEEN, why, safe(text))


def derived(
    name: str, label: str, value: Plain, unit: str = "", *, why: str, text: str = ""
) -> Value:
    """A value that follows from others. Texts are made safe to show."""
    return Value(name, label, _safe(value), unit, Source.DERIVED, why, safe(text))


def unavailable(name: str, label: str, why: str) -> Value:
    """A value that is not known, and why."""
    return Value(name, label, None, "", Source.UNAVAILABLE, why, "")


def known(name: str, label: str, value: Plain, unit: str = "", *, why: str) -> Value:
    """A seen value, or an unavailable one with this reason where it is ``None``."""
    if value is None:
        return unavailable(name, label, why)
    return seen(name, label, value, unit)


def safe(text: str) -> str:
    r"""Make text safe for a terminal: what is not printable is shown as an escape like ``\x1b``.

    This package stands on the floor of :mod:`tcpd.wire`, whose rules are finer; this one is
    stricter (joiners are escaped too), which the few texts here can bear.

    :param text: any text, lone surrogates included.
    """
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}..."
    return text if text.isprintable() else "".join(map(_shown_character, text))


def ascii_only(text: str) -> str:
    r"""The same for a terminal that shows no more than ASCII: others become ``\u00e9``."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def shown(value: Value) -> str:
    """What is shown of a value, with its unit; ``not available`` where it is not."""
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
    """A time as people write it, in ASCII: ``18 us``, ``1.23 ms``, ``42.1 s``, ``2 h 5 min``.

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
