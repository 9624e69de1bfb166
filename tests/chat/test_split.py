"""Splitting of long messages, and the length of topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.split import room_for_topic, split_message


def test_short_message_is_not_split() -> None:
    assert split_message("hello", 400) == ["hello"]
    assert split_message("x" * 400, 400) == ["x" * 400]
    assert split_message("", 400) == [""]


def test_long_message_is_split_between_characters() -> None:
    assert split_message("x" * 401, 400) == ["x" * 400, "x"]
    pieces = split_message("€" * 200, 400)  # 3 bytes each
    assert [len(piece.encode()) for piece in pieces] == [399, 201]


def test_combining_marks_stay_with_their_letter() -> None:
    assert split_message("abcde\u0301f", 6) == ["abcd", "e\u0301f"]


def test_joined_emoji_stay_together() -> None:
    family = "👩\u200d👩\u200d👧"
    assert split_message("x" * 390 + family, 400) == ["x" * 390, family]


def test_very_long_run_of_combining_marks_is_split() -> None:
    text = "e" + "\u0301" * 500
    pieces = split_message(text, 400)
    assert "".join(pieces) == text
    assert len(pieces) == 3


@given(
    st.text(
        st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\u0301\u200d€👩"))
    ),
    st.integers(4, 40),
)
def test_pieces_make_up_the_text(text: str, limit: int) -> None:
    pieces = split_message(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= limit for piece in pieces)
    assert all(pieces) or text == ""


@pytest.mark.parametrize(
    ("room", "most"), [("#tea", 300), ("#" + "茶" * 19, 300), ("#" + "茶" * 33, 259)]
)
def test_longest_topic_fits_its_lines(room: str, most: int) -> None:
    """TOPIC from the longest source, and RPL_TOPIC to the longest nickname."""
    assert room_for_topic(room) == most
    who = f"{'n' * 64}!{'u' * 12}@{'h' * 63}"
    for head in (f":{who} TOPIC {room} :", f":{'s' * 63} 332 {'n' * 64} {room} :"):
        assert len(head.encode()) + most + 2 <= 512
