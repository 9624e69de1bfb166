"""Properties of the IRC frontend: any lines get well-formed replies, however the stream is split,
and PONG follows all earlier output."""

from __future__ import annotations

import pytest
from amounts import examples
from chat.irc_chat import IrcChat, IrcTestClient, command
from chat.transports import over_tcp
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat import outbox
from tcpd.chat.irc import caps
from tcpd.chat.irc.commands.table import COMMANDS
from tcpd.config.values import Rate

#: Words with a meaning in some command.
_WORDS = """#c #d @#c #lobby ann bob eve ann,bob #c,#d a/b LS LIST REQ END 302 batch -batch +1 -1
echo-message draft/multiline +o +b -b +e +C m:ann *!*@* -k 0 * x :x hi :hi : , + @ # \u00e9
\u202e"""
WORDS = st.sampled_from(_WORDS.split())
TEXTS = st.one_of(
    WORDS,
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20),
    st.sampled_from(["\x01ACTION waves\x01", "x" * 450, "é" * 220, "node-boot-1", " a  b "]),
)
TAGS = st.lists(
    st.sampled_from(
        [
            "label=a",
            "label=b",
            "batch=1",
            "batch=2",
            "draft/multiline-concat",
            "+x=1",
            "+y",
            "z=\\s",
            "+=",
            "label",
        ]
    ),
    max_size=3,
)
NAMES = st.sampled_from([*COMMANDS, "NOSUCH", "privmsg", "1", ""])


@st.composite
def _line(draw: st.DrawFn) -> bytes:
    tags = draw(TAGS)
    words = [
        draw(NAMES),
        *draw(st.lists(TEXTS.map(lambda text: text.replace(" ", "")), max_size=4)),
    ]
    if draw(st.booleans()):
        words.append(f":{draw(TEXTS)}")
    head = f"@{';'.join(tags)} " if tags else ""
    return (head + " ".join(words)).encode()


LINE = st.one_of(
    _line(),
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
)
#: Sequences that depend on each other.
SEVERAL = st.sampled_from(
    [
        [
            b"BATCH +1 draft/multiline #c",
            b"@batch=1 PRIVMSG #c a",
            b"@batch=1 PRIVMSG #c b",
            b"BATCH -1",
        ],
        [b"PRIVMSG #c :one", b"PRIVMSG #c :two", b"PRIVMSG #d :three"],
        [b"@label=q PRIVMSG ann,bob,#c :hi", b"PING x"],
        [b"NOTICE #c :hi", b"CHATHISTORY LATEST #c * 5", b"@label=q CHATHISTORY LATEST #c * 5"],
    ]
)
LINES = st.lists(st.one_of(LINE.map(lambda line: [line]), SEVERAL), max_size=12).map(
    lambda several: [line for lines in several for line in lines]
)
WANTED = st.frozensets(st.sampled_from(sorted(caps.CAPABILITIES)), max_size=8)


#: Rates and bounds that are exceeded at once.
TIGHT = {"join_rate": Rate(0.001, 1.0), "nick_rate": Rate(0.001, 1.0)}
LITTLE = {
    "history_bytes": 2000,
    "history_in_all": 3000,
    "bans_per_room": 3,
    "bans_in_all": 4,
    "watched": 3,
    "watched_in_all": 4,
}


def two_clients(
    wanted: frozenset[str], tight: bool = False
) -> tuple[IrcChat, IrcTestClient, IrcTestClient]:
    chat = IrcChat(ping=0.0, bounds=LITTLE, **TIGHT) if tight else IrcChat(ping=0.0)
    ann = chat.irc_client("ann", *sorted(wanted), joined="#c")
    bob = chat.irc_client("bob", *caps.CAPABILITIES, joined="#c")
    ann.lines()
    return chat, ann, bob


