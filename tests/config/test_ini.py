"""The ini parser: values as configparser's, with their lines."""

from __future__ import annotations

import configparser
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.config import ini
from tcpd.config.ini import SourceLine

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


def test_lines_of_a_value_have_their_source() -> None:
    document, errors = ini.read("x.ini", TEXT)
    assert not errors
    listen = document["service:irc"].values["listen"]
    assert listen.lines == [
        ("*:6667", SourceLine("x.ini", 5)),
        ("*:6697 tls=main", SourceLine("x.ini", 8)),
    ]
    assert str(listen.source) == "x.ini:4"
    assert document["tcpd"].source.line == 9
    assert document["tcpd"].values["drain"].text == "3s"
    assert document["tcpd"].values["server_name"].text == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a]\nx = 1\n[b]\n[a]\n", "x.ini:4: [a]: this section occurs twice in this file"),
        ("[a]\nx = 1\n\nx = 2\n", "x.ini:4: [a] x: this key occurs twice in this section"),
        ("x = 1\n", "x.ini:1: a [section] must come before the first key"),
        ("[a]\nnonsense\n", "x.ini:2: this line is not a [section] or key = value"),
        ("[a]\nx: 1\n", "x.ini:2: this line is not a [section] or key = value"),
        ("[a]\n= 1\n", "x.ini:2: this line is not a [section] or key = value"),
        (
            "[policy:default] deny = 127.0.0.0/8\n",
            "x.ini:1: [policy:default]: only a comment may follow the name of a section; "
            "write deny = ... on a separate line",
        ),
        ("[a] = b\n", "x.ini:1: [a]: only a comment may follow the name of a section"),
        ("[a]b\n", "x.ini:1: [a]: only a comment may follow the name of a section"),
        ("[a] [b]\n", "x.ini:1: [a]: only a comment may follow the name of a section"),
        ("[a]]\n", "x.ini:1: [a]: only a comment may follow the name of a section"),
        ("  [a] x = 1\n", "x.ini:1: [a]: only a comment may follow the name of a section"),
        ("[a\nx = 1\n", "x.ini:1: a section begins with its name in brackets"),
        ("[]\nx = 1\n", "x.ini:1: a section begins with its name in brackets"),
        ("[[a]]\nx = 1\n", "x.ini:1: a section begins with its name in brackets"),
        ("[a = 1\n", "x.ini:1: a section begins with its name in brackets"),
        ("[a]\nx = \0\n", "x.ini:2: this line has a NUL character"),
        ("[\0]\n", "x.ini:1: this line has a NUL character"),
        ("[a\x1b]\n", "x.ini:1: [a\x1b]: a section's name has no control characters"),
        ("[\u202ea]\n", "x.ini:1: [\u202ea]: a section's name has no control characters"),
    ],
)
def test_syntax_errors_have_their_line(text: str, says: str) -> None:
    """ "only a comment may follow the name of a section": no text is ignored."""
    _, (fault,) = ini.read("x.ini", text)
    assert str(fault).startswith(says)


@pytest.mark.parametrize("odd", ["\0", "\udcff"])
def test_keys_after_an_invalid_header_are_dropped(odd: str) -> None:
    """An error neither hides nor causes others."""
    document, faults = ini.read("x.ini", f"[a]\nx = 1\n[b{odd}]\nx = 2\ny\n[c]\nx = 3\n")
    assert [fault.source.line for fault in faults] == [3, 5]
    read = {title: section.values["x"].text for title, section in document.items()}
    assert read == {"a": "1", "c": "3"}


def test_invalid_continuation_does_not_end_the_section() -> None:
    document, faults = ini.read("x.ini", "[a]\nx = 1\n  [\0]\ny = 2\n# \udcff\n")
    assert [fault.source.line for fault in faults] == [3, 5]
    assert {key: value.text for key, value in document["a"].values.items()} == {"x": "1", "y": "2"}


@pytest.mark.parametrize("header", ["[a] # why", "[a]; why", "[a]\t;", "[a]  ", "[a]#"])
def test_comment_after_a_header(header: str) -> None:
    """docs/reference/configuration.rst: "after the name of a section"."""
    document, faults = ini.read("x.ini", f"{header}\nx = 1 # not a comment\n")
    assert not faults
    assert document["a"].values["x"].text == "1 # not a comment"


def test_syntax_errors_do_not_hide_the_rest() -> None:
    document, faults = ini.read(
        "x.ini", "y\nx = 1\n[a] # b\nx: 2\n  [more]\nx = 3\nx = 4\n[b\nz = 5\n[a]\nw = 6\n"
    )
    assert [fault.source.line for fault in faults] == [1, 2, 4, 7, 8, 10]
    read = {
        title: {key: value.text for key, value in section.values.items()}
        for title, section in document.items()
    }
    assert read == {"a": {"x": "4", "w": "6"}, "b": {"z": "5"}}


def test_no_inheritance_or_interpolation() -> None:
    document, errors = ini.read("x.ini", "[DEFAULT]\nx = %(y)s ${z}\n[a]\n")
    assert not errors
    assert document["DEFAULT"].values["x"].text == "%(y)s ${z}"
    assert document["a"].values == {}


def test_later_documents_win_key_by_key() -> None:
    first, _ = ini.read("1.ini", "[a]\nx = 1\ny = 1\n[b]\n")
    second, _ = ini.read("2.ini", "[a]\ny = 2\n[c]\n")
    merged = ini.merge([first, second])
    assert list(merged) == ["a", "b", "c"]
    assert {key: str(value.source) for key, value in merged["a"].values.items()} == {
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
@example(["[a] b"])
@example(["[a]", "[=", "  more"])
@example(["[a]b]"])
@example(["[a]", "  x = 1", "  y = 2", "    more", "\tz =", "  [b]"])
def test_parser_agrees_with_configparser(lines: list[str]) -> None:
    """The same keys and values, with their lines; or an error, if configparser raises one or
    ignores text after a header."""
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
    whole = text.replace("\r\n", "\n").split("\n")
    if errors:
        # the first error is a header's; the lines after it belong to a dropped section
        line = whole[errors[0].source.line - 1].strip()
        assert line.startswith("[")
        assert re.fullmatch(r"\[[^][]+\]\s*([#;].*)?", line) is None or not line.isprintable()
        return
    assert list(document) == parser.sections()
    for title in parser.sections():
        assert list(document[title].values) == list(parser[title])
        for key, value in document[title].values.items():
            pieces = (piece.strip() for piece in parser[title][key].split("\n"))
            assert value.text == "\n".join(piece for piece in pieces if piece)
            for line, place in value.lines:
                assert line in whole[place.line - 1]
