"""IRC's formatting codes told apart from other control characters, and the keys of a raw terminal.

Sources: https://modern.ircdocs.horse/formatting for the codes; ECMA-48 section 5.4 for control
sequences; termios(3) for the editing keys.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from tcpd.wire.safe_text import visible

_CODES = re.compile(
    "\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?"  # a colour of the palette, and of the background
    "|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?"  # the same as RGB
    "|[\x02\x0f\x11\x16\x1d\x1e\x1f]"  # bold, reset, monospace, reverse, italics, strike, underline
)

_SEQUENCES = re.compile(
    "\x1b(?:"
    r"\[\[[A-E]"  # the function keys of Linux's console
    r"|\[[0-?]*[ -/]*[@-~]"  # CSI: arrows, Home, Delete, pasting, colours
    "|O[A-DFHMPQRSj-y]"  # SS3: arrows and keypad in application mode
    "|[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)"  # OSC and other strings
    ")?"
)

_END_OF_INPUT = "\x04"
_ERASE = "\b\x7f"
_KILL = "\x15"
_WORD_ERASE = "\x17"
#: A key that edits, or a control character that is no formatting code and no tab.
_KEY = re.compile("\x04(?![0-9A-Fa-f]{6})|[\x00\x01\x05-\x08\x0a-\x0e\x10\x12-\x15\x17-\x1c\x7f]")


def plain(text: str) -> str:
    """Remove IRC's formatting codes, and what is left of the delimiters of CTCP.

    :param text: without a line end.
    """
    return text if text.isprintable() else _CODES.sub("", text).replace("\x01", "")


def tidy(text: str) -> str:
    """Make a text about a person fit for other people's screens.

    As :func:`tcpd.wire.safe_text.visible` does, but IRC's formatting codes stay.

    :param text: any text, lone surrogates included.
    """
    if _CODES.search(text) is None:
        return visible(text)
    codes = _CODES.findall(text)
    pieces = map(visible, _CODES.split(text))
    return "".join(piece + code for piece, code in zip_longest(pieces, codes, fillvalue=""))


def typed(line: str) -> str | None:
    """Apply the keys that a terminal without line editing sends as they are.

    Backspace and Delete erase a character, Ctrl-W a word, Ctrl-U the line. Arrow keys and other
    escape sequences are ignored, and so are other control keys. Tabs and IRC's formatting codes
    stay. The time it takes is linear in the length of the line.

    :param line: without its end.
    :return: the line as its author meant it, empty where nothing but formatting codes is left, such
        as that of Ctrl-C; ``None`` for Ctrl-D on an empty line.
    """
    if line.isprintable():
        return line
    line = _SEQUENCES.sub("", line)
    kept: list[str] = []
    start = 0
    for key in _KEY.finditer(line):
        kept += line[start : key.start()]
        start = key.end()
        if key[0] in _ERASE:
            del kept[-1:]
        elif key[0] == _KILL:
            kept.clear()
        elif key[0] == _WORD_ERASE:
            while kept and kept[-1].isspace():
                kept.pop()
            while kept and not kept[-1].isspace():
                kept.pop()
    kept += line[start:]
    if not kept and _END_OF_INPUT in line:
        return None
    meant = "".join(kept)
    return meant if plain(meant).strip() else ""
