"""docs/howto/limits.rst: no reason for a refusal or an end is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcpd.chat.settings import ChatSettings
from tcpd.config.fields import options_of
from tcpd.policy.reasons import End, Refusal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "limits.rst"


@pytest.mark.parametrize("refusal", Refusal)
def test_each_refusal_has_its_row(refusal: Refusal) -> None:
    """With the first of the words that its client is told."""
    rows = [line for line in PAGE.read_text("utf-8").split("\n") if line.startswith("``")]
    start = refusal.sentence.partition(",")[0]
    assert any(row.startswith(f"``{refusal}``") and start in row for row in rows)


@pytest.mark.parametrize("end", End)
def test_each_end_is_told(end: End) -> None:
    assert f"``{end}``" in PAGE.read_text("utf-8").partition("Ends of connections")[2]


def test_what_chat_remembers_is_named_with_its_keys() -> None:
    """Each bound of ``[chat]`` on what a client can have remembered, with its default."""
    text = PAGE.read_text("utf-8").partition("\nMemory\n")[2]
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
