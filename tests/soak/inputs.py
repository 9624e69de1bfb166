"""Generators of structured inputs for each frontend: valid, varied and damaged.

A generator gets a random source and the number of inputs. The same seed makes the same inputs,
except for random values of TLS. An input is one unit of its protocol: a line, a frame, a header, a
record, a request or a datagram.
"""

from __future__ import annotations

import base64
import ipaddress
import struct
from collections.abc import Callable, Iterator

from soak.words import Chance, damaged, line, nick, room, rudeness, word, words

from tcpd.chat.irc.commands.table import COMMANDS as IRC_COMMANDS
from tcpd.chat.text.parse import COMMANDS as TEXT_COMMANDS
from tcpd.wire.proxy_header import AddressPair, version_1, version_2

Generator = Callable[[Chance, int], list[bytes]]

# --- line, and the control socket, which has the same syntax ---

_LINE = ("ECHO", "HELP", "PING", "SERVICES", "STARTTLS", "TIME", "UPTIME", "WHOAMI")
_LINE += ("HANDSHAKE", "LAYERS", "TCPINFO", "TCPINFO watch 1", "NOPE", "GET / HTTP/1.1", "")


def lines(chance: Chance, count: int) -> list[bytes]:
    """Commands of the line service."""
    rude = rudeness(chance)
    inputs = []
    for _ in range(count):
        name = chance.choice(_LINE)
        more = words(chance, 3) if name == "ECHO" or chance.random() < 0.2 else ""
        inputs.append(line(chance, f"{chance.choice((name, name.lower()))} {more}".strip(), rude))
    if chance.random() < 0.2:
        inputs[-1] = b"QUIT\r\n"
    return inputs


# no command ends the run: bans and kicks have addresses without clients
_CONTROL = ("STATUS", "SERVICES", "BANS", "LIMITS", "ROOMS", "CHECK", "RELOAD", "REOPEN", "LOG")
_CONTROL += ("CONNECTIONS", "HELP", "PING", "EVENTS", "NOPE")
_CONTROL_MORE = (
    "CONNECTIONS SERVICE={word} SORT=bytes LIMIT={number}",
    "CONNECTIONS ADDRESS=127.0.0.0/8 json",
    "CONNECTION {word}",
    "HANDSHAKE {word}",
    "KICK {word}",
    "KICK 192.0.2.{number} {word}",
    "BAN 192.0.2.7 1s {word}",
    "BAN 192.0.2.8 {number} {word}",
    "UNBAN 192.0.2.7",
    "UNBAN {word}",
    "DRAIN spare",
    "RESUME spare",
    "DRAIN {word}",
    "LOG info",
)


def control(chance: Chance, count: int) -> list[bytes]:
    """Commands of the control socket."""
    rude = rudeness(chance)
    inputs = []
    for _ in range(count):
        if chance.random() < 0.5:
            text = chance.choice(_CONTROL) + chance.choice(("", " json", " JSON json"))
        else:
            # neither the name of a service nor the address of a client
            text = chance.choice(_CONTROL_MORE).format(
                word=word(chance).replace("127", ""), number=chance.randint(-1, 300)
            )
        inputs.append(line(chance, text, rude))
    return inputs


# --- chat ---


def text(chance: Chance, count: int) -> list[bytes]:
    """Lines for the text frontend."""
    rude = rudeness(chance)
    inputs = []
    for _ in range(2):  # the first may be in use
        name = nick(chance)
        inputs.append(
            line(chance, chance.choice((name, name, f"/nick {name}", word(chance))), rude)
        )
    while len(inputs) < count:
        kind = chance.random()
        if kind < 0.4:
            sent = words(chance)
        elif kind < 0.9:
            command = chance.choice(TEXT_COMMANDS)
            name = chance.choice((command.name, *command.aliases))
            if name in ("quit", "exit", "bye", "q") and chance.random() < 0.9:
                name = "help"
            sent = f"/{name} {_text_arguments(chance)}"
        else:
            sent = chance.choice(
                ("quit", "help", "NICK ann", "//x", "/", "/xyzzy", "GET / HTTP/1.0")
            )
        inputs.append(line(chance, sent, rude))
    return inputs


def _text_arguments(chance: Chance) -> str:
    parts = []
    if chance.random() < 0.6:
        parts.append(room(chance))
    if chance.random() < 0.6:
        parts.append(nick(chance))
    return " ".join([*parts, words(chance, 3)])


