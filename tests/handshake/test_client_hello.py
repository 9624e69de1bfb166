"""The ClientHello: the parser, JA4, and the values in the report."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from handshake import captured
from hypothesis import given
from hypothesis import strategies as st

from tcpd.handshake.client_hello import ClientHello, parse_client_hello, wire_size
from tcpd.handshake.facts import Tls
from tcpd.handshake.ja4 import ja4
from tcpd.handshake.report import Report, Source, build
from tcpd.handshake.text import REPLY_WIDTH, layers_lines
from tcpd.handshake.tls_names import group_name, is_grease, is_post_quantum_name

PATIENCE = 10


def vector(size: int, data: bytes) -> bytes:
    """Encode a vector of RFC 8446 section 3: its length, in ``size`` bytes, and its content."""
    return len(data).to_bytes(size, "big") + data


def numbers(text: str) -> bytes:
    """Encode a list such as ``1301,1302``."""
    return bytes.fromhex(text.replace(",", ""))


def records(message: bytes, size: int = 1 << 14) -> bytes:
    """Put a message into handshake records."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


@dataclass
class Offer:
    """A ClientHello to encode. Lists are in the form of JA4's raw fingerprints."""

    ciphers: str
    extensions: str = ""
    algorithms: str = ""
    alpn: Sequence[bytes] = (b"h2", b"http/1.1")
    versions: str = "0a0a,0304,0303"
    groups: str = "1a1a,11ec,001d,0017"
    session_id: bytes = b""
    legacy_version: str = "0303"
    contents: dict[int, bytes] | None = None

    def message(self) -> bytes:
        contents = {
            10: vector(2, numbers(self.groups)),
            13: vector(2, numbers(self.algorithms)),
            16: vector(2, b"".join(vector(1, name) for name in self.alpn)),
            43: vector(1, numbers(self.versions)),
            51: vector(2, b"\x1a\x1a\0\1\0" + b"\x11\xec" + vector(2, bytes(1216))),
            **(self.contents or {}),
        }
        block = b""
        for each in filter(None, self.extensions.split(",")):
            block += numbers(each) + vector(2, contents.get(int(each, 16), b""))
        body = numbers(self.legacy_version) + bytes(32) + vector(1, self.session_id)
        body += vector(2, numbers(self.ciphers)) + b"\1\0" + vector(2, block)
        return b"\1" + vector(3, body)

    def parsed(self) -> ClientHello:
        hello = parse_client_hello(records(self.message()))
        assert hello is not None
        return hello


CHROME_CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"

#: The example of technical_details/JA4.md, with GREASE as Chrome sends it.
SPECIFIED = Offer(
    f"4a4a,{CHROME_CIPHERS}",
    "7a7a,001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015,8a8a",
    "0403,0804,0401,0503,0805,0501,0806,0601",
)


def test_ja4_of_the_specification() -> None:
    """JA4.md: "JA4 = t13d1516h2_8daaf6152771_e5627efa2ab1" """
    assert ja4(SPECIFIED.parsed()) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("offer", "fingerprint"),
    [
        # "If there are no signature algorithms ... the string ends without an underscore"
        (
            Offer(
                CHROME_CIPHERS,
                "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01",
            ),
            "t13i151400_8daaf6152771_6d807ffa2a79",
        ),
        # "If there are no ciphers", "If there are no extensions": zeros
        (Offer("", "", versions=""), "t12i000000_000000000000_000000000000"),
        # SNI and ALPN count, but are not hashed
        (Offer(CHROME_CIPHERS, "0000,0010"), "t12d1502h2_8daaf6152771_000000000000"),
        # Chrome 143, with encrypted_client_hello
        (
            Offer(
                CHROME_CIPHERS,
                "002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b",
                "0403,0804,0401,0503,0805,0501,0806,0601",
            ),
            "t13d1516h2_8daaf6152771_d8a2da3f94cd",
        ),
        # FoxIO's capture sigalg-grease.pcapng: GREASE among the signature algorithms, ML-DSA
        (
            Offer(
                CHROME_CIPHERS,
                "fe0d,0010,0017,0033,44cd,ff01,000a,000d,0023,002b,000b,ca34,002d,0000,0005,001b,"
                "0012",
                "3a3a,0904,0905,0906,0403,0804,0401,0503,0805,0501,0806,0601",
            ),
            "t13d1517h2_8daaf6152771_cb7bf5808d99",
        ),
    ],
)
def test_ja4_of_other_clients(offer: Offer, fingerprint: str) -> None:
    assert ja4(offer.parsed()) == fingerprint


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"", "00"),
        (b"q", "qq"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"0\xab", "3b"),
        (b"01\xab\xcd", "3d"),
        (b"0\xab\xcd1", "01"),
    ],
)
def test_ja4_of_alpn(name: bytes, ends: str) -> None:
    """JA4.md, "ALPN Extension Value", with its examples."""
    assert ja4(Offer("1301", "0010", alpn=[name]).parsed())[8:10] == ends


