"""Lines and WebSocket messages, against wsproto's client."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from tcpd.net.websocket_messages import FrameFault, Messages
from tcpd.net.websocket_settings import Frames

LONGEST = 50


def sent(*events: Event) -> bytes:
    """Return the frames of a client."""
    client = Connection(ConnectionType.CLIENT)
    return b"".join(bytes(client.send(event)) for event in events)


def masked(opcode: int, payload: bytes, fin: bool = True, length: int | None = None) -> bytes:
    """Make a frame by hand, valid or not."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + struct.pack("!H", size)
    else:
        head += b"\xff" + struct.pack("!Q", size)
    return head + b"\0\0\0\0" + payload


def events_of(data: bytes) -> list[Event]:
    """Return the events that a client parses."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(data)
    return list(client.events())


class StreamResult:
    """The sum of the results of a stream."""

    def __init__(self, pieces: list[bytes], frames: Frames | None, most: int = 100) -> None:
        self.messages = Messages(frames, LONGEST)
        self.lines = self.answers = b""
        self.closed = False
        self.fault: FrameFault | None = None
        for piece in pieces:
            self.messages.receive(piece)
            more = True
            while more:
                taken = self.messages.take(most)
                self.lines += taken.lines
                self.answers += taken.replies
                self.closed |= taken.closed
                self.fault = self.fault or taken.fault
                more = taken.more

    def all(self) -> tuple[Any, ...]:
        return self.lines, self.answers, self.closed, self.fault


def result_of(data: bytes, frames: Frames | None = None) -> StreamResult:
    return StreamResult([data], frames)


def test_message_is_a_line() -> None:
    assert result_of(sent(TextMessage("NICK joe"), TextMessage(""))).lines == b"NICK joe\r\n\r\n"
    assert result_of(sent(TextMessage("grüß"))).lines == "grüß\r\n".encode()


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_one_line_end_in_a_message_is_ignored(end: str) -> None:
    """ "clients MUST NOT include trailing \\r or \\n characters in the message", and some do."""
    assert result_of(sent(TextMessage("x" * LONGEST + end))).lines == b"x" * LONGEST + b"\r\n"


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r", "a\r\nb\r\n", "a\n\n", "\0", "\r\r\n"])
def test_message_with_several_lines_is_an_error(text: str) -> None:
    """https://ircv3.net/specs/extensions/websocket: "each message MUST consist of a single IRC
    line"."""
    found = result_of(sent(TextMessage("before"), TextMessage(text), TextMessage("after")))
    assert found.all() == (b"before\r\n", b"", False, FrameFault.NOT_A_LINE)
    (close,) = events_of(found.messages.close(FrameFault.NOT_A_LINE.code, "x"))
    assert isinstance(close, CloseConnection)
    assert close.code == 1008


@pytest.mark.parametrize(
    ("frames", "event", "fault"),
    [
        (Frames.TEXT, BytesMessage(b"x"), FrameFault.WRONG_TYPE),
        (Frames.BINARY, TextMessage("x"), FrameFault.WRONG_TYPE),
        (Frames.TEXT, TextMessage("x"), None),
        (Frames.BINARY, BytesMessage(b"\xff"), None),
        # "when no subprotocol is negotiated, servers could accept either incoming message type"
        (None, BytesMessage(b"x"), None),
        (None, TextMessage("x"), None),
    ],
)
def test_message_type_must_match_the_subprotocol(
    frames: Frames | None, event: Event, fault: FrameFault | None
) -> None:
    """RFC 6455 section 7.4.1: 1003 for "a type of data it cannot accept"."""
    found = result_of(sent(event), frames)
    assert found.fault is fault
    assert bool(found.lines) is (fault is None)
    assert FrameFault.WRONG_TYPE.code == 1003


def test_invalid_utf8_in_text_is_an_error() -> None:
    """RFC 6455 section 8.1: a non-UTF-8 stream fails the connection; 1007."""
    assert result_of(masked(1, b"\xff")).fault is FrameFault.NOT_UTF8
    assert result_of(masked(1, b"\xed\xa0\x80")).fault is FrameFault.NOT_UTF8
    assert result_of(masked(1, "ü".encode()[:1])).fault is FrameFault.NOT_UTF8
    assert FrameFault.NOT_UTF8.code == 1007


def test_fragments_are_joined_within_the_limit() -> None:
    """RFC 6455 section 5.4; a control frame may stand between them (section 5.5)."""
    found = result_of(
        sent(
            TextMessage("grü", message_finished=False),
            Ping(b"now"),
            TextMessage("", message_finished=False),
            TextMessage("ße"),
        )
    )
    assert found.lines == "grüße\r\n".encode()
    assert events_of(found.answers) == [Pong(b"now")]
    half = masked(1, "ü".encode()[:1], fin=False) + masked(0, "ü".encode()[1:])
    assert result_of(half).lines == "ü\r\n".encode()


