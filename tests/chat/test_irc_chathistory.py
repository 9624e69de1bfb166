"""draft/chathistory: https://ircv3.net/specs/extensions/chathistory."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from chat.doubles import LateHistory
from chat.irc_chat import ANN, BOB, SERVER, IrcChat, IrcTestClient, command, hide_room, plain, tags
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from tcpd.chat.irc.chathistory import BadHistoryRequest, parse_chathistory
from tcpd.chat.irc.client import CHUNK_BYTES
from tcpd.chat.irc.server import MAX_HISTORY

CAPS = ("batch", "server-time", "message-tags", "draft/chathistory")

#: The time of the first message of :func:`tea`, and that of its message 3.
START = 1_700_000_000.0
THIRD = "timestamp=2023-11-14T22:13:22.000Z"

#: The parameters of TARGETS for an interval of ten years.
TIMES = "timestamp=2020-01-01T00:00:00.000Z timestamp=2030-01-01T00:00:00.000Z"

REFUSED = "Messages could not be retrieved"


def tea(count: int = 5, *more: str, **settings: Any) -> tuple[IrcChat, IrcTestClient]:
    """A chat in which ann has sent "1", "2" and so on to #tea, one each second; and bob, who has
    joined it since then."""
    chat = IrcChat(**settings)
    ann = chat.irc_client("ann", joined="#tea")
    for number in range(count):
        at(chat, START + number)
        ann.send(f"PRIVMSG #tea :{number + 1}")
    return chat, chat.irc_client("bob", *CAPS, *more, joined="#tea")


def at(chat: IrcChat, time: float) -> None:
    chat.now = itertools.repeat(time)


def inner(lines: list[str], kind: str = "chathistory #tea") -> list[str]:
    """The lines in a batch, without its tag. Checks the lines around them."""
    start, *found, end = lines
    name = start.rpartition(" +")[2].partition(" ")[0]
    assert plain(start) == f"{SERVER} BATCH +{name} {kind}"
    assert plain(end) == f"{SERVER} BATCH -{name}"
    for line in found:
        assert line.startswith(f"@batch={name}")
    return [line.replace(f"@batch={name};", "@", 1) for line in found]


def texts(lines: list[str]) -> str:
    """The texts of the messages in a batch."""
    return " ".join(line.rpartition(" :")[2] for line in inner(lines))


def msgids(chat: IrcChat, room: str = "#tea") -> list[str]:
    return [str(message.id) for message in chat.kept_messages(room)]


# --- capability and tokens ---


def test_capability_and_tokens() -> None:
    """ "CHATHISTORY MUST be sent to the client to state the maximum number of messages a client can
    request in a single command"; "MSGREFTYPES SHOULD be sent, with a comma-separated list of types
    of message references they support" """
    ann = IrcChat(bounds={"history_kept": 1000}).irc_client("ann")
    words = " ".join(ann.send("CAP LS 302", "ISUPPORT")).split(" ")
    assert "draft/chathistory" in words
    assert {f"CHATHISTORY={MAX_HISTORY}", "MSGREFTYPES=msgid,timestamp"} <= set(words)


def test_limit_is_at_most_what_is_kept() -> None:
    ann = IrcChat(bounds={"history_kept": 7}).irc_client("ann")
    assert "CHATHISTORY=7" in " ".join(ann.send("ISUPPORT")).split(" ")


def test_nothing_is_offered_without_history() -> None:
    """ "If 0, the client SHOULD assume that there is no maximum number of messages": the token is
    omitted. A request is replied to all the same: "If no content exists to return, the server
    SHOULD return an empty batch"."""
    _, bob = tea(bounds={"history_kept": 0})
    offered = " ".join(bob.send("CAP LS 302", "ISUPPORT"))
    assert "chathistory" not in offered.lower()
    bob.send("CAP REQ batch")
    assert inner(bob.send("CHATHISTORY LATEST #tea * 5")) == []


def test_capability_is_not_required() -> None:
    """ "Servers SHOULD NOT enforce that clients support all related capabilities before using the
    chathistory extension"; without ``batch`` the lines come alone."""
    chat, _ = tea(2)
    cid = chat.irc_client("cid", joined="#tea")
    assert cid.send("CHATHISTORY LATEST #tea * 5") == [
        f"{ANN} PRIVMSG #tea :1",
        f"{ANN} PRIVMSG #tea :2",
    ]


