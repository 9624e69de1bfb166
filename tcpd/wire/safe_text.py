"""Text from the network made safe to print: on a terminal, in a log, on other people's screens.

What counts as unsafe: control characters (C0, DEL, C1), line and paragraph separators, format
characters that cannot be seen (zero-width space, bidi embeddings, overrides and isolates, tags),
letters that cannot be seen (the Hangul fillers and their like), lone surrogates, noncharacters, and
code points that are private. Joiners (U+200C, U+200D) and variation selectors are let through:
emoji and several scripts cannot be written without them. So are the Arabic and Syriac signs that
Unicode files among the format characters although they are drawn, and code points that the Unicode
data of this Python does not know yet, for those people write are new letters and emoji; except
where Unicode has reserved them for characters that nobody is to see.
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
# str.isprintable() is true of these, and yet nothing is drawn
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
_FILLER = re.compile(f"[{_FILLERS}]")
_OFFENDING_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# UAX #44, Default_Ignorable_Code_Point: what is not assigned there yet will never be drawn
_IGNORABLE = frozenset({0x2065, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000)})
_REMEMBERED = 4096


def offends(character: str) -> bool:
    """Whether one character is unsafe to print, by the rules at the head of this module."""
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
    """For str.translate: decides about a character when it first comes up."""

    def __init__(self, instead: Callable[[int], str]) -> None:
        super().__init__()
        self._instead = instead

    def __missing__(self, code: int) -> str:
        character = chr(code)
        shown = self._instead(code) if offends(character) else character
        # bounded: a peer can send every character there is
        if len(self) < _REMEMBERED:
            self[code] = shown
        return shown


_ESCAPED = _Table(_escape)
_REPLACED = _Table(_replace)


def _is_safe(text: str) -> bool:
    return text.isprintable() and (text.isascii() or _FILLER.search(text) is None)


def escape_controls(text: str) -> str:
    r"""Show unsafe characters as escapes: ``\x1b``, ``\u202e``, ``\U000e0001``.

    For logs and for replies to the one who sent the text. The result has no line end in it. It is
    for reading and not for undoing: a backslash of the text's own stays as it is.

    :param text: any text, lone surrogates included.
    :return: the same text, one escape for each unsafe character; ``text`` itself if there are none.
    """
    return text if _is_safe(text) else text.translate(_ESCAPED)


def visible(text: str) -> str:
    """Make text fit for other people's screens: a tab becomes a space, the rest U+FFFD.

    :param text: any text, lone surrogates included.
    :return: the same text, as many characters long, nothing unsafe in it; ``text`` itself if there
        was nothing.
    """
    return text if _is_safe(text) else text.translate(_REPLACED)
