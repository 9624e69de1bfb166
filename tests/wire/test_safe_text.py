"""Text from the network, made safe to display."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.wire.safe_text import escape_controls, offends, visible

any_text = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF))


@pytest.mark.parametrize(
    ("text", "escaped", "shown"),
    [
        ("plain", "plain", "plain"),
        ("Grüße, 世界", "Grüße, 世界", "Grüße, 世界"),
        ("\x1b[31mred", r"\x1b[31mred", "\ufffd[31mred"),
        ("a\tb", r"a\x09b", "a b"),
        ("a\r\nb", r"a\x0d\x0ab", "a\ufffd\ufffdb"),
        ("\x00\x7f", r"\x00\x7f", "\ufffd\ufffd"),
        ("\x9b31m", r"\x9b31m", "\ufffd31m"),
        ("abc\u202etxt", r"abc\u202etxt", "abc\ufffdtxt"),
        ("\u2066x\u2069", r"\u2066x\u2069", "\ufffdx\ufffd"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c", "a\ufffdb\ufffdc"),
        ("zero\u200bwidth", r"zero\u200bwidth", "zero\ufffdwidth"),
        ("\ufeffbom", r"\ufeffbom", "\ufffdbom"),
        ("\ud800", r"\ud800", "\ufffd"),
        ("\ue000", r"\ue000", "\ufffd"),
        ("\ufdd0\ufffe", r"\ufdd0\ufffe", "\ufffd\ufffd"),  # noncharacters
        ("\U0010ffff", r"\U0010ffff", "\ufffd"),
        ("\u2065\ufff0", r"\u2065\ufff0", "\ufffd\ufffd"),  # unassigned, reserved as invisible
        ("\U000e0fff", r"\U000e0fff", "\ufffd"),
        ("\u3164", r"\u3164", "\ufffd"),
        ("\U000e0041", r"\U000e0041", "\ufffd"),
        ("back\\slash", "back\\slash", "back\\slash"),
    ],
)
def test_unsafe_characters_are_replaced(text: str, escaped: str, shown: str) -> None:
    assert escape_controls(text) == escaped
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined by U+200D
        "\u2764\ufe0f",  # a heart in colour, by U+FE0F
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with U+200C
        "\u0915\u094d\u200d\u0937",  # Devanagari, with U+200D
        "no\u00a0break \u3000 ideographic",
        "\u0661\u0600",  # Arabic number sign
        "\U0001fae8\U0001fadf\U0001f6d8",  # emoji of Unicode 15, 16 and 17
        "\u0378\U0003fffd",  # assigned in no version so far
    ],
)
def test_emoji_and_script_characters_are_kept(text: str) -> None:
    assert escape_controls(text) == text
    assert visible(text) == text


@given(any_text)
def test_no_unsafe_character_is_left(text: str) -> None:
    for safe in (escape_controls(text), visible(text)):
        assert not any(offends(character) for character in safe)
        assert len(safe.splitlines()) <= 1
        safe.encode()  # no lone surrogate


@given(any_text)
def test_safe_characters_are_kept(text: str) -> None:
    kept = "".join(character for character in text if not offends(character))
    assert escape_controls(kept) == kept
    assert visible(kept) == kept
    assert len(visible(text)) == len(text)


@given(any_text)
def test_escaping_is_idempotent(text: str) -> None:
    assert escape_controls(escape_controls(text)) == escape_controls(text)
    assert visible(visible(text)) == visible(text)


def test_every_character_of_unicode() -> None:
    """The result does not depend on the table's size."""
    for code in range(0x110000):
        character = chr(code)
        assert (escape_controls(character) != character) == offends(character)
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
            assert offends(character)