@pytest.mark.parametrize(
    ("extensions", "versions", "legacy", "shown"),
    [
        ("002b", "0304,0303", "0303", "13"),
        ("002b", "fafa,0303,0302", "0303", "12"),
        ("", "", "0302", "11"),
        ("", "", "0301", "10"),
        ("", "", "0300", "s3"),
        ("", "", "0002", "s2"),
        ("002b", "7f1c", "0303", "00"),
    ],
)
def test_ja4_of_versions(extensions: str, versions: str, legacy: str, shown: str) -> None:
    """JA4.md: "If extension 0x002b exists ... the version is the highest value" """
    offer = Offer("1301", extensions, versions=versions, legacy_version=legacy)
    assert ja4(offer.parsed())[1:3] == shown


def test_counts_have_two_digits() -> None:
    """JA4.md: "If there's > 99, which there should never be, then output 99." """
    many = ",".join(f"{number:04x}" for number in range(0x2000, 0x2070))
    assert ja4(Offer(many, many).parsed()).startswith("t12i999900_")


def test_parsed_values() -> None:
    hello = SPECIFIED.parsed()
    assert hello.legacy_version == 0x0303
    assert hello.groups == (0x1A1A, 0x11EC, 0x1D, 0x17)
    assert hello.key_shares == (0x1A1A, 0x11EC)
    assert hello.versions == (0x0A0A, 0x0304, 0x0303)
    assert hello.alpn == (b"h2", b"http/1.1")
    assert hello.signature_algorithms[:2] == (0x0403, 0x0804)
    assert hello.resumption == ""


@pytest.mark.parametrize(
    ("offer", "how"),
    [
        (Offer("1301", "002b,0029", session_id=bytes(32)), "pre-shared key"),
        (Offer("c02b", "0023", contents={35: bytes(192)}), "session ticket"),
        (Offer("c02b", session_id=bytes(32)), "session id"),
        # RFC 8446 appendix D.4: "a non-empty session ID" for middleboxes
        (Offer("1301", "002b,0023", session_id=bytes(32)), ""),
        (Offer("c02b"), ""),
    ],
)
def test_offers_to_resume(offer: Offer, how: str) -> None:
    assert offer.parsed().resumption == how


@given(st.integers(1, 2000), st.binary(max_size=40))
def test_records_of_any_size(size: int, more: bytes) -> None:
    """RFC 8446 section 5.1: a message may span records, and other records follow."""
    message = SPECIFIED.message()
    wire = records(message, size)
    assert parse_client_hello(wire + more) == parse_client_hello(records(message))
    expected = len(wire) if len(message) / size <= 32 else 0
    assert wire_size(wire + more) == expected
    two = records(message + more, size)
    if expected:
        assert wire_size(two) == len(wire) - (-len(message) % size < 0)


@given(st.integers(0, 2000), st.integers(1, 300))
def test_any_cut_is_incomplete(cut: int, size: int) -> None:
    wire = records(SPECIFIED.message(), size)
    part = wire[: min(cut, len(wire) - 1)]
    assert parse_client_hello(part) is None
    assert not wire_size(part)


def use(data: bytes) -> None:
    """Use all that a report uses."""
    wire_size(data)
    hello = parse_client_hello(data)
    report = build(captured.VETH.facts(tls=Tls(hello=hello)))
    if hello is not None:
        assert len(ja4(hello).split("_")) == 3
    assert all(line.isascii() for line in layers_lines(report))


@given(st.binary())
def test_any_bytes_are_accepted(data: bytes) -> None:
    use(data)
    use(records(b"\1" + vector(3, data)))


@given(st.data())
def test_any_change_is_accepted(data: Any) -> None:
    message = bytearray(SPECIFIED.message())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not message:
            return
    use(records(bytes(message)))


@given(st.dictionaries(st.sampled_from([0, 10, 13, 16, 35, 41, 43, 51, 0xFE0D]), st.binary()))
def test_any_content_of_extensions_is_accepted(contents: dict[int, bytes]) -> None:
    extensions = ",".join(f"{number:04x}" for number in contents)
    use(records(Offer("1301", extensions, contents=contents).message()))


@pytest.mark.parametrize(
    "wire",
    [b"GET / HTTP/1.1\r\n", b"\x15\x03\x01\0\2\2\x28", b"\x16\x03\x01\0\4\2\0\0\0"],
    ids=["http", "alert", "server hello"],
)
def test_other_messages_are_no_client_hello(wire: bytes) -> None:
    assert wire_size(wire) == 0
    assert parse_client_hello(wire) is None


def test_grease() -> None:
    """RFC 8701 section 2: {0x0A,0x0A} to {0xFA,0xFA}."""
    expected = {high << 12 | 0x0A00 | high << 4 | 0x0A for high in range(16)}
    assert {number for number in range(1 << 16) if is_grease(number)} == expected


def values(report: Report) -> dict[str, Any]:
    return {value.name: value.value for layer in report.layers[4:6] for value in layer.values}


