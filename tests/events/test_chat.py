"""Events of chat: ids, order, immutability."""

from __future__ import annotations

import msgspec
import pytest

from tcpd.events import chat as events
from tcpd.events.chat import Event, EventId, Identity


def test_longest_msgid_has_64_bytes() -> None:
    """EventId: "The msgid: printable ASCII without space, at most 64 bytes"."""
    msgid = str(EventId("n" * 32, "b" * 12, 10**17))
    assert len(msgid.encode()) == 64
    assert msgid.isascii()
    assert msgid.isprintable()
    assert " " not in msgid


def test_order_of_ids() -> None:
    assert EventId("a", "1", 10) > EventId("a", "1", 9)
    assert EventId("a", "2", 1) > EventId("a", "1", 9)


EVENTS = [
    found
    for found in vars(events).values()
    if isinstance(found, type) and issubclass(found, Event) and found is not Event
]


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_events_are_immutable(cls: type[Event]) -> None:
    """Events are frozen, with slots, and hashable."""
    values = dict.fromkeys(cls.__struct_fields__, "x")
    more = {"id": EventId("n", "b", 1), "time": 1.0, "actor": Identity("n-b-m1", "ann")}
    event = cls(**(values | more))
    with pytest.raises(AttributeError):
        event.time = 2.0  # type: ignore[misc]
    assert not hasattr(event, "__dict__")
    assert hash(event) == hash(msgspec.structs.replace(event))