# --- subcommands ---


@pytest.mark.parametrize(
    ("params", "found"),
    [
        # "Request up to limit number of the most recent messages"; "after and excluding that
        # timestamp or msgid"
        ("LATEST #tea * 2", "4 5"),
        ("LATEST #tea * 1000", "1 2 3 4 5"),
        ("latest #TEA * 1", "5"),
        ("LATEST #tea {3} 1", "5"),
        (f"LATEST #tea {THIRD} 9", "4 5"),
        # "before and excluding the given timestamp or msgid"
        ("BEFORE #tea {3} 1", "2"),
        (f"BEFORE #tea {THIRD} 9", "1 2"),
        ("BEFORE #tea {1} 9", ""),
        # "after and excluding the given timestamp or msgid"
        ("AFTER #tea {3} 1", "4"),
        (f"AFTER #tea {THIRD} 9", "4 5"),
        ("AFTER #tea {5} 9", ""),
        # "before and after the timestamp or msgid with the total number ... not exceeding limit"
        ("AROUND #tea {3} 1", "3"),
        ("AROUND #tea {3} 3", "2 3 4"),
        (f"AROUND #tea {THIRD} 3", "2 3 4"),
        # "counted starting from and excluding the first message selector, while finishing on and
        # excluding the second. This may be forwards or backwards in time."
        ("BETWEEN #tea {1} {5} 2", "2 3"),
        ("BETWEEN #tea {5} {1} 2", "3 4"),
        (f"BETWEEN #tea {{1}} {THIRD} 9", "2"),
        (f"BETWEEN #tea {THIRD} {THIRD} 9", ""),
    ],
)
def test_messages_that_a_subcommand_selects(params: str, found: str) -> None:
    """ "SHOULD be ascending time order ... regardless of the subcommand used" """
    chat, bob = tea()
    names = ["", *(f"msgid={msgid}" for msgid in msgids(chat))]
    assert texts(bob.send(f"CHATHISTORY {params.format(*names)}")) == found


def test_times_are_compared_in_milliseconds() -> None:
    """server-time has three digits: messages at 0.1231 s and 0.1239 s have one timestamp."""
    chat, bob = tea(0)
    for time in (0.1221, 0.1231, 0.1239, 0.1241):
        at(chat, START + time)
        bob.send(f"PRIVMSG #tea :{time}")
    stamp = "timestamp=2023-11-14T22:13:20.123Z"
    assert texts(bob.send(f"CHATHISTORY BEFORE #tea {stamp} 9")) == "0.1221"
    assert texts(bob.send(f"CHATHISTORY AFTER #tea {stamp} 9")) == "0.1241"
    lines = inner(bob.send("CHATHISTORY LATEST #tea * 9"))
    assert [tags(line)["time"][-4:] for line in lines] == ["122Z", "123Z", "123Z", "124Z"]


def test_limit_of_a_request_is_the_token() -> None:
    _, bob = tea(5, bounds={"history_kept": 3})
    assert texts(bob.send("CHATHISTORY LATEST #tea * 100")) == "3 4 5"


# --- what is sent ---


def test_messages_are_sent_as_they_were() -> None:
    """ "The msgid tag that identifies each individual message in a response MUST be the msgid tag
    as originally sent"; "The server-time tag on each message SHOULD be the time at which the
    message was received by the IRC server." """
    chat, bob = tea(0)
    cid = chat.irc_client("cid", joined="#tea")
    cid.send("MODE cid +B")
    bob.lines()
    live = []
    for time, line in enumerate(
        ("PRIVMSG #tea :hi", "NOTICE #tea :a b", "PRIVMSG #tea :\x01ACTION waves\x01")
    ):
        at(chat, START + time)
        cid.send(line)
        live += bob.lines()
    at(chat, START + 60)
    assert set(tags(live[0])) == {"time", "msgid", "bot"}
    assert inner(bob.send("CHATHISTORY LATEST #tea * 9")) == live


