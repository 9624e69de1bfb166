"""Settings, plan and environment of programs."""

from __future__ import annotations

import os
import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from tcpd.config.errors import SettingError
from tcpd.net.credentials import Credentials
from tcpd.net.tls import TLSFacts
from tcpd.relay.exec_environment import clean_environment, connection_variables
from tcpd.relay.exec_plan import ProgramUser, make_plan
from tcpd.relay.exec_settings import COMMAND, ENVIRONMENT, ExecSettings

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may name other users")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/bin/cat", ("/bin/cat",)),
        ("/bin/echo 'a b' \"c d\" e\\ f", ("/bin/echo", "a b", "c d", "e f")),
        ("/bin/echo\n  a\n  b", ("/bin/echo", "a", "b")),
        ("/bin/echo $HOME ; rm *", ("/bin/echo", "$HOME", ";", "rm", "*")),
        ("/bin/echo ''", ("/bin/echo", "")),
    ],
)
def test_a_command_is_split_without_a_shell(text: str, words: tuple[str, ...]) -> None:
    assert COMMAND.parse(text) == words


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"))))
def test_a_shown_command_parses_back(words: list[str]) -> None:
    command = ("/bin/echo", *words)
    assert COMMAND.parse(COMMAND.show(command)) == command


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty"),
        ("cat", "not an absolute path"),
        ("/bin/echo 'a", "cannot be split"),
        ("/bin/echo 'a\nb'", "line end"),
    ],
)
def test_an_invalid_command_is_rejected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        COMMAND.parse(text)


def test_environment_lines_are_parsed() -> None:
    variables = (("A", "1"), ("B", "x = y"), ("EMPTY", ""))
    assert ENVIRONMENT.parse("\nA=1\nB=x = y\nEMPTY=\n") == variables
    assert ENVIRONMENT.parse(ENVIRONMENT.show(variables)) == variables


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A", "not NAME=VALUE"),
        ("1A=x", "not NAME=VALUE"),
        ("=x", "not NAME=VALUE"),
        ("A=1\nA=2", "given twice"),
        ("PROTO=TCP", "set by tcpd"),
        ("TCPREMOTEIP=1", "set by tcpd"),
        ("SSL_CIPHER=1", "set by tcpd"),
    ],
)
def test_an_invalid_environment_is_rejected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ENVIRONMENT.parse(text)


def plan(uid: int = 1000, command: str = "/bin/cat", **keys: Any) -> Any:
    return make_plan(ExecSettings(command=(command,), **keys), uid, {})