#: Password of the IRC operator ``oper``.
OPER_PASSWORD = "sesame"

_CAPS = (
    "message-tags",
    "batch labeled-response echo-message",
    "draft/multiline batch",
    "server-time account-tag",
    "standard-replies",
    "multi-prefix userhost-in-names extended-join away-notify",
    "chghost setname invite-notify draft/chathistory",
    "sasl",
    "-batch",
    "nope",
)
_TAGS = (
    "label=1",
    "label=",
    "+typing=active",
    "+draft/reply=x",
    "batch=b1",
    "time=2020",
    "a=\\:\\s",
)
_TAGS += ("msgid=x", "+x", "=", "", "draft/multiline-concat", "+" + "k" * 300, "v=" + "v" * 5000)
_MODES = (
    "+o",
    "-o",
    "+v",
    "+h",
    "+b",
    "-b",
    "+e",
    "+I",
    "+k",
    "-k",
    "+l",
    "+imnst",
    "-i+b",
    "+R",
    "b",
)
_MASKS = ("*!*@*", "ann!*@*", "*!*@127.0.0.1", "a*?*b", "$a:x", "m:ann", "*" * 50, "!@", "x@y!z")


def irc(chance: Chance, count: int) -> list[bytes]:
    """Lines for the IRC frontend: registration, then any commands."""
    rude = rudeness(chance)
    user = chance.choice(("u", "u", "u", word(chance)))
    registration = [
        f"NICK {nick(chance)}",
        f"NICK {nick(chance)}",
        f"USER {user} 0 * :{word(chance)}",
    ]
    if chance.random() < 0.7:
        registration = ["CAP LS 302", *registration]
        registration += [f"CAP REQ :{caps}" for caps in chance.sample(_CAPS, 4)]
        registration.append("CAP END")
    if chance.random() < 0.1:
        chance.shuffle(registration)
    if chance.random() < 0.03:
        registration.append(f"OPER oper {chance.choice((OPER_PASSWORD, OPER_PASSWORD, 'wrong'))}")
    registration.append(f"JOIN {room(chance)}")
    inputs = [line(chance, sent, rude / 5) for sent in registration]
    while len(inputs) < count:
        batch = chance.random() < 0.05
        inputs += _batch(chance, rude) if batch else [_irc_line(chance, rude)]
    return inputs[:count]


def _irc_line(chance: Chance, rude: float) -> bytes:
    name = chance.choice((*IRC_COMMANDS, "PRIVMSG", "PRIVMSG", "MODE", "NOPE", "123"))
    if name in ("QUIT", "OPER", "PASS", "WEBIRC") and chance.random() < 0.9:
        name = "PRIVMSG"
    parts = [chance.choice((name, name, name.lower()))]
    if chance.random() < 0.7:
        parts.append(_target(chance))
    if name == "MODE":
        parts += [chance.choice(_MODES), chance.choice((*_MASKS, nick(chance), "5", ""))]
    elif chance.random() < 0.4:
        parts.append(chance.choice((_target(chance), word(chance), *_MASKS)))
    if chance.random() < 0.7:
        parts.append(f":{words(chance)}")
    if chance.random() < 0.1:
        parts += [word(chance) or "x" for _ in range(chance.randint(1, 20))]
    source = f":{word(chance)} " if chance.random() < 0.03 else ""
    return line(chance, _tags(chance) + source + " ".join(parts), rude)


def _target(chance: Chance) -> str:
    kinds = (room(chance), room(chance), nick(chance), nick(chance), "@#tea", "*", "$*", "")
    targets = chance.choices(kinds, k=chance.choice((1, 1, 1, 2, 9)))
    return ",".join(targets)


def _tags(chance: Chance) -> str:
    if chance.random() < 0.7:
        return ""
    return "@" + ";".join(chance.choices(_TAGS, k=chance.randint(1, 4))) + " "


def _batch(chance: Chance, rude: float) -> list[bytes]:
    """A multiline message, valid or damaged."""
    name = chance.choice(("b1", "b2", "", "é"))
    target = chance.choice((room(chance), nick(chance)))
    kind = chance.choice(("draft/multiline", "draft/multiline", "netsplit", ""))
    inputs = [line(chance, f"{_tags(chance)}BATCH +{name} {kind} {target}", rude)]
    for _ in range(chance.choice((0, 1, 3, 40))):
        concat = chance.choice(("", ";draft/multiline-concat", ";+x=y"))
        verb = chance.choice(("PRIVMSG", "PRIVMSG", "NOTICE", "JOIN"))
        inputs.append(line(chance, f"@batch={name}{concat} {verb} {target} :{words(chance)}", rude))
    if chance.random() < 0.8:
        inputs.append(line(chance, f"BATCH -{name}", rude))
    return inputs


