"""WHOIS, WHOWAS, USERHOST and ISON."""

from __future__ import annotations

import ipaddress

import pytest
from chat.irc_chat import SERVER, IrcChat, command, hide_room
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.irc import numerics
from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.irc.reply import IrcReply
from tcpd.handshake.facts import Facts, Tls


def by_number(lines: list[str]) -> dict[str, str]:
    """The parameters after the client, by numeric."""
    return {command(line): line.split(" ", 3)[3] for line in lines}


def test_whois() -> None:
    """Modern IRC, "WHOIS message": RPL_WHOISUSER first, RPL_ENDOFWHOIS last."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob", joined="#tea,#coffee")
    assert ann.send("WHOIS bob") == [
        f"{SERVER} 311 ann bob ~bob localhost * :Bob",
        f"{SERVER} 319 ann bob :@#tea @#coffee",
        f"{SERVER} 312 ann bob chat.example.net :tcpd",
        f"{SERVER} 317 ann bob 0 1700000000 :seconds idle, signon time",
        f"{SERVER} 318 ann bob :End of /WHOIS list",
    ]


@pytest.mark.parametrize("server", ["chat.example.net", "CHAT.example.net", "*.net", "bob"])
def test_whois_with_a_target_server(server: str) -> None:
    """RFC 2812 section 3.6.2: WHOIS [<target>] <mask>; some clients send WHOIS nick nick."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob")
    assert ann.numerics(f"WHOIS {server} BOB")[0] == "311"


def test_whois_with_an_unknown_server() -> None:
    """Modern IRC, ERR_NOSUCHSERVER: '<client> <server name> :No such server'. Clients wait for the
    end, which follows."""
    ann = IrcChat().irc_client("ann")
    assert ann.send("WHOIS irc.example.org ann") == [
        f"{SERVER} 402 ann irc.example.org :No such server",
        f"{SERVER} 318 ann ann :End of /WHOIS list",
    ]


@pytest.mark.parametrize("line", ["WHOIS nope nope", "WHOIS NOPE nope", "WHOIS nope nope,ann"])
def test_whois_nick_nick_of_a_nonexistent_nickname(line: str) -> None:
    """WHOIS nick nick queries the server of the user: ERR_NOSUCHNICK, and the end."""
    ann = IrcChat().irc_client("ann")
    assert ann.send(line) == [
        f"{SERVER} 401 ann nope :No such nick/channel",
        f"{SERVER} 318 ann nope :End of /WHOIS list",
    ]


def test_whois_of_a_nonexistent_nickname() -> None:
    """ERR_NOSUCHNICK, and the end, with the nickname of the query."""
    ann = IrcChat().irc_client("ann")
    assert ann.send("WHOIS Nobody,ann") == [
        f"{SERVER} 401 ann Nobody :No such nick/channel",
        f"{SERVER} 318 ann Nobody :End of /WHOIS list",
    ]
    assert ann.numerics("WHOIS") == ["431"]
    assert ann.numerics("WHOIS :") == ["431"]
    assert ann.numerics("WHOIS ::x y") == ["401", "318"]


def test_whois_of_an_away_operator_bot() -> None:
    """RPL_AWAY, RPL_WHOISOPERATOR, RPL_WHOISBOT, RPL_WHOISSECURE."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.text_client("zoe")
    zoe = chat.person("zoe")
    chat.hub.set_away(zoe.clients[0], "to lunch")
    chat.set_mode(zoe, "o", True)
    zoe.bot = zoe.secure = True
    received = by_number(ann.send("WHOIS zoe"))
    assert received["301"] == "zoe :to lunch"
    assert received["313"] == "zoe :is an IRC operator"
    assert received["335"] == "zoe :is a bot"
    assert received["671"] == "zoe :is using a secure connection"
    assert received["319"] == "zoe :#lobby"


def test_whois_hides_secret_channels() -> None:
    """Modern IRC, RPL_WHOISCHANNELS: 'the server MAY hide' channels; it hides those of mode s."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    bob = chat.irc_client("bob", joined="#tea,#den")
    hide_room(chat, "#den")
    assert by_number(ann.send("WHOIS bob"))["319"] == "bob :@#tea"
    assert by_number(bob.send("WHOIS bob"))["319"] == "bob :@#tea @#den"


