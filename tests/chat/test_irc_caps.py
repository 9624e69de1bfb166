"""CAP (https://ircv3.net/specs/extensions/capability-negotiation), and STS (.../sts)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chat.irc_chat import IrcChat, IrcTestClient, command, with_remote_address
from chat.transports import over_tcp

from tcpd.chat.irc import caps
from tcpd.net.directory import ServiceEntry


def capabilities(line: str) -> list[str]:
    return line.partition(" :")[2].split()


def test_ls_suspends_registration_until_end() -> None:
    """ "If a server receives an LS subcommand while client registration is in progress, it MUST
    suspend registration until an END subcommand is received from the client." """
    client = IrcChat().irc_client()
    received = client.numerics("CAP LS 302", "NICK ann", "USER ann 0 * :Ann")
    assert set(received) == {"CAP"}
    assert client.numerics("CAP END")[0] == "001"


def test_req_suspends_registration_until_end() -> None:
    """ "If a server receives a REQ subcommand while client registration is in progress, it MUST
    suspend registration until an END subcommand is received." """
    client = IrcChat().irc_client()
    assert client.numerics("CAP REQ multi-prefix", "NICK ann", "USER ann 0 * :Ann") == ["CAP"]
    assert client.numerics("CAP END")[0] == "001"


@pytest.mark.parametrize("line", ["CAP LIST", "CAP NOSUCH"])
def test_other_subcommands_do_not_suspend_registration(line: str) -> None:
    client = IrcChat().irc_client()
    assert "001" in client.numerics(line, "NICK ann", "USER ann 0 * :Ann")


@pytest.mark.parametrize(
    "wanted", ["foo qux bar baz qux quux", "foo multi-prefix bar", "multi-prefix bar", "sts"]
)
def test_req_with_an_unsupported_capability_is_rejected_as_a_whole(wanted: str) -> None:
    """ "The capability identifier set must be accepted as a whole, or rejected entirely." """
    client = IrcChat().irc_client()
    assert client.send(f"CAP REQ :{wanted}") == [f":chat.example.net CAP * NAK :{wanted}"]
    assert client.send("CAP LIST") == [":chat.example.net CAP * LIST :"]


@pytest.mark.parametrize(
    "wanted", ["server-time", " batch  server-time ", "-batch", "-batch batch"]
)
def test_ack_echoes_the_request(wanted: str) -> None:
    client = IrcChat().irc_client()
    received = client.send(f"CAP REQ :{wanted}")
    assert received == [f":chat.example.net CAP * ACK :{wanted}"]


def test_req_without_a_colon() -> None:
    """The specification of extended-isupport has "CAP REQ batch draft/extended-isupport"."""
    client = IrcChat().irc_client()
    assert client.send("CAP REQ batch server-time") == [
        ":chat.example.net CAP * ACK :batch server-time"
    ]


def test_ack_longer_than_a_line_is_split() -> None:
    """ "a server MUST NOT change the capabilities of the client until the last ACK of the set has
    been sent": no line has a time tag yet."""
    client = IrcChat().irc_client()
    wanted = " ".join([*["multi-prefix"] * 37, "server-time"])
    received = client.send(f"CAP REQ :{wanted}")
    assert len(received) == 2
    assert [line.startswith(":chat.example.net CAP * ACK :") for line in received] == [True, True]
    assert " ".join(line.partition(" :")[2] for line in received) == wanted
    assert "time=" in client.send("CAP LIST")[0]


def test_capabilities_can_be_disabled() -> None:
    """ "Each capability identifier may be prefixed with a dash (-) to designate that the
    capability should be disabled." """
    client = IrcChat().irc_client("ann", "server-time", "echo-message")
    assert client.send("PING x")[0].startswith("@time=")
    client.send("CAP REQ -server-time")
    assert capabilities(client.send("CAP LIST")[0]) == ["echo-message", "cap-notify"]
    assert client.send("PING x") == [":chat.example.net PONG chat.example.net :x"]


def test_unknown_subcommand() -> None:
    """ "numeric 410 (ERR_INVALIDCAPCMD) should be sent" """
    client = IrcChat().irc_client()
    assert client.send("CAP FOO") == [":chat.example.net 410 * FOO :Invalid CAP command"]
    assert client.send("CAP :a b") == [":chat.example.net 410 * a :Invalid CAP command"]
    assert client.send("CAP ACK batch") == [":chat.example.net 410 * ACK :Invalid CAP command"]


def test_ls_of_version_301() -> None:
    """ "If a client has not indicated support for CAP LS 302 features, the server MUST NOT send
    these new features to the client." """
    client = IrcChat(sts=3600.0).irc_client()
    [line] = client.send("CAP LS")
    assert line.startswith(":chat.example.net CAP * LS :")
    assert "=" not in line
    assert set(capabilities(line)) == set(caps.CAPABILITIES)


