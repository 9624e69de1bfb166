"""Server queries (LUSERS, MOTD, VERSION, ADMIN, INFO, TIME, STATS, LINKS), HELP and HANDSHAKE."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from amounts import examples
from chat.irc_chat import SERVER, IrcChat, command
from chat.transports import over_tcp
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpd.chat.irc.commands.handshake import JSON_PIECE
from tcpd.chat.irc.commands.table import COMMANDS
from tcpd.config.errors import SettingError
from tcpd.handshake.as_json import handshake_json
from tcpd.handshake.facts import Facts
from tcpd.handshake.report import build


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("LUSERS *", "266"),
        ("MOTD", "422"),
        ("VERSION", "005"),
        ("ADMIN", "423"),
        ("INFO", "374"),
        ("TIME", "391"),
        ("USERS", "446"),
        ("STATS u", "219"),
        ("LINKS *", "365"),
    ],
)
def test_server_queries_take_a_target(line: str, last: str) -> None:
    """Modern IRC: 'If <target> is given, ... to the server it names'; otherwise ERR_NOSUCHSERVER. A
    nickname names the server of its user."""
    ann = IrcChat().irc_client("ann")
    assert ann.numerics(line)[-1] == last
    # LINKS takes the server first, and requires the mask then
    before, _, mask = line.partition(" *") if line.startswith("LINKS") else (line, "", "")
    behind = " *" if before != line else mask
    for server in ("chat.example.net", "*.example.net", "ann"):
        assert ann.numerics(f"{before} {server}{behind}")[-1] == last
    received = ann.send(f"{before} irc.example.org{behind}")
    assert received[0] == f"{SERVER} 402 ann irc.example.org :No such server"
    # an unknown server also ends a list, for which clients wait
    ends = [last] if last in ("219", "365", "374") else []
    assert [command(line) for line in received[1:]] == ends


def test_lusers() -> None:
    """Modern IRC, "LUSERS message": 251, 255, 265 and 266, with the people of both frontends."""
    chat = IrcChat()
    ann = chat.irc_client("ann", joined="#tea")
    chat.text_client("zoe")
    chat.irc_client()
    chat.set_mode(chat.person("ann"), "o", True)
    chat.set_mode(chat.person("ann"), "i", True)
    ann.lines()
    assert ann.send("LUSERS") == [
        f"{SERVER} 251 ann :There are 1 users and 1 invisible on 1 servers",
        f"{SERVER} 252 ann 1 :operator(s) online",
        f"{SERVER} 253 ann 1 :unknown connection(s)",
        f"{SERVER} 254 ann 2 :channels formed",
        f"{SERVER} 255 ann :I have 2 clients and 0 servers",
        f"{SERVER} 265 ann 2 2 :Current local users 2, max 2",
        f"{SERVER} 266 ann 2 2 :Current global users 2, max 2",
    ]


def test_motd(tmp_path: Path) -> None:
    """Modern IRC: RPL_MOTDSTART, RPL_MOTD for each line, RPL_ENDOFMOTD."""
    file = tmp_path / "motd"
    file.write_text("Welcome.\n\n\tBe kind. ☕\n", encoding="utf-8")
    ann = IrcChat(motd=str(file)).irc_client("ann")
    assert ann.send("MOTD") == [
        f"{SERVER} 375 ann :- chat.example.net Message of the day - ",
        f"{SERVER} 372 ann :- Welcome.",
        f"{SERVER} 372 ann :- ",
        f"{SERVER} 372 ann :-         Be kind. ☕",
        f"{SERVER} 376 ann :End of /MOTD command.",
    ]


def test_invalid_motd_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot read"):
        IrcChat(motd=str(tmp_path / "none"))
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(SettingError, match="is not UTF-8"):
        IrcChat(motd=str(tmp_path / "latin"))
    (tmp_path / "nul").write_bytes(b"a\0b")
    with pytest.raises(SettingError, match="contains a NUL"):
        IrcChat(motd=str(tmp_path / "nul"))
    for text in ("a\n" * 201, "a" * 8193):
        (tmp_path / "long").write_text(text)
        with pytest.raises(SettingError, match="is longer than 200 lines"):
            IrcChat(motd=str(tmp_path / "long"))


def test_version() -> None:
    """Modern IRC, RPL_VERSION: '<client> <version> <server> :<comments>', and RPL_ISUPPORT."""
    chat = IrcChat(network="Teanet")
    ann = chat.irc_client("ann")
    first, *others = ann.send("VERSION")
    assert first == f"{SERVER} 351 ann {chat.irc.server.version} chat.example.net :Teanet"
    assert {command(line) for line in others} == {"005"}


def test_admin() -> None:
    """Modern IRC: 256 to 259, or ERR_NOADMININFO: '<client> <server> :No administrative info'."""
    ann = IrcChat(admin=("Ann", "the attic", "ann@example.net")).irc_client("ann")
    assert ann.send("ADMIN") == [
        f"{SERVER} 256 ann chat.example.net :Administrative info",
        f"{SERVER} 257 ann :Ann",
        f"{SERVER} 258 ann :the attic",
        f"{SERVER} 259 ann :ann@example.net",
    ]
    bob = IrcChat().irc_client("bob")
    assert bob.send("ADMIN") == [
        f"{SERVER} 423 bob chat.example.net :No administrative info available"
    ]


def test_info_and_time() -> None:
    """Modern IRC, RPL_TIME: '<client> <server> [...] :<human-readable time>'."""
    ann = IrcChat().irc_client("ann")
    assert ann.numerics("INFO") == ["371", "371", "371", "374"]
    assert ann.send("TIME") == [
        f"{SERVER} 391 ann chat.example.net :Tuesday November 14 2023 -- 22:13:20 UTC"
    ]


def test_stats() -> None:
    """RPL_STATSUPTIME, and RPL_ENDOFSTATS with the letter of the query."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc.server.started -= 90061
    assert ann.send("STATS u") == [
        f"{SERVER} 242 ann :Server Up 1 days 1:01:01",
        f"{SERVER} 219 ann u :End of /STATS report",
    ]
    assert ann.send("STATS o") == [f"{SERVER} 219 ann o :End of /STATS report"]
    assert ann.send("STATS ::") == [f"{SERVER} 219 ann * :End of /STATS report"]
    assert ann.numerics("STATS") == ["461"]


