"""Bytes of a terminal become keys: characters, and names for keys that are no character."""

from __future__ import annotations

import codecs
import re

# ECMA-48 control sequences, in the two forms that terminals use for keys: ESC [ ... and ESC O x
_SEQUENCE = re.compile(r"\x1b\[([0-?]*)[ -/]*([@-~])|\x1bO(.)")

_NAMES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "5~": "page up",
    "6~": "page down",
    "1~": "home",
}
_CONTROLS = {
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\x08": "backspace",
}


class Keys:
    """Makes keys of bytes. A terminal sends each key whole; a truncated sequence is ignored."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[str]:
        """Decode bytes.

        :return: the keys, in order: a printable character, or ``up``, ``down``, ``left``,
            ``right``, ``home``, ``page up``, ``page down``, ``enter``, ``escape``, ``backspace``.
        """
        text = self._decoder.decode(data)
        keys = []
        position = 0
        while position < len(text):
            match = _SEQUENCE.match(text, position)
            if match:
                position = match.end()
                final = match[3] or (match[2] if match[2] != "~" else f"{match[1]}~")
                keys.append(_NAMES.get(final, ""))
            else:
                character = text[position]
                position += 1
                keys.append(_CONTROLS.get(character, character if character.isprintable() else ""))
        return [key for key in keys if key]