def output_of(chat: IrcChat, *clients: IrcTestClient) -> list[bytes]:
    """Run turns until no more output comes. Return the output of each client."""
    received = [b""] * len(clients)
    while True:
        more = [client.read() for client in clients]
        received = [a + b for a, b in zip(received, more, strict=True)]
        if not any(more) and not chat.clock.getDelayedCalls():
            return received
        chat.clock.advance(0)
        if not any(more) and all(
            call.getTime() > chat.clock.seconds() for call in chat.clock.getDelayedCalls()
        ):
            return received


def assert_well_formed(data: bytes) -> None:
    assert data == b"" or data.endswith(b"\r\n")
    for line in data.split(b"\r\n")[:-1]:
        text = line.decode()
        assert "\n" not in text
        assert "\r" not in text
        assert "\0" not in text
        tags, _, rest = line.partition(b" ") if line.startswith(b"@") else (b"", b"", line)
        assert len(rest) <= 510
        assert len(tags) <= 8191
        assert command(text)


@settings(max_examples=examples(150), deadline=None)
@given(LINES, WANTED, st.booleans())
def test_any_lines_get_well_formed_replies(
    lines: list[bytes], wanted: frozenset[str], tight: bool
) -> None:
    chat, ann, bob = two_clients(wanted, tight)
    dan = chat.text_client("dan")
    dan.type("/join #c")
    ann.protocol.dataReceived(b"".join(line + b"\r\n" for line in lines))
    for data in output_of(chat, ann, bob):
        assert_well_formed(data)
    dan.screen()
    assert bob.numerics("PING x")[-1] == "PONG"


@settings(max_examples=examples(75), deadline=None)
@given(LINES)
def test_any_lines_before_registration(lines: list[bytes]) -> None:
    chat = IrcChat(ping=0.0)
    client = chat.irc_client()
    client.protocol.dataReceived(b"".join(line + b"\r\n" for line in lines))
    assert_well_formed(output_of(chat, client)[0])
    client.lose()
    assert chat.irc.server.unregistered == 0


@over_tcp("messages have no line ends")
@settings(max_examples=examples(75), deadline=None)
@given(
    LINES,
    WANTED,
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n\n"]),
)
def test_splitting_of_the_stream_does_not_matter(
    lines: list[bytes], wanted: frozenset[str], sizes: list[int], end: bytes
) -> None:
    stream = b"".join(line + end for line in lines)
    chat, ann, bob = two_clients(wanted)
    ann.protocol.dataReceived(stream)
    whole = output_of(chat, ann, bob)
    chat, ann, bob = two_clients(wanted)
    at = 0
    pieces = []
    while at < len(stream):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream[at : at + size])
        at += size
    received = [b"", b""]
    for piece in pieces:
        ann.protocol.dataReceived(piece)
        received = [a + b for a, b in zip(received, output_of(chat, ann, bob), strict=True)]
    assert received == whole


#: Commands, and what other clients receive.
SEEN = [
    ("PRIVMSG #c :hi", "PRIVMSG"),
    ("NOTICE #c :hi", "NOTICE"),
    ("PRIVMSG bob :hi", "PRIVMSG"),
    ("PRIVMSG @#c,bob :hi", "PRIVMSG"),
    ("@+x TAGMSG #c", "TAGMSG"),
    ("JOIN #d", "JOIN"),
    ("AWAY :x", "AWAY"),
    ("SETNAME :x", "SETNAME"),
    ("NICK eve", "NICK"),
    ("RELAYMSG #c a/b :hi", "PRIVMSG"),
    ("@label=q PRIVMSG #c :hi", "PRIVMSG"),
]


