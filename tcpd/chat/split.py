"""Makes texts fit every frontend: splits long messages, cuts other texts, removes line ends."""

from __future__ import annotations

import unicodedata

from tcpd.chat.names import NICK_BYTES
from tcpd.chat.people import Person
from tcpd.chat.settings import TOPIC_BYTES
from tcpd.events.chat import Kind
from tcpd.wire.formatting import tidy

#: An IRC line with its prefix and its end, but without its tags (RFC 2812 section 2.3).
_LINE_BYTES = 512

# :nick!user@host, and more than the :server and nickname of a numeric
_LONGEST_SOURCE = 1 + NICK_BYTES + 1 + 12 + 1 + 63

#: Maximum number of characters that a cut moves back to keep marks with their letter. A longer
#: sequence of marks is cut.
_BACK = 16

#: Bytes of text that fit a line of IRC with any source and target.
ALWAYS_FITS = 200

# these end a line or a string in a frontend
_NOT_CARRIED = str.maketrans({"\0": "\ufffd", "\r": "\ufffd", "\n": "\ufffd"})
_ZERO_WIDTH_JOINER = "\u200d"


def room_for(person: Person, target: str, kind: Kind = Kind.MESSAGE, speaker: str = "") -> int:
    """The longest message that fits one line of IRC as its recipients get it.

    :param person: the sender.
    :param target: name of the room, or nickname of the recipient.
    :param speaker: the name that a relayed message shows; empty for the sender's own.
    :return: bytes of UTF-8; at least :data:`ALWAYS_FITS`.
    """
    verb = "NOTICE" if kind is Kind.NOTICE else "PRIVMSG"
    room = _room_behind(person, f"{verb} {target}", speaker)
    return room - len("\x01ACTION \x01") if kind is Kind.ACTION else room


def room_for_all(person: Person) -> int:
    """Return the bytes of text that fit an announcement (WALLOPS) to all."""
    return _room_behind(person, "WALLOPS", "")


def room_for_topic(room: str) -> int:
    """The longest topic that fits one line of IRC for all clients.

    :param room: the name of the room.
    :return: bytes of UTF-8, at most :data:`~tcpd.chat.settings.TOPIC_BYTES`.
    """
    return min(TOPIC_BYTES, _LINE_BYTES - _LONGEST_SOURCE - len(f" TOPIC {room} :\r\n".encode()))


def _room_behind(person: Person, words: str, speaker: str) -> int:
    source = f"{speaker or person.nick}!{person.user}@{person.host}"
    return _LINE_BYTES - len(f":{source} {words} :\r\n".encode())


def split_message(text: str, limit: int) -> list[str]:
    """Cut a text into pieces that give the text again when they are joined.

    A piece ends between two characters, if possible not before a combining mark or next to a
    zero-width joiner, which combine an emoji or a syllable.

    :param text: a text without lone surrogates.
    :param limit: bytes of UTF-8 in a piece; at least 4, which is what one character can take.
    :return: one piece for an empty text.
    """
    data = text.encode()
    if len(data) <= limit:
        return [text]
    pieces = []
    start = 0
    while len(data) - start > limit:
        end = start + limit
        while data[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        piece = data[start:end].decode()
        keep = _whole(piece, _first(data, end))
        pieces.append(piece[:keep])
        start += len(pieces[-1].encode())
    pieces.append(data[start:].decode())
    return pieces


def _first(data: bytes, start: int) -> str:
    """The character that begins at ``start``."""
    end = start + 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    return data[start:end].decode()


def _whole(piece: str, following: str) -> int:
    """Return the number of characters to keep, so that no character is split from its marks."""
    for keep in range(len(piece), max(len(piece) - _BACK, 1), -1):
        if not _clings(following) and piece[keep - 1] != _ZERO_WIDTH_JOINER:
            return keep
        following = piece[keep - 1]
    return len(piece)


def _clings(character: str) -> bool:
    return character == _ZERO_WIDTH_JOINER or unicodedata.category(character)[0] == "M"


def is_longer(text: str, size: int) -> bool:
    """Whether a text has more than ``size`` bytes of UTF-8."""
    # most texts need not be encoded: a character takes at most 4 bytes
    if len(text) * 4 <= size:
        return False
    return len(text if text.isascii() else text.encode(errors="replace")) > size


def carried(text: str) -> str:
    """The text with NUL, CR and LF replaced."""
    return text if text.isprintable() else text.translate(_NOT_CARRIED)


def cut(text: str, size: int) -> str:
    """The beginning of a text, at most ``size`` bytes of UTF-8."""
    return carried(text).encode(errors="replace")[:size].decode(errors="ignore")


def tidied(text: str, size: int) -> str:
    """A real name, a reason or an away message, fit to be sent: without control characters except
    IRC's formatting, and cut to ``size`` bytes of UTF-8.
    """
    return cut(tidy(text), size)
