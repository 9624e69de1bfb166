"""Masks: patterns for names, and for people as ``nick!user@host``.

Source: the Modern IRC Client Protocol, "Wildcard Expressions"
(https://modern.ircdocs.horse/#wildcard-expressions): ``?`` stands for one character, ``*`` for any
number of them. Upper and lower case are the same, as in names (:func:`tcpd.chat.names.fold`).

A match takes at most the length of the pattern times that of the text: what stands before a ``*``
is matched at its first occurrence, without backtracking.

A mask in a list is kept as text alone: a compiled pattern takes ten times the memory, and a client
can have thousands of masks listed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from tcpd.chat.names import fold

#: Room for a nickname of the longest kind and a host, or a host and a long user name. With it a
#: line that lists the mask, the room and who set it when still has less than 512 bytes.
MASK_BYTES = 160

_WILD_OR_ESCAPED = re.compile(r"(\\[*?]|[*?])")


class BadMask(ValueError):
    """An invalid mask. The text is a sentence for the user, without a full stop."""


def normal(text: str) -> str:
    """Return a mask in full, as ``nick!user@host``.

    Missing parts match anything. A word alone is a host if it has a ``.`` or a ``:``, which no
    nickname has, and else a nickname: ``ann`` is ``ann!*@*``, ``*.example.org`` is
    ``*!*@*.example.org``; ``a@b`` is ``*!a@b`` and ``a!b`` is ``a!b@*``.

    :param text: as typed.
    :return: the same in Normalization Form C, at most 160 bytes.
    :raise BadMask: for what is no mask.
    """
    if not text:
        raise BadMask("a mask has at least one character")
    if " " in text:
        raise BadMask("a mask has no spaces")
    if not text.isprintable():
        raise BadMask("a mask has no invisible characters")
    mask = unicodedata.normalize("NFC", text)
    nick, bang, rest = mask.partition("!")
    if not bang:
        nick, rest = "", mask
    user, at, host = rest.rpartition("@")
    if not at:
        if bang:
            user, host = rest, ""
        elif "." in rest or ":" in rest:
            user, host = "", rest
        else:
            nick, host = rest, ""
    if "@" in nick or nick.startswith(":"):
        raise BadMask("a mask is like nick!user@host, and no nickname has a '@' or a ':'")
    mask = f"{nick or '*'}!{user or '*'}@{host or '*'}"
    if len(mask.encode()) > MASK_BYTES:
        raise BadMask(f"a mask has at most {MASK_BYTES} bytes")
    return mask


def person(nick: str, user: str, host: str) -> str:
    """Fold a source for :meth:`Mask.matches`: once for many masks."""
    return fold(f"{nick}!{user}@{host}")


#: The prefix of a mute, as the token EXTBAN advertises it. Ergo and InspIRCd use the same letter.
MUTE = "m"


@dataclass(frozen=True, slots=True)
class Mask:
    """A pattern for ``nick!user@host``; :meth:`of` makes one. Two that match the same are equal.

    Backslashes do not escape, as nicknames may contain them: ``ann\\*`` matches ``ann\\away``.
    Escapes would be of no use, as no nickname, user name or host contains ``*`` or ``?``.

    :ivar text: the full mask, as it is shown; a mute begins with ``m:``.
    :ivar key: the same, folded.
    """

    text: str = field(compare=False)
    key: str = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Mask:
        """Parse a mask as typed.

        :raise BadMask: for what is no mask.
        """
        mute, colon, rest = text.partition(":")
        # no nickname contains a colon, and no address begins like this
        full = f"{MUTE}:{normal(rest)}" if colon and mute == MUTE else normal(text)
        key = fold(full)
        if key.count("*") != full.count("*") or key.count("?") != full.count("?"):
            raise BadMask("the wildcards of a mask are the ASCII characters * and ?")
        return cls(full, full if key == full else key)

    @property
    def mutes(self) -> bool:
        """Whether it forbids speaking but not joining."""
        return self.key.startswith(f"{MUTE}:")

    def matches(self, folded: str) -> bool:
        """Whether it matches a person.

        :param folded: the result of :func:`person`.
        """
        first, *others = self.key.removeprefix(f"{MUTE}:").split("*")
        at, end = len(first), len(folded)
        if not others:
            return at == end and _stands(first, folded, 0)
        *middle, last = others
        end -= len(last)
        if end < at or not (_stands(first, folded, 0) and _stands(last, folded, end)):
            return False
        for piece in middle:
            position = _find(piece, folded, at, end)
            if position < 0:
                return False
            at = position + len(piece)
        return True


def _stands(piece: str, text: str, at: int) -> bool:
    """Whether a piece without ``*`` matches a text at a position. It must fit."""
    if "?" not in piece:
        return text.startswith(piece, at)
    for run in piece.split("?"):
        if not text.startswith(run, at):
            return False
        at += len(run) + 1
    return True


def _find(piece: str, text: str, at: int, end: int) -> int:
    """Find the first match of a piece without ``*`` between two positions; -1 for none."""
    if "?" not in piece:
        return text.find(piece, at, end)
    run = max(piece.split("?"), key=len)
    if not run:
        return at if at + len(piece) <= end else -1
    before = piece.index(run)
    latest = end - len(piece) + before + len(run)
    position = text.find(run, at + before, latest)
    while position >= 0 and not _stands(piece, text, position - before):
        position = text.find(run, position + 1, latest)
    return position - before if position >= 0 else -1


def pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of LIST or WHO, to match folded names from their beginning.

    "These two characters can be escaped using the ('\\', 0x5C) character."

    :param text: as typed, of any kind and of bounded length.
    """
    return _compiled(_WILD_OR_ESCAPED.split(text))


def glob(text: str, name: str) -> bool:
    """Whether a pattern of LIST or WHO matches one name.

    :param text: see :func:`pattern`, which is for many names.
    :param name: not folded.
    """
    return pattern(text).match(fold(name)) is not None


def _compiled(pieces: list[str]) -> re.Pattern[str]:
    """A pattern from literal pieces and wildcards, which take turns."""
    # what stands between two stars, as regular expressions
    runs = [""]
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            runs[-1] += re.escape(fold(piece))
        elif piece == "?":
            runs[-1] += "."
        elif piece == "*":
            runs.append("")
        else:
            runs[-1] += re.escape(piece[1])
    first, *others = runs
    if not others:
        return re.compile(f"{first}\\Z", re.DOTALL)
    *middle, last = others
    # atomic groups: the first match is as good as a later one
    found = "".join(f"(?>.*?{run})" for run in middle if run)
    return re.compile(f"{first}{found}.*{last}\\Z", re.DOTALL)
