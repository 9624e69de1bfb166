"""labeled-response (https://ircv3.net/specs/extensions/labeled-response)."""

from __future__ import annotations

import pytest
from chat.irc_chat import SERVER, IrcChat, IrcTestClient, command, plain, tags

from tcpd.chat.irc.reply import LABEL_BYTES

CAPS = ("labeled-response", "batch")


def labelled(line: str) -> str:
    return f"@label=x {line}"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("PING y", "PONG chat.example.net :y"),
        ("NOSUCH", "421 ann NOSUCH :Unknown command"),
        ("PRIVMSG", "411 ann :No recipient given (PRIVMSG)"),
        ("PRIVMSG eve :hi", "401 ann eve :there is no nickname eve"),
        ("NICK", "431 ann :No nickname given"),
        ("CAP LIST", "CAP ann LIST :"),
        ("AWAY :x", "306 ann :You have been marked as being away"),
        ("PRIVMSG #c :" + "x" * 500, "417 ann :Input line was too long"),
        ("REDACT #c x", "FAIL REDACT UNKNOWN_MSGID #c x :"),
        ("SETNAME :", "FAIL SETNAME INVALID_REALNAME :"),
    ],
)
def test_reply_of_one_line_has_the_label(line: str, answer: str) -> None:
    """ "the server MUST include the same tag and value in any response produced from this
    message" """
    ann = IrcChat().irc_client("ann", *CAPS, joined="#c")
    [received] = ann.send(labelled(line))
    assert received.startswith(f"@label=x {SERVER} {answer}")


def test_line_with_invalid_utf8_is_answered_with_its_label() -> None:
    """ "This message SHOULD also be given a label, if one was provided by the client" """
    ann = IrcChat().irc_client("ann", *CAPS, joined="#c")
    received = ann.raw(b"@label=x PRIVMSG #c hi\xaa\r\n").decode()
    assert received.startswith(f"@label=x {SERVER} FAIL PRIVMSG INVALID_UTF8 :")


@pytest.mark.parametrize(
    "line", ["PONG x", "PRIVMSG #c :hi", "PRIVMSG bob :hi", "NOTICE eve :hi", "CAP END", "NOTICE"]
)
def test_command_without_a_reply_is_acknowledged(line: str) -> None:
    """ "Servers MUST respond with a labeled ACK message when a client sends a labeled command that
    normally produces no response." """
    chat = IrcChat()
    chat.irc_client("bob")
    ann = chat.irc_client("ann", *CAPS, joined="#c")
    assert ann.send(labelled(line)) == [f"@label=x {SERVER} ACK"]


def test_reply_of_several_lines_is_a_batch() -> None:
    """ "If a response consists of more than one message, a batch MUST be used to group them into a
    single logical response. The start of the batch MUST be tagged with the label tag." """
    ann = IrcChat().irc_client("ann", *CAPS, "server-time", "message-tags")
    first, *lines, last = ann.send(labelled("JOIN #c"))
    assert plain(first).startswith(f"@label=x {SERVER} BATCH +")
    assert first.endswith(" labeled-response")
    name = first.split(" ")[3].removeprefix("+")
    assert plain(last) == f"{SERVER} BATCH -{name}"
    assert [command(line) for line in lines] == ["JOIN", "353", "366"]
    assert {tags(line)["batch"] for line in lines} == {name}
    # "Servers MUST include the tag in exactly one logical message."
    assert not any("label" in tags(line) for line in (*lines, last))


def test_reply_that_is_a_batch_is_not_wrapped() -> None:
    """ "The batch type MUST be one of: An existing type applicable to the entire response" """
    ann = IrcChat().irc_client("ann", *CAPS, "draft/extended-isupport")
    received = ann.send(labelled("ISUPPORT"))
    assert received[0].startswith(f"@label=x {SERVER} BATCH +")
    assert received[0].endswith(" draft/isupport")
    assert sum("BATCH" in line for line in received) == 2


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE", "TAGMSG"])
def test_echo_has_the_label(verb: str) -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", *CAPS, "echo-message", "message-tags", joined="#c")
    bob = chat.irc_client("bob", *CAPS, "echo-message", "message-tags", joined="#c")
    ann.lines()
    bob.lines()
    for target in ("#c", "bob"):
        [received] = ann.send(f"@label=12345;+draft/reply=123 {verb} {target} :hi")
        assert tags(received).pop("label") == "12345"
        [delivered] = bob.lines()
        assert received.replace("label=12345;", "") == delivered
    replies = ann.send(labelled(f"{verb} bob,#c :hi"))
    assert [command(line) for line in replies] == ["BATCH", verb, verb, "BATCH"]


