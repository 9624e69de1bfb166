"""BATCH from clients: multiline messages.

Sources: https://ircv3.net/specs/extensions/multiline and
https://ircv3.net/specs/extensions/client-batch. A client has at most one open batch. The first
error in it is replied to; the rest is ignored.
"""

from __future__ import annotations

from functools import partial

from tcpd.chat.irc import caps
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.commands import messages
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message
from tcpd.chat.irc.multiline_batch import Batch
from tcpd.chat.irc.reply import IrcReply, run
from tcpd.chat.names import fold
from tcpd.events.chat import Kind, Line

#: Maximum seconds between two lines of a batch.
BATCH_TIMEOUT = 60.0

_TYPE = caps.MULTILINE
_CONCAT = f"{caps.MULTILINE}-concat"

# "Clients MUST NOT send messages other than PRIVMSG while a multiline batch is open." Exempt:
# client programs send these from timers.
_AT_ANY_TIME = frozenset({"PING", "PONG", "QUIT"})


def handle_line(client: IrcClient, message: Message) -> bool:
    """Process a line of the open batch, or abort the batch for a command that it must not contain.

    Called for each line while a batch is open, and for each line with a tag ``batch``.

    :return: whether the line is handled, and not dispatched to its command.
    """
    batch = client.multiline
    part = "batch" in message.tags and message.command != "BATCH"
    if batch is None:
        if part and client.caps >= caps.LINES:
            run(client, message.tags.get("label"), partial(_refuse, text="No such batch is open"))
            return True
        return False
    if not batch.failed and client.server.clock() - batch.since > BATCH_TIMEOUT:
        text = "The batch timed out"
        _fail(client, batch, "TIMEOUT", middle(batch.name), text=text)
    if message.command == "BATCH":
        return False
    if part:
        batch.since = client.server.clock()
        if not batch.failed:
            _take(client, batch, message)
        return True
    if not batch.failed and message.command not in _AT_ANY_TIME:
        _invalid(client, batch, "A command without the tag of the batch came before its end")
    return False


def abort(client: IrcClient) -> None:
    """Abort the open batch after a line that could not be parsed, and may belong to it."""
    batch = client.multiline
    if batch is not None and not batch.failed:
        _invalid(client, batch, "A line could not be parsed")


def _take(client: IrcClient, batch: Batch, message: Message) -> None:
    target, text = (*message.params, "", "")[:2]
    joined = _CONCAT in message.tags
    if message.command != "PRIVMSG":
        _invalid(client, batch, "A multiline batch contains PRIVMSG only")
    elif message.tags["batch"] != batch.name:
        _invalid(client, batch, "The line has the tag of another batch")
    elif fold(target) != fold(batch.target):
        about = (middle(batch.target), middle(target))
        text = "A line has another target than the batch"
        _fail(client, batch, "MULTILINE_INVALID_TARGET", *about, text=text)
    elif joined and not (text and batch.lines):
        # "Clients MUST NOT send blank lines with the draft/multiline-concat tag."
        _invalid(client, batch, "A blank or first line cannot have the concat tag")
    else:
        _add(client, batch, Line(text, joined))


def _add(client: IrcClient, batch: Batch, line: Line) -> None:
    # "Each line feed used to join line messages contributes one byte towards the max-bytes limit."
    feed = bool(batch.lines) and not line.joined
    if not messages.fits(client, messages.Target.of(batch.target), line.text, Kind.MESSAGE):
        text = "A line of the batch is too long to be relayed"
        _fail(client, batch, "MULTILINE_INVALID", text=text, too_long=True)
        return
    batch.size += len(line.text.encode()) + feed
    batch.lines.append(line)
    settings = client.server.settings
    if len(batch.lines) > settings.multiline_lines:
        most = settings.multiline_lines
        text = f"A message has at most {most} lines"
        _fail(client, batch, "MULTILINE_MAX_LINES", str(most), text=text)
    elif batch.size > settings.multiline_bytes:
        most = settings.multiline_bytes
        text = f"A message has at most {most} bytes"
        _fail(client, batch, "MULTILINE_MAX_BYTES", str(most), text=text)


def _batch(reply: IrcReply, message: Message) -> None:
    client = reply.client
    label = message.tags.get("label")
    if not client.caps >= caps.LINES and client.multiline is None:
        run(client, label, lambda reply: reply.unknown(message))
        return
    first, kind, target = (*message.params, "", "", "")[:3]
    sign, name = first[:1], first[1:]
    batch = client.multiline
    if sign == "-" and batch is not None and batch.name == name:
        client.multiline = None
        if not batch.failed:
            _end(client, batch)
    elif batch is not None and not batch.failed:
        # "Clients MUST NOT send nested batches"
        _invalid(client, batch, "The open batch has not been ended")
    elif "batch" in message.tags or sign != "+" or not name:
        run(client, label, partial(_refuse, text="This BATCH does not begin a batch"))
    elif kind != _TYPE or not target:
        text = f"A batch must be of type {_TYPE} and have a target"
        run(client, label, partial(_refuse, text=text))
    else:
        tags = messages.relayed_tags(client, message)
        client.multiline = Batch(name, target, label, tags, client.server.clock())


def _end(client: IrcClient, batch: Batch) -> None:
    if not any(line.text for line in batch.lines):
        # "Clients MUST NOT send messages consisting entirely of blank lines."
        _invalid(client, batch, "The batch has no text")
        return
    run(client, batch.label, partial(_deliver, batch=batch))


def _deliver(reply: IrcReply, batch: Batch) -> None:
    then = partial(messages.send_away, reply, batch.target)
    messages.say(reply, batch.target, batch.lines, Kind.MESSAGE, batch.tags, then)


def _invalid(client: IrcClient, batch: Batch, text: str) -> None:
    _fail(client, batch, "MULTILINE_INVALID", text=text)


def _refuse(reply: IrcReply, text: str) -> None:
    reply.fail("BATCH", "MULTILINE_INVALID", text=text, known=True)


def _fail(
    client: IrcClient, batch: Batch, code: str, *context: str, text: str, too_long: bool = False
) -> None:
    """Refuse a batch, with the batch's label.

    :param too_long: send 417 before FAIL in the same reply.
    """
    batch.failed = True
    batch.lines.clear()
    label, batch.label = batch.label, None

    def fail(reply: IrcReply) -> None:
        if too_long:
            messages.too_long(reply)
        reply.fail("BATCH", code, *context, text=text, known=True)

    run(client, label, fail)


COMMANDS = {
    "BATCH": IrcCommand(
        _batch,
        help=(
            f"BATCH +<name> {_TYPE} <target>, BATCH -<name>",
            "Begins and ends a multiline message.",
        ),
    ),
}
