"""Encodes events for stores and other nodes.

An entry is JSON: ``[VERSION, {"type": "RoomMessage", ...}]``. JSON is no slower than MessagePack
here, and an operator can read an entry. Fields that a later version adds are ignored by earlier
ones and have defaults. A change that earlier versions must not ignore gets the next
:data:`VERSION`.

All nodes decode the same entry to the same event, or all of them skip it.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from tcpd.events.chat import (
    LISTS,
    RANKS,
    AnyEvent,
    Change,
    Entered,
    Event,
    Mode,
    ModesChanged,
    PrivateMessage,
    RoomMessage,
)

#: The version of the format that this node writes, and the latest that it reads.
VERSION = 1

_LIMIT = re.compile(r"[1-9][0-9]{0,8}\Z", re.ASCII)

_encoder = msgspec.json.Encoder()
_entry = msgspec.json.Decoder(tuple[int, msgspec.Raw])
_event = msgspec.json.Decoder(AnyEvent)


class Undecodable(ValueError):
    """An entry that cannot be decoded. Its text says why."""


def encode(event: Event) -> bytes:
    """Encode an event as one line of JSON in UTF-8, without a line end.

    :raise ValueError: for a text with a lone surrogate, which no frontend accepts.
    """
    return _encoder.encode((VERSION, event))


def decode(data: bytes) -> Event:
    """Decode an entry.

    :raise Undecodable: for anything else than an event. Readers of a log skip the entry and count
        it.
    """
    try:
        version, body = _entry.decode(data)
        if not 1 <= version <= VERSION:
            raise Undecodable(f"version {version}; this node reads {VERSION}")
        event: Event = _event.decode(body)
        if isinstance(event, ModesChanged):
            for change in event.changes:
                _check(change)
        elif isinstance(event, RoomMessage | PrivateMessage):
            _check_message(event)
        elif isinstance(event, Entered):
            if not (event.actor.user and event.actor.host):
                raise Undecodable("a person without a user name or a host")
            if event.address:
                ipaddress.ip_address(event.address)
    except Undecodable:
        raise
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Undecodable(str(error)) from None
    return event


def _check(change: Change) -> None:
    """Check that a mode change is valid in any room."""
    if change.mode in LISTS and not change.argument:
        raise Undecodable(f"mode {change.mode} needs a mask")
    if change.adding and change.mode is Mode.KEY and not change.argument:
        raise Undecodable("the key is empty")
    if (change.mode in RANKS) is not (change.target is not None):
        raise Undecodable(f"mode {change.mode}: a rank has a target, another mode has none")
    if change.adding and change.mode is Mode.LIMIT and not _LIMIT.match(change.argument):
        raise Undecodable("a limit is a whole number of 1 or more")
    if change.network is not None:
        try:
            ipaddress.ip_network(change.network)
        except ValueError as error:
            raise Undecodable(str(error)) from None


def _check_message(event: RoomMessage | PrivateMessage) -> None:
    """Check that a message can be sent."""
    if "\n" in event.text and not event.lines:
        raise Undecodable("a message of one line contains a line end")
    if isinstance(event, RoomMessage) and event.least is not None and event.least not in RANKS:
        raise Undecodable(f"mode {event.least} is not a rank")
