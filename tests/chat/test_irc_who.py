"""WHO and WHOX (https://ircv3.net/specs/extensions/whox)."""

from __future__ import annotations

import pytest
from chat.irc_chat import IrcChat, IrcTestClient, command, hide_room
from chat.transports import over_tcp

from tcpd.chat.irc.commands import who

END = "End of WHO list"


def flags(lines: list[str]) -> dict[str, str]:
    """The flags in RPL_WHOREPLY, by nickname."""
    words = [line.split(" ") for line in lines if line.split(" ")[1] == "352"]
    return {each[7]: each[8] for each in words}


def nicks(lines: list[str]) -> list[str]:
    return list(flags(lines))


def test_who_of_a_channel() -> None:
    """Modern IRC, RPL_WHOREPLY: '<client> <channel> <username> <host> <server> <nick> <flags>
    :<hopcount> <realname>', with the channel of the query."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea,#coffee")
    chat.irc_client("bob", joined="#tea,#coffee")
    ann.lines()
    for name in ("#tea", "#coffee"):
        assert ann.send(f"WHO {name}") == [
            f":chat.example.net 352 ann {name} ~ann localhost chat.example.net ann H@ :0 Ann",
            f":chat.example.net 352 ann {name} ~bob localhost chat.example.net bob H :0 Bob",
            f":chat.example.net 315 ann {name} :{END}",
        ]


def test_who_finds_text_clients() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#lobby")
    chat.text_client("zoe")
    ann.lines()
    assert ann.send("WHO zoe") == [
        ":chat.example.net 352 ann * text localhost chat.example.net zoe H :0 zoe",
        f":chat.example.net 315 ann zoe :{END}",
    ]


@pytest.mark.parametrize("mask", ["ann", "ANN", "an*", "?nn", "*!~ann@*", "~ann", "A*n", "ann!*"])
def test_who_by_mask(mask: str) -> None:
    """Modern IRC: "mask: ... if the mask is not a channel, ... matched against" names; and
    RPL_ENDOFWHO: 'MUST be exactly the <mask> parameter sent by the client'."""
    chat = IrcChat()
    chat.irc_client("ann")
    bob = chat.irc_client("bob")
    received = bob.send(f"WHO {mask}")
    assert nicks(received) == ["ann"]
    assert received[-1] == f":chat.example.net 315 bob {mask} :{END}"


def test_who_by_real_name_and_host() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob")
    assert nicks(ann.send("WHO :?OB")) == ["bob"]
    assert nicks(ann.send("WHO localhost")) == ["ann", "bob"]
    assert nicks(ann.send("WHO 0")) == ["ann", "bob"]
    assert nicks(ann.send("WHO *")) == ["ann", "bob"]


@pytest.mark.parametrize("mask", ["nobody", "#nowhere", ":", ":#", ":::", "[", "*" * 400 + "x"])
def test_who_without_a_match_is_the_end_only(mask: str) -> None:
    """Modern IRC: for a nickname that does not exist, RPL_ENDOFWHO alone."""
    chat = IrcChat()
    chat.text_client("zoe")
    assert chat.irc_client("ann").numerics(f"WHO {mask}") == ["315"]


def test_flags() -> None:
    """Modern IRC, RPL_WHOREPLY: '<flags> contains the following characters, in this order': H or G,
    '*', 'the highest channel membership prefix that the client has in <channel>', and 'one or more
    user mode characters and other arbitrary server-specific flags', such as B of bots.
    multi-prefix: 'the server MUST send all prefixes in order of rank'."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob", "multi-prefix", joined="#tea")
    chat.hub.set_away(chat.person("ann").clients[0], "gone")
    chat.set_mode(chat.person("ann"), "o", True)
    chat.person("ann").bot = True
    chat.hub.room("#tea").members[chat.person("ann")] = 5  # type: ignore[union-attr]
    assert flags(bob.send("WHO #tea")) == {"ann": "G*@+B", "bob": "H"}
    assert flags(ann.send("WHO #tea")) == {"ann": "G*@B", "bob": "H"}
    assert flags(ann.send("WHO ann")) == {"ann": "G*B"}


