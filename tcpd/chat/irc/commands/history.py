"""CHATHISTORY: the messages that are kept of a room.

Source: https://ircv3.net/specs/extensions/chathistory
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace
from twisted.internet.defer import gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.irc.chathistory import (
    BadHistoryRequest,
    PageRequest,
    TargetsRequest,
    parse_chathistory,
)
from tcpd.chat.irc.commands.command import IrcCommand
from tcpd.chat.irc.commands.refusals import middle
from tcpd.chat.irc.message import Message, write
from tcpd.chat.irc.render import timestamp
from tcpd.chat.irc.reply import IrcReply, split_lines
from tcpd.chat.room import Room
from tcpd.events.chat import RoomMessage
from tcpd.store.history import Selector, UnknownMessage, milliseconds

_log = Logger()

_BATCH = "chathistory"
_TARGETS_BATCH = "draft/chathistory-targets"

_NOT_RETRIEVED = "Messages could not be retrieved"


def _chathistory(reply: IrcReply, message: Message) -> None:
    params = message.params
    try:
        # without history a request is answered with an empty batch
        request = parse_chathistory(params, reply.server.history_limit or 1)
    except BadHistoryRequest as error:
        _fail(reply, error.code, error.about, str(error))
        return
    if isinstance(request, TargetsRequest):
        _send_targets(reply, request, params[0])
    else:
        _send_page(reply, request, params[0])


def _send_page(reply: IrcReply, request: PageRequest, given: str) -> None:
    hub = reply.server.hub
    room = hub.room(request.target)
    about = given, request.target

    def show(found: Sequence[RoomMessage] | Exception) -> None:
        assert room is not None
        if reply.client.person not in room.members:  # it left before the store replied
            _fail(reply, "INVALID_TARGET", about, _NOT_RETRIEVED)
        elif isinstance(found, UnknownMessage):
            _fail(reply, "MESSAGE_ERROR", about, "The message with this msgid is not kept")
        elif isinstance(found, Exception):
            _fail(reply, "MESSAGE_ERROR", about, _NOT_RETRIEVED)
        else:
            reply.stream_batch(_rendered(reply, room.name, found), _BATCH, room.name)

    if room is None or reply.person not in room.members:
        # the same for both: the reply must not reveal a secret room
        _fail(reply, "INVALID_TARGET", about, _NOT_RETRIEVED)
    else:
        page = hub.history.page(room.key, request.selector)
        reply.wait(page.addErrback(_exception), show)


def _rendered(reply: IrcReply, name: str, messages: Iterable[RoomMessage]) -> Iterator[bytes]:
    """Yield lines of messages, as they were sent to members.

    :param name: the name of the room now.
    """
    render = reply.client.format.render
    for message in messages:
        if message.room != name:
            message = replace(message, room=name)
        yield from split_lines(render(message))


def _send_targets(reply: IrcReply, request: TargetsRequest, given: str) -> None:
    hub = reply.server.hub
    rooms = hub.state.rooms_of(reply.person)
    pages = [hub.history.page(room.key, Selector.latest(1)) for room in rooms]

    def show(found: Sequence[Sequence[RoomMessage]] | Exception) -> None:
        if isinstance(found, Exception):
            _fail(reply, "MESSAGE_ERROR", (given, "*"), _NOT_RETRIEVED)
            return
        latest = [
            (page[-1].time, room)
            for room, page in zip(rooms, found, strict=True)
            if page and reply.client.person in room.members
        ]
        lines = map(reply.client.timed, _target_lines(reply, _selected(latest, request)))
        reply.stream_batch(lines, _TARGETS_BATCH)

    reply.wait(gatherResults(pages, consumeErrors=True).addErrback(_exception), show)


def _selected(
    latest: Iterable[tuple[float, Room]], request: TargetsRequest
) -> list[tuple[float, Room]]:
    """Return the targets that a request selects, in the order of their latest messages.

    "The parameters have the same semantics as BETWEEN": "counted starting from and excluding the
    first message selector, while finishing on and excluding the second. This may be forwards or
    backwards in time."
    """
    first, second = milliseconds(request.first), milliseconds(request.second)
    start, end = min(first, second), max(first, second)
    found = [each for each in latest if start < milliseconds(each[0]) < end]
    found.sort(key=lambda each: each[0])
    return found[: request.limit] if first <= second else found[-request.limit :]


def _target_lines(reply: IrcReply, targets: Iterable[tuple[float, Room]]) -> Iterator[bytes]:
    for time, room in targets:
        yield write("CHATHISTORY", "TARGETS", room.name, timestamp(time), source=reply.server.name)


def _exception(failure: Failure) -> Exception:
    """Return the exception of a store, logged unless it only lacks a message."""
    assert isinstance(failure.value, Exception)
    if not isinstance(failure.value, UnknownMessage):
        _log.failure("a history cannot be read", failure)
    return failure.value


def _fail(reply: IrcReply, code: str, about: Iterable[str], text: str) -> None:
    reply.fail("CHATHISTORY", code, *map(middle, about), text=text, known=True)


COMMANDS = {
    "CHATHISTORY": IrcCommand(
        _chathistory,
        1,
        help=(
            "CHATHISTORY LATEST|BEFORE|AFTER|AROUND|BETWEEN <room> <from> [<to>] <limit>",
            "Sends messages of a room that are kept.",
        ),
    ),
}
