"""IRC operators and gateways on a live daemon: passwords in threads, reloads, bans."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, Daemon, client_context, receive_all, receive_until

from tcpd.policy.passwords import hash_password

pytestmark = pytest.mark.live

CONFIG = f"""
[service:irc]
protocol = irc
operators = root {hash_password("open sesame")}
webirc = 127.0.0.1 {hash_password("gate")}
listen =
  127.0.0.1:0
"""


def register(client: socket.socket, nick: str, before: str = "") -> None:
    client.sendall(f"{before}NICK {nick}\r\nUSER {nick} 0 * :x\r\n".encode())
    receive_until(client, b" :MOTD File is missing\r\n")


def test_operator_reloads_and_kills(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("irc") as ann, daemon.connect("irc") as bob:
        register(ann, "ann")
        register(bob, "bob")
        ann.sendall(b"OPER root wrong\r\n")
        receive_until(ann, b" 464 ann :Password incorrect\r\n")
        ann.sendall(b"OPER root :open sesame\r\n")
        receive_until(ann, b" 381 ann :You are now an IRC operator\r\n")
        text = CONFIG.replace("protocol = irc\n", "protocol = irc\nnetwork = Teanet\n")
        (daemon.directory / "tcpd.ini").write_text(text)
        ann.sendall(b"REHASH\r\n")
        replies = receive_until(ann, b"swapped\r\n")
        assert b" 382 ann tcpd.ini :Rehashing\r\n" in replies
        assert replies.endswith(b" NOTICE ann :Reloaded: service irc: network swapped\r\n")
        # the connection stays open, and shows the new network name
        ann.sendall(b"LINKS\r\nKILL bob :enough\r\n")
        assert b" :0 Teanet\r\n" in receive_until(ann, b" :End of /LINKS list\r\n")
        assert receive_all(bob).endswith(b"ERROR :Closing Link: bob (Killed (ann (enough)))\r\n")
    daemon.wait_for(lambda line: "KILL" in line)
    refused, granted, *others = (
        line for line in daemon.log if "OPER from" in line or "operator ann" in line
    )
    assert refused.endswith(
        "service irc: OPER from 127.0.0.1 as root was refused: wrong name or password"
    )
    assert granted.endswith("operator ann at 127.0.0.1 by irc: OPER root")
    assert [line.rpartition(": ")[2] for line in others] == ["REHASH", "KILL bob enough"]
    assert not any("sesame" in line for line in daemon.log)


def test_rehash_shows_no_secret(
    start: Callable[[str], Daemon],
) -> None:
    """REHASH replies with the place of a faulty value only; the log has no value of a key that
    holds a secret."""
    daemon = start(CONFIG)
    with daemon.connect("irc") as ann:
        register(ann, "ann")
        ann.sendall(b"OPER root :open sesame\r\n")
        receive_until(ann, b" 381 ann :You are now an IRC operator\r\n")
        text = CONFIG.replace("protocol = irc\n", "protocol = irc\npassword = hunter2\nping = x\n")
        (daemon.directory / "tcpd.ini").write_text(text)
        ann.sendall(b"REHASH\r\n")
        replies = receive_until(ann, b"run tcpd-ctl check\r\n").decode()
        shown = [
            line.partition(" changed: ")[2] for line in replies.split("\r\n") if "changed" in line
        ]
        assert shown == [
            "error at tcpd.ini:4",
            "error at tcpd.ini:5",
            "see the log, or run tcpd-ctl check",
        ]
        checked = daemon.ctl("check")
        assert "ping: 'x' is not a duration" in checked.stdout + checked.stderr
        daemon.wait_for(lambda line: "[service:irc] password: it is not a password hash" in line)
        assert "hunter2" not in "\n".join([*daemon.log, replies, checked.stdout, checked.stderr])


def test_bans_apply_to_clients_of_a_gateway(start: Callable[[str], Daemon]) -> None:
    """The gateway's other clients stay connected."""
    daemon = start(CONFIG)
    with daemon.connect("irc") as ann, daemon.connect("irc") as bob:
        register(ann, "ann", "WEBIRC gate gw host 192.0.2.1\r\n")
        register(bob, "bob", "WEBIRC gate gw host 198.51.100.7\r\n")
        listed = daemon.ctl("connections").stdout
        assert "192.0.2.1:0" in listed
        assert "198.51.100.7:0" in listed
        assert daemon.ctl("ban", "192.0.2.0/24").stdout.startswith("192.0.2.0/24 is banned")
        assert b"ERROR :Closing Link: ann (" in receive_all(ann)
        bob.sendall(b"PING x\r\n")
        receive_until(bob, b" :x\r\n")
        with daemon.connect("irc") as again:
            again.sendall(b"WEBIRC gate gw host 192.0.2.9\r\nNICK ann\r\nUSER ann 0 * :x\r\n")
            assert b"ERROR :Closing Link: * (" in receive_all(again)