def test_links() -> None:
    """RFC 1459 section 4.3.3: RPL_LINKS for each server that matches the mask, then
    RPL_ENDOFLINKS."""
    ann = IrcChat().irc_client("ann")
    end = "End of /LINKS list"
    assert ann.send("LINKS") == [
        f"{SERVER} 364 ann chat.example.net chat.example.net :0 tcpd",
        f"{SERVER} 365 ann * :{end}",
    ]
    assert ann.send("LINKS *.org") == [f"{SERVER} 365 ann *.org :{end}"]


@pytest.mark.parametrize("word", ["HELP", "HELPOP"])
def test_help(word: str) -> None:
    """Modern IRC, "HELP message": RPL_HELPSTART, RPL_HELPTXT, RPL_ENDOFHELP, each with the subject;
    ERR_HELPNOTFOUND for an unknown one, which 'MUST be *' if it cannot be a parameter."""
    ann = IrcChat().irc_client("ann")
    assert ann.send(f"{word} stats") == [
        f"{SERVER} 704 ann STATS :STATS <query> [<server>]",
        f"{SERVER} 705 ann STATS :With u, shows the server's uptime.",
        f"{SERVER} 706 ann STATS :End of help",
    ]
    for subject, shown in (("x", "x"), (":::", "*"), ("ꜱtats", "ꜱtats")):
        assert ann.send(f"{word} {subject}") == [
            f"{SERVER} 524 ann {shown} :No help available on this topic"
        ]


def test_help_index_lists_all_commands() -> None:
    ann = IrcChat().irc_client("ann")
    start, *lines, end = ann.send("HELP")
    assert [command(line) for line in (start, end)] == ["704", "706"]
    listed = [word for line in lines for word in line.split(" :")[1].split(" ")]
    assert listed == sorted(COMMANDS)
    for name, each in COMMANDS.items():
        assert each.help[0].startswith(name) or name == "HELPOP"
        assert len(each.help) > 1
        assert all(len(line) <= 90 for line in each.help)


