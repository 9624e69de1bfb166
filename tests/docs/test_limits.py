"""docs/howto/limits.rst: it has each reason of a refusal or an end, and each bound of chat."""

from __future__ import annotations

import pytest
from docs.commands import Page

from tcpd.chat.settings import ChatSettings
from tcpd.config.fields import options_of
from tcpd.policy.reasons import End, Refusal

PAGE = Page("docs/howto/limits.rst")


@pytest.mark.parametrize("refusal", Refusal)
def test_each_refusal_is_described(refusal: Refusal) -> None:
    """With the message to the client."""
    assert PAGE.mentions(f"``{refusal}``", refusal.sentence.partition(",")[0])


@pytest.mark.parametrize("end", End)
def test_each_end_is_described(end: End) -> None:
    assert f"``{end}``" in PAGE.text.partition("Ends of connections")[2]


def test_bounds_of_chat_are_named_with_their_defaults() -> None:
    """Each bound of ``[chat]`` on memory that a client can use."""
    text = PAGE.text
    names = {item.name for item in options_of(ChatSettings)}
    bounds = {name for name in names if name.endswith(("_in_all", "_kept", "_bytes"))}
    bounds |= {"bans_per_room", "rooms_per_member", "watched", "max_rooms", "max_members", "outbox"}
    assert bounds <= names
    for name in bounds:
        assert f"``{name}``" in text, name
    defaults = ChatSettings()
    assert f"{defaults.bans_in_all:,} entries" in text
    assert f"{defaults.watched_in_all:,} entries" in text
    assert f"{defaults.history_in_all >> 20} MiB" in text