def test_tags_are_those_of_the_clients_capabilities() -> None:
    chat, _ = tea(1)
    cid = chat.irc_client("cid", "batch", joined="#tea")
    assert cid.send("CHATHISTORY LATEST #tea * 9")[1] == f"@batch=b1 {ANN} PRIVMSG #tea :1"


def test_events_and_client_only_tags_are_not_sent() -> None:
    """ "If the client has not negotiated the draft/event-playback capability, the server MUST NOT
    send any lines other than PRIVMSG and NOTICE in the reply batch" """
    _, bob = tea(0)
    bob.send(
        *("TOPIC #tea :x", "@+a=b TAGMSG #tea", "@+a=b PRIVMSG #tea :hi", "PRIVMSG @#tea :ranks"),
        *("PRIVMSG bob :private", "AWAY :out"),
    )
    [line] = inner(bob.send("CHATHISTORY LATEST #tea * 9"))
    assert plain(line) == f"{BOB} PRIVMSG #tea :hi"


def test_relayed_message() -> None:
    chat, _ = tea(0)
    ann = chat.irc_client("eve", joined="#pot")
    cid = chat.irc_client("cid", *CAPS, "draft/relaymsg", joined="#pot")
    ann.send("RELAYMSG #pot far/zoe :hi")
    live = cid.lines()
    assert tags(live[0])["draft/relaymsg"] == "eve"
    assert inner(cid.send("CHATHISTORY LATEST #pot * 9"), "chathistory #pot") == live


def multiline(chat: IrcChat) -> list[str]:
    """Send a message of two lines to #tea. Return it as a client with the capability gets it."""
    cid = chat.irc_client("cid", *CAPS, "draft/multiline", "echo-message", joined="#tea")
    lines = ("@batch=1 PRIVMSG #tea :one", "@batch=1;draft/multiline-concat PRIVMSG #tea :two")
    return cid.send("BATCH +1 draft/multiline #tea", *lines, "BATCH -1")


def test_multiline_message_is_an_inner_batch() -> None:
    """batch: "Start and end messages of one batch MAY refer to another batch. If they do, they both
    MUST have batch tag, and they MUST refer to the same batch." """
    chat, bob = tea(1, "draft/multiline")
    live = multiline(chat)
    bob.lines()
    start, first, *rest, end = bob.send("CHATHISTORY LATEST #tea * 9")
    name = tags(first)["batch"]
    assert start.endswith(f" BATCH +{name} chathistory #tea")
    assert end.endswith(f" BATCH -{name}")
    opening, *lines, closing = live
    assert rest == [
        opening.replace("@", f"@batch={name};", 1),
        *lines,
        f"@batch={name} {closing}",
    ]


def test_multiline_message_is_lines_for_other_clients() -> None:
    """ "Servers MUST only include a message ID on the first message of a batch when sending a
    fallback to non-supporting clients." """
    chat, bob = tea(0)
    multiline(chat)
    live = bob.lines()[-2:]
    assert inner(bob.send("CHATHISTORY LATEST #tea * 1")) == live
    assert ["msgid" in tags(line) for line in live] == [True, False]


def test_messages_of_a_renamed_room_have_its_name() -> None:
    """ "the canonical name of the target being queried": a client would show messages with the
    former name in another room."""
    chat = IrcChat()
    ann = chat.irc_client("ann", *CAPS, joined="#tea")
    ann.send("PRIVMSG #tea :hi", "RENAME #tea #Pot")
    [line] = inner(ann.send("CHATHISTORY LATEST #pot * 9"), "chathistory #Pot")
    assert line.endswith(f"{ANN} PRIVMSG #Pot :hi")


def test_redacted_message_is_not_sent() -> None:
    """message-redaction: "After a message is redacted, chathistory responses SHOULD either: exclude
    it entirely" or add the REDACT."""
    chat, bob = tea(0)
    bob.send("PRIVMSG #tea :one", "PRIVMSG #tea :two")
    bob.send(f"REDACT #tea {msgids(chat)[0]}")
    assert texts(bob.send("CHATHISTORY LATEST #tea * 9")) == "two"


# --- targets ---