# --- WebSocket ---

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n{more}\r\n"
)

_GOOD_HEADERS = ("", "Sec-WebSocket-Extensions: permessage-deflate\r\n", "User-Agent: x\r\n")
_BAD_HEADERS = (
    "Content-Length: 5\r\n",
    "Origin: null\r\n",
    "Origin: http://localhost\r\n",
    "Transfer-Encoding: chunked\r\n",
)
_BAD_HEADERS += ("X: " + "y" * 20000 + "\r\n",)


def _upgrade(chance: Chance, subprotocol: str, rude: float) -> bytes:
    def mostly(good: str, *others: str) -> str:
        return good if chance.random() >= rude else chance.choice(others)

    request = _UPGRADE.format(
        path=mostly("/", "*", "/a?b#c", "http://x/", "/" + "p" * 9000),
        host=mostly("localhost", "", "evil.example:80", "[::1]"),
        upgrade=mostly("websocket", "WebSocket, h2c", "h2c"),
        connection=mostly("Upgrade", "keep-alive, Upgrade", "close"),
        key=mostly(base64.b64encode(chance.randbytes(16)).decode(), "", "x", "A" * 1000),
        version=mostly("13", "8", "", "13, 8"),
        more=mostly(subprotocol + chance.choice(_GOOD_HEADERS), *_BAD_HEADERS),
    )
    return damaged(chance, request.encode(), rude / 5)


def frame(chance: Chance, first: int, payload: bytes, rude: float) -> bytes:
    """A client's frame (RFC 6455 section 5.2).

    :param first: its first byte: FIN, reserved bits and opcode.
    :param rude: probability of a fault in it.
    """
    masked, size = 0x80, len(payload)
    wrong = chance.random() < rude
    if wrong:
        first ^= chance.choice((0, 0x80, 0x40, 0x01, 0x03, 0x0F))
        masked = chance.choice((0x80, 0x80, 0))
    if wrong and chance.random() < 0.3:
        announced = chance.choice((size, 0, 1 << 40, 1 << 63))
        head = struct.pack("!BBQ", first, masked | 127, announced)
    elif size < 126:
        head = struct.pack("!BB", first, masked | size)
    else:
        head = struct.pack("!BBH", first, masked | 126, size)
    if not masked:
        return head + payload
    mask = chance.randbytes(4)
    return head + mask + bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))


def _message(chance: Chance, opcode: int, payload: bytes, rude: float) -> Iterator[bytes]:
    """Frames of a message, interleaved with pings and pongs."""
    pieces = [payload]
    if chance.random() < 0.2:
        cut = chance.randint(0, len(payload))
        pieces = [payload[:cut], b"", payload[cut:]][:: chance.choice((1, 2))]
    for number, piece in enumerate(pieces):
        if chance.random() < 0.05:
            yield frame(chance, 0x80 | chance.choice((9, 10)), chance.randbytes(9), rude)
        last = 0x80 if number == len(pieces) - 1 else 0
        yield frame(chance, last | (0 if number else opcode), piece, rude)


def websocket(chance: Chance, count: int) -> list[bytes]:
    """An upgrade request, then IRC in frames."""
    rude = rudeness(chance)
    kind, opcode = chance.choice((("text", 1), ("binary", 2), ("", 1)))
    wanted = f"Sec-WebSocket-Protocol: nope, {kind}.ircv3.net\r\n" if kind else ""
    inputs = [_upgrade(chance, wanted, rude)]
    for sent in irc(chance, count - 1):
        ended = sent if chance.random() < rude else sent.strip(b"\r\n")
        inputs += _message(chance, opcode, ended[:60000], rude)
    if chance.random() < 0.3:
        code = chance.choice((1000, 1001, 1005, 999, 4000, 65535))
        inputs.append(frame(chance, 0x88, struct.pack("!H", code) + b"bye", rude))
    return inputs[:count]


# --- PROXY ---


def _ends(chance: Chance) -> AddressPair:
    if chance.random() < 0.5:
        addresses = [ipaddress.IPv4Address(f"192.0.2.{chance.randrange(256)}") for _ in "ab"]
        return AddressPair(
            addresses[0], chance.randrange(65536), addresses[1], chance.randrange(65536)
        )
    v6 = [ipaddress.IPv6Address(f"2001:db8::{chance.randrange(65536):x}") for _ in "ab"]
    return AddressPair(v6[0], chance.randrange(65536), v6[1], chance.randrange(65536))


