"""The ini reader: values as configparser has them, and the line each of them stands in."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.config import ini
from tcpd.config.ini import Place

TEXT = """\
# a comment
[service:irc]
protocol = irc
listen =
    *:6667

    # in between
    *:6697 tls=main
[tcpd]
drain = 3s
server_name =
"""


def test_each_line_of_a_value_knows_its_place() -> None:
    document, errors = ini.read("x.ini", TEXT)
    assert not errors
    listen = document["service:irc"].values["listen"]
    assert listen.lines == (
        ("*:6667", Place("x.ini", 5)),
        ("*:6697 tls=main", Place("x.ini", 8)),
    )
    assert str(listen.place) == "x.ini:4"
    assert document["tcpd"].place.line == 9
    assert document["tcpd"].values["drain"].text == "3s"
    assert document["tcpd"].values["server_name"].text == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a]\nx = 1\n[b]\n[a]\n", "x.ini:4: [a]: this section stands here twice"),
        ("[a]\nx = 1\n\nx = 2\n", "x.ini:4: [a] x: this key stands here twice"),
        ("x = 1\n", "x.ini:1: a [section] must come before the first key"),
        ("[a]\nnonsense\n", "x.ini:2: neither a [section] nor key = value"),
        ("[a]\nx: 1\n", "x.ini:2: neither a [section] nor key = value"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, says: str) -> None:
    document, errors = ini.read("x.ini", text)
    assert document == {}
    assert errors[0].startswith(says)


def test_nothing_is_inherited_or_interpolated() -> None:
    document, errors = ini.read("x.ini", "[DEFAULT]\nx = %(y)s ${z}\n[a]\n")
    assert not errors
    assert document["DEFAULT"].values["x"].text == "%(y)s ${z}"
    assert document["a"].values == {}


def test_later_documents_win_key_by_key() -> None:
    first, _ = ini.read("1.ini", "[a]\nx = 1\ny = 1\n[b]\n")
    second, _ = ini.read("2.ini", "[a]\ny = 2\n[c]\n")
    merged = ini.merge([first, second])
    assert list(merged) == ["a", "b", "c"]
    assert {key: str(value.place) for key, value in merged["a"].values.items()} == {
        "x": "1.ini:2",
        "y": "2.ini:2",
    }
    assert first["a"].values["y"].text == "1", "the first document is left as it was"


_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["[a]", "[b]", "x = 1", "y = 2", "z =", "  more", "\tmore = x", "# c", "  ; c", ""]
        ),
        st.sampled_from(["  [c]", " u = 1", "  v = 2", "\tw ="]),
        st.text(alphabet="[]=#; ab\t\x0b\x0c\x1c\x85\u2028\r", max_size=8),
    ),
    max_size=12,
)


@given(_LINES)
@example(["[a]", "x = 1", "  [b]", "  y = 2"])
@example(["[a]", "\xa0", "=1"])
@example(["[a]", "  x = 1", "  y = 2", "    more", "\tz =", "  [b]"])
def test_places_agree_with_what_configparser_reads(lines: list[str]) -> None:
    """However odd the file: the same keys, and as many places as lines, which hold those lines."""
    text = "\n".join(lines)
    document, errors = ini.read("x.ini", text)
    parser = configparser.ConfigParser(
        delimiters=("=",), interpolation=None, strict=True, default_section="\0"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_file(text.replace("\r\n", "\n").split("\n"), "x.ini")
    except configparser.Error:
        assert errors
        return
    assert not errors
    whole = text.replace("\r\n", "\n").split("\n")
    assert list(document) == parser.sections()
    for title in parser.sections():
        assert list(document[title].values) == list(parser[title])
        for value in document[title].values.values():
            for line, place in value.lines:
                assert line in whole[place.line - 1]