def test_whois_hides_channels_of_an_invisible_user() -> None:
    """Modern IRC, mode i: 'some servers hide all channels from the WHOIS reply of an invisible user
    they do not share with the person'."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob", joined="#tea,#coffee")
    chat.set_mode(chat.person("bob"), "i", True)
    assert "319" not in by_number(ann.send("WHOIS bob"))
    ann.send("JOIN #tea")
    assert by_number(ann.send("WHOIS bob"))["319"] == "bob :@#tea @#coffee"


def test_whois_with_multi_prefix() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", "multi-prefix")
    bob = chat.irc_client("bob", joined="#tea")
    chat.hub.room("#tea").members[chat.person("bob")] = 5  # type: ignore[union-attr]
    assert by_number(ann.send("WHOIS bob"))["319"] == "bob :@+#tea"
    assert by_number(bob.send("WHOIS bob"))["319"] == "bob :@#tea"


def test_address_is_shown_to_oneself_and_operators() -> None:
    """docs/reference/irc.rst, WHOIS"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    bob = chat.irc_client("bob")
    chat.person("bob").address = ipaddress.ip_address("::abcd")
    query = "WHO bob %i"
    assert "338" not in by_number(ann.send("WHOIS bob"))
    assert ann.send(query)[0].endswith(" 255.255.255.255")
    received = "bob 0::abcd :Is actually using host"
    assert by_number(bob.send("WHOIS bob"))["338"] == received
    assert bob.send(query)[0].endswith(" 0::abcd")
    chat.set_mode(chat.person("ann"), "o", True)
    assert by_number(ann.send("WHOIS bob"))["338"] == received
    bob.send("QUIT")
    assert by_number(ann.send("WHOWAS bob"))["338"] == received
    chat.set_mode(chat.person("ann"), "o", False)
    assert "338" not in by_number(ann.send("WHOWAS bob"))


def test_certificate_is_shown_to_oneself() -> None:
    """Modern IRC, RPL_WHOISCERTFP"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    bob = chat.irc_client("bob")
    bob.protocol.facts = lambda: Facts(tls=Tls(client="CN=bob"))  # type: ignore[method-assign]
    assert by_number(bob.send("WHOIS bob"))["276"] == "bob :has client certificate CN=bob"
    assert "276" not in by_number(ann.send("WHOIS bob"))


def test_certificate_subject_is_escaped() -> None:
    """An authority may sign any characters: CR, LF, terminal escapes, bidi controls."""
    chat = IrcChat()
    root = chat.irc_client("root")
    bob = chat.irc_client("bob")
    chat.set_mode(chat.person("root"), "o", True)
    subject = "CN=b\r\nQUIT :x\0\x1b[31m\x9b\u202e\ud800\u2028"
    bob.protocol.facts = lambda: Facts(tls=Tls(client=subject))  # type: ignore[method-assign]
    received = r"bob :has client certificate CN=b\x0d\x0aQUIT :x\x00\x1b[31m\x9b\u202e\ud800\u2028"
    for client in (root, bob):
        assert by_number(client.send("WHOIS bob"))["276"] == received
        assert client.numerics("PING x") == ["PONG"]
        assert not client.closed


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_any_text_in_a_numeric_is_well_formed(text: str) -> None:
    ann = IrcChat().irc_client("ann")
    session = ann.session
    assert isinstance(session, IrcConversation)
    IrcReply(session).numeric(numerics.RPL_INFO, text=text.encode(errors="replace").decode())
    [line] = ann.lines()
    assert line.startswith(f"{SERVER} 371 ann :")
    assert ann.numerics("PING x") == ["PONG"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x02bold\x0f \x0304,01red \x1f_", "\x02bold\x0f \x0304,01red \x1f_"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\x9bb\x7f\u202ec\u200bd", "a\ufffdb\ufffd\ufffdc\ufffdd"),
        ("a\tb\x07", "a b\ufffd"),
        ("\x01ACTION\x01", "\ufffdACTION\ufffd"),
    ],
)
def test_control_characters_in_profile_text_are_replaced(said: str, shown: str) -> None:
    """Real names, away messages and reasons keep IRC's formatting only."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "setname", "extended-join", "away-notify", joined="#tea")
    bob = chat.irc_client()
    bob.send("NICK bob", f"USER bob 0 * :{said}", "JOIN #tea")
    assert ann.lines()[0] == f":bob!~bob@localhost JOIN #tea * :{shown}"
    assert by_number(ann.send("WHOIS bob"))["311"] == f"bob ~bob localhost * :{shown}"
    bob.send("CAP REQ setname", f"SETNAME :x{said}", f"AWAY :{said}")
    assert ann.lines() == [
        f":bob!~bob@localhost SETNAME :x{shown}",
        f":bob!~bob@localhost AWAY :{shown}",
    ]
    bob.send(f"PART #tea :{said}", "JOIN #tea", f"QUIT :{said}")
    received = ann.lines()
    assert received[0] == f":bob!~bob@localhost PART #tea :{shown}"
    assert received[-1] == f":bob!~bob@localhost QUIT :Quit: {shown}"