def test_ls_of_version_301_fits_one_line() -> None:
    chat = IrcChat()
    chat.irc.server.name = "a" * 40 + ".example.net"
    client = chat.irc_client("n" * 30)
    [line] = client.send("CAP LS")
    assert set(capabilities(line)) == set(caps.CAPABILITIES)


def test_ls_of_version_302() -> None:
    """ "all but the last reply MUST have a parameter containing only an asterisk (*)" """
    client = IrcChat().irc_client()
    received = client.send("CAP LS 307")
    assert all(line.startswith(":chat.example.net CAP * LS * :") for line in received[:-1])
    assert received[-1].startswith(":chat.example.net CAP * LS :")
    words = [word for line in received for word in capabilities(line)]
    values = {name: each.value for name, each in caps.CAPABILITIES.items()} | {
        "draft/multiline": "max-bytes=4096,max-lines=32"
    }
    assert words == [f"{name}={value}" if value else name for name, value in values.items()]


def test_long_ls_is_split() -> None:
    chat = IrcChat()
    chat.irc.server.name = "a" * 200 + ".example"
    client = chat.irc_client()
    received = client.send("CAP LS 302")
    assert len(received) > 1
    assert [line.split(" ")[4] for line in received] == ["*"] * (len(received) - 1) + [
        received[-1].split(" ")[4]
    ]
    assert {word.partition("=")[0] for line in received for word in capabilities(line)} == set(
        caps.CAPABILITIES
    )


def test_lower_version_does_not_replace_a_higher_one() -> None:
    """ "servers SHOULD return a CAP LS reply consistent with the request's version, but keep
    storing the original (higher) version." """
    client = IrcChat().irc_client()
    client.send("CAP LS 302")
    [line] = client.send("CAP LS")
    assert "=" not in line
    client.send("CAP REQ -cap-notify")
    assert capabilities(client.send("CAP LIST")[0]) == ["cap-notify"]


def test_cap_notify_is_implicit_with_version_302() -> None:
    """ "servers MUST NOT disable the cap-notify capability if the client requests CAP LS with a
    version of 302 or newer" """
    client = IrcChat().irc_client()
    client.send("CAP LS 302")
    assert capabilities(client.send("CAP LIST")[0]) == ["cap-notify"]
    assert command(client.send("CAP REQ -cap-notify")[0]) == "CAP"
    assert capabilities(client.send("CAP LIST")[0]) == ["cap-notify"]


def test_cap_notify_can_be_disabled_with_version_301() -> None:
    """ "Such clients MAY explicitly disable the capability, and servers MUST allow these clients
    to do so." """
    client = IrcChat().irc_client()
    client.send("CAP REQ cap-notify")
    assert capabilities(client.send("CAP LIST")[0]) == ["cap-notify"]
    client.send("CAP REQ -cap-notify")
    assert capabilities(client.send("CAP LIST")[0]) == []


def test_cap_after_registration() -> None:
    """ "The server MUST accept the CAP command at any time, including after registration." """
    client = IrcChat().irc_client("ann")
    assert client.send("CAP REQ echo-message") == [":chat.example.net CAP ann ACK :echo-message"]
    assert set(client.numerics("CAP LS 302")) == {"CAP"}
    # "If the client is already registered, this command MUST be ignored by the server."
    assert client.send("CAP END") == []
    client.send("JOIN #c")
    assert client.send("PRIVMSG #c :hi") == [":ann!~ann@localhost PRIVMSG #c :hi"]


@pytest.mark.parametrize("name", sorted(caps.NAMELESS))
def test_no_implicit_names_capability(name: str) -> None:
    """ "When negotiated, servers MUST NOT send an implicit NAMES reply after sending a JOIN
    message." """
    client = IrcChat().irc_client("ann", name)
    assert client.send("JOIN #c") == [":ann!~ann@localhost JOIN #c"]


# --- sts ---


def sts(client: IrcTestClient, line: str = "CAP LS 302") -> str | None:
    words = [word for line in client.send(line) for word in capabilities(line)]
    return next((word for word in words if word.partition("=")[0] == "sts"), None)


def listening(chat: IrcChat, *listeners: str) -> None:
    entries = [
        ServiceEntry("echo", "echo", "", ("*:7 tls=main",)),
        ServiceEntry(chat.context.service, "irc", "", listeners),
    ]
    context: Any = chat.context
    context.directory = lambda: entries


def test_sts_of_insecure_clients_has_a_port() -> None:
    """ "An STS capability advertised on an insecure connection with at least a port key present
    expresses an STS upgrade policy" """
    chat = IrcChat(sts=86400.0)
    listening(chat, "*:6667", "*:6697 tls=main")
    assert sts(with_remote_address(chat.irc_client())) == "sts=port=6697"


def test_sts_of_secure_clients_has_a_duration() -> None:
    """ "The value of this key MUST be given as a single integer which represents the number of
    seconds until the persistence policy expires." """
    chat = IrcChat(sts=86400.0)
    listening(chat, "*:6667", "*:6697 tls=main")
    client = with_remote_address(chat.irc_client(), secure=True)
    assert sts(client) == "sts=duration=86400"
    # "Clients MUST NOT request this capability"
    assert client.send("CAP REQ sts") == [":chat.example.net CAP * NAK :sts"]