def test_targets() -> None:
    """ "it lists channels the user has visible history in ... ordered by the time of the latest
    message"; "where the timestamp is the time of the latest message" """
    chat, bob = tea(3)
    bob.send("JOIN #pot,#quiet", "CAP REQ -server-time")
    for room, time in (("#pot", 10.0), ("#other", 11.0), ("#tea", 12.5)):
        at(chat, START + time)
        chat.irc_client(f"x{room[1:]}", joined=room).send(f"PRIVMSG {room} :hi")
    bob.lines()
    first, later = (f"timestamp=2023-11-14T22:13:{second}Z" for second in ("20.000", "32.501"))
    pot = f"{SERVER} CHATHISTORY TARGETS #pot 2023-11-14T22:13:30.000Z"
    tea_line = f"{SERVER} CHATHISTORY TARGETS #tea 2023-11-14T22:13:32.500Z"

    def found(*params: str) -> list[str]:
        lines = bob.send(f"CHATHISTORY TARGETS {' '.join(params)}")
        return [line.partition(" ")[2] for line in inner(lines, "draft/chathistory-targets")]

    assert found(first, later, "9") == [pot, tea_line]
    # "The parameters have the same semantics as BETWEEN"
    assert found(later, first, "9") == [pot, tea_line]
    assert found(first, later, "1") == [pot]
    assert found(later, first, "1") == [tea_line]
    # the latest message of #tea is outside of the interval
    assert found(first, "timestamp=2023-11-14T22:13:32.500Z", "9") == [pot]
    assert found("timestamp=2023-11-14T22:13:30.000Z", later, "9") == [tea_line]
    bob.send("PART #tea")
    assert found(first, later, "9") == [pot]


# --- errors ---


@pytest.mark.parametrize("name", ["#none", "#secret", "#locked", "ann", "bob", "*"])
def test_rooms_of_others_are_refused(name: str) -> None:
    """ "If the target does not exist or the client does not have permissions to query it, the
    INVALID_TARGET error code SHOULD be returned"; "Servers MUST ensure that users cannot obtain
    history they are not authorised to view." A secret room is refused as one that does not
    exist."""
    chat, bob = tea()
    ann = chat.irc_client("eve", joined="#secret,#locked")
    ann.send("PRIVMSG #secret :x", "MODE #locked +k key", "PRIVMSG #locked :x")
    hide_room(chat, "#secret")
    answer = f"{SERVER} FAIL CHATHISTORY INVALID_TARGET LATEST {name} :{REFUSED}"
    assert [plain(line) for line in bob.send(f"CHATHISTORY LATEST {name} * 9")] == [answer]


def test_former_member_is_refused() -> None:
    _, bob = tea()
    assert inner(bob.send("CHATHISTORY LATEST #tea * 1")) != []
    bob.send("PART #tea")
    assert " INVALID_TARGET " in bob.send("CHATHISTORY LATEST #tea * 1")[0]


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ("SOME #tea * 5", "INVALID_PARAMS SOME :Unknown command"),
        ("LATEST #tea *", "INVALID_PARAMS LATEST :Insufficient parameters"),
        ("BETWEEN #tea msgid=x 5", "INVALID_PARAMS BETWEEN :Insufficient parameters"),
        ("LATEST #tea * 5 5", "INVALID_PARAMS LATEST :Too many parameters"),
        ("TARGETS #tea * 5 5", "INVALID_PARAMS TARGETS :Too many parameters"),
        (
            "BEFORE #tea timestamp=2023-02-30T00:00:00.000Z 5",
            "INVALID_PARAMS BEFORE timestamp=2023-02-30T00:00:00.000Z :Invalid timestamp",
        ),
        ("AFTER #tea timestamp=12 5", "INVALID_PARAMS AFTER timestamp=12 :Invalid timestamp"),
        ("TARGETS msgid=x msgid=y 5", "INVALID_PARAMS TARGETS msgid=x :Invalid timestamp"),
        ("AFTER #tea * 5", "INVALID_PARAMS AFTER * :Invalid reference"),
        ("AFTER #tea msgid= 5", "INVALID_PARAMS AFTER msgid= :Invalid reference"),
        ("LATEST #tea * 0", "INVALID_PARAMS LATEST 0 :Invalid limit"),
        ("LATEST #tea * -1", "INVALID_PARAMS LATEST -1 :Invalid limit"),
        ("LATEST #tea * ²", "INVALID_PARAMS LATEST ² :Invalid limit"),
        ("LATEST #tea * :", "INVALID_PARAMS LATEST * :Invalid limit"),
        ("LATEST #tea * ::5 x", "INVALID_PARAMS LATEST 5 :Invalid limit"),
        (
            "AFTER #tea number=5 5",
            "INVALID_MSGREFTYPE AFTER #tea :References are msgid= and timestamp=",
        ),
        (
            "AFTER #tea msgid=x 5",
            "MESSAGE_ERROR AFTER #tea :The message with this msgid is not kept",
        ),
    ],
)
def test_invalid_requests(params: str, answer: str) -> None:
    """ "If the server receives a syntactically invalid CHATHISTORY command ... the INVALID_PARAMS
    error code SHOULD be returned"; the formats are those of "Errors and Warnings". FAIL is sent to
    clients without standard-replies, too."""
    _, bob = tea()
    assert [plain(line) for line in bob.send(f"CHATHISTORY {params}")] == [
        f"{SERVER} FAIL CHATHISTORY {answer}"
    ]