@pytest.mark.parametrize("event", [TextMessage, BytesMessage])
def test_message_too_long_is_an_error(event: Any) -> None:
    """RFC 6455 section 7.4.1: 1009, "a message that is too big for it to process"."""
    text: Any = "x" if event is TextMessage else b"x"
    assert result_of(sent(event(text * LONGEST))).fault is None
    assert result_of(sent(event(text * (LONGEST + 1)))).fault is FrameFault.TOO_LONG
    piece = event(text * LONGEST, message_finished=False)
    assert result_of(sent(piece, event(text))).fault is FrameFault.TOO_LONG
    assert FrameFault.TOO_LONG.code == 1009


def test_limit_applies_before_the_frame_is_complete() -> None:
    head = masked(1, b"", length=1 << 40)
    found = result_of(head + b"x" * LONGEST)
    assert found.fault is None
    found.messages.receive(b"xxx")
    assert found.messages.take(100).fault is FrameFault.TOO_LONG


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x01x",  # "a server MUST close the connection upon receiving a frame not masked"
        masked(3, b""),  # an unassigned opcode
        masked(1, b"", fin=False) + masked(1, b""),  # a message inside a fragmented message
        masked(0, b""),  # a continuation without a message
        masked(9, b"", fin=False),  # "Control frames MUST NOT be fragmented"
        masked(9, b"x" * 126),  # "MUST have a payload length of 125 bytes or less"
        b"\xc1" + masked(1, b"x")[1:],  # RSV1 without an extension
        masked(8, b"x"),  # a truncated status code
        masked(8, b"\x03\xee"),  # 1006 "MUST NOT be set as a status code"
    ],
)
def test_invalid_frame_is_a_protocol_error(data: bytes) -> None:
    """RFC 6455 section 5: the connection is failed, with 1002."""
    assert result_of(sent(TextMessage("ok")) + data).all() == (
        b"ok\r\n",
        b"",
        False,
        FrameFault.PROTOCOL,
    )
    assert FrameFault.PROTOCOL.code == 1002


def test_input_after_an_error_or_close_is_ignored() -> None:
    found = result_of(masked(3, b""))
    found.messages.receive(sent(TextMessage("more")))
    assert found.messages.take(9) == (b"", b"", False, None, False)
    found = result_of(sent(CloseConnection(1000)))
    found.messages.receive(sent(TextMessage("more")))
    assert found.messages.take(9) == (b"", b"", False, None, False)


@pytest.mark.parametrize(
    ("event", "code"),
    [(CloseConnection(1001, "bye"), 1001), (CloseConnection(CloseReason.NO_STATUS_RCVD), 1005)],
)
def test_close_is_answered_with_its_code(event: CloseConnection, code: int) -> None:
    """RFC 6455 section 5.5.1: "typically echos the status code it received"."""
    found = result_of(sent(TextMessage("QUIT"), event))
    assert (found.lines, found.closed, found.fault) == (b"QUIT\r\n", True, None)
    (close,) = events_of(found.messages.close(1011, "ours"))
    assert isinstance(close, CloseConnection)
    assert close.code == code
    assert found.messages.close(1000, "") == b"", "sent once"


def test_input_is_processed_between_our_close_and_the_clients() -> None:
    messages = Messages(None, LONGEST)
    assert messages.close(1000, "")
    assert messages.ping() == b""
    messages.receive(sent(Ping(b"x"), TextMessage("late"), CloseConnection(1000)))
    assert messages.take(9) == (b"late\r\n", b"", True, None, False)
    assert messages.close(1000, "") == b""


def test_frames_a_call_are_bounded() -> None:
    messages = Messages(None, LONGEST)
    messages.receive(sent(*(TextMessage(str(n)) for n in range(5))))
    assert messages.take(2) == (b"0\r\n1\r\n", b"", False, None, True)
    assert messages.take(2) == (b"2\r\n3\r\n", b"", False, None, True)
    assert messages.take(2) == (b"4\r\n", b"", False, None, False)