_PROXY_TEXT = (
    "PROXY TCP4 {0} {1} {2} {2}\r\n",
    "PROXY TCP6 ::1 2001:db8::{2:x} {2} 0\r\n",
    "PROXY UNKNOWN\r\n",
    "PROXY UNKNOWN {0} {1} rubbish\r\n",
    "PROXY TCP4 999.1.1.1 1.1.1.1 {2} 70000\r\n",
    "PROXY  TCP4 {0} {1} 1 1\r\n",
    "PROXY TCP4 {0} {1} 1 1\n",
)


def proxy_header(chance: Chance, rude: float) -> bytes:
    """A header of either version; version 2 with TLVs."""
    kind = chance.random()
    if kind < 0.2:
        header = version_1(_ends(chance) if chance.random() < 0.8 else None)
    elif kind < 0.25:
        host = f"192.0.2.{chance.randrange(300)}"
        header = chance.choice(_PROXY_TEXT).format(host, host, chance.randrange(70000)).encode()
    elif kind < 0.7:
        header = version_2(_ends(chance) if chance.random() < 0.8 else None)
    else:
        family = chance.choice(
            (0x00, 0x11, 0x11, 0x21, 0x21, 0x31, 0x12, 0x41, chance.randrange(256))
        )
        size = (0, 12, 36, 216)[family >> 4 & 3]
        body = chance.randbytes(size) + b"".join(_tlv(chance) for _ in range(chance.randint(0, 3)))
        announced = len(body) if chance.random() < 0.9 else chance.randrange(65536)
        command = chance.choice((0x20, 0x21, 0x21, 0x22, 0x11))
        signature = b"\r\n\r\n\0\r\nQUIT\n"
        header = signature + struct.pack("!BBH", command, family, announced) + body
    return damaged(chance, header, rude)


def _tlv(chance: Chance) -> bytes:
    kind = chance.choice((0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x30, 0xEA, chance.randrange(256)))
    value = chance.randbytes(chance.choice((0, 1, 4, 5, 128, 129)))
    if kind == 0x20:
        inner = chance.randbytes(2)
        value = struct.pack("!BI", chance.randrange(8), 0) + b"\x21" + struct.pack("!H", 2) + inner
    return struct.pack("!BH", kind, len(value) if chance.random() < 0.9 else 9999) + value


def proxied(chance: Chance, count: int) -> list[bytes]:
    """A header, then commands of the line service."""
    return [proxy_header(chance, 0.05), *lines(chance, count - 1)]


# --- TLS ---


def _vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector(2, data)


def client_hello(chance: Chance) -> bytes:
    """A ClientHello (RFC 8446 section 4.1.2) as a record."""
    name = chance.choice((b"localhost", b"nope.example", b"", b"x" * 300, b"\xff\0"))
    versions = chance.choice((b"\x03\x04\x03\x03", b"\x03\x03", b"\x03\x01", b"\x7f\x1c"))
    extensions = [
        _extension(0, _vector(2, b"\0" + _vector(2, name))),
        _extension(10, _vector(2, b"\0\x1d\0\x17")),
        _extension(13, _vector(2, b"\x04\x03\x08\x04\x04\x01\x08\x07")),
        _extension(43, _vector(1, versions)),
        _extension(51, _vector(2, b"\0\x1d" + _vector(2, chance.randbytes(32)))),
        _extension(16, _vector(2, _vector(1, chance.choice((b"irc", b"http/1.1", b"h2"))))),
        _extension(chance.randrange(65536), chance.randbytes(chance.randrange(40))),
    ]
    chance.shuffle(extensions)
    body = (
        b"\x03\x03"
        + chance.randbytes(32)
        + _vector(1, chance.randbytes(chance.choice((0, 32))))
        + _vector(2, b"\x13\x01\x13\x02\xc0\x2b\xc0\x2f\0\x2f")
        + b"\x01\0"
        + _vector(
            2, b"".join(extensions[: chance.randint(0, 7)] if chance.random() < 0.2 else extensions)
        )
    )
    return b"\x16\x03\x01" + _vector(2, b"\x01" + _vector(3, body))