def test_command_alone() -> None:
    """ "If an existing error numeric such as ERR_NEEDMOREPARAMS is appropriate, it MAY be used
    instead." """
    _, bob = tea()
    assert bob.numerics("CHATHISTORY") == ["461"]


@pytest.mark.parametrize("params", ["LATEST #tea * 9", f"TARGETS {TIMES} 9"])
def test_store_that_fails(
    params: str, monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    """ "If no message history can be returned due to an error, the MESSAGE_ERROR error code SHOULD
    be returned" """
    chat, bob = tea()
    monkeypatch.setattr(chat.hub.history, "page", lambda *_: fail(OSError("a broken disk")))
    received = bob.send(f"CHATHISTORY {params}", "PING x")
    logged_failures.expect("a history cannot be read")
    target = "LATEST #tea" if "LATEST" in params else "TARGETS *"
    assert plain(received[0]) == f"{SERVER} FAIL CHATHISTORY MESSAGE_ERROR {target} :{REFUSED}"
    assert command(received[1]) == "PONG"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["LATEST", "#a", "*", "1" * 5000], "INVALID_PARAMS"),
        (["\u0131latest", "#a", "*", "1"], "INVALID_PARAMS"),
        (["AFTER", "#a", "timestamp=9999-99-99T99:99:99.999Z", "1"], "INVALID_PARAMS"),
    ],
)
def test_parameters_that_cannot_be_parsed(words: list[str], code: str) -> None:
    with pytest.raises(BadHistoryRequest) as caught:
        parse_chathistory(words, 10)
    assert caught.value.code == code


# --- requests ---


def test_label_is_on_the_batch() -> None:
    """labeled-response: "The batch type MUST be one of: An existing type applicable to the entire
    response" """
    _, bob = tea(2, "labeled-response")
    start, *rest = bob.send("@label=x CHATHISTORY LATEST #tea * 9")
    assert tags(start).pop("label") == "x"
    assert texts([start.replace("label=x;", ""), *rest]) == "1 2"
    empty = bob.send("@label=y CHATHISTORY BEFORE #tea timestamp=2020-01-01T00:00:00.000Z 9")
    assert [command(line) for line in empty] == ["BATCH", "BATCH"]
    assert [tags(line).get("label") for line in empty] == ["y", None]
    [refused] = bob.send("@label=z CHATHISTORY LATEST #none * 9")
    assert tags(refused)["label"] == "z"


def long_history(*more: str) -> tuple[IrcChat, IrcTestClient]:
    """A chat as of :func:`tea`, whose reply has several chunks."""
    chat, bob = tea(0, *more, bounds={"outbox": 2 * CHUNK_BYTES})
    for number in range(MAX_HISTORY):
        bob.send(f"PRIVMSG #tea :{number} {'x' * 400}")
    return chat, bob


