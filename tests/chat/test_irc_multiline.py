"""draft/multiline: https://ircv3.net/specs/extensions/multiline and .../client-batch."""

from __future__ import annotations

import pytest
from chat.irc_chat import SERVER, IrcChat, IrcTestClient, command, plain, tags
from chat.transports import over_tcp

from tcpd.chat.irc.commands.multiline import BATCH_TIMEOUT
from tcpd.chat.irc.settings import IrcSettings

BASE = ("message-tags", "batch", "echo-message", "server-time", "labeled-response")
ALL = (*BASE, "draft/multiline")

OPEN = "BATCH +1 draft/multiline #c"

LINES, BYTES = IrcSettings().multiline_lines, IrcSettings().multiline_bytes


def three_clients(chat: IrcChat) -> tuple[IrcTestClient, IrcTestClient, IrcTestClient]:
    """Ann and Bob have the capability, Cid does not."""
    ann = chat.irc_client("ann", *ALL, joined="#c")
    bob = chat.irc_client("bob", *ALL, joined="#c")
    cid = chat.irc_client("cid", *BASE, joined="#c")
    for client in (ann, bob, cid):
        client.lines()
    return ann, bob, cid


def test_batch_is_one_message_with_a_fallback_for_others() -> None:
    chat = IrcChat()
    ann, bob, cid = three_clients(chat)
    dan = chat.text_client("dan")
    dan.type("/join #c")
    old = chat.irc_client("old", joined="#c")
    for client in (ann, bob, cid):
        client.lines()
    dan.screen()
    assert (
        ann.send(
            f"@label=xyz;+own=1;other=2 {OPEN}",
            "@batch=1 PRIVMSG #c hello",
            "@batch=1 PRIVMSG #c :",
            "@batch=1 privmsg #C :how is ",
            "@batch=1;draft/multiline-concat PRIVMSG #c :everyone?",
        )
        == []
    )
    echo = ann.send("BATCH -1")
    received = bob.lines()
    # "Servers MUST only include the label tag on the opening BATCH command"
    assert tags(echo[0]).pop("label") == "xyz"
    assert [tags(line).get("label") for line in echo[1:]] == [None] * 5
    assert echo[0].replace("label=xyz;", "") == received[0]
    assert echo[1:] == received[1:]
    assert set(tags(received[0])) == {"time", "msgid", "+own"}
    name = received[0].split(" ")[3].removeprefix("+")
    assert [plain(line) for line in received] == [
        f"@+own=1 :ann!~ann@localhost BATCH +{name} draft/multiline #c",
        f"@batch={name} :ann!~ann@localhost PRIVMSG #c :hello",
        f"@batch={name} :ann!~ann@localhost PRIVMSG #c :",
        f"@batch={name} :ann!~ann@localhost PRIVMSG #c :how is ",
        f"@batch={name};draft/multiline-concat :ann!~ann@localhost PRIVMSG #c :everyone?",
        f":ann!~ann@localhost BATCH -{name}",
    ]
    # "Servers MUST NOT send blank lines to clients that have not negotiated the multiline
    # capability."
    fallback = cid.lines()
    assert [line.partition(" :")[2].partition(" :")[2] for line in fallback] == [
        "hello",
        "how is ",
        "everyone?",
    ]
    # "Servers MUST only include a message ID on the first message of a batch when sending a
    # fallback"
    assert [tags(line).get("msgid") for line in fallback] == [
        tags(received[0])["msgid"],
        None,
        None,
    ]
    assert {tags(line)["time"] for line in fallback} == {tags(received[0])["time"]}
    assert len(old.lines()) == 3
    assert dan.screen() == ["#c <ann> hello", "#c <ann> how is everyone?"]
    assert [said.text for said in chat.kept_messages("#c")] == ["hello\n\nhow is everyone?"]


def test_private_multiline_message() -> None:
    ann, bob, _ = three_clients(IrcChat())
    bob.send("AWAY :at lunch")
    ann.send("BATCH +1 draft/multiline bob", "@batch=1 PRIVMSG bob a", "@batch=1 PRIVMSG bob b")
    assert [command(line) for line in ann.send("BATCH -1")] == [
        "BATCH",
        "PRIVMSG",
        "PRIVMSG",
        "BATCH",
        "301",
    ]
    assert [command(line) for line in bob.lines()] == ["BATCH", "PRIVMSG", "PRIVMSG", "BATCH"]