def test_report_has_the_offers() -> None:
    tls = Tls(version="TLSv1.3", group="X25519MLKEM768", resumed=False, hello=SPECIFIED.parsed())
    found = values(build(captured.VETH.facts(tls=tls)))
    assert found["tls_ja4"] == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert found["tls_post_quantum"] is True
    assert found["tls_offered_versions"] == ("GREASE", "TLSv1.3", "TLSv1.2")
    assert found["tls_offered_groups"] == ("GREASE", "X25519MLKEM768", "x25519", "secp256r1")
    assert found["tls_offered_post_quantum"] == ("X25519MLKEM768",)
    assert found["tls_key_shares"] == ("GREASE", "X25519MLKEM768")
    assert found["tls_offered_signature_algorithms"][0] == "ecdsa_secp256r1_sha256"
    assert found["tls_offered_alpn"] == ("h2", "http/1.1")
    assert found["tls_offered_ech"] is False
    assert found["tls_offered_ciphers"][:2] == ("GREASE", "TLS_AES_128_GCM_SHA256")
    assert found["tls_extensions"][1:3] == ("compress_certificate", "server_name")
    assert (found["tls_resumed"], found["tls_offered_resumption"]) == (False, None)


def test_report_without_a_client_hello_says_why() -> None:
    report = build(captured.VETH.facts(tls=Tls(version="TLSv1.3")))
    found = report.layers[5].value("tls_ja4")
    assert found is not None
    assert found.source is Source.UNAVAILABLE
    assert "does not show handshakes" in found.why
    assert "tls_offered_groups" not in values(report)


def test_report_of_a_long_offer_is_bounded() -> None:
    many = ",".join(f"{number:04x}" for number in range(0x2000, 0x3000))
    hello = Offer(many, "000a,fe0d", groups=many).parsed()
    report = build(captured.VETH.facts(tls=Tls(hello=hello)))
    found = values(report)
    assert len(found["tls_offered_groups"]) == len(found["tls_offered_ciphers"]) == 100
    assert found["tls_offered_ech"] is True
    assert len(layers_lines(report, width=REPLY_WIDTH)) < 200


def test_post_quantum_names() -> None:
    """OpenSSL 3.5: ``X25519MLKEM768``, and ``x25519`` in lower case."""
    assert is_post_quantum_name("X25519MLKEM768")
    assert is_post_quantum_name("SecP384r1MLKEM1024")
    assert not is_post_quantum_name("x25519")
    assert group_name(0x11EC) == "X25519MLKEM768"


def independent_ja4(wire: bytes) -> str:
    """Compute JA4 of one record by another way: with slices, for clients that send no GREASE."""
    body = wire[5 + 4 :]
    at = 34 + 1 + body[34]
    size = body[at] * 256 + body[at + 1]
    ciphers = sorted(body[at + 2 + each : at + 4 + each].hex() for each in range(0, size, 2))
    at += 2 + size
    at += 1 + body[at] + 2
    found: dict[str, bytes] = {}
    while at < len(body):
        size = body[at + 2] * 256 + body[at + 3]
        found[body[at : at + 2].hex()] = body[at + 4 : at + 4 + size]
        at += 4 + size
    alpn = found.get("0010", b"\0\0\0")
    first = alpn[3 : 3 + alpn[2]].decode() or "00"
    hashed = ",".join(sorted(each for each in found if each not in ("0000", "0010")))
    hashed += "_" + found["000d"][2:].hex(",", 2)
    parts = [",".join(ciphers), hashed]
    digests = [hashlib.sha256(part.encode()).hexdigest()[:12] for part in parts]
    version = "13" if b"\x03\x04" in found.get("002b", b"") else "12"
    name = "d" if "0000" in found else "i"
    head = f"t{version}{name}{len(ciphers):02}{len(found):02}{first[0]}{first[-1]}"
    return "_".join([head, *digests])


@pytest.mark.parametrize("name", [None, "a.example"])
@pytest.mark.parametrize("alpn", [[], ["h2", "http/1.1"], ["irc"]])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_ja4_of_python(name: str | None, alpn: list[str], version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    wire = sent.read()
    assert wire_size(wire) == len(wire)
    hello = parse_client_hello(wire)
    assert hello is not None
    assert ja4(hello) == independent_ja4(wire)
    assert hello.alpn == tuple(map(str.encode, alpn))


@pytest.mark.parametrize("options", [["-tls1_2"], ["-alpn", "h2", "-groups", "P-256:X25519"]])
def test_ja4_of_openssl(options: list[str]) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.settimeout(PATIENCE)
        address = f"127.0.0.1:{port.getsockname()[1]}"
        command = ["openssl", "s_client", "-connect", address, *options]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as client:
            server, _ = port.accept()
            with server:
                server.settimeout(PATIENCE)
                wire = b""
                while wire_size(wire) is None:
                    wire += server.recv(1 << 14)
            client.wait(PATIENCE)
    hello = parse_client_hello(wire)
    assert hello is not None
    assert ja4(hello) == independent_ja4(wire)
    if "-groups" in options:
        assert hello.groups == (0x17, 0x1D)