@pytest.mark.parametrize("label", ["", "@label=x "])
def test_long_reply_is_sent_as_the_client_reads(label: str) -> None:
    """:meth:`IrcClient.stream`: a chunk at a time. The client's next line is not processed before
    the end, and other clients are not delayed. The label is on the batch."""
    chat, bob = long_history("labeled-response")
    bob.protocol.dataReceived(f"{label}CHATHISTORY LATEST #tea * 100\r\nPING x\r\n".encode())
    bob.protocol.pauseProducing()
    chat.settle()
    assert bob.session.streaming
    assert bob.session.outbox.size + len(bob.transport.value()) < 2 * CHUNK_BYTES
    bob.protocol.resumeProducing()
    while bob.session.streaming:
        chat.settle()
    *page, pong = bob.lines()
    assert command(pong) == "PONG"
    start = page[0]
    assert tags(start).get("label") == ((label and "x") or None)
    page[0] = start.replace("label=x;", "")
    assert [int(line.rpartition(" :")[2].split(" ")[0]) for line in inner(page)] == list(
        range(MAX_HISTORY)
    )


def test_messages_meanwhile_are_not_in_the_batch() -> None:
    """batch: "The batched events MUST use batch message tag referring to the batch's reference
    tag." """
    chat, bob = long_history()
    ann = chat.irc_client("cid", joined="#tea")
    bob.lines()
    bob.protocol.dataReceived(b"CHATHISTORY LATEST #tea * 100\r\n")
    bob.protocol.pauseProducing()
    assert bob.session.streaming
    ann.send("PRIVMSG #tea :meanwhile")
    bob.protocol.resumeProducing()
    while bob.session.streaming:
        chat.settle()
    lines = bob.lines()
    [live] = [line for line in lines if line.endswith(" :meanwhile")]
    assert "batch" not in tags(live)
    lines.remove(live)
    assert len(inner(lines)) == MAX_HISTORY


def late_tea() -> tuple[IrcChat, IrcTestClient]:
    """A chat as of :func:`tea`, whose history answers later."""
    clock = Clock()
    chat = IrcChat(clock=clock, history=LateHistory(clock))
    ann = chat.irc_client("ann", joined="#tea")
    ann.send("PRIVMSG #tea :1")
    return chat, chat.irc_client("bob", *CAPS, "labeled-response", joined="#tea")


@pytest.mark.parametrize("label", ["", "@label=x "])
@pytest.mark.parametrize(
    "params", ["LATEST #tea * 9", "AFTER #tea msgid=x 9", f"TARGETS {TIMES} 9"]
)
def test_no_line_overtakes_a_late_reply(params: str, label: str) -> None:
    """docs/explanation/structure.rst: "A request is complete before the next line is taken." """
    chat, bob = late_tea()
    assert bob.send(f"{label}CHATHISTORY {params}", "PING x") == []
    chat.clock.advance(LateHistory.delay)
    first, *_, last = bob.lines()
    assert command(first) == ("FAIL" if "msgid" in params else "BATCH")
    assert tags(first).get("label") == ((label and "x") or None)
    assert command(last) == "PONG"


@pytest.mark.parametrize(
    ("params", "answer"),
    [("LATEST #tea * 9", ["FAIL"]), (f"TARGETS {TIMES} 9", ["BATCH", "BATCH"])],
)
@pytest.mark.parametrize("leaves", ["KICK", "lose"])
def test_client_that_leaves_before_the_reply_gets_no_messages(
    params: str, answer: list[str], leaves: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Servers MUST ensure that users cannot obtain history they are not authorised to view." """
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob", *CAPS, joined="#tea")
    ann.send("PRIVMSG #tea :1")
    bob.lines()
    page = chat.kept_messages("#tea")
    held: Deferred[Any] = Deferred()
    monkeypatch.setattr(chat.hub.history, "page", lambda *_: held)
    assert bob.send(f"CHATHISTORY {params}") == []
    if leaves == "KICK":
        ann.send("KICK #tea bob")
        held.callback(page)
        assert bob.numerics() == ["KICK", *answer]
    else:
        bob.lose()
        held.callback(page)
        assert bob.read() == b""


def test_store_that_never_replies_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/explanation/structure.rst: a request that stays open ends the connection."""
    chat, bob = tea()
    monkeypatch.setattr(chat.hub.history, "page", lambda *_: Deferred())
    assert bob.send("CHATHISTORY LATEST #tea * 9") == []
    chat.clock.pump([10.0] * 10)
    assert "the server could not answer in time" in bob.lines()[-1]
