"""Parsing and writing lines of IRC, against the specifications and irctokens."""

from __future__ import annotations

import irctokens
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpd.chat.irc.message import (
    NO_TAGS,
    Message,
    ParseError,
    ParseFault,
    client_only,
    cut_to,
    parse,
    write,
    write_tags,
)


def parsed(line: str) -> Message:
    message = parse(line.encode())
    assert message is not None
    return message


def parse_fault(line: bytes) -> ParseFault:
    with pytest.raises(ParseError) as caught:
        parse(line)
    return caught.value.fault


# --- parsing: parts of a line ---


@pytest.mark.parametrize(
    ("line", "params"),
    [
        (":irc.example.com CAP * LIST :", ("*", "LIST", "")),
        ("CAP * LS :multi-prefix sasl", ("*", "LS", "multi-prefix sasl")),
        ("CAP REQ :sasl message-tags foo", ("REQ", "sasl message-tags foo")),
        (":dan!d@localhost PRIVMSG #chan :Hey!", ("#chan", "Hey!")),
        (":dan!d@localhost PRIVMSG #chan Hey!", ("#chan", "Hey!")),
        (":dan!d@localhost PRIVMSG #chan ::-)", ("#chan", ":-)")),
    ],
)
def test_examples_of_parameters(line: str, params: tuple[str, ...]) -> None:
    """Modern IRC, "Parameters": 'Here are some examples of messages and how the parameters would
    be represented as JSON lists'."""
    assert parsed(line).params == params


def test_trailing_parameter_is_an_ordinary_one() -> None:
    """'a trailing parameter ... has the same semantics as any other parameter, and MUST NOT be
    treated specially or stored separately once the ':' is stripped.'"""
    assert parsed("JOIN :#tea") == parsed("JOIN #tea")


@pytest.mark.parametrize(
    "line",
    [
        "MODE  #tea   +o ann",
        "  MODE #tea +o ann",
        "MODE #tea +o ann  ",
        "MODE #tea +o    :ann",
    ],
)
def test_parts_are_separated_by_any_number_of_spaces(line: str) -> None:
    """RFC 1459 section 2.3: 'The prefix, command, and all parameters are separated by one (or
    more) ASCII space character(s) (0x20).'"""
    assert parsed(line) == (NO_TAGS, None, "MODE", ("#tea", "+o", "ann"))


def test_last_parameter_keeps_its_spaces() -> None:
    """'that character is stripped and the rest of the message is treated as the final parameter,
    including any spaces it contains.'"""
    assert parsed("PRIVMSG #tea :  a  b : c ").params == ("#tea", "  a  b : c ")