def test_many_channels_are_split_into_lines() -> None:
    """A line has at most 512 bytes, and no name is truncated."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    names = [f"#{number:02}{'x' * 46}" for number in range(20)]
    bob = chat.irc_client("bob")
    for name in names:
        bob.send(f"JOIN {name}")
    lines = [line for line in ann.send("WHOIS bob") if command(line) == "319"]
    assert len(lines) > 1
    received = [word for line in lines for word in line.split(" :", 1)[1].split(" ")]
    assert received == [f"@{name}" for name in names]


def test_whowas() -> None:
    """RFC 2812 section 3.6.3: 'The history is searched backward, returning the most recent entry
    first.' RPL_WHOWASUSER: '<client> <nick> <username> <host> * :<realname>'."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.irc_client("bob").send("NICK carl")
    chat.irc_client("bob").lose()
    chat.irc_client("bob").lose()
    when = "Tue Nov 14 22:13:20 2023 UTC"
    received = ann.send("WHOWAS BOB 1")
    assert received == [
        f"{SERVER} 314 ann bob ~bob localhost * :Bob",
        f"{SERVER} 312 ann bob chat.example.net :{when}",
        f"{SERVER} 369 ann BOB :End of WHOWAS",
    ]
    assert ann.numerics("WHOWAS bob 2") == ["314", "312"] * 2 + ["369"]


@pytest.mark.parametrize("count", ["", " 0", " -1", " x", " 99999999999999999999"])
def test_whowas_with_a_non_positive_count_returns_all(count: str) -> None:
    """'If a non-positive number is passed as being <count>, then a full search is done.'"""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    for _ in range(3):
        chat.irc_client("bob").lose()
    assert ann.numerics(f"WHOWAS bob{count}") == ["314", "312"] * 3 + ["369"]


def test_whowas_of_an_unknown_nickname() -> None:
    """'At the end of all reply batches, there must be RPL_ENDOFWHOWAS (even if there was only one
    reply and it was an error).'"""
    ann = IrcChat().irc_client("ann")
    assert ann.send("WHOWAS bob") == [
        f"{SERVER} 406 ann bob :There was no such nickname",
        f"{SERVER} 369 ann bob :End of WHOWAS",
    ]
    assert ann.numerics("WHOWAS") == ["431"]
    assert ann.numerics("WHOWAS bob 1 irc.example.org") == ["402", "369"]


def test_userhost() -> None:
    """Modern IRC, RPL_USERHOST: 'reply = nickname [ isop ] "=" isaway hostname'; five at most."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.text_client("zoe")
    chat.hub.set_away(chat.person("zoe").clients[0], "gone")
    chat.set_mode(chat.person("ann"), "o", True)
    ann.lines()
    assert ann.send("USERHOST ANN nobody zoe") == [
        f"{SERVER} 302 ann :ann*=+~ann@localhost zoe=-text@localhost"
    ]
    assert ann.send("USERHOST nobody") == [f"{SERVER} 302 ann :"]
    assert ann.send("USERHOST a b c d e ann") == [f"{SERVER} 302 ann :"]
    assert ann.numerics("USERHOST") == ["461"]


def test_ison() -> None:
    """RPL_ISON lists the nicknames that are online, as their users write them."""
    chat = IrcChat()
    ann = chat.irc_client("ann")
    chat.text_client("Zoe")
    assert ann.send("ISON zoe nobody :ANN ann") == [f"{SERVER} 303 ann :Zoe ann"]
    assert ann.send("ISON nobody") == [f"{SERVER} 303 ann :"]
    assert ann.numerics("ISON") == ["461"]
