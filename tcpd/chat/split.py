"""Texts made to fit through every door: long messages split, others cut, no line end in any."""

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

#: How far to move a cut back in order to keep marks with their letter, in characters. A longer
#: heap of marks is cut anyway.
_BACK = 16

#: So many bytes fit a line however long the names are that stand before it.
ALWAYS_FITS = 200

# what would end a line, or a string, on its way through some door
_NOT_CARRIED = str.maketrans({"\0": "\ufffd", "\r": "\ufffd", "\n": "\ufffd"})
_ZERO_WIDTH_JOINER = "\u200d"


def room_for(person: Person, target: str, kind: Kind = Kind.MESSAGE, speaker: str = "") -> int:
    """How long a message may be so that others get all of it in one line of IRC.

    :param person: who says it.
    :param target: the room, or the person, as others are told.
    :param speaker: in whose name; empty for their own.
    :return: bytes of UTF-8; at least :data:`ALWAYS_FITS`.
    """
    verb = "NOTICE" if kind is Kind.NOTICE else "PRIVMSG"
    room = _room_behind(person, f"{verb} {target}", speaker)
    return room - len("\x01ACTION \x01") if kind is Kind.ACTION else room


def room_for_all(person: Person) -> int:
    """The same for what is said to all who want to hear it."""
    return _room_behind(person, "WALLOPS", "")


def room_for_topic(room: str) -> int:
    """How long the topic of a room may be so that all clients get all of it in one line of IRC.

    :param room: its name.
    :return: bytes of UTF-8, at most :data:`~tcpd.chat.settings.TOPIC_BYTES`.
    """
    return min(TOPIC_BYTES, _LINE_BYTES - _LONGEST_SOURCE - len(f" TOPIC {room} :\r\n".encode()))


def _room_behind(person: Person, words: str, speaker: str) -> int:
    source = f"{speaker or person.nick}!{person.user}@{person.host}"
    return _LINE_BYTES - len(f":{source} {words} :\r\n".encode())


def split_message(text: str, limit: int) -> list[str]:
    """Cut a text into pieces that give the text again when they are joined.

    A piece ends between two characters, where possible not before a combining mark, nor around a
    zero-width joiner, which hold an emoji or a syllable together.

    :param text: without lone surrogates.
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
    """How many characters of the piece to keep so as not to tear it from what follows."""
    for keep in range(len(piece), max(len(piece) - _BACK, 1), -1):
        if not _clings(following) and piece[keep - 1] != _ZERO_WIDTH_JOINER:
            return keep
        following = piece[keep - 1]
    return len(piece)


def _clings(character: str) -> bool:
    return character == _ZERO_WIDTH_JOINER or unicodedata.category(character)[0] == "M"


def is_longer(text: str, size: int) -> bool:
    """Whether a text has more bytes of UTF-8 than so many."""
    # a character takes at most 4 bytes, so that most need not be encoded to know
    if len(text) * 4 <= size:
        return False
    return len(text if text.isascii() else text.encode(errors="replace")) > size


def carried(text: str) -> str:
    """The same text without what would end it early behind some door."""
    return text if text.isprintable() else text.translate(_NOT_CARRIED)


def cut(text: str, size: int) -> str:
    """The beginning of a text, in so many bytes."""
    return carried(text).encode(errors="replace")[:size].decode(errors="ignore")


def tidied(text: str, size: int) -> str:
    """What somebody says of themselves or of what they do: a real name, a reason, an away message.

    What others are told beside what is said has no control characters in it but IRC's formatting,
    and no more bytes than it may.
    """
    return cut(tidy(text), size)