@pytest.mark.parametrize("space", ["\t", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u3000"])
def test_only_spaces_separate(space: str) -> None:
    """'SPACE ::= %x20 *( %x20 )'"""
    assert parsed(f"TOPIC #tea a{space}b").params == ("#tea", f"a{space}b")


def test_colon_within_a_parameter() -> None:
    """'middle ::= nospcrlfcl *( ":" / nospcrlfcl )'"""
    assert parsed("PING a:b c:").params == ("a:b", "c:")


def test_commands_are_case_insensitive() -> None:
    assert parsed("privMsg a b").command == "PRIVMSG"
    assert parsed(":irc.example.com 001 ann").command == "001"


def test_command_has_ascii_letters_only() -> None:
    """'command ::= letter* / 3digit': the dotless i does not make a LIST."""
    assert parsed("l\u0131st").command == "l\u0131st"


def test_source() -> None:
    """'The source ... starts with a (':', 0x3A) character (which is stripped from the value)'"""
    assert parsed(":ann!a@b PRIVMSG #tea hi") == (NO_TAGS, "ann!a@b", "PRIVMSG", ("#tea", "hi"))
    assert parsed("@a=b :ann PING x") == ({"a": "b"}, "ann", "PING", ("x",))


def test_more_than_15_parameters() -> None:
    """'clients MUST parse incoming messages with any number of them'. RFC 2812 would join the 15th
    and all later ones."""
    names = tuple(f"p{number}" for number in range(40))
    assert parsed(f"ISON {' '.join(names)}").params == names


@pytest.mark.parametrize("line", [b"", b" ", b"    "])
def test_empty_line_is_ignored(line: bytes) -> None:
    """'If you encounter an empty message, silently ignore it.'"""
    assert parse(line) is None


@pytest.mark.parametrize(
    "line", [b":", b":ann", b":ann ", b": ", b"@a=b", b"@a=b ", b"@", b":a :b"]
)
def test_line_without_a_command_is_refused(line: bytes) -> None:
    assert parse_fault(line) is ParseFault.NO_COMMAND


# --- parsing: tags ---


@pytest.mark.parametrize(
    ("tags", "values"),
    [
        ("id=123AB;rose", {"id": "123AB", "rose": ""}),
        ("url=;netsplit=tur,ty", {"url": "", "netsplit": "tur,ty"}),
        ("aaa=bbb;ccc;example.com/ddd=eee", {"aaa": "bbb", "ccc": "", "example.com/ddd": "eee"}),
        ("+example=raw+:=,escaped\\:\\s\\\\", {"+example": "raw+:=,escaped; \\"}),
        ("+draft/reply=1;draft/reply=2", {"+draft/reply": "1", "draft/reply": "2"}),
    ],
)
def test_examples_of_tags(tags: str, values: dict[str, str]) -> None:
    """The examples of Modern IRC, "Tags", and of the message-tags specification."""
    assert parsed(f"@{tags} PING x").tags == values


@pytest.mark.parametrize(
    ("escaped", "value"),
    [
        ("\\:", ";"),
        ("\\s", " "),
        ("\\\\", "\\"),
        ("\\r", "\r"),
        ("\\n", "\n"),
        ("\\\\n", "\\n"),
        ("\\\\\\n", "\\\n"),
    ],
)
def test_tag_values_are_unescaped(escaped: str, value: str) -> None:
    """The table of the message-tags specification, "Escaping values"."""
    assert parsed(f"@a=x{escaped}y PING x").tags == {"a": f"x{value}y"}


def test_trailing_backslash_is_dropped() -> None:
    """'If a lone \\ exists at the end of an escaped value (with no escape character following it),
    then there SHOULD be no output character.'"""
    assert parsed("@a=test\\;b=\\ PING x").tags == {"a": "test", "b": ""}


def test_invalid_escape_drops_its_backslash() -> None:
    """'If a \\ exists with no valid escape character (for example, \\b), then the invalid backslash
    SHOULD be dropped.'"""
    assert parsed("@a=v\\1\\é PING x").tags == {"a": "v1é"}


def test_empty_tag_value_equals_a_missing_one() -> None:
    """'Implementations MUST interpret empty tag values (e.g. foo=) as equivalent to missing tag
    values (e.g. foo) ... MAY normalise tag values by converting the empty form to the missing
    form'"""
    tags = parsed("@foo=;bar PING x").tags
    assert tags == {"foo": "", "bar": ""}
    assert write_tags(tags) == b"@foo;bar "


def test_last_of_repeated_tags_wins() -> None:
    """'Implementations receiving messages with more than one occurrence of a tag key name SHOULD
    disregard all but the final occurrence.'"""
    assert parsed("@a=1;b=2;a=3 PING x").tags == {"a": "3", "b": "2"}


@pytest.mark.parametrize(
    "key", ["+", "a_b", "aé", "/a", "a/", "a/b/c", "++a", "ex*/a", "\x01", "\t"]
)
def test_any_tag_name_is_accepted(key: str) -> None:
    """'Implementations MUST treat tag key names as case-sensitive opaque identifiers and MUST NOT
    perform any validation that would reject the message if an invalid tag key name is used. This
    allows future modifications to the tag key name format.'"""
    tags = parsed(f"@b=1;{key}=x;c=2 PING x").tags
    assert tags == {"b": "1", key: "x", "c": "2"}
    assert write_tags(tags) == f"@b=1;{key}=x;c=2 ".encode()


def test_tag_without_a_name_is_ignored() -> None:
    assert parsed("@;a=1;;=2;b; PING x").tags == {"a": "1", "b": ""}


def test_tag_names_are_opaque() -> None:
    """'Full tag names, including any vendor prefixes MUST be treated as an opaque identifier.'"""
    assert list(parsed("@A=1;a=2;+a=3;x.y/a=4 PING x").tags) == ["A", "a", "+a", "x.y/a"]


def test_only_client_only_tags_are_relayed_in_order() -> None:
    """'Tags without the client-only prefix MUST be removed by the server before being relayed with
    any message to another client.'"""
    tags = parsed("@+z=1;label=7;+a;time=x PRIVMSG #tea hi").tags
    assert list(client_only(tags).items()) == [("+z", "1"), ("+a", "")]
    assert client_only(NO_TAGS) == {}


@pytest.mark.parametrize(
    ("key", "relayed"),
    [
        ("+typing", True),
        ("+draft/react", True),
        ("+example.com/Foo-1", True),
        ("+x-y.example.com/1", True),
        ("+1", True),
        ("+", False),
        ("+a_b", False),
        ("+aé", False),
        ("+/a", False),
        ("+a/", False),
        ("+a/b/c", False),
        ("++a", False),
        ("+ex*/a", False),
        ("+.a/b", False),
        ("+a-/b", False),
        ("+\x01", False),
        ("+\x1b[1m", False),
        ("+a\u202e", False),
        ("+a:b", False),
    ],
)
def test_only_valid_tag_names_are_relayed(key: str, relayed: bool) -> None:
    """'<key> ::= [ <client_prefix> ] [ <vendor> "/" ] <key_name>', '<key_name> ::= <non-empty
    sequence of ascii letters, digits, hyphens ("-")>', '<vendor> ::= <host>'. The message itself is
    not refused."""
    tags = parsed(f"@{key}=1;+last PRIVMSG #tea hi").tags
    assert list(client_only(tags)) == [*([key] if relayed else []), "+last"]
    assert list(client_only(tags, ("*", f"-{key[1:]}"))) == ([key] if relayed else [])


@pytest.mark.parametrize(
    ("denied", "left"),
    [
        ((), ["+foo", "+example/bar", "+x"]),
        (("*",), []),
        (("*", "-foo", "-example/bar"), ["+foo", "+example/bar"]),
        (("foo", "example/bar"), ["+x"]),
    ],
)
def test_denied_client_only_tags_are_not_relayed(denied: tuple[str, ...], left: list[str]) -> None:
    """The examples of CLIENTTAGDENY: 'certain client-only tags are blocked and will be silently
    ignored.'"""
    tags = parsed("@+foo=1;+example/bar;label=2;+x PRIVMSG #tea hi").tags
    assert list(client_only(tags, denied)) == left


# --- parsing: refused lines ---


def test_line_has_at_most_512_bytes() -> None:
    """RFC 1459 section 2.3: 'these messages shall not exceed 512 characters in length, counting all
    characters including the trailing CR-LF.'"""
    assert parsed("PING " + "x" * 505).params == ("x" * 505,)
    assert parse_fault(b"PING " + b"x" * 506) is ParseFault.TOO_LONG
    assert parse_fault(b"PING " + "é".encode() * 253) is ParseFault.TOO_LONG


def test_tags_have_at_most_4094_bytes() -> None:
    """'Clients MUST NOT send messages with tag data exceeding 4094 bytes, this includes tags with
    or without the client-only prefix.' 'Servers MUST reply with the ERR_INPUTTOOLONG (417) ...'"""
    most = b"@+a=" + b"x" * 4091
    assert len(most) - 1 == 4094
    assert parse(most + b" PING " + b"x" * 505) is not None
    assert parse_fault(most + b"x PING x") is ParseFault.TOO_LONG
    assert parse_fault(b"@a PING " + b"x" * 506) is ParseFault.TOO_LONG


@pytest.mark.parametrize("line", [b"PING \xff", b"@a=\xe9 PING x", b"PING \xed\xa0\x80", b"\xff"])
def test_invalid_utf8_is_refused(line: bytes) -> None:
    """UTF8ONLY: 'Servers publishing this token MUST NOT relay content ... containing non-UTF-8 data
    to clients.'"""
    assert parse_fault(line) is ParseFault.NOT_UTF8


@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n"])
@pytest.mark.parametrize("line", [b"PRIVMSG #tea :a%bb", b"@a=%b PING x", b"PI%bNG x", b"PING x%b"])
def test_nul_cr_and_lf_are_refused(line: bytes, byte: bytes) -> None:
    """'<sequence of any characters except NUL, CR, LF, ...>'"""
    assert parse_fault(line % byte) is ParseFault.CONTROL


@pytest.mark.parametrize(
    ("line", "command", "tags"),
    [
        (b"privmsg #tea :\xff", "PRIVMSG", {}),
        (b"@label=7 :ann TOPIC #tea :\xff", "TOPIC", {"label": "7"}),
        (b"@label=\xff PRIVMSG #tea :hi", "PRIVMSG", {}),
        (b"@label=7 PRIVMSG #tea :" + b"x" * 510, "PRIVMSG", {"label": "7"}),
        (b"@label=7;+a=" + b"x" * 4094 + b" PRIVMSG #tea :x", "*", {}),
        ("@label=é PRIVMSG #tea ".encode() + b"\xff", "PRIVMSG", {"label": "é"}),
        (b"@label=\0 PRIVMSG #tea :hi", "PRIVMSG", {}),
        (b"\xff\xfe", "*", {}),
        (b":ann", "*", {}),
        (b"@label=7", "*", {"label": "7"}),
    ],
)
def test_parse_error_names_the_command(line: bytes, command: str, tags: dict[str, str]) -> None:
    """UTF8ONLY: 'If the server is unable to parse the sent command then it MAY send a FAIL command
    with no command name (i.e. *).' Its example names the command where it can."""
    with pytest.raises(ParseError) as caught:
        parse(line)
    assert (caught.value.command, caught.value.tags) == (command, tags)


# --- writing ---


@pytest.mark.parametrize(
    ("params", "line"),
    [
        ((), b"PING\r\n"),
        (("a",), b"PING a\r\n"),
        (("a", "b c"), b"PING a :b c\r\n"),
        (("a", ""), b"PING a :\r\n"),
        (("a", ":-)"), b"PING a ::-)\r\n"),
        (("a", "b:c"), b"PING a b:c\r\n"),
        ((" ",), b"PING : \r\n"),
    ],
)
def test_last_parameter_gets_a_colon_if_required(params: tuple[str, ...], line: bytes) -> None:
    """'Parameters that contain spaces, are empty, or begin with a ':' character MUST be sent with a
    preceding ':'; in other cases ... OPTIONAL.'"""
    assert write("PING", *params) == line


def test_colon_can_be_requested() -> None:
    assert write("PRIVMSG", "#tea", "hi", source="ann", colon=True) == b":ann PRIVMSG #tea :hi\r\n"


def test_tags_are_written_in_order() -> None:
    line = write(
        "TAGMSG", "#tea", source="ann!a@b", tags={"time": "x y", "+k": "", "+a": ";\\\r\n"}
    )
    assert line == b"@time=x\\sy;+k;+a=\\:\\\\\\r\\n :ann!a@b TAGMSG #tea\r\n"
    assert write_tags({}) == b""


@pytest.mark.parametrize(
    "words",
    [
        ("PING", "a b", "c"),
        ("PING", "", "c"),
        ("PING", ":a", "c"),
        ("PING", "a\r", "c"),
        ("PING", "a\n"),
        ("PING", "a\r\nQUIT"),
        ("PING", "a\0b"),
        ("PING", "\ud800"),
        ("", "a"),
        ("", ""),
        ("",),
        ("A B",),
        (":A",),
        (" A",),
        ("A ", "b"),
        ("A", "b", "", "c"),
        ("A", "", "b", "c"),
        ("A", " ", "c"),
    ],
)
def test_invalid_words_raise(words: tuple[str, ...]) -> None:
    for source in (None, "irc.example.com"):
        with pytest.raises(ValueError):
            write(*words, source=source)


def test_tags_without_a_source() -> None:
    with pytest.raises(ValueError):
        write("@a", "PING")


@pytest.mark.parametrize("source", ["", "a b", ":a", " a", "a ", "a\n", "a\0"])
def test_invalid_source_raises(source: str) -> None:
    with pytest.raises(ValueError):
        write("PING", "x", source=source)


@pytest.mark.parametrize(
    "tags", [{"": "x"}, {"a b": "x"}, {"a;b": "x"}, {"a": "\0"}, {"a=": "b"}, {"a\n": ""}]
)
def test_invalid_tag_raises(tags: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        write("PING", "x", tags=tags)


def test_long_line_is_truncated_between_characters() -> None:
    """UTF8ONLY: 'Implementations must ensure that if they truncate messages to meet a length limit,
    they do not do so in the middle of a UTF-8-encoded codepoint.'"""
    line = write("PRIVMSG", "#tea", "x" + "€" * 300, source="ann", tags={"a": "b" * 100})
    tags, _, rest = line.partition(b" ")
    assert tags == b"@a=" + b"b" * 100
    assert rest.endswith("€\r\n".encode())
    assert 512 - 3 < len(rest) <= 512


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(6, 40))
def test_truncated_line_is_a_prefix_of_the_line(text: str, size: int) -> None:
    whole = text.encode() + b"\r\n"
    line = cut_to(whole, size)
    assert len(line) <= size
    assert line[-2:] == b"\r\n"
    assert text.startswith(line[:-2].decode())
    assert len(whole) <= size or len(line) > size - 4


# --- round trips ---

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=30)
_WORD = _TEXT.map(lambda text: text.replace(" ", "").lstrip(":")).filter(bool)
_COMMAND = st.from_regex(r"[A-Z]{1,10}|[0-9]{3}", fullmatch=True)
_KEY = st.from_regex(r"\+?([a-z0-9.-]{1,8}/)?[A-Za-z0-9-]{1,8}", fullmatch=True)
_VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(
    _COMMAND,
    st.lists(_WORD, max_size=3),
    st.none() | _TEXT,
    st.none() | _WORD,
    st.dictionaries(_KEY, _VALUE, max_size=4),
    st.booleans(),
)
def test_written_line_is_parsed_again(
    command: str,
    middle: list[str],
    last: str | None,
    source: str | None,
    tags: dict[str, str],
    colon: bool,
) -> None:
    params = (*middle, last) if last is not None else tuple(middle)
    line = write(command, *params, source=source, tags=tags, colon=colon)
    assert line[-2:] == b"\r\n"
    if len(line) <= 512:
        assert parse(line[:-2]) == (tags, source, command, params)


@given(st.text(";\\:srnax= é", max_size=40))
def test_tags_of_a_client_fit_after_escaping(text: str) -> None:
    """'Servers MUST NOT add tag data exceeding 4094 bytes to messages': the tags of a client and of
    the server fit 8191 bytes, however the client escaped its own."""
    data = f"+a={text.replace(' ', '').replace(';', '')}"
    message = parsed(f"@{data} PING x")
    assert len(write_tags(client_only(message.tags))) <= len(f"@{data} ".encode())


# --- against irctokens ---

# Intended differences, which the strategy avoids: irctokens truncates at NUL, CR or LF, falls back
# to Latin-1, has no length limits, accepts a tag without a name, and uppercases non-ASCII.

_PIECES = st.sampled_from(
    (
        *(
            " ",
            "  ",
            ":",
            " :",
            "@",
            ";",
            "=",
            "\\",
            "+",
            "/",
            "-",
            ".",
            "a",
            "B",
            "é",
            "\t",
            "\xa0",
        ),
        *("PRIVMSG", "#tea", "001", "@a=b;c ", ":ann!a@b ", "\\s", "\\:", "x\\", "+k=", "\x01"),
    )
)


@given(st.lists(_PIECES, min_size=1, max_size=14).map("".join))
@example("@a=b\\\\s;+c;a=d  :src  privmsg  #tea   :  x : y ")
@example("@a=b :src foo  ")
@example(": foo")
def test_agrees_with_irctokens(line: str) -> None:
    try:
        theirs = irctokens.tokenise(line)
    except (ValueError, IndexError):
        return
    try:
        ours = parsed(line)
    except ParseError:
        pytest.fail(f"irctokens reads {line!r}")
    command = ours.command if ours.command.isascii() else ours.command.upper()
    assert (ours.source, command, list(ours.params)) == (
        theirs.source,
        theirs.command,
        theirs.params,
    )
    tags = dict(theirs.tags or {})
    tags.pop("", None)
    assert ours.tags == tags


@given(
    _COMMAND,
    st.lists(_WORD, max_size=3),
    _TEXT,
    st.none() | _WORD,
    st.dictionaries(_KEY, _VALUE, max_size=4),
)
def test_irctokens_parses_written_lines(
    command: str, middle: list[str], last: str, source: str | None, tags: dict[str, str]
) -> None:
    line = write(command, *middle, last, source=source, tags=tags)
    theirs = irctokens.tokenise(line[:-2])
    assert (theirs.tags or {}) == tags
    assert theirs.source == source
    assert theirs.command == command
    assert theirs.params == [*middle, last]


@given(st.binary(max_size=600) | st.binary(max_size=60).map(lambda line: b"@" + line))
@example(b"@a=\0 PING x")
@example(b"@a\r PING x")
def test_any_line_is_parsed_or_refused(line: bytes) -> None:
    try:
        message = parse(line)
    except ParseError as error:
        write("FAIL", error.command, "CODE", "text", tags=error.tags)
        return
    assert message is None or message.command