def test_sts_duration_of_zero_revokes_the_policy() -> None:
    """ "A duration value of 0 indicates an immediate expiry of the STS persistence policy." """
    chat = IrcChat(sts=0.0)
    listening(chat, "*:6667", "*:6697 tls=main")
    assert sts(with_remote_address(chat.irc_client(), secure=True)) == "sts=duration=0"
    assert sts(with_remote_address(chat.irc_client())) is None


@over_tcp("one of the clients connects by a UNIX socket")
def test_changed_sts_policy_is_announced() -> None:
    """ "the server MUST notify the client about all new capabilities"; of sts, "Servers MUST NOT
    send CAP DEL to disable this capability"."""
    chat = IrcChat()
    listening(chat, "*:6667", "*:6697 tls=main")
    plain, tls = (
        with_remote_address(chat.irc_client()),
        with_remote_address(chat.irc_client(), secure=True),
    )
    old, local = with_remote_address(chat.irc_client()), chat.irc_client()
    for client in (plain, tls, local):
        client.send("CAP LS 302")
    old.send("CAP LS", "CAP REQ cap-notify")

    def reconfigured(duration: float | None) -> list[list[str]]:
        chat.irc.reconfigure(replace(chat.irc.settings, sts=duration))
        return [client.lines() for client in (plain, tls, old, local)]

    new = ":chat.example.net CAP * NEW :sts="
    assert reconfigured(60.0) == [[f"{new}port=6697"], [f"{new}duration=60"], [], []]
    assert reconfigured(90.0) == [[], [f"{new}duration=90"], [], []]
    assert reconfigured(0.0) == [[], [f"{new}duration=0"], [], []]
    assert reconfigured(0.0) == [[], [], [], []]
    assert reconfigured(None) == [[], [], [], []]


def test_changed_multiline_limits_are_announced() -> None:
    """multiline: 'max-bytes' and 'max-lines' are the value of the capability; cap-notify: "the
    server MUST notify the client about all new capabilities and about existing capabilities that
    are no longer available", "Servers MUST cancel any capability-specific behavior"."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "batch", "draft/multiline")
    old = chat.irc_client("old")
    old.send("CAP REQ :cap-notify batch draft/multiline")
    bob = chat.irc_client("bob")
    bob.send("CAP REQ :batch draft/multiline")
    assert "draft/multiline=max-bytes=4096,max-lines=32" in " ".join(ann.send("CAP LS 302"))

    def reconfigured(**changes: int) -> list[list[str]]:
        chat.irc.reconfigure(replace(chat.irc.settings, **changes))
        return [client.lines() for client in (ann, old, bob)]

    def cap(nick: str, words: str) -> list[str]:
        return [f":chat.example.net CAP {nick} {words}"]

    new = "NEW :draft/multiline=max-bytes=8192,max-lines=2"
    assert reconfigured(multiline_bytes=8192, multiline_lines=2) == [cap("ann", new), [], []]
    assert reconfigured(ping=60) == [[], [], []]
    line = "@batch=1 PRIVMSG ann :x"
    three = ("BATCH +1 draft/multiline ann", line, line, line, "BATCH -1")
    assert "MULTILINE_MAX_LINES 2 " in ann.send(*three)[0]
    ann.send(*three[:2])
    gone = "DEL :draft/multiline"
    assert reconfigured(multiline_lines=0) == [cap("ann", gone), cap("old", gone), []]
    assert "MULTILINE_MAX_LINES 0 " in ann.send(line)[0]
    assert ann.send("BATCH -1") == []
    for client in (ann, old, bob):
        assert client.numerics("BATCH +1 draft/multiline ann") == ["421"]
        assert "draft/multiline" not in client.send("CAP LIST")[0]
        assert " NAK " in client.send("CAP REQ draft/multiline")[0]
        assert "draft/multiline" not in client.send("CAP LS")[0]
    new = "NEW :draft/multiline"
    value = "=max-bytes=8192,max-lines=9"
    assert reconfigured(multiline_lines=9) == [cap("ann", new + value), cap("old", new), []]


@over_tcp("one of the clients connects by a UNIX socket")
def test_sts_is_not_advertised_without_a_policy() -> None:
    chat = IrcChat()
    listening(chat, "*:6697 tls=main")
    assert sts(with_remote_address(chat.irc_client())) is None
    chat = IrcChat(sts=86400.0)
    listening(chat, "*:6667")
    assert sts(with_remote_address(chat.irc_client())) is None
    listening(chat, "*:6697 tls=main")
    assert sts(chat.irc_client()) is None  # a UNIX socket
    assert (
        sts(with_remote_address(chat.irc_client()), "CAP LS") is None
    )  # version 301 has no values