def test_batch_of_one_line_is_an_ordinary_message() -> None:
    ann, bob, _ = three_clients(IrcChat())
    ann.send(OPEN, "@batch=1 PRIVMSG #c a", "BATCH -1")
    assert [plain(line) for line in bob.lines()] == [":ann!~ann@localhost PRIVMSG #c :a"]


def test_line_that_others_could_not_receive_invalidates_its_batch() -> None:
    """RFC 1459 section 2.3: a line with its source has at most 512 bytes. Nothing of the batch is
    sent."""
    chat = IrcChat()
    ann, bob, cid = three_clients(chat)
    room = 510 - len(":ann!~ann@localhost PRIVMSG #c :")
    line = f"@batch=1 PRIVMSG #c :{'x' * room}"
    ann.send("CAP REQ standard-replies", OPEN, LINE, line, "BATCH -1")
    assert [plain(each).endswith(" :" + "x" * room) for each in bob.lines()][1:3] == [False, True]
    assert plain(cid.lines()[-1]).endswith(" :" + "x" * room)
    received = ann.send(OPEN, LINE, line + "x", LINE, "BATCH -1")
    assert [command(each) for each in received] == ["417", "FAIL"]
    assert plain(received[1]).startswith(f"{SERVER} FAIL BATCH MULTILINE_INVALID :")
    # "If a response consists of more than one message, a batch MUST be used to group them"
    received = ann.send(f"@label=x {OPEN}", LINE, line + "x", LINE, "BATCH -1")
    assert [command(each) for each in received] == ["BATCH", "417", "FAIL", "BATCH"]
    assert [tags(each).get("label") for each in received] == ["x", None, None, None]
    assert tags(received[1])["batch"] == tags(received[2])["batch"]
    assert bob.lines() == cid.lines() == []


def fails(client: IrcTestClient, *lines: str) -> list[str]:
    received = client.send(*lines)
    assert {command(line) for line in received} <= {"FAIL"}
    return [
        plain(line).removeprefix(f"{SERVER} FAIL BATCH ").partition(" :")[0] for line in received
    ]


LINE = "@batch=1 PRIVMSG #c hi"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([OPEN, "@batch=2 PRIVMSG #c hi"], "MULTILINE_INVALID"),
        ([OPEN, LINE, "@batch=1;draft/multiline-concat PRIVMSG #c :"], "MULTILINE_INVALID"),
        ([OPEN, "@batch=1;draft/multiline-concat PRIVMSG #c :x"], "MULTILINE_INVALID"),
        ([OPEN, "@batch=1 PRIVMSG #d hi"], "MULTILINE_INVALID_TARGET #c #d"),
        ([OPEN, "@batch=1 PRIVMSG"], "MULTILINE_INVALID_TARGET #c *"),
        ([OPEN, "@batch=1 NOTICE #c hi"], "MULTILINE_INVALID"),
        ([OPEN, "@batch=1 TAGMSG #c"], "MULTILINE_INVALID"),
        ([OPEN, "@batch=1 JOIN #d"], "MULTILINE_INVALID"),
        ([OPEN, LINE, "BATCH +2 draft/multiline #c"], "MULTILINE_INVALID"),
        ([OPEN, LINE, "@batch=1 BATCH +2 draft/multiline #c"], "MULTILINE_INVALID"),
        ([OPEN, LINE, "BATCH -2"], "MULTILINE_INVALID"),
        ([OPEN, "BATCH -1"], "MULTILINE_INVALID"),
        ([OPEN, "@batch=1 PRIVMSG #c :", "@batch=1 PRIVMSG #c :", "BATCH -1"], "MULTILINE_INVALID"),
        ([OPEN, *[LINE] * (LINES + 3)], "MULTILINE_MAX_LINES 32"),
        ([OPEN, *["@batch=1 PRIVMSG #c " + "x" * 420] * 12], "MULTILINE_MAX_BYTES 4096"),
        (["BATCH +1 nosuch #c"], "MULTILINE_INVALID"),
        (["BATCH +1 draft/multiline"], "MULTILINE_INVALID"),
        (["BATCH +1 draft/multiline :"], "MULTILINE_INVALID"),
        (["BATCH"], "MULTILINE_INVALID"),
        (["BATCH +"], "MULTILINE_INVALID"),
        (["BATCH -1"], "MULTILINE_INVALID"),
        ([LINE], "MULTILINE_INVALID"),
    ],
)
def test_error_is_sent_once_and_the_batch_is_dropped(lines: list[str], code: str) -> None:
    """ "Servers MUST use FAIL messages from the standard replies framework to notify clients of
    errors with multiline batches." """
    chat = IrcChat()
    ann, bob, cid = three_clients(chat)
    assert fails(ann, *lines) == [code]
    if lines[0] == OPEN and "BATCH -1" not in lines:
        assert ann.send(LINE, LINE, "BATCH -1") == []
    assert bob.lines() == cid.lines() == []
    # the next batch is accepted
    assert [command(line) for line in ann.send(OPEN, LINE, LINE, "BATCH -1")] == [
        "BATCH",
        "PRIVMSG",
        "PRIVMSG",
        "BATCH",
    ]


