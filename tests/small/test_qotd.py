"""Quote of the day, RFC 865."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.config.errors import SettingError
from tcpd.small.qotd import QotdSettings, kind, load_quotes, parse_quotes, quote_source
from tcpd.wire.safe_text import visible


@pytest.mark.parametrize(
    ("content", "quotes"),
    [
        (b"one", [b"one\r\n"]),
        (b"one\n", [b"one\r\n"]),
        (b"one\n%\ntwo\n", [b"one\r\n", b"two\r\n"]),
        (b"one\n%\ntwo\n%\n", [b"one\r\n", b"two\r\n"]),
        (b"%\none\n%\n%\n\n%\ntwo\n", [b"one\r\n", b"two\r\n"]),
        (b"one\r\nand\r\n%\r\ntwo\r\n", [b"one\r\nand\r\n", b"two\r\n"]),
        (b"\n\none\n\nmore\n\n\n%\n", [b"one\r\n\r\nmore\r\n"]),
        (b"one  \n\t-- me\n", [b"one\r\n        -- me\r\n"]),
        (b"100 %\n% off\n%%\n", [b"100 %\r\n% off\r\n%%\r\n"]),
        ("\ufeffgrüße\n".encode(), ["grüße\r\n".encode()]),
        (b"x" * 509 + b"\n", [b"x" * 509 + b"\r\n"]),
    ],
)
def test_parse_quotes(content: bytes, quotes: list[bytes]) -> None:
    assert parse_quotes(content) == tuple(quotes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no quote"),
        (b"\n%\n \n", "no quote"),
        (b"one\n%\ntwo\nthr\xffee\n", "line 4 is not UTF-8"),
        (b"one\n%\nt\x1b[2Jwo\n", "line 3 has an unprintable character"),
        ("one\n%\nt\u202ewo\n".encode(), "line 3 has an unprintable character"),
        ("one\ntwo\u2028three".encode(), "line 2 has an unprintable character"),
        (b"one\n%\n\n" + b"x" * 510, "begins at line 4 has 512 bytes"),
        (b"%\n%\n" + b"x\n" * 200 + b"%\n", "begins at line 3 has 600 bytes"),
        # characters of two bytes
        ("ä".encode() * 255, "begins at line 1 has 512 bytes"),
    ],
)
def test_invalid_files(content: bytes, says: str) -> None:
    """RFC 865: "It is recommended that it be limited to the ASCII printing characters, space,
    carriage return, and line feed. The quote may be just one or up to several lines, but it should
    be less than 512 characters"."""
    with pytest.raises(ValueError, match=says):
        parse_quotes(content)


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text("ab%\n ").map(str.encode)))
def test_any_file_has_valid_quotes_or_an_error(content: bytes) -> None:
    try:
        quotes = parse_quotes(content)
    except ValueError:
        return
    assert quotes
    for quote in quotes:
        assert 2 < len(quote) < 512
        assert quote.endswith(b"\r\n")
        lines = quote.decode("utf-8").removesuffix("\r\n").split("\r\n")
        assert all(visible(line) == line for line in lines)
        assert lines[0]
        assert lines[-1]


@pytest.mark.parametrize(
    "quote",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # an emoji of five code points
        "quelle heure est-il\u00a0?",
        "\u660e\u65e5\u3000\u6674\u308c",
        "\U0001fadf",  # an emoji newer than the Unicode data of Python 3.11
    ],
)
def test_scripts_and_emoji_are_accepted(quote: str) -> None:
    """A file of quotes may contain all text that is safe to display."""
    assert parse_quotes(quote.encode()) == (quote.encode() + b"\r\n",)


def test_built_in_quotes() -> None:
    quotes = load_quotes("")
    assert len(quotes) >= 24
    assert len(set(quotes)) == len(quotes)
    for quote in quotes:
        quote.decode("ascii")
        assert b"\r\n        -- " in quote, "each names its source"
        assert all(len(line) < 73 for line in quote.split(b"\r\n"))


def test_quotes_from_a_file(tmp_path: Path, context) -> None:
    path = tmp_path / "quotes"
    path.write_text("Have you tried turning it off and on again?\n")
    settings = QotdSettings(quotes=str(path))
    assert kind.make_responder(settings, context)(b"") == (
        b"Have you tried turning it off and on again?\r\n"
    )


@pytest.mark.parametrize("make", [kind.make_factory, kind.make_responder])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "no quote"),
        (b"\xff", "line 1 is not UTF-8"),
        (b"x" * 600, "begins at line 1 has 602 bytes"),
    ],
)
def test_errors_name_key_file_and_line(
    tmp_path: Path, context, make, content: bytes | None, says: str
) -> None:
    path = tmp_path / "quotes"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        make(QotdSettings(quotes=str(path)), context)
    assert caught.value.key == "quotes"
    assert str(path) in caught.value.text
    assert says in caught.value.text


@pytest.mark.parametrize("path", ["/", "a\0b"])
def test_path_that_is_not_a_file(path: str) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        load_quotes(path)


def test_every_quote_is_chosen() -> None:
    quotes = (b"a\r\n", b"b\r\n", b"c\r\n")
    choose = quote_source(quotes, Random(1))
    assert {choose() for _ in range(100)} == set(quotes)
    again = quote_source(quotes, Random(1))
    once_more = quote_source(quotes, Random(1))
    assert [again() for _ in range(20)] == [once_more() for _ in range(20)]