def test_who_operators_only() -> None:
    """Modern IRC: '<o>: only operators are returned'."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    chat.irc_client("bob", joined="#tea")
    chat.set_mode(chat.person("bob"), "o", True)
    assert nicks(ann.send("WHO #tea o")) == ["bob"]
    assert nicks(ann.send("WHO * o")) == ["bob"]
    assert nicks(ann.send("WHO ann o")) == []


def test_invisible_user_is_found_by_members_of_a_shared_channel() -> None:
    """Modern IRC, mode i: 'will not show up in commands such as WHO or NAMES unless they share a
    channel with the person that submitted the command'."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob")
    chat.set_mode(chat.person("ann"), "i", True)
    for mask in ("an*", "*", "#tea"):
        assert "ann" not in nicks(bob.send(f"WHO {mask}"))
        assert "ann" in nicks(ann.send(f"WHO {mask}"))
    chat.set_mode(chat.person("bob"), "o", True)
    assert nicks(bob.send("WHO an*")) == ["ann"]
    chat.set_mode(chat.person("bob"), "o", False)
    bob.send("JOIN #tea")
    for mask in ("an*", "*", "#tea"):
        assert "ann" in nicks(bob.send(f"WHO {mask}"))


def test_invisible_user_is_found_by_exact_nickname() -> None:
    """Modern IRC, "WHO message": 'An exact nickname, in which case a single user is returned. A
    mask pattern, in which case all visible users whose nickname matches are listed.'"""
    chat = IrcChat()
    chat.irc_client("ann")
    bob = chat.irc_client("bob")
    chat.set_mode(chat.person("ann"), "i", True)
    assert nicks(bob.send("WHO ANN")) == ["ann"]
    assert nicks(bob.send("WHO ?nn")) == []


def test_who_of_a_secret_channel() -> None:
    """Modern IRC, mode s: hidden from users outside the channel."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    bob = chat.irc_client("bob")
    hide_room(chat, "#tea")
    assert nicks(ann.send("WHO #tea")) == ["ann"]
    assert nicks(bob.send("WHO #tea")) == []


@over_tcp("the client's address is in the reply")
def test_whox_fields_are_in_the_specified_order() -> None:
    """WHOX: '<client> [token] [channel] [user] [ip] [host] [server] [nick] [flags] [hopcount]
    [idle] [account] [oplevel] [:realname]', and 0 without an account."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    received = ann.send("WHO #tea %roaldfnshiuct,123")
    assert received == [
        ":chat.example.net 354 ann 123 #tea ~ann 255.255.255.255 localhost chat.example.net ann"
        " H@ 0 0 0 n/a :Ann",
        f":chat.example.net 315 ann #tea :{END}",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("%n", "ann"),
        ("%tn,321", "321 ann"),
        ("%nt", "0 ann"),
        ("%tn,1234", "0 ann"),
        ("%na", "ann 0"),
        ("%zn", "ann"),
    ],
)
def test_whox_returns_the_requested_fields(options: str, words: str) -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    assert ann.send(f"WHO ann {options}")[0] == f":chat.example.net 354 ann {words}"


def test_long_who_does_not_overflow_the_outbox() -> None:
    chat = IrcChat(bounds={"outbox": 16384})
    ann = chat.irc_client("ann", joined="#tea")
    for number in range(200):
        chat.irc_client(f"bob{number:03}", joined="#tea")
        ann.lines()
    received: list[str] = ann.send("WHO #tea")
    for _ in range(100):
        received += ann.lines()
    assert len(nicks(received)) == 201
    assert received[-1].split(" ")[1] == "315"
    assert not ann.closed


@pytest.mark.parametrize("caps", [(), ("server-time",), ("labeled-response", "batch")])
def test_long_who_search_yields_to_other_clients(
    caps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A match of ten thousand people takes some 60 ms: it takes several turns, and later lines of
    the client wait."""
    monkeypatch.setattr(who, "_PER_TURN", 10)
    chat = IrcChat()
    ann = chat.irc_client("ann", *caps)
    for number in range(95):
        chat.irc_client(f"bob{number:02}")
    ann.lines()
    label = "@label=x " if "labeled-response" in caps else ""
    ann.protocol.dataReceived(f"{label}WHO *nobody\r\nPING x\r\n".encode())
    turns = 0
    while ann.session.streaming:  # type: ignore[union-attr]
        ann.protocol.work(chat.clock.seconds())
        turns += 1
    assert turns >= 6
    received = [command(line) for line in ann.lines()]
    assert received == (["BATCH", "315", "BATCH"] if label else ["315"]) + ["PONG"]


def test_labelled_who_is_one_batch() -> None:
    """labeled-response: a reply of several lines is a batch."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "labeled-response", "batch", joined="#tea")
    received = ann.send("@label=x WHO #tea")
    assert received[0] == "@label=x :chat.example.net BATCH +b1 labeled-response"
    assert all(line.startswith("@batch=b1 ") for line in received[1:-1])
    assert received[-1] == ":chat.example.net BATCH -b1"


def test_who_requires_a_mask() -> None:
    """Modern IRC: ERR_NEEDMOREPARAMS."""
    client: IrcTestClient = IrcChat().irc_client("ann")
    assert client.numerics("WHO") == ["461"]
