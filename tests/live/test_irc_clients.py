"""Real IRC clients: irssi, WeeChat and irc-framework, in one room with a client of chat."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PATIENCE, Daemon
from terminal import Screen, has
from text_client import PlainTextClient
from wires import need

pytestmark = pytest.mark.live

CONFIG = """
[tcpd]
server_name = test.example
[policy:default]
per_address = 1000
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[service:irc]
protocol = irc
network = TestNet
websocket_origins = any
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
    127.0.0.1:0 websocket
    127.0.0.1:0 tls=main websocket
[service:chat]
protocol = chat
listen =
    127.0.0.1:0
"""

IRSSI = """
servers = ({{
  address = "localhost"; chatnet = "TestNet"; port = "{port}"; autoconnect = "yes";
  use_tls = "yes"; tls_verify = "yes"; tls_cafile = "{ca}";
}});
chatnets = {{ TestNet = {{ type = "IRC"; nick = "irssi"; }}; }};
channels = ({{ name = "#tea"; chatnet = "TestNet"; autojoin = "yes"; }});
settings = {{
  core = {{ real_name = "Ir Ssi"; user_name = "irssi"; nick = "irssi"; }};
  # by default it sends a line each 2.2 seconds after the first five
  "irc/core" = {{ cmd_queue_speed = "10msec"; }};
}};
"""


def test_irssi(
    start: Callable[[str], Daemon], screen: Callable[[str], Screen], tmp_path: Path
) -> None:
    """ "connect over TLS, join, talk with a person on nc, see topic and modes" """
    need("irssi")
    daemon = start(CONFIG)
    ann = PlainTextClient(daemon, "ann", "#tea")
    ann.type("/topic #tea Assam or Darjeeling")
    ann.sees("set the topic")
    home = tmp_path / "irssi"
    home.mkdir()
    config = IRSSI.format(
        port=daemon.ports["irc", "tls=main"], ca=daemon.directory / "localhost.pem"
    )
    (home / "config").write_text(config)
    window = screen(f"irssi --home={home}")
    ann.sees("* irssi joined #tea")
    window.keys("M-2")
    lines = window.shows(has("Assam or Darjeeling"))
    assert any("@ann" in line for line in lines)
    ann.type("hello irssi, with an ü")
    window.shows(has("hello irssi, with an ü"))
    window.type("hello nc, with an ö\n")
    assert ann.sees("<irssi>") == "#tea <irssi> hello nc, with an ö\r\n"
    window.type("/me waves\n")
    ann.sees("* irssi waves")
    ann.type("/op irssi")
    window.shows(has("mode/#tea [+o irssi]"))
    window.type("/topic #tea Green\n")
    ann.sees("* irssi set the topic of #tea: Green")
    window.type("/quit see you\n")
    assert "see you" in ann.sees("* irssi left the chat")
    window.shows(has("ended with 0"))
    ann.close()


def test_weechat(
    start: Callable[[str], Daemon], screen: Callable[[str], Screen], tmp_path: Path
) -> None:
    """With all capabilities that WeeChat requests."""
    need("weechat")
    daemon = start(CONFIG)
    ann = PlainTextClient(daemon, "ann", "#tea")
    ann.type("/topic #tea Assam or Darjeeling")
    home = tmp_path / "weechat"
    commands = [
        f"/set weechat.network.gnutls_ca_user {daemon.directory}/localhost.pem",
        f"/server add net localhost/{daemon.ports['irc', 'tls=main']} -ssl -nicks=weechat",
        "/set irc.server_default.capabilities *",
        "/set irc.server.net.autojoin #tea",
        "/connect net",
    ]
    runs = " ".join(f"-r '{command}'" for command in commands)
    window = screen(f"weechat --dir {home} {runs}")
    ann.sees("* weechat joined #tea")
    window.type("/buffer #tea\n")
    window.shows(has("Assam or Darjeeling"))
    ann.type("hello weechat, with an ü")
    window.shows(has("hello weechat, with an ü"))
    window.type("hello nc, with an ö\n")
    assert ann.sees("<weechat>") == "#tea <weechat> hello nc, with an ö\r\n"
    ann.type("/op weechat")
    window.shows(has("+o weechat"))
    window.type("/mode +i\n")
    ann.sees("made #tea invite-only")
    window.type("/quit see you\n")
    ann.sees("* weechat left the chat")
    ann.close()


@pytest.fixture
def framework() -> Path:
    """The path of framework.js; skips the test if its packages are not installed."""
    need("node")
    program = Path(__file__).with_name("framework.js")
    words = "require.resolve('irc-framework'); require.resolve('ws')"
    command = ["node", "-e", words]
    found = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    if found.returncode:
        pytest.skip("irc-framework and ws are not in NODE_PATH (npm install irc-framework ws)")
    return program


def test_irc_framework(start: Callable[[str], Daemon], framework: Path) -> None:
    """ "a WebSocket IRC client library from npm (irc-framework) talks to it" """
    daemon = start(CONFIG)
    ann = PlainTextClient(daemon, "ann", "#tea")
    ann.type("/topic #tea Assam")
    ann.sees("set the topic")
    port = str(daemon.ports["irc", "websocket"])
    program = subprocess.Popen(
        ["node", str(framework), port], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        ann.sees("* web joined #tea")
        ann.type("hällo")
        assert ann.sees("<web>") == "#tea <web> HÄLLO\r\n"
        ann.type("go")
        assert "see you" in ann.sees("* web left the chat")
        printed, _ = program.communicate(timeout=PATIENCE)
    finally:
        program.kill()
        program.communicate(timeout=PATIENCE)
        ann.close()
    assert program.returncode == 0, printed
    lines = printed.splitlines()
    assert lines[:2] == ["registered web", "join web #tea TestNet"]
    assert "topic #tea Assam" in lines
    assert "userlist ann,web" in lines
    assert "privmsg ann #tea hällo timed" in lines
