"""Wrapping of words into lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tcpd.chat.irc.message import LINE_BYTES
from tcpd.chat.irc.reply import IrcReply


def wrapped(
    reply: IrcReply, number: str, *params: str, words: Iterable[str], between: str = " "
) -> Iterator[bytes]:
    """Yield lines of a numeric with as many words as fit; none if there are no words.

    :param words: words of the last parameter; each fits a line. An empty word lets other clients
        run.
    :param between: separator.
    """
    space = LINE_BYTES - len(reply.numeric_line(number, *params, text=""))
    for piece in packed(words, space, between):
        yield reply.numeric_line(number, *params, text=piece) if piece else b""


def packed(words: Iterable[str], space: int, between: str) -> Iterator[str]:
    """Join words into pieces that are as long as possible; none if there are no words.

    :param words: each fits a piece. For an empty word an empty piece is yielded at once.
    :param space: maximum bytes of a piece.
    :param between: separator.
    """
    held: list[str] = []
    left = space
    for word in words:
        if not word:
            yield ""
            continue
        size = len(word.encode()) + len(between)
        if held and size > left + len(between):
            yield between.join(held)
            held, left = [], space
        held.append(word)
        left -= size
    if held:
        yield between.join(held)