def test_limits_are_inclusive() -> None:
    ann, bob, _ = three_clients(IrcChat())
    ann.send(OPEN, *[LINE] * LINES, "BATCH -1")
    assert len(bob.lines()) == LINES + 2
    # each line feed counts one byte
    size = BYTES // 16 - 1
    lines = [f"@batch=1 PRIVMSG #c {'x' * size}"] * 15
    most = [*lines, f"@batch=1 PRIVMSG #c {'x' * (size + 1)}"]
    ann.send(OPEN, *most, "BATCH -1")
    assert len(bob.lines()) == 16 + 2
    more = [*lines, f"@batch=1 PRIVMSG #c {'x' * (size + 2)}"]
    assert fails(ann, OPEN, *more, "BATCH -1") == ["MULTILINE_MAX_BYTES 4096"]
    # concatenated lines have no line feed between them
    more[-1] = more[-1].replace("@batch=1 ", "@batch=1;draft/multiline-concat ")
    ann.send(OPEN, *more, "BATCH -1")
    assert len(bob.lines()) == 16 + 2


@over_tcp("an invalid message closes a WebSocket")
@pytest.mark.parametrize(
    ("wrong", "replies"),
    [
        (b"@batch=1 PRIVMSG #c :\xff", ["FAIL", "FAIL"]),
        (b"@batch=1 PRIVMSG #c :a\0b", ["FAIL", "FAIL"]),
        (b"@batch=1 PRIVMSG #c :" + b"x" * 600, ["417", "FAIL"]),
        (b"@batch=1;a=" + b"x" * 5000 + b" PRIVMSG #c :x", ["417", "FAIL"]),
    ],
    ids=["not UTF-8", "NUL", "long", "tags"],
)
def test_invalid_line_invalidates_its_batch(wrong: bytes, replies: list[str]) -> None:
    """A message without one of its lines is never delivered."""
    ann, bob, cid = three_clients(IrcChat())
    ann.send("CAP REQ standard-replies", OPEN, LINE)
    answer = ann.raw(wrong + b"\r\n").decode()
    assert [command(line) for line in answer.split("\r\n")[:-1]] == replies
    assert ann.send(LINE, "BATCH -1") == []
    assert bob.lines() == cid.lines() == []
    ann.send(OPEN, LINE, LINE, "BATCH -1")
    assert len(bob.lines()) == 4


def test_other_command_ends_a_batch() -> None:
    """ "Once a client has opened a batch, it MUST NOT send any messages that are not part of the
    batch, until it is closed" """
    ann, bob, _ = three_clients(IrcChat())
    received = ann.send(OPEN, LINE, "PING a", "PRIVMSG #c :other")
    assert [command(line) for line in received] == ["PONG", "FAIL", "PRIVMSG"]
    assert ann.send(LINE, "BATCH -1") == []
    assert [plain(line) for line in bob.lines()] == [":ann!~ann@localhost PRIVMSG #c :other"]


