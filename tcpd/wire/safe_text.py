"""Makes text from the network safe to display: on a terminal, in a log, to other clients.

Unsafe are control characters (C0, DEL, C1), line and paragraph separators, invisible format
characters (zero-width space, bidi embeddings, overrides and isolates, tags), invisible letters such
as the Hangul fillers, lone surrogates, noncharacters, and private code points.

Safe are joiners (U+200C, U+200D) and variation selectors, which emoji and several scripts need;
Arabic and Syriac signs that are visible, although of the category Format; and code points that
Python's Unicode data does not know, as new letters and emoji are among them, except those that
Unicode has reserved for invisible characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_JOINERS = "\u200c\u200d"
_DRAWN_FORMATS = (
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_KEPT = frozenset(_JOINERS + _DRAWN_FORMATS)
# invisible, although str.isprintable() is true
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_FILLER = re.compile(f"[{_FILLERS}]")
_OFFENDING_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# UAX #44, Default_Ignorable_Code_Point: unassigned code points that will be invisible
_IGNORABLE = frozenset({0x2065, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)})
_REMEMBERED = 4096


def offends(character: str) -> bool:
    """Whether a character is unsafe, by the rules of this module."""
    if character in _KEPT:
        return False
    category = unicodedata.category(character)
    if category == "Cn":
        code = ord(character)
        # the Unicode Standard, section 23.7: the 66 noncharacters
        return code in _IGNORABLE or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return category in _OFFENDING_CATEGORIES or character in _FILLERS


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _replace(code: int) -> str:
    return " " if code == 0x09 else "\ufffd"


class _Table(dict[int, str]):
    """For str.translate; computes entries on first use.

    :param replace: returns the replacement of an unsafe character.
    """

    def __init__(self, replace: Callable[[int], str]) -> None:
        super().__init__()
        self._replace = replace

    def __missing__(self, code: int) -> str:
        character = chr(code)
        shown = self._replace(code) if offends(character) else character
        # bounded: a peer can send any character
        if len(self) < _REMEMBERED:
            self[code] = shown
        return shown


_ESCAPED = _Table(_escape)
_REPLACED = _Table(_replace)


def _is_safe(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _FILLER.search(text) is None)


def escape_controls(text: str) -> str:
    r"""Show unsafe characters as escapes: ``\x1b``, ``\u202e``, ``\U000e0001``.

    For logs, and for replies to the sender of the text. The result has no line end. It cannot be
    unescaped, since backslashes in the text are unchanged.

    :param text: any text, lone surrogates included.
    :return: the text with unsafe characters escaped; ``text`` itself if it has none.
    """
    return text if _is_safe(text) else text.translate(_ESCAPED)


def visible(text: str) -> str:
    """Make text safe to display to others: a tab becomes a space, the rest U+FFFD.

    :param text: any text, lone surrogates included.
    :return: the text with unsafe characters replaced, of the same length; ``text`` itself if it
        has none.
    """
    return text if _is_safe(text) else text.translate(_REPLACED)
