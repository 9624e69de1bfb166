"""The built-in commands."""

from __future__ import annotations

import pytest

from tcpd.line.builtin import help_, services, starttls, time, uptime, whoami
from tcpd.line.command import PlainFacts
from tcpd.line.loading import load_commands
from tcpd.line.reply import CommandError, Reply, Then, WrongArguments
from tcpd.line.testing import MemoryContext, make_request
from tcpd.net.credentials import Credentials
from tcpd.net.directory import ServiceEntry
from tcpd.net.tls import TLSFacts

COMMANDS = load_commands(points=())
MAY_START_TLS = PlainFacts("line", "192.0.2.1:4711", can_start_tls=True)
UNDER_TLS = PlainFacts(
    "line", "[2001:db8::1]:4711", TLSFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", None)
)


def test_help_lists_all_commands() -> None:
    """ "the commands that the connection can use, with their arguments" """
    assert help_.call(make_request(commands=COMMANDS, connection=MAY_START_TLS)) == Reply(
        214,
        (
            "commands; HELP and a name describes one:",
            "ECHO text",
            "HANDSHAKE [json|utf8]",
            "HELP [command]",
            "LAYERS [json|utf8]",
            "PING [token]",
            "QUIT",
            "SERVICES",
            "STARTTLS",
            "TCPINFO [json|utf8|watch SECONDS]",
            "TIME",
            "UPTIME",
            "WHOAMI",
        ),
    )


@pytest.mark.parametrize("connection", [None, UNDER_TLS], ids=["no starttls=", "TLS is on"])
def test_help_omits_unusable_commands(connection: PlainFacts | None) -> None:
    """ "STARTTLS is listed if its reply would be ``220``" """
    reply = help_.call(make_request(commands=COMMANDS, connection=connection))
    assert isinstance(reply, Reply)
    assert len(reply.lines) == len(list(COMMANDS))  # a heading more, STARTTLS less
    assert "STARTTLS" not in reply.lines
    with pytest.raises(CommandError) as caught:
        help_.call(make_request("starttls", commands=COMMANDS, connection=connection))
    assert (caught.value.code, caught.value.text) == (502, "STARTTLS is not available here")
    with pytest.raises(CommandError) as caught:
        help_.call(make_request("starttsl", commands=COMMANDS, connection=connection))
    assert caught.value.text == "starttsl is not a command, HELP lists the commands"


def test_help_describes_one_command() -> None:
    """ "or the description of one command" """
    assert help_.call(make_request("ping", commands=COMMANDS)) == Reply(
        214, ("PING [token]", "Answers PONG, and the token if there is one.")
    )


@pytest.mark.parametrize(
    ("word", "hint"), [("PIGN", "did you mean PING?"), ("x" * 4000, "HELP lists the commands")]
)
def test_help_of_unknown_command(word: str, hint: str) -> None:
    """ "``501`` for an unknown command" """
    with pytest.raises(CommandError) as caught:
        help_.call(make_request(word, commands=COMMANDS))
    assert caught.value.code == 501
    assert caught.value.text == f"{word[:32]} is not a command, {hint}"


def test_time() -> None:
    """RFC 3339 section 5.6; "the time in UTC as in RFC 3339"."""
    context = MemoryContext()
    assert time.call(make_request(context=context)) == "2026-03-01T17:05:09Z"
    context.clock.advance(0.999)
    assert time.call(make_request(context=context)) == "2026-03-01T17:05:09Z"


def test_uptime() -> None:
    """ "the uptime of the daemon" """
    context = MemoryContext(started=100.0)
    context.clock.advance(100 + 93784.5)
    assert uptime.call(make_request(context=context)) == "93784 seconds (1 day, 2:03:04)"


def test_whoami_without_tls() -> None:
    """ "``address`` and the client's address" """
    assert whoami.call(make_request()) == Reply(250, ("address 192.0.2.1:4711", "tls none"))


def test_whoami_with_tls() -> None:
    """ "with TLS also ``cipher`` and its name" """
    assert whoami.call(make_request(connection=UNDER_TLS)) == Reply(
        250, ("address [2001:db8::1]:4711", "tls TLSv1.3", "cipher TLS_AES_256_GCM_SHA384")
    )


def test_whoami_on_a_unix_socket() -> None:
    """ "on a UNIX socket also ``credentials`` of the client from the kernel" """
    facts = PlainFacts("line", "unix", credentials=Credentials(11, 22, 33))
    assert whoami.call(make_request(connection=facts)) == Reply(
        250, ("address unix", "credentials uid 22 gid 33 pid 11", "tls none")
    )


def test_services() -> None:
    """ "a line for each service of the daemon: its name, its protocol, and its listeners" """
    context = MemoryContext(
        services=[
            ServiceEntry("echo", "echo", "", ("127.0.0.1:7007", "127.0.0.1:7007 udp")),
            ServiceEntry("ctl", "line", "", ()),
        ]
    )
    assert services.call(make_request(context=context)) == (
        "echo echo 127.0.0.1:7007, 127.0.0.1:7007 udp\nctl line -"
    )


def test_starttls() -> None:
    """ "``220``, then the TLS handshake." """
    connection = PlainFacts("line", "192.0.2.1:1", can_start_tls=True)
    assert starttls.call(make_request(connection=connection)) == Reply(
        220, ("ready for TLS",), Then.START_TLS
    )


@pytest.mark.parametrize(("connection", "code"), [(UNDER_TLS, 503), (None, 502)])
def test_starttls_unavailable(connection: PlainFacts | None, code: int) -> None:
    """ "``503`` if TLS is already active; ``502`` if the listener has no ``starttls=``." """
    with pytest.raises(CommandError) as caught:
        starttls.call(make_request(connection=connection))
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["QUIT", "SERVICES", "STARTTLS", "TIME", "UPTIME", "WHOAMI"])
def test_arguments_are_rejected(name: str) -> None:
    """Code 501: "Wrong arguments"."""
    found = COMMANDS.find(name)
    assert found is not None
    with pytest.raises(WrongArguments):
        found.call(make_request("some"))


def test_whoami_escapes_certificate_names() -> None:
    """A line end in the subject starts no new line of the reply."""
    tls = TLSFacts("TLSv1.3", "X", None, "ab", "CN=a\r\n250 x\x1b[1m", ("b\n",))
    reply = whoami.call(make_request(connection=PlainFacts("line", "192.0.2.1:1", tls)))
    assert isinstance(reply, Reply)
    assert reply.lines[-2:] == (r"subject CN=a\x0d\x0a250 x\x1b[1m", r"name b\x0a")