@pytest.mark.parametrize("unix", [False, True], ids=["TCP", "UNIX"])
def test_whois_shows_the_address_from_the_proxy_header(
    start: Callable[[str], Daemon], tmp_path: Path, unix: bool
) -> None:
    """Modern IRC, RPL_WHOISACTUALLY (338): sent to the client itself and to operators only."""
    path = tmp_path / "irc.sock"
    listener = f"unix:{path} proxy=unix" if unix else "127.0.0.1:0 proxy=127.0.0.0/8"
    daemon = start(CONFIG + f"  {listener}\n")

    def behind_a_proxy(nick: str, address: str) -> socket.socket:
        if unix:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            client.connect(str(path))
        else:
            client = daemon.connect("irc", "proxy=127.0.0.0/8")
        family = "TCP6" if ":" in address else "TCP4"
        other = "2001:db8::2" if ":" in address else "192.0.2.2"
        client.sendall(f"PROXY {family} {address} {other} 4000 6667\r\n".encode())
        register(client, nick)
        return client

    def whois(client: socket.socket, nick: str) -> list[bytes]:
        client.sendall(f"WHOIS {nick}\r\n".encode())
        replies = receive_until(client, b" :End of /WHOIS list\r\n")
        return [line.split(b" ", 3)[3] for line in replies.split(b"\r\n") if b" 338 " in line]

    with (
        behind_a_proxy("ann", "192.0.2.7") as ann,
        behind_a_proxy("bob", "2001:db8::7") as bob,
        daemon.connect("irc") as root,
    ):
        register(root, "root")
        own = b"ann 192.0.2.7 :Is actually using host"
        assert whois(ann, "ann") == [own]
        assert whois(bob, "bob") == [b"bob 2001:db8::7 :Is actually using host"]
        assert whois(bob, "ann") == whois(root, "ann") == []
        root.sendall(b"OPER root :open sesame\r\n")
        receive_until(root, b" 381 root :You are now an IRC operator\r\n")
        assert whois(root, "ann") == [own]
        assert whois(root, "bob") == [b"bob 2001:db8::7 :Is actually using host"]


def test_wrong_passwords_of_one_address_do_not_delay_others(
    start: Callable[[str], Daemon],
) -> None:
    """Passwords and OPER from other addresses are checked while the queue of one address is full
    of wrong passwords."""
    config = CONFIG.replace("irc\n", f"irc\npassword = {hash_password('right')}\n", 1)
    daemon = start(f"[policy:default]\naddress_rate = none\n{config}")
    port = daemon.ports["irc", ""]

    def log_in(source: str, nick: str, password: str) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        client.settimeout(PATIENCE)
        client.sendall(f"PASS {password}\r\nNICK {nick}\r\nUSER {nick} 0 * :x\r\n".encode())
        return client

    crowd = [log_in("127.0.0.2", f"x{number}", "wrong") for number in range(80)]
    for number in range(5):
        with log_in("127.0.0.3", f"ann{number}", "right") as ann:
            receive_until(ann, b" :MOTD File is missing\r\n")
            ann.sendall(b"OPER root :open sesame\r\n")
            receive_until(ann, b" :You are now an IRC operator\r\n")
        # clients that were refused connect again
        answered, _, _ = select.select(crowd, (), (), 0)
        for each in answered:
            received = receive_all(each)
            assert b" (wrong password)\r\n" in received or b"too many" in received
            each.close()
            crowd.remove(each)
            crowd.append(log_in("127.0.0.2", "x", "wrong"))
    assert len(crowd) == 80
    waiting = [each for each in crowd if not select.select([each], (), (), 0)[0]]
    assert waiting, "the attack ended before the others logged in"
    for each in crowd:
        each.close()


def test_control_characters_of_a_certificate_are_escaped(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """A CA may sign any characters: WHOIS, WHOAMI, tcpd-ctl and the log show escapes."""
    authority = certificates.make(tmp_path, "authority", authority=True)
    name = "bob\r\nQUIT :x\x1b[31m\x9b\u202e"
    shown = r"CN=bob\x0d\x0aQUIT :x\x1b[31m\x9b\u202e"
    bobs = certificates.make(tmp_path, name, authority, names=["bob.example"], file="bob")
    daemon = start(
        f"[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
        f"client_ca = {authority.certificate_file}\n"
        f"[policy:default]\naccess_log = yes\n{CONFIG}  127.0.0.1:0 tls=main\n"
        "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0 tls=main\n"
    )
    context = client_context(daemon.directory)
    context.load_cert_chain(bobs.certificate_file, bobs.key_file)

    def connect(service: str) -> socket.socket:
        plain = daemon.connect(service, "tls=main")
        return context.wrap_socket(plain, server_hostname="localhost")

    with connect("irc") as bob, daemon.connect("irc") as root, connect("line") as line:
        register(bob, "bob")
        register(root, "root")
        root.sendall(b"OPER root :open sesame\r\n")
        receive_until(root, b" 381 root :You are now an IRC operator\r\n")
        root.sendall(b"WHOIS bob\r\nPING x\r\n")
        replies = receive_until(root, b" :x\r\n").decode()
        assert f" 276 root bob :has client certificate {shown}\r\n" in replies
        line.sendall(b"WHOAMI\r\nQUIT\r\n")
        assert f"250-subject {shown}\r\n" in receive_all(line).decode()
        printed = daemon.ctl("connections").stdout
        for row in printed.splitlines():
            if "TLSv1" in row:
                printed += daemon.ctl("connection", row.split()[0]).stdout
        assert shown in printed
    daemon.wait_for(lambda line: f"client {shown} sha256:" in line, 2)
    for text in (printed, "\n".join(daemon.log)):
        assert not any(each in text for each in "\r\x1b\x9b\u202e")
        assert "\nQUIT" not in text
