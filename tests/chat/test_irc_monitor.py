"""MONITOR (https://ircv3.net/specs/extensions/monitor), and extended-monitor."""

from __future__ import annotations

import pytest
from chat.irc_chat import SERVER, IrcChat


def test_monitor_add_replies_with_online_and_offline() -> None:
    """MONITOR +: 'If any of the targets being added are online, the server will generate
    RPL_MONONLINE numerics listing those targets that are online'; likewise offline."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.text_client("zoe")
    assert ann.send("MONITOR + Zoe,bob,Zoe") == [
        f"{SERVER} 730 ann :zoe!text@localhost",
        f"{SERVER} 731 ann :bob",
    ]


def test_changes_of_presence_are_sent() -> None:
    """People of both frontends; a nick change ends one presence and begins another."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    ann.send("MONITOR + bob,zoe")
    bob = chat.irc_client("bob")
    assert ann.lines() == [f"{SERVER} 730 ann :bob!~bob@localhost"]
    bob.send("NICK Bob")
    assert ann.lines() == []
    bob.send("NICK carl")
    assert ann.lines() == [f"{SERVER} 731 ann :Bob"]
    zoe = chat.text_client("zoe")
    assert ann.lines() == [f"{SERVER} 730 ann :zoe!text@localhost"]
    zoe.type("/quit")
    assert ann.lines() == [f"{SERVER} 731 ann :zoe"]


def test_monitor_remove_and_clear() -> None:
    """MONITOR - and MONITOR C: 'No output will be returned for use of this command.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    ann.send("MONITOR + bob,carl,dan")
    assert ann.send("MONITOR - BOB") == []
    chat.irc_client("bob")
    assert ann.send("MONITOR L") == [
        f"{SERVER} 732 ann :carl,dan",
        f"{SERVER} 733 ann :End of MONITOR list",
    ]
    assert ann.send("MONITOR C") == []
    assert ann.send("MONITOR L") == [f"{SERVER} 733 ann :End of MONITOR list"]
    chat.irc_client("carl")
    assert ann.lines() == []
    assert ann.send("MONITOR -", "MONITOR +") == []


def test_monitor_status() -> None:
    """MONITOR S: 'Outputs for each target in the list being monitored, whether the client is online
    or offline.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    assert ann.send("MONITOR S") == []
    ann.send("MONITOR + bob,carl")
    chat.irc_client("bob")
    ann.lines()
    assert ann.send("monitor s") == [
        f"{SERVER} 730 ann :bob!~bob@localhost",
        f"{SERVER} 731 ann :carl",
    ]


def test_targets_are_listed_as_the_client_sent_them() -> None:
    """MONITOR L: 'Outputs the list of targets currently being monitored.' CASEMAPPING is ascii: a
    client would not recognize a name that is folded further."""
    ann = IrcChat().irc_client("ann")
    assert ann.send("MONITOR + Émile,Weiß") == [f"{SERVER} 731 ann :Émile,Weiß"]
    assert ann.send("MONITOR + émile,weiss") == [f"{SERVER} 731 ann :émile,weiss"]
    assert ann.send("MONITOR L")[0] == f"{SERVER} 732 ann :Émile,Weiß"
    assert ann.send("MONITOR S") == [f"{SERVER} 731 ann :Émile,Weiß"]
    ann.send("MONITOR - WEISS")
    assert ann.send("MONITOR L")[0] == f"{SERVER} 732 ann :Émile"


def test_monitor_list_is_bounded() -> None:
    """ERR_MONLISTFULL: '<nick> <limit> <targets> :Monitor list is full.', 'the list of targets that
    cannot be added'; earlier targets are added."""
    chat = IrcChat(bounds={"watched": 2})
    ann = chat.irc_client("ann")
    assert ann.send("MONITOR + bob,carl,dan,eve") == [
        f"{SERVER} 731 ann :bob,carl",
        f"{SERVER} 734 ann 2 dan,eve :Monitor list is full.",
    ]
    assert ann.send("MONITOR + bob") == [f"{SERVER} 731 ann :bob"]


@pytest.mark.parametrize("size", [2, 7, 8, 9, 30])
def test_monlistfull_names_all_refused_targets(size: int) -> None:
    """ERR_MONLISTFULL: 'the <targets> parameter is the list of targets, as the client sent them,
    that cannot be added', in as many lines as necessary."""
    ann = IrcChat(bounds={"watched": 1}).irc_client("a" * 30)
    names = [letter * size for letter in "abcdefghijklmnopqrstuvwxyz"[: 480 // (size + 1)]]
    received = ann.send(f"MONITOR + {','.join(names)}")[1:]
    assert all(line.endswith(" :Monitor list is full.") for line in received)
    assert [name for line in received for name in line.split(" ")[4].split(",")] == names[1:]


def test_long_monitor_list_is_split() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    names = [f"n{number:02}{'x' * 25}" for number in range(90)]
    for at in range(0, 90, 10):
        ann.send(f"MONITOR + {','.join(names[at : at + 10])}")
    *lines, _ = ann.send("MONITOR L")
    assert len(lines) > 4
    assert [name for line in lines for name in line.split(" :")[1].split(",")] == names


@pytest.mark.parametrize("target", ["*!user@localhost", "bo*", "#tea", ":x y"])
def test_targets_that_are_no_nicknames_are_ignored(target: str) -> None:
    """'target' MUST be a valid nick as determined by the IRC daemon.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    assert ann.send(f"MONITOR + {target}") == []
    assert ann.numerics("MONITOR L") == ["733"]


def test_unknown_monitor_subcommand() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", "standard-replies")
    assert ann.send("MONITOR x") == [
        f"{SERVER} FAIL MONITOR UNKNOWN_SUBCOMMAND x :MONITOR takes +, -, C, L and S"
    ]
    assert ann.numerics("MONITOR") == ["461"]


@pytest.mark.parametrize("extended", [True, False])
def test_extended_monitor(extended: bool) -> None:
    """extended-monitor: 'the server MUST send' AWAY, CHGHOST and SETNAME 'for nicks that are being
    monitored', to clients with these capabilities."""
    chat = IrcChat()
    caps = ["away-notify", "chghost", "setname", *["extended-monitor"] * extended]
    ann = chat.irc_client("ann", *caps)
    chat.text_client("zoe")
    ann.send("MONITOR + zoe")
    zoe = chat.person("zoe")
    chat.hub.set_away(zoe.clients[0], "gone")
    chat.hub.set_host(zoe.clients[0], "example.org")
    chat.hub.set_real_name(zoe.clients[0], "Zoe Z")
    assert ann.lines() == extended * [
        ":zoe!text@localhost AWAY :gone",
        ":zoe!text@localhost CHGHOST text example.org",
        ":zoe!text@example.org SETNAME :Zoe Z",
    ]