@pytest.mark.parametrize("verb", ["PRIVMSG", "NOTICE", "TAGMSG"])
def test_label_of_a_message_to_the_sender(verb: str) -> None:
    """ "When a client sends a message to itself, the server MUST NOT include the label tag, except
    for any acknowledgment sent with the echo-message mechanism." """
    chat = IrcChat()
    ann = chat.irc_client("ann", *CAPS, "echo-message", "message-tags")
    received = ann.send(labelled(f"{verb} ann :hi"))
    assert [command(line) for line in received] == [verb, verb]
    assert [tags(line).get("label") for line in received] == [None, "x"]
    bob = chat.irc_client("bob", *CAPS, "message-tags")
    received = bob.send(labelled(f"{verb} bob :hi"))
    assert [command(line) for line in received] == [verb, "ACK"]
    assert [tags(line).get("label") for line in received] == [None, "x"]


def test_label_of_a_message_to_sender_and_others() -> None:
    chat = IrcChat()
    chat.irc_client("bob")
    ann = chat.irc_client("ann", *CAPS, "echo-message")
    received = ann.send(labelled("PRIVMSG bob,ann :hi"))
    assert [command(line) for line in received] == [
        "PRIVMSG",
        "BATCH",
        "PRIVMSG",
        "PRIVMSG",
        "BATCH",
    ]
    assert tags(received[0]) == {}


def test_client_only_batch_tag_is_no_batch() -> None:
    """ "The batched events MUST use batch message tag referring to the batch's reference tag." """
    chat = IrcChat()
    chat.irc_client("bob")
    ann = chat.irc_client("ann", *CAPS, "echo-message", "message-tags", joined="#c")
    received = ann.send("@label=x;+batch=1;+y=batch= PRIVMSG bob,#c :hi")
    assert [command(line) for line in received] == ["BATCH", "PRIVMSG", "PRIVMSG", "BATCH"]
    assert all("batch" in tags(line) for line in received[1:-1])


def test_batch_within_a_labelled_reply() -> None:
    """ "Start and end messages of one batch MAY refer to another batch. If they do, they both MUST
    have batch tag, and they MUST refer to the same batch." """
    chat = IrcChat()
    chat.irc_client("bob").send("AWAY :tea")
    ann = chat.irc_client("ann", *CAPS, "echo-message", "draft/multiline")
    ann.send("@label=x BATCH +1 draft/multiline bob", "@batch=1 PRIVMSG bob a")
    received = ann.send("@batch=1 PRIVMSG bob b", "BATCH -1")
    outer = received[0].split(" ")[3].removeprefix("+")
    assert [command(line) for line in received] == [
        *("BATCH", "BATCH", "PRIVMSG", "PRIVMSG", "BATCH", "301", "BATCH")
    ]
    assert [tags(received[number]).get("batch") for number in (1, 4, 5)] == [outer] * 3
    assert {tags(received[number])["batch"] for number in (2, 3)} != {outer}
    assert tags(received[0]) == {"label": "x"}


def test_labelled_quit() -> None:
    ann = IrcChat().irc_client("ann", *CAPS)
    assert ann.send(labelled("QUIT")) == ["@label=x ERROR :Closing Link: ann (Client Quit)"]
    assert ann.closed


@pytest.mark.parametrize("wanted", [(), ("labeled-response",), ("batch",)])
def test_label_is_ignored_without_the_capabilities(wanted: tuple[str, ...]) -> None:
    """ "This specification depends on the batch capability which MUST be negotiated to use labeled
    responses." """
    ann = IrcChat().irc_client("ann", *wanted)
    assert ann.send(labelled("PING y")) == [f"{SERVER} PONG chat.example.net :y"]


@pytest.mark.parametrize(("size", "kept"), [(LABEL_BYTES, True), (LABEL_BYTES + 1, False)])
def test_length_of_a_label_is_bounded(size: int, kept: bool) -> None:
    """ "The value MUST NOT exceed 64 bytes." """
    ann = IrcChat().irc_client("ann", *CAPS)
    [received] = ann.send(f"@label={'x' * size} PING y")
    assert ("label" in tags(received)) == kept


def test_empty_label_is_ignored() -> None:
    """ "This specification adds the label message tag, which has a required value." """
    ann = IrcChat().irc_client("ann", *CAPS)
    assert tags(ann.send("@label PING y")[0]) == {}


def test_escaped_label_is_returned_escaped() -> None:
    ann = IrcChat().irc_client("ann", *CAPS)
    assert ann.send("@label=a\\sb\\:c PING y")[0].startswith("@label=a\\sb\\:c ")


def test_long_reply_is_one_labelled_batch() -> None:
    chat = IrcChat()
    for number in range(900):
        member: IrcTestClient = chat.irc_client(f"n{number:025}")
        member.send("JOIN #c")
    ann = chat.irc_client("ann", *CAPS)
    received = ann.send(labelled("JOIN #c"))
    for _ in range(10):
        chat.clock.advance(0)
        received += ann.lines()
    assert [command(line) for line in (received[0], *received[-2:])] == ["BATCH", "366", "BATCH"]
    assert tags(received[0]) == {"label": "x"}
    assert all("batch" in tags(line) for line in received[1:-1])