@pytest.mark.parametrize(
    ("uid", "keys", "key", "says"),
    [
        (1000, {"command": "/nonexistent/x"}, "command", "No such file"),
        (1000, {"command": "/etc/passwd"}, "command", "not an executable file"),
        (1000, {"command": "/bin"}, "command", "not an executable file"),
        (1000, {"directory": "/etc/passwd"}, "directory", "not a directory"),
        (0, {}, "user", "going to run as root"),
        (0, {"user": "nobody-there"}, "user", "no user 'nobody-there'"),
        (0, {"user": "root", "group": "nobody-there"}, "group", "no group"),
        (0, {"user": "4000000"}, "group", "give a group"),
        (0, {"user": "99999999999"}, "user", "no user"),
        (1000, {"user": "root"}, "user", "only root can change its user"),
        (1000, {"group": "4000000"}, "group", "only root can change its group"),
    ],
)
def test_a_program_that_cannot_run_is_rejected(uid: int, keys: Any, key: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        plan(uid, **keys)
    assert caught.value.key == key


def test_only_root_may_exceed_the_hard_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard in (resource.RLIM_INFINITY,) or hard >= 1_000_000:
        pytest.skip("this system sets no hard limit that could be exceeded")
    with pytest.raises(SettingError, match="hard limit"):
        plan(files=hard + 1)


def test_limits_without_prlimit_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpd.relay.exec_plan._PLACES", "/nonexistent")
    assert plan().arguments == ("/bin/cat",)
    with pytest.raises(SettingError, match="install util-linux"):
        plan(cpu=1.0)


def test_a_system_without_pidfds_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    with pytest.raises(SettingError, match=r"Linux 5\.3"):
        plan()


@ROOT
def test_root_runs_the_program_as_its_user_and_groups() -> None:
    assert plan(0, user="4711", group="4712").identity == ProgramUser(4711, 4712, (4712,))
    nobody = plan(0, user="nobody").identity
    assert nobody.gid in nobody.groups
    assert 0 not in nobody.groups


def test_a_daemon_without_root_does_not_change_the_user() -> None:
    assert plan(1000, user="1000").identity is None


def test_path_is_set_if_the_daemon_has_none() -> None:
    assert "/usr/bin" in clean_environment({}, ())["PATH"].split(":")
    manager = {"NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "30000000"}
    assert clean_environment(manager, ()).keys() == {"PATH"}, "a program is not the daemon"
    assert clean_environment({"PATH": "/a", "LANG": "C", "HOME": "/h"}, (("LANG", "x"),)) == {
        "PATH": "/a",
        "LANG": "x",
    }


class FactsTransport:
    def __init__(self, peer: Any, host: Any) -> None:
        self.getPeer = lambda: peer
        self.getHost = lambda: host


class ClientFacts:
    service = "s"
    id = "7"
    credentials: Any = None
    tls: Any = None


def test_ipv4_has_the_variables_of_tcpserver() -> None:
    """tcp-environ(5) of ucspi-tcp; no variable that needs DNS."""
    transport = FactsTransport(
        IPv4Address("TCP", "192.0.2.1", 4711), IPv4Address("TCP", "192.0.2.2", 7)
    )
    assert connection_variables(transport, None, "Here.Example") == {
        "PROTO": "TCP",
        "TCPLOCALHOST": "here.example",
        "TCPLOCALIP": "192.0.2.2",
        "TCPLOCALPORT": "7",
        "TCPREMOTEIP": "192.0.2.1",
        "TCPREMOTEPORT": "4711",
    }


def test_ipv6_has_the_variables_of_ucspi_tcp6() -> None:
    """tcp-environ(5) of ucspi-tcp6: PROTO is TCP6, and both families of names are set."""
    transport = FactsTransport(
        IPv6Address("TCP", "fe80::1%eth0", 4711), IPv6Address("TCP", "fe80::2%eth0", 7)
    )
    found = connection_variables(transport, None, "h")
    assert found["PROTO"] == "TCP6"
    assert found["TCPREMOTEIP"] == found["TCP6REMOTEIP"] == "fe80::1"
    assert found["TCPLOCALPORT"] == found["TCP6LOCALPORT"] == "7"
    assert found["TCP6INTERFACE"] == "eth0"


def test_a_unix_socket_has_the_variables_of_ucspi_unix() -> None:
    facts = ClientFacts()
    facts.credentials = Credentials(11, 22, 33)
    transport = FactsTransport(UNIXAddress(None), UNIXAddress(b"/run/x"))
    assert connection_variables(transport, facts, "h") == {
        "PROTO": "UNIX",
        "UNIXLOCALPATH": "/run/x",
        "UNIXREMOTEPID": "11",
        "UNIXREMOTEEUID": "22",
        "UNIXREMOTEEGID": "33",
        "TCPD_SERVICE": "s",
        "TCPD_CONNECTION": "7",
    }


def test_tls_has_the_variables_of_mod_ssl() -> None:
    """Text chosen by the client has no control characters."""
    facts = ClientFacts()
    facts.tls = TLSFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "a\x1b[31m\0b")
    transport = FactsTransport(UNIXAddress(None), UNIXAddress(None))
    found = connection_variables(transport, facts, "h")
    assert found["SSL_PROTOCOL"] == "TLSv1.3"
    assert found["SSL_CIPHER"] == "TLS_AES_256_GCM_SHA384"
    assert found["SSL_TLS_SNI"] == "a\ufffd[31m\ufffdb"