@pytest.mark.parametrize(("line", "seen"), SEEN)
def test_pong_follows_all_earlier_output(line: str, seen: str) -> None:
    """docs/reference/irc.rst, PING: PONG follows the output of earlier lines to all recipients."""
    chat = IrcChat()
    ann = chat.irc_client("ann", *caps.CAPABILITIES, joined="#c,#d")
    bob = chat.irc_client("bob", *caps.CAPABILITIES, joined="#c,#d")
    if line.startswith("JOIN"):
        chat.hub.part(chat.hub.person("ann").clients[0], "#d")  # type: ignore[union-attr]
    ann.lines()
    bob.lines()
    received = ann.raw(f"{line}\r\nPING x\r\n".encode()).decode().split("\r\n")[:-1]
    assert command(received[-1]) == "PONG"
    assert [command(each) for each in received].count("PONG") == 1
    # bob has received it in the same turn
    assert seen in [command(each) for each in bob.transport.value().decode().split("\r\n")[:-1]]
    bob.lines()
    assert output_of(chat, ann, bob) == [b"", b""]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_answered_before_pong(name: str) -> None:
    chat, ann, bob = two_clients(frozenset(caps.CAPABILITIES))
    ann.protocol.dataReceived(f"{name} #c bob x\r\nPING last\r\n".encode())
    received, _ = output_of(chat, ann, bob)
    lines = received.decode().split("\r\n")[:-1]
    if name in ("QUIT", "SQUIT"):
        assert command(lines[-1]) == "ERROR"
    else:
        assert lines[-1].endswith(" PONG chat.example.net :last")


def test_long_reply_is_sent_before_pong() -> None:
    chat = IrcChat()
    for number in range(900):
        chat.irc_client(f"n{number:025}", joined="#c")
    ann = chat.irc_client("ann")
    ann.protocol.dataReceived(b"JOIN #c\r\nPING x\r\n")
    received, *_ = output_of(chat, ann)
    numbers = [command(line) for line in received.decode().split("\r\n")[:-1]]
    assert numbers[-2:] == ["366", "PONG"]
    assert numbers.count("353") > 40


@pytest.mark.parametrize("ping", ["PING x", "@label=1 PING x"])
@pytest.mark.parametrize("line", ["PRIVMSG #c :hi", "@label=2 PRIVMSG #c :hi", "TOPIC #c :tea"])
def test_pong_follows_a_broadcast_of_several_turns(
    monkeypatch: pytest.MonkeyPatch, line: str, ping: str
) -> None:
    """The broadcast exceeds ``BROADCASTS_A_TURN``."""
    monkeypatch.setattr(outbox, "BROADCASTS_A_TURN", 20)
    chat = IrcChat()
    ann = chat.irc_client("ann", "labeled-response", "batch", "message-tags", joined="#c")
    others = [chat.irc_client(f"n{number}", joined="#c") for number in range(50)]
    person = chat.text_client("bob")
    person.type("/join #c")
    output_of(chat, ann, *others)
    person.screen()
    written: list[tuple[object, bytes]] = []
    for who in (ann, person, *others):
        who.session.outbox.write = lambda data, who=who: written.append((who, data))
    ann.protocol.dataReceived(f"{line}\r\n{ping}\r\n".encode())
    chat.settle()
    pong = next(place for place, (who, data) in enumerate(written) if b"PONG" in data)
    assert {who for who, _ in written[:pong]} >= {person, *others}


@pytest.mark.parametrize("text", [False, True])
def test_no_line_is_taken_while_the_flush_queue_is_crowded(text: bool) -> None:
    """ "No line from a client is taken until all broadcasts are flushed": a client that floods a
    room gets half an outbox ahead of it, whichever frontend it uses."""
    chat = IrcChat()
    if text:
        ann = chat.text_client("ann")
        ann.type("/join #c")
    else:
        ann = chat.irc_client("ann", joined="#c")
    bob = chat.irc_client("bob", joined="#c")
    output_of(chat, bob)
    outbox = bob.session.outbox
    outbox.put_broadcast(b"x" * outbox.half)
    assert not outbox.refuses(outbox.size + 1)
    ann.protocol.dataReceived(b"hello\r\n" if text else b"PRIVMSG #c :hello\r\n")
    assert b"hello" not in bob.transport.value()
    chat.settle()
    assert b"PRIVMSG #c :hello\r\n" in bob.transport.value()