@over_tcp("requires a connection layer with facts of the connection")
def test_handshake() -> None:
    """docs/reference/irc.rst, HANDSHAKE"""
    chat = IrcChat()
    ann = chat.irc_client("ann", "standard-replies")
    assert ann.send("HANDSHAKE") == [
        f"{SERVER} FAIL HANDSHAKE UNKNOWN :The handshake of your connection is not known"
    ]
    ann.protocol.facts = Facts  # type: ignore[method-assign]
    for words in ("HANDSHAKE", "HANDSHAKE layers"):
        numbers = ann.numerics(words)
        assert set(numbers[:-1]) == {"371"}
        assert numbers[-1] == "374"
    assert ann.send("HANDSHAKE x") == [
        f"{SERVER} FAIL HANDSHAKE UNKNOWN_FORM x :HANDSHAKE takes layers or json"
    ]


@over_tcp("requires a connection layer with facts of the connection")
def test_handshake_as_json_is_split_into_lines() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    ann.protocol.facts = Facts  # type: ignore[method-assign]
    *lines, _ = ann.send("HANDSHAKE json")
    pieces = [line.split(" :", 1)[1] for line in lines]
    assert {len(piece) for piece in pieces[:-1]} == {JSON_PIECE}
    assert json.loads("".join(pieces)) == handshake_json(build(Facts()))


_WORDS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=30
)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(COMMANDS)),
            st.lists(st.sampled_from(["ann", "#tea", "*", "+", "%tn,1", ":"]) | _WORDS, max_size=5),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_any_command_with_any_parameters(
    lines: list[tuple[str, list[str]]], operator: bool
) -> None:
    """Every reply is well-formed: :class:`IrcTestClient` checks each line."""
    chat = IrcChat()
    chat.irc.server.reload = lambda reloaded: reloaded(True, ())
    ann = chat.irc_client("ann", "labeled-response", "batch", "server-time", joined="#tea")
    chat.set_mode(chat.person("ann"), "o", operator)
    for name, words in lines:
        ann.raw(f"@label=x {name} {' '.join(words)}\r\n".encode())
        ann.send(f"{name} {' '.join(words)}"[:400])
    assert ann.closed or "PONG" in ann.send("PING x")[-1]


def test_server_description() -> None:
    """RFC 2812 section 5.1, RPL_LINKS: '<mask> <server> :<hopcount> <server info>'; Modern IRC,
    RPL_WHOISSERVER: '<client> <nick> <server> :<server info>', RPL_YOURHOST, RPL_VERSION and INFO.
    A reload changes it."""
    chat = IrcChat(network="Teanet", server_description="Ann's attic")
    client = chat.irc_client()
    welcome = client.send("NICK ann", "USER ann 0 * :Ann")
    version = chat.irc.server.version
    assert welcome[1] == (
        f"{SERVER} 002 ann :Your host is chat.example.net, running version {version} (Ann's attic)"
    )
    assert client.send("LINKS")[0] == (
        f"{SERVER} 364 ann chat.example.net chat.example.net :0 Ann's attic"
    )
    assert f"{SERVER} 312 ann ann chat.example.net :Ann's attic" in client.send("WHOIS ann")
    assert client.send("VERSION")[0] == f"{SERVER} 351 ann {version} chat.example.net :Ann's attic"
    assert client.send("INFO")[0] == f"{SERVER} 371 ann :Ann's attic"
    chat.irc.reconfigure(replace(chat.irc.settings, server_description="the cellar"))
    assert client.send("LINKS")[0].endswith(":0 the cellar")
    chat.irc.reconfigure(replace(chat.irc.settings, server_description=""))
    assert client.send("LINKS")[0].endswith(":0 Teanet")
    bob = chat.irc_client()
    assert bob.send("NICK bob", "USER bob 0 * :Bob")[1].endswith(version)
