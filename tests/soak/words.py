"""Words, lines and damage for the structured inputs of the soak."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Chance = Random

NICKS = ("ann", "bob", "eve", "Zoë", "жук", "n[1]", "ANN", "o_o", "tea", "x" * 30)
ROOMS = ("#lobby", "#tea", "#Tea", "#ü", "#a.b", "#" + "r" * 49, "#_", "&x", "#", "##")

_PLAIN = (
    "hello",
    "world",
    "tea",
    "%s%n",
    "{0}",
    "../../etc/passwd",
    "$(id)",
    "'\"`",
    "-1",
    "0",
    "1",
)
_NUMBERS = ("-1", "0", "00", "1e9", "2147483648", "18446744073709551616", "٣", "NaN", "0x10", "1.5")
_ODD = (
    "",
    " ",
    "é",
    "e\u0301\u0301\u0301",
    "\u202eevil",
    "\u200d",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U000e0041",
    "\ufffd",
    "\uffff",
    "ß",
    "\u0130",
    "ﬁ",
    "\u115f",
    "\x02bold\x02",
    "\x0304,05red\x03",
    "\x04ff0000x",
    "\x01ACTION waves\x01",
    "\x01VERSION\x01",
    "\x1b[2J",
    "\x1b]0;t\x07",
    "\b\b",
    "\x7f",
    "\x04",
    "\x15",
    "\x17",
    "\x07",
    "\x9b",
    "\t",
)
_BROKEN = (
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x00",
    b"\xff\xfd\x01",
    b"\xff\xfa\x18",
)
_ENDINGS = (b"\r", b"\n\r", b"\r\0", b"\n\n", b"", b"\0\n")


def nick(chance: Chance) -> str:
    """A nickname, from a list so short that some are in use."""
    return f"{chance.choice(NICKS)[:9]}{chance.randrange(8)}"


def room(chance: Chance) -> str:
    """The name of a room, mostly of a room with many members."""
    return chance.choice(ROOMS[:2]) if chance.random() < 0.6 else chance.choice(ROOMS)


def word(chance: Chance) -> str:
    """A word as a client may send it, mostly plain ASCII."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(_PLAIN)
    if kind < 0.65:
        return nick(chance)
    if kind < 0.8:
        return room(chance)
    if kind < 0.87:
        return chance.choice(_NUMBERS)
    if kind < 0.98:
        return chance.choice(_ODD)
    return chance.choice("xé\U0001f375") * chance.choice((99, 399, 511, 2000, 5000))


def words(chance: Chance, most: int = 6) -> str:
    """Some words, separated by spaces."""
    return " ".join(word(chance) for _ in range(chance.randint(0, most)))


def rudeness(chance: Chance) -> float:
    """The probability of faults of one client; often 0, since a fault may end its connection."""
    return chance.choice((0.0, 0.0, 0.01, 0.05, 0.3))


def line(chance: Chance, text: str, rude: float) -> bytes:
    """A text as a line.

    :param rude: probability of a fault in the line.
    """
    data = text.encode(errors="surrogatepass")
    if chance.random() < rude:
        at = chance.randint(0, len(data))
        data = data[:at] + chance.choice(_BROKEN) + data[at:]
    ending = chance.choice(_ENDINGS) if chance.random() < rude else chance.choice((b"\r\n", b"\n"))
    return damaged(chance, data, rude) + ending


def damaged(chance: Chance, data: bytes, share: float) -> bytes:
    """The same bytes, damaged with probability ``share``."""
    if chance.random() >= share or not data:
        return data
    at = chance.randrange(len(data))
    to = min(len(data), at + chance.randint(1, 8))
    damage: tuple[Callable[[], bytes], ...] = (
        lambda: data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :],
        lambda: data[:at] + data[to:],
        lambda: data[:to] + data[at:],
        lambda: data[:at],
        lambda: data[:at] + chance.randbytes(to - at) + data[at:],
        lambda: data[:at] + data[at:to] * chance.randint(2, 500) + data[to:],
    )
    return chance.choice(damage)()
