"""Closed connections leave no garbage for the cyclic collector."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from chat.irc_chat import IrcChat
from running import PATIENCE

from tcpd.chat.edge import ChatProtocol
from tcpd.chat.people import Client, Person


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the cyclic collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def conversations() -> int:
    kinds = (ChatProtocol, Client, Person)
    return sum(isinstance(each, kinds) for each in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
def test_closed_connection_leaves_no_reference_cycle() -> None:
    """ "Connections leave few reference cycles" """
    before = conversations()
    chat = IrcChat()
    clients = [chat.irc_client("ann", joined="#tea"), chat.text_client("bob")]
    assert conversations() == before + 6
    while clients:
        client = clients.pop()
        client.transport.unregisterProducer()  # this transport would keep it
        client.lose()
    del client
    chat.clock.advance(0)
    assert conversations() == before


def test_objects_of_the_start_are_frozen() -> None:
    code = (
        "import gc; from tcpd.ops.garbage import freeze_objects; freeze_objects(); "
        "assert gc.get_freeze_count() > 1000; assert gc.get_threshold()[0] > 700"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
