"""Decodes the entries of a stored or shared event log."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from tcpd.events.chat import Event
from tcpd.events.codec import Undecodable, decode
from tcpd.ops.counters import ChatCounters

_log = Logger()


def deliver_entry(data: bytes, deliver: Callable[[Event], None], counters: ChatCounters) -> None:
    """Deliver the event of an entry; skip and count an entry that cannot be decoded.

    All nodes skip the same entries.

    :param data: output of :func:`tcpd.events.codec.encode`; other bytes are skipped.
    """
    try:
        event = decode(data)
    except Undecodable as error:
        counters.undecodable += 1
        _log.warn("an entry of the event log was skipped: {error}", error=str(error))
        return
    deliver(event)