TEXTS = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), max_size=12)
EVENTS = st.one_of(
    TEXTS.map(TextMessage),
    TEXTS.map(lambda text: TextMessage(text, message_finished=False)),
    TEXTS.map(lambda text: BytesMessage(text.encode())),
    st.binary(max_size=60).map(BytesMessage),
    st.binary(max_size=125).map(Ping),
    st.just(Pong()),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Generate streams of a client: mostly frames, sometimes a Close or garbage at the end."""
    client = Connection(ConnectionType.CLIENT)
    data = b""
    inside = False
    for event in draw(st.lists(EVENTS, max_size=8)):
        if inside and isinstance(event, BytesMessage):
            continue  # wsproto's client does not mix types
        data += bytes(client.send(event))
        if isinstance(event, TextMessage):
            inside = not event.message_finished
    return data + draw(
        st.one_of(st.just(b""), st.just(sent(CloseConnection(1000))), st.binary(max_size=9))
    )


@given(
    data=streams(),
    frames=st.sampled_from([None, Frames.TEXT, Frames.BINARY]),
    cuts=st.lists(st.integers(0, 600), max_size=12),
    most=st.integers(1, 4),
)
def test_any_segmentation_gives_the_same_result(
    data: bytes, frames: Frames | None, cuts: list[int], most: int
) -> None:
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(ends)]
    whole = result_of(data, frames)
    parts = StreamResult(pieces, frames, most)
    if {whole.fault, parts.fault} <= {
        FrameFault.NOT_UTF8,
        FrameFault.TOO_LONG,
        FrameFault.WRONG_TYPE,
    }:
        # garbage with several errors may be reported by any of them
        assert (whole.lines, whole.answers) == (parts.lines, parts.answers)
    else:
        assert whole.all() == parts.all()


@given(
    pieces=st.lists(st.binary(max_size=40), max_size=6),
    frames=st.sampled_from([None, Frames.TEXT, Frames.BINARY]),
    closing=st.booleans(),
)
def test_any_input_is_handled(pieces: list[bytes], frames: Frames | None, closing: bool) -> None:
    messages = Messages(frames, LONGEST)
    if closing:
        messages.close(1000, "")
    for piece in pieces:
        messages.receive(piece)
        taken = messages.take(100)
        assert not (taken.fault and taken.closed)
    messages.ping()
    events_of(messages.close(1000, ""))


# --- to the client ---


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 512, 8703, 65535, 65536, 70000])
@pytest.mark.parametrize("frames", [None, Frames.TEXT, Frames.BINARY])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_frame_of_any_size(size: int, frames: Frames | None, end: bytes) -> None:
    data = Messages(frames, LONGEST).frame(b"x" * size + end)
    event: Event = BytesMessage(b"x" * size) if frames is Frames.BINARY else TextMessage("x" * size)
    assert data == bytes(Connection(ConnectionType.SERVER).send(event))
    assert events_of(data)[-1:] == [event] or size > 65535


def test_each_line_of_a_write_is_a_message() -> None:
    data = Messages(None, LONGEST).frame(b"one\r\ntwo\nthree\r\n")
    assert events_of(data) == [TextMessage("one"), TextMessage("two"), TextMessage("three")]
    assert events_of(Messages(None, LONGEST).frame(b"a\nb\r\n")) == [
        TextMessage("a"),
        TextMessage("b"),
    ]
    assert Messages(None, LONGEST).frame(b"") == b""


def test_incomplete_line_waits_for_its_end() -> None:
    messages = Messages(None, LONGEST)
    assert messages.frame(b"on") == b""
    assert messages.frame("e ü".encode()[:-1]) == b""
    assert events_of(messages.frame("ü".encode()[1:] + b"\r\n")) == [TextMessage("one ü")]
    assert messages.frame(b"last words") == b""
    assert events_of(messages.flush_line()) == [TextMessage("last words")]
    assert messages.flush_line() == b""
    assert messages.frame(b"x" * 70000), "sent when it exceeds the limit"


def test_invalid_utf8_is_replaced_in_text_messages() -> None:
    """ "Servers MUST NOT relay non-UTF-8 content to clients using text messages"."""
    line = b"caf\xe9 \xff\r\n"
    assert events_of(Messages(None, LONGEST).frame(b"ok\r\n" + line)) == [
        TextMessage("ok"),
        TextMessage("caf\ufffd \ufffd"),
    ]
    assert events_of(Messages(Frames.BINARY, LONGEST).frame(line)) == [
        BytesMessage(b"caf\xe9 \xff")
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))))
def test_lines_round_trip(lines: list[str]) -> None:
    data = Messages(None, LONGEST).frame("".join(f"{line}\r\n" for line in lines).encode())
    assert [event.data for event in events_of(data)] == lines  # type: ignore[attr-defined]


def test_idle_clients_share_parsers() -> None:
    """An idle client has no parser; one within a message keeps its own."""
    clients = [Messages(None, 100) for _ in range(50)]
    for number, client in enumerate(clients):
        client.receive(masked(1, b"line %d" % number))
        assert client.take(10).lines == b"line %d\r\n" % number
    parts = masked(1, b"first") + masked(1, b"second")
    for cut in range(1, len(parts)):
        one, other = Messages(None, 100), Messages(None, 100)
        one.receive(parts[:cut])
        before = one.take(10).lines
        other.receive(masked(1, b"other"))
        assert other.take(10).lines == b"other\r\n"
        one.receive(parts[cut:])
        assert before + one.take(10).lines == b"first\r\nsecond\r\n"