def test_open_batch_times_out() -> None:
    """ "TIMEOUT <reference-tag>: the batch was left open for too long, all past and future
    messages in this batch will be ignored." """
    chat = IrcChat(ping=0.0)
    ann, bob, _ = three_clients(chat)
    ann.send(f"@label=x {OPEN}", LINE)
    chat.clock.advance(BATCH_TIMEOUT + 1)
    [received] = ann.send(LINE)
    assert plain(received).startswith(f"@label=x {SERVER} FAIL BATCH TIMEOUT 1 :")
    assert ann.send(LINE, "BATCH -1") == []
    assert bob.lines() == []
    ann.send(OPEN, LINE)
    chat.clock.advance(BATCH_TIMEOUT + 1)
    assert fails(ann, "BATCH -1") == ["TIMEOUT 1"]


def test_timeout_of_a_batch_whose_name_begins_with_a_colon() -> None:
    """Modern IRC: a parameter that begins with a colon can only be the last one of a line."""
    chat = IrcChat(ping=0.0)
    ann, _, _ = three_clients(chat)
    ann.send("BATCH +:1 draft/multiline #c")
    chat.clock.advance(BATCH_TIMEOUT + 1)
    assert fails(ann, "@batch=:1 PRIVMSG #c :x") == ["TIMEOUT 1"]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["BATCH +1 nosuch #c"], "FAIL BATCH MULTILINE_INVALID"),
        ([OPEN, LINE, "@batch=1 PRIVMSG #d x"], "FAIL BATCH MULTILINE_INVALID_TARGET"),
        ([OPEN, "BATCH -1"], "FAIL BATCH MULTILINE_INVALID"),
    ],
)
def test_errors_have_the_label(lines: list[str], answer: str) -> None:
    ann, _, _ = three_clients(IrcChat())
    received = ann.send(f"@label=x {lines[0]}", *lines[1:])
    assert [plain(line).startswith(f"@label=x {SERVER} {answer}") for line in received] == [True]


@pytest.mark.parametrize("target", ["#nowhere", "nobody"])
def test_multiline_message_to_a_nonexistent_target(target: str) -> None:
    ann, _, _ = three_clients(IrcChat())
    [received] = ann.send(
        f"@label=x BATCH +1 draft/multiline {target}", f"@batch=1 PRIVMSG {target} x", "BATCH -1"
    )
    assert command(received) in ("401", "403")
    assert tags(received)["label"] == "x"


def test_label_is_acknowledged_without_echo() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", "batch", "draft/multiline", "labeled-response", joined="#c")
    assert ann.send(f"@label=x {OPEN}", LINE, LINE) == []
    assert ann.send("BATCH -1") == [f"@label=x {SERVER} ACK"]


def test_batch_without_the_capability() -> None:
    """ "This specification depends on the batch capability which MUST be negotiated" """
    chat = IrcChat()
    for nick, wanted in (("ann", ()), ("bob", ("draft/multiline",)), ("cid", ("batch",))):
        client = chat.irc_client(nick, *wanted, joined="#c")
        assert client.numerics(OPEN) == ["421"]
        assert client.send(LINE) == []  # without the capability the tag has no meaning
    assert len(chat.kept_messages("#c")) == 3


def test_multiline_statusmsg() -> None:
    chat = IrcChat()
    ann, bob, _ = three_clients(chat)
    bob.send("BATCH +1 draft/multiline @#c", "@batch=1 PRIVMSG @#c a", "@batch=1 PRIVMSG @#c b")
    bob.send("BATCH -1")
    assert plain(ann.lines()[0]).endswith(" draft/multiline @#c")


def test_multiline_message_is_redacted_as_a_whole() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", *ALL, "draft/message-redaction", joined="#c")
    id = tags(ann.send(OPEN, LINE, LINE, "BATCH -1")[0])["msgid"]
    assert [command(line) for line in ann.send(f"REDACT #c {id}")] == ["REDACT"]
    assert not chat.kept_messages("#c")
