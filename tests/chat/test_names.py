"""Nicknames and room names."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.names import (
    NICK_BYTES,
    NICK_CHARACTERS,
    ROOM_BYTES,
    ROOM_CHARACTERS,
    BadName,
    fold,
    nickname,
    room_name,
)

GOOD_NICKS = [
    "ann",
    "Ann_2",
    "[x]{y}\\|^`",
    "Jürgen",
    "Ольга",
    "Παύλος",
    "山田太郎",
    "ひろしさん",
    "スーパー",
    "佐々木",
    "김철수",
    "王小明",
    "yamada太郎",
    "Lee김",
    "सीता",
    "สมชาย",
    "عمر",
    "عمر٣",
    "שָׁלוֹם",
    "Հայկ",
    "В\u02bcячеслав",
    "Nguyễn",
    "Ɛsi",
    "x" * NICK_CHARACTERS,
]


@pytest.mark.parametrize("text", GOOD_NICKS)
def test_nicknames_of_many_scripts(text: str) -> None:
    assert nickname(text) == unicodedata.normalize("NFC", text)


BAD_NICKS = [
    ("", "at least one character"),
    ("a b", "no spaces"),
    *((f"a{sign}b", f"cannot have '{sign}'") for sign in ",*?!@.:\"'/<>;=()&$#+%~"),
    ("9lives", "cannot begin with a digit"),
    ("٣س", "cannot begin with a digit"),
    ("-x", "cannot begin with a digit or a '-'"),
    ("a\nb", "no control characters"),
    ("a\x1b[2Jb", "no control characters"),
    ("a\x7f", "no control characters"),
    ("a\u0085b", "no invisible characters"),
    ("x" * (NICK_CHARACTERS + 1), "at most 30 characters"),
    ("山" * 22, "at most 64 bytes"),
    ("😀", "cannot have"),
    ("a\u200db", "no invisible characters"),
    ("a\u200bb", "no invisible characters"),
    ("a\u202eb", "no invisible characters"),
    ("a\u00adb", "no invisible characters"),
    ("a\ufe0fb", "cannot have"),
    ("\u3164", "cannot have"),
    ("\u115fa", "cannot have"),
    ("a\u034fb", "cannot have"),
    ("a\ud800", "no invisible characters"),
    ("a\u00a0b", "no invisible characters"),
    ("аnn", "different scripts"),  # Cyrillic a
    ("Οlga", "different scripts"),  # Greek O
    ("ЯR", "different scripts"),
    ("山α", "different scripts"),
    ("ひ김", "different scripts"),
    ("xसी", "different scripts"),
    ("Ａnn", "cannot have"),  # full width
    ("ﬁn", "cannot have"),
    ("𝓪nn", "cannot have"),
    ("ªnn", "cannot have"),
    ("ɑnn", "cannot have"),  # U+0251
    ("ᴀnn", "cannot have"),
    ("aǃ", "cannot have"),  # the click letter
    ("aˈb", "cannot have"),
    ("Ꭺnn", "cannot have"),  # Cherokee A
    ("ꓮnn", "cannot have"),  # Lisu A
    ("o\u0338", "cannot have"),  # a stroke through
    ("\u0301ann", "needs a letter"),
    ("_\u0301ann", "needs a letter"),
    ("a\u0315\u0315", "too many accents"),
    ("a\u0315\u0314\u0313\u0312", "too many accents"),
    ("बি", "different scripts"),
    ("س٣۴", "digits of different scripts"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD_NICKS)
def test_invalid_nicknames(text: str, sentence: str) -> None:
    with pytest.raises(BadName) as caught:
        nickname(text)
    assert sentence in str(caught.value)
    assert not str(caught.value).endswith(".")


@given(st.text(max_size=40))
def test_any_valid_nickname_is_valid_in_irc(text: str) -> None:
    """'They MUST NOT contain any of: space, comma, asterisk, question mark, exclamation mark, at
    sign', 'a dot', 'MUST NOT start with: dollar, colon', '#' or '&', '+', '%', '@', '~'
    (modern.ircdocs.horse, Clients)."""
    try:
        name = nickname(text)
    except BadName:
        return
    assert not set(name) & set(" ,*?!@.:\0\r\n\t")
    assert name[0] not in "$:#&+%~@0123456789-"
    assert len(name) <= NICK_CHARACTERS
    assert len(name.encode()) <= NICK_BYTES
    assert name.isprintable()
    assert unicodedata.normalize("NFC", name) == unicodedata.normalize("NFKC", name) == name
    assert nickname(name) == name


@pytest.mark.parametrize("text", ["#tea", "##c++", "#a.b-c/d&e", "#чай", "#お茶", "#2026", "#-"])
def test_room_names(text: str) -> None:
    assert room_name(text) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with '#'"),
        ("tea", "begins with '#', like #tea"),
        ("&tea", "begins with '#'"),
        ("#", "something behind"),
        ("#a b", "no spaces"),
        ("#a,b", "cannot have ','"),
        ("#a:b", "cannot have ':'"),
        ("#a\x07b", "no control characters"),
        ("#a*", "cannot have '*'"),
        ("#чaй", "different scripts"),
        ("#\u0301", "needs a letter"),
        ("#" + "x" * ROOM_CHARACTERS, "at most 50 characters"),
        ("#" + "山" * 34, f"at most {ROOM_BYTES} bytes"),
    ],
)
def test_invalid_room_names(text: str, sentence: str) -> None:
    with pytest.raises(BadName) as caught:
        room_name(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann", "aNN"),
        ("Straße", "STRASSE"),
        ("é", "e\u0301"),
        ("Ａnn", "ann"),
        ("ΟΔΟΣ", "οδος"),
        ("ﬁn", "FIN"),
        ("#Чай", "#чАЙ"),
    ],
)
def test_equal_names(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("ann", "anna"), ("[x]", "{x}"), ("e", "é")])
def test_different_names(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_fold_is_idempotent(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_fold_ignores_normalization_and_case(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)  # type: ignore[arg-type]
    assert fold(text.casefold()) == fold(text)


def test_fold_is_idempotent_for_each_character() -> None:
    for code in (*range(0xD800), *range(0xE000, 0x110000)):
        folded = fold(chr(code))
        assert fold(folded) == folded
