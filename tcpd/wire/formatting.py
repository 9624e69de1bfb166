"""IRC formatting codes, other control characters, and the editing keys of a raw terminal.

Sources: https://modern.ircdocs.horse/formatting for the codes; ECMA-48 section 5.4 for control
sequences; termios(3) for the editing keys.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from tcpd.wire.safe_text import visible

_CODES = re.compile(
    "\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?"  # palette colours: foreground, background
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
# An editing key, or a control character that is not a formatting code or a tab.
_KEY = re.compile("\x04(?![0-9A-Fa-f]{6})|[\x00\x01\x05-\x08\x0a-\x0e\x10\x12-\x15\x17-\x1c\x7f]")


def plain(text: str) -> str:
    """Remove IRC formatting codes and CTCP delimiters.

    :param text: a text without line ends.
    """
    return text if text.isprintable() else _CODES.sub("", text).replace("\x01", "")


def tidy(text: str) -> str:
    """Make a text safe to display to others, as :func:`tcpd.wire.safe_text.visible`.

    IRC formatting codes are kept.

    :param text: any text, lone surrogates included.
    """
    if _CODES.search(text) is None:
        return visible(text)
    codes = _CODES.findall(text)
    pieces = map(visible, _CODES.split(text))
    return "".join(piece + code for piece, code in zip_longest(pieces, codes, fillvalue=""))


def typed(line: str) -> str | None:
    """Apply the editing keys in a line from a terminal in raw mode.

    Backspace and Delete erase a character, Ctrl-W a word, Ctrl-U the line. Escape sequences, such
    as arrow keys, and other control keys are removed. Tabs and IRC formatting codes are kept. The
    time is linear in the length of the line.

    :param line: a line without its line end.
    :return: the edited line, empty if only formatting codes are left, such as that of Ctrl-C;
        ``None`` for Ctrl-D on an empty line.
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
    edited = "".join(kept)
    return edited if plain(edited).strip() else ""