def tls_records(chance: Chance, count: int) -> list[bytes]:
    """A ClientHello, then records that no correct client sends."""
    inputs = [damaged(chance, client_hello(chance), 0.3)]
    while len(inputs) < count:
        kind = chance.choice((20, 21, 21, 22, 23, 23, 24, chance.randrange(256)))
        data = chance.choice(
            (
                b"\x01",
                bytes((chance.choice((1, 2)), chance.choice((0, 20, 42, 45, 46, 48, 90, 255)))),
                b"",
                chance.randbytes(chance.choice((1, 40, 600, 16384, 16900))),
                client_hello(chance)[5:],
            )
        )
        record = (
            bytes((kind,))
            + chance.choice((b"\x03\x03", b"\x03\x01", b"\x02\x00"))
            + _vector(2, data)
        )
        inputs.append(damaged(chance, record, 0.1))
    return inputs


# --- HTTP, bytes, datagrams ---

_METHODS = ("GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PRI", "get", "")
_PATHS = (
    "/metrics",
    "/metrics",
    "/healthz",
    "/readyz",
    "/",
    "/nope",
    "*",
    "/%00",
    "/" + "a" * 9000,
)
_HEADERS = (
    "Accept: application/openmetrics-text",
    "Connection: close",
    "Content-Length: 3",
    "X: y",
)
_HEADERS += (
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Content-Length: -1",
    ": z",
    "A" * 70000,
)


def http(chance: Chance, count: int) -> list[bytes]:
    """Requests for the metrics page."""
    rude = rudeness(chance)
    inputs = []
    for _ in range(count):
        if chance.random() >= rude:
            head = [f"GET {chance.choice(_PATHS[:5])} HTTP/1.1", "Host: x", "Accept: */*"]
        else:
            version = chance.choice(("HTTP/1.1", "HTTP/1.0", "HTTP/9", ""))
            head = [f"{chance.choice(_METHODS)} {chance.choice(_PATHS)} {version}", "Host: x"]
            head.append(chance.choice(_HEADERS))
        inputs.append(damaged(chance, "\r\n".join([*head, "", ""]).encode(), rude / 2))
    return inputs


def octets(chance: Chance, count: int) -> list[bytes]:
    """Bytes for services without a syntax."""
    sizes = (1, 10, 100, 1000, 20000)
    return [chance.randbytes(chance.choice(sizes)) for _ in range(count)]


def datagrams(chance: Chance, count: int) -> list[bytes]:
    """UDP payloads, some of them empty."""
    sizes = (0, 1, 4, 100, 512, 1472, 9000, 65507)
    return [chance.randbytes(chance.choice(sizes)) for _ in range(count)]


# --- ini files ---

_VALUES = (
    "yes",
    "no",
    "none",
    "auto",
    "0",
    "1",
    "-1",
    "10s",
    "5/s burst 20",
    "1KiB",
    "127.0.0.1:0",
)
_VALUES += (
    "*:70000",
    "[::1]:1 tls=main",
    "unix:/x mode=0999",
    "main",
    "echo",
    "%(x)s",
    "${y}",
    "\0",
    "é",
)
_VALUES += (
    "127.0.0.0/8",
    "::/0, 10.0.0.0/33",
    "$scrypt$ln=99,r=8,p=1$AA$AA",
    "/nope",
    "credential:x",
)
_VALUES += (
    "a\n  b\n  c",
    "127.0.0.1:1\n  *:1 udp",
    "x" * 5000,
    '"unclosed',
    "//bin/sh -c 'a b'",
    ";",
    "#",
)


_RUBBISH = (
    "[x",
    "[]",
    "[service:]",
    "[service:a:b] x = y",
    "= 1",
    " x",
    "[\0]",
    "[tcpd]",
    "\ufeff",
)


def ini(chance: Chance, good: str) -> bytes:
    """An ini file made of lines of a valid one, some keys with other values.

    :param good: the valid file; it may have keys in comments.
    """
    share = chance.choice((0.002, 0.01, 0.05))
    kept = []
    for text in good.split("\n"):
        key, equals, _ = text.removeprefix("#").partition(" =")
        if equals and key.replace("_", "").isalpha() and chance.random() < share:
            kept.append(f"{key} = {chance.choice((*_VALUES, word(chance)))}")
        elif not text.startswith("#") and chance.random() > share / 5:
            kept.append(text)
        if chance.random() < share / 50:
            kept.append(chance.choice((*_RUBBISH, word(chance))))
    return damaged(chance, "\n".join(kept).encode(errors="surrogatepass"), 0.2)
