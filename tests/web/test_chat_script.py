"""The pure functions of the chat page's script, in node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from running import PATIENCE
from wires import need

SCRIPT = Path(__file__).resolve().parents[2] / "tcpd" / "web" / "static" / "chat.js"


def call(expression: str, *values: Any) -> Any:
    """Evaluate an expression of JavaScript with the script's exports, and ``values`` as ``v``."""
    need("node")
    program = (
        f"const chat = await import({json.dumps(SCRIPT.as_uri())});"
        f"const v = {json.dumps(values)};"
        f"process.stdout.write(JSON.stringify({expression}));"
    )
    done = subprocess.run(
        ["node", "--input-type=module"],
        input=program,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_parse_line() -> None:
    r""" "<message> ::= ['@' <tags> SPACE] [':' <source> SPACE] <command> <parameters>" """
    lines = [
        r"@msgid=a-1;time=2026-01-01T00:00:00Z;+x=a\sb\:c\\ :ann!~a@host PRIVMSG #tea :hi : there",
        "PING token",
        ":srv 353 me = #tea :@ann bob",
        ":srv 005 me A=1 B  :are supported",
        "@a PRIVMSG x :",
        "",
    ]
    parsed = call("v[0].map(chat.parseLine).map((l) => ({...l, tags: [...l.tags]}))", lines)
    assert parsed[0] == {
        "tags": [["msgid", "a-1"], ["time", "2026-01-01T00:00:00Z"], ["+x", "a b;c\\"]],
        "source": "ann!~a@host",
        "nick": "ann",
        "command": "PRIVMSG",
        "params": ["#tea", "hi : there"],
    }
    assert [each["params"] for each in parsed[1:]] == [
        ["token"],
        ["me", "=", "#tea", "@ann bob"],
        ["me", "A=1", "B", "are supported"],
        ["x", ""],
        [],
    ]


def test_format_line() -> None:
    """Line ends in parameters cannot begin another line."""
    assert call(
        "[chat.formatLine('PRIVMSG', ['#tea', 'a\\r\\nQUIT\\0'], {'+typing': 'a b;'}),"
        " chat.formatLine('JOIN', ['#tea']), chat.formatLine('AWAY'),"
        " chat.formatLine('TOPIC', ['#tea', '']), chat.formatLine('PRIVMSG', ['a', ':-)'])]"
    ) == [
        r"@+typing=a\sb\: PRIVMSG #tea :a  QUIT ",
        "JOIN #tea",
        "AWAY",
        "TOPIC #tea :",
        "PRIVMSG a ::-)",
    ]


def test_tags_survive_a_round_trip() -> None:
    """ "the escaped values ... ; space \\ CR LF" (message-tags)"""
    value = "; \\ \r\n\\s\\:x"
    assert call("chat.unescapeTag(chat.escapeTag(v[0]))", value) == value


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1000,
        "word " * 200,
        "é" * 700,
        "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 60,  # a family: one cluster of 18 bytes
        "\U0001f600" * 400,
        "a" + "\u0301" * 900,  # one cluster longer than the limit
    ],
)
def test_split_parts_fit_and_lose_nothing(text: str) -> None:
    """ "split long input by bytes of UTF-8": no part exceeds the limit, no character is cut."""
    parts = call("chat.splitText(v[0], v[1])", text, 400)
    assert all(0 < len(part.encode()) <= 400 for part in parts)
    if " " in text:
        assert " ".join(part.strip() for part in parts) == text.strip()
    else:
        assert "".join(parts) == text


def test_split_keeps_clusters_and_short_text() -> None:
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    assert call("chat.splitText(v[0], 40)", family * 4) == [family * 2, family * 2]
    assert call("[chat.splitText('short', 40), chat.splitText('', 40)]") == [["short"], []]


def test_text_limit() -> None:
    """ "A text must fit a line as others receive it, after the sender's nick!user@host" """
    limit = call("chat.textLimit('ann!~ann@host', 'PRIVMSG', '#tea')")
    assert len(b":ann!~ann@host PRIVMSG #tea :") + limit + len(b"\r\n") == 512


def test_formatting_codes_become_classes() -> None:
    """The codes of https://modern.ircdocs.horse/formatting.html"""
    runs = call(
        "chat.parseFormatting(v[0])",
        "a\x02b\x1dc\x0fd\x034,12e\x03,f\x0399g\x1f\x1e\x11\x16h\x0f\x04ff0000i\x0315j\x0377k",
    )
    assert [(run["text"], " ".join(run["classes"])) for run in runs] == [
        ("a", ""),
        ("b", "bold"),
        ("c", "bold italic"),
        ("d", ""),
        ("e", "fg4 bg12"),
        (",f", ""),
        ("g", ""),
        ("h", "underline strike mono reverse"),
        ("i", ""),
        ("j", "fg15"),
        ("k", ""),
    ]
    assert call("chat.parseFormatting('a\\x00\\x1bb\\x85')") == [{"text": "a��b�", "classes": []}]


