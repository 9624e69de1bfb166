"""Words in as many lines as they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tcpd.chat.irc.message import LINE_BYTES
from tcpd.chat.irc.reply import IrcReply


def wrapped(
    reply: IrcReply, number: str, *params: str, words: Iterable[str], between: str = " "
) -> Iterator[bytes]:
    """Lines of a numeric whose last parameter is words, each line as full as it may be.

    :param words: each short enough for a line.
    :param between: stands between two of them.
    :return: no line for no words.
    """
    space = LINE_BYTES - len(reply.numeric_line(number, *params, text=""))
    for piece in packed(words, space, between):
        yield reply.numeric_line(number, *params, text=piece)


def packed(words: Iterable[str], space: int, between: str) -> Iterator[str]:
    """Words in pieces that are as long as they may be, and none for no words.

    :param words: each short enough for a piece.
    :param space: bytes that a piece may have.
    :param between: stands between two words.
    """
    held: list[str] = []
    left = space
    for word in words:
        size = len(word.encode()) + len(between)
        if held and size > left + len(between):
            yield between.join(held)
            held, left = [], space
        held.append(word)
        left -= size
    if held:
        yield between.join(held)
