"""BATCH from clients: messages of several lines.

Sources: https://ircv3.net/specs/extensions/multiline and
https://ircv3.net/specs/extensions/client-batch. A client has one open batch at most. What is wrong
with it is told once; the rest of it is passed over.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps
from tcpd.chat.irc.commands import talking
from tcpd.chat.irc.commands.command import Command
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.names import fold
from tcpd.events import Kind, Line, Tags

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session

#: How long a batch may wait for its next line, in seconds; all of it may wait for the rate.
MOST_SECONDS = 60.0

_TYPE = caps.MULTILINE
_CONCAT = f"{caps.MULTILINE}-concat"

# "Clients MUST NOT send messages other than PRIVMSG while a multiline batch is open." These are
# sent by programs on a clock of their own, and harm nobody.
_AT_ANY_TIME = frozenset({"PING", "PONG", "QUIT"})


class Batch:
    """One message of several lines, as far as it has come.

    :ivar name: the client's for it.
    :ivar target: whom it is for, as written.
    :ivar label: the client's label for the answer to all of it; ``None`` for none, or once used.
    :ivar tags: what others are told with it.
    :ivar since: when its last line was taken, by the clock of the server.
    :ivar lines: so far.
    :ivar size: of them, in bytes, with the line feeds between them.
    :ivar failed: whether the client was told that it is wrong.
    """

    __slots__ = ("failed", "label", "lines", "name", "since", "size", "tags", "target")

    def __init__(self, name: str, target: str, label: str | None, tags: Tags, since: float) -> None:
        self.name = name
        self.target = target
        self.label = label
        self.tags = tags
        self.since = since
        self.lines: list[Line] = []
        self.size = 0
        self.failed = False


def takes(session: Session, message: Message) -> bool:
    """Take a line that is part of a batch, and see whether others fit the one that is open.

    Called by the session for each line while there is one, and for each with a tag ``batch``.

    :return: whether that was all there was to do for the line.
    """
    batch = session.multiline
    part = "batch" in message.tags and message.command != "BATCH"
    if batch is None:
        if part and session.caps >= caps.LINES:
            refuse = partial(_refuse, session, "There is no such batch")
            session.answer(message.tags.get("label"), refuse)
            return True
        return False
    if not batch.failed and session.server.clock() - batch.since > MOST_SECONDS:
        text = "The batch was left open for too long"
        _fail(session, batch, "TIMEOUT", middle(batch.name), text=text)
    if message.command == "BATCH":
        return False
    if part:
        batch.since = session.server.clock()
        if not batch.failed:
            _take(session, batch, message)
        return True
    if not batch.failed and message.command not in _AT_ANY_TIME:
        _invalid(session, batch, "There was a line in the batch that is no part of it")
    return False


def spoil(session: Session) -> None:
    """A line could not be read, which may have been one of a batch: nothing of that is said."""
    batch = session.multiline
    if batch is not None and not batch.failed:
        _invalid(session, batch, "A line in the batch could not be read")


def _take(session: Session, batch: Batch, message: Message) -> None:
    target, text = (*message.params, "", "")[:2]
    joined = _CONCAT in message.tags
    if message.command != "PRIVMSG":
        _invalid(session, batch, "There is nothing but PRIVMSG in such a batch")
    elif message.tags["batch"] != batch.name:
        _invalid(session, batch, "That line belongs to another batch")
    elif fold(target) != fold(batch.target):
        about = (middle(batch.target), middle(target))
        text = "All lines of a batch have the target of the batch"
        _fail(session, batch, "MULTILINE_INVALID_TARGET", *about, text=text)
    elif joined and not (text and batch.lines):
        # "Clients MUST NOT send blank lines with the draft/multiline-concat tag."
        _invalid(session, batch, "Only a line with text goes on from the one before")
    else:
        _add(session, batch, Line(text, joined))


def _add(session: Session, batch: Batch, line: Line) -> None:
    # "Each line feed used to join line messages contributes one byte towards the max-bytes limit."
    feed = bool(batch.lines) and not line.joined
    if not talking.fits(session, talking.Target.of(batch.target), line.text, Kind.MESSAGE):
        text = "A line in the batch is too long to be passed on"
        _fail(session, batch, "MULTILINE_INVALID", text=text, too_long=True)
        return
    batch.size += len(line.text.encode()) + feed
    batch.lines.append(line)
    settings = session.server.settings
    if len(batch.lines) > settings.multiline_lines:
        most = settings.multiline_lines
        text = f"A message has at most {most} lines"
        _fail(session, batch, "MULTILINE_MAX_LINES", str(most), text=text)
    elif batch.size > settings.multiline_bytes:
        most = settings.multiline_bytes
        text = f"A message has at most {most} bytes"
        _fail(session, batch, "MULTILINE_MAX_BYTES", str(most), text=text)


def _batch(session: Session, message: Message) -> None:
    label = message.tags.get("label")
    if not session.caps >= caps.LINES and session.multiline is None:
        session.answer(label, partial(session.unknown, message))
        return
    first, kind, target = (*message.params, "", "", "")[:3]
    sign, name = first[:1], first[1:]
    batch = session.multiline
    if sign == "-" and batch is not None and batch.name == name:
        session.multiline = None
        if not batch.failed:
            _end(session, batch)
    elif batch is not None and not batch.failed:
        # "Clients MUST NOT send nested batches"
        _invalid(session, batch, "That batch was not at its end")
    elif "batch" in message.tags or sign != "+" or not name:
        session.answer(label, partial(_refuse, session, "That is no beginning of a batch"))
    elif kind != _TYPE or not target:
        text = f"The batches that are taken are of the type {_TYPE}, and have a target"
        session.answer(label, partial(_refuse, session, text))
    else:
        tags = talking.relayed_tags(session, message)
        session.multiline = Batch(name, target, label, tags, session.server.clock())


def _end(session: Session, batch: Batch) -> None:
    if not any(line.text for line in batch.lines):
        # "Clients MUST NOT send messages consisting entirely of blank lines."
        _invalid(session, batch, "There is no text in that batch")
        return
    session.answer(batch.label, partial(_deliver, session, batch))


def _deliver(session: Session, batch: Batch) -> None:
    target = talking.Target.of(batch.target)
    refused = talking.say(session, target, batch.lines, Kind.MESSAGE, batch.tags)
    if refused is not None:
        talking.unheard(session, batch.target, refused)
    else:
        talking.tell_away(session, target)


def _invalid(session: Session, batch: Batch, text: str) -> None:
    _fail(session, batch, "MULTILINE_INVALID", text=text)


def _refuse(session: Session, text: str) -> None:
    session.fail("BATCH", "MULTILINE_INVALID", text=text, known=True)


def _fail(
    session: Session, batch: Batch, code: str, *context: str, text: str, too_long: bool = False
) -> None:
    """Reply with what is wrong with a batch, as the answer to all of it.

    :param too_long: send 417 before, within the same answer.
    """
    batch.failed = True
    batch.lines.clear()
    label, batch.label = batch.label, None
    session.server.hub.settle()

    def fail() -> None:
        if too_long:
            talking.too_long(session)
        session.fail("BATCH", code, *context, text=text, known=True)

    session.answer(label, fail)


COMMANDS = {
    "BATCH": Command(
        _batch,
        help=(
            f"BATCH +<name> {_TYPE} <target>, BATCH -<name>",
            "Begins and ends a message of several lines.",
        ),
    ),
}