def test_plain_text_has_no_codes_and_no_bidi_controls() -> None:
    assert call("chat.plainText(v[0])", "\x02a\x0304\u202eb\u2066\x00\x1b") == "ab"


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.net/a_(b), ok", ["https://example.net/a_(b)"]),
        ("(http://example.net/x?y=1#z)", ["http://example.net/x?y=1#z"]),
        ("javascript:alert(1) data:text/html,x ftp://x file:///etc", []),
        ("http:// https://", []),
        ('https://a.example/"onclick="x', ["https://a.example/"]),
        ("HTTPS://EXAMPLE.net/A.", ["https://example.net/A"]),
        ("http://a.example/\u202egpj.exe", ["http://a.example/"]),
        ("http://a.example http://b.example", ["http://a.example/", "http://b.example/"]),
    ],
)
def test_only_http_links(text: str, links: list[str]) -> None:
    """ "http(s) links only become <a>", and the text stays as it was"""
    pieces = call("chat.findLinks(v[0])", text)
    assert [piece["href"] for piece in pieces if piece["href"]] == links
    assert "".join(piece["text"] for piece in pieces) == text


def test_mentions() -> None:
    """A mention is the nickname as a word."""
    yes = ["ann: hi", "hi ANN!", "(ann)", "a\x02nn", "thanks, ann"]
    no = ["anna", "joann", "ann-2", "ännann", "x_ann"]
    assert (
        call("v[0].map((text) => chat.mentions(text, 'ann'))", yes + no) == [True] * 5 + [False] * 5
    )
    assert call("[chat.mentions('a[b] hi', 'a[b]'), chat.mentions('x', '')]") == [True, False]


def test_fold() -> None:
    """CASEMAPPING of 005: ascii, rfc1459"""
    assert call(
        "[chat.fold('A[É'), chat.fold('A[\\\\]~', 'rfc1459'), chat.fold('É', 'rfc7613')]"
    ) == ["a[É", "a{|}^", "é"]


def test_completions() -> None:
    known = {"commands": ["join", "me", "msg"], "rooms": ["#tea"], "nicks": ["Ann", "anton", "bob"]}
    found = call(
        "v[0].map((b) => chat.completions(b, v[1]).words)",
        ["/m", "an", "hi b", "#", "hi ", "x /m"],
        known,
    )
    assert found == [["/me ", "/msg "], ["Ann: ", "anton: "], ["bob "], ["#tea "], [], []]


def test_input() -> None:
    assert call("['/me waves ', '//path', 'hi', '/LIST'].map(chat.parseInput)") == [
        {"command": "me", "argument": "waves"},
        {"command": "", "argument": "/path"},
        {"command": "", "argument": "hi"},
        {"command": "list", "argument": ""},
    ]


def test_backoff() -> None:
    """Waits double up to a minute; jitter is half to one and a half of them."""
    assert call("[0, 1, 2, 5, 6, 99].map((n) => chat.backoff(n, () => 0.5))") == [
        1000,
        2000,
        4000,
        32000,
        60000,
        60000,
    ]
    assert call("[chat.backoff(0, () => 0), chat.backoff(0, () => 1)]") == [500, 1500]


def test_isupport_prefixes_and_modes() -> None:
    assert call(
        "[...chat.parseIsupport(['me', 'NICKLEN=30', 'WHOX', '-AWAYLEN', 'are supported'],"
        " new Map([['AWAYLEN', '5']]))]"
    ) == [["NICKLEN", "30"], ["WHOX", ""]]
    assert call("chat.parsePrefixes('(ohv)@%+')") == [["o", "@"], ["h", "%"], ["v", "+"]]
    assert call("chat.parseModes(['+ob-lv', 'ann', 'x!*@*', 'bob'], 'beI,k,l,imnst', 'ohv')") == [
        {"on": True, "mode": "o", "argument": "ann"},
        {"on": True, "mode": "b", "argument": "x!*@*"},
        {"on": False, "mode": "l", "argument": ""},
        {"on": False, "mode": "v", "argument": "bob"},
    ]


def test_errors_in_plain_words() -> None:
    lines = [
        ":s 433 * ann :Nickname is already in use",
        ":s 475 me #tea :Cannot join channel (+k)",
        ":s FAIL JOIN RATE_LIMITED #tea :wait a moment",
        ":s WARN * X :careful",
        ":s 499 me x :odd",
        ":s 372 me :- motd",
    ]
    assert call("v[0].map((line) => chat.explain(chat.parseLine(line)))", lines) == [
        "The nickname ann is in use. Choose another.",
        "#tea has a key. Join with /join #tea KEY.",
        "JOIN failed: wait a moment",
        "Warning: careful",
        "x odd",
        "",
    ]


def test_times() -> None:
    assert call(
        "[chat.formatClock(new Date(2026, 0, 2, 3, 4)), chat.formatDay(new Date(2026, 0, 2))]"
    ) == ["03:04", "2026-01-02"]


def test_colours_of_nicknames() -> None:
    """A nickname has one of eight colours, always the same."""
    colours = call("v[0].map(chat.nickColour)", [f"user{n}" for n in range(200)] + ["user0"])
    assert set(colours) == set(range(8))
    assert colours[0] == colours[-1]


def test_script_inserts_no_markup() -> None:
    """ "All text of peers is inserted with textContent only, never innerHTML" """
    code = "\n".join(line for line in SCRIPT.read_text().split("\n") if not line.startswith("//"))
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ):
        assert word not in code
