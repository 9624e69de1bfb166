"""Contexts from certificate files."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import certificates
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from OpenSSL import SSL

from tcpd.config.errors import SettingError
from tcpd.config.settings import TLSSettings
from tcpd.net.tls import Certificates, facts_of


def loaded(made: certificates.Made, **settings: Any) -> Certificates:
    files = {"certificate": str(made.certificate_file), "key": str(made.key_file), **settings}
    for name in {"certificate", "key", "chain"} & set(files):
        if isinstance(files[name], str):
            files[name] = (files[name],) if files[name] else ()
    return Certificates(TLSSettings(**files))


def handshake(
    server_side: Certificates,
    client: SSL.Context,
    session: Any = None,
    name: bytes | None = b"localhost",
) -> tuple[SSL.Connection, Any]:
    """Do a handshake in memory.

    :param session: of an earlier handshake, to resume.
    :param name: the SNI.
    :return: the server's connection and the client's.
    :raise SSL.Error: from the side that fails."""
    protocol: Any = None
    server = server_side.serverConnectionForTLS(protocol)
    server.set_accept_state()
    connection = SSL.Connection(client)
    if name is not None:
        connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    if session is not None:
        connection.set_session(session)
    done = set()
    for _ in range(10):
        for side, other in ((connection, server), (server, connection)):
            try:
                side.do_handshake()
                done.add(side)
            except SSL.WantReadError:
                pass
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(side.bio_read(65536))
    # in TLS 1.3 the client's handshake is complete before the server refuses its certificate
    for side in (server, connection):
        with contextlib.suppress(SSL.WantReadError):
            side.recv(1)
    assert len(done) == 2
    return server, connection


def client_context(*versions: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if versions:
        context.set_max_proto_version(max(versions))
    return context


def test_tls_facts(localhost: certificates.Made) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server, _ = handshake(loaded(localhost), client_context())
    facts = facts_of(server)
    assert (facts.version, facts.server_name) == ("TLSv1.3", "localhost")
    assert facts.cipher.startswith("TLS_")


@pytest.mark.parametrize(
    ("name_sent", "known"), [(b"localhost.", "localhost"), (b".", None), (b"a..", "a.")]
)
def test_trailing_dot_of_sni_is_removed(
    localhost: certificates.Made, name_sent: bytes, known: str | None
) -> None:
    """RFC 6066 section 3: "without a trailing dot" """
    server, _ = handshake(loaded(localhost), client_context(), name=name_sent)
    assert facts_of(server).server_name == known


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        # RFC 8446 section 9.1: "MUST implement the TLS_AES_128_GCM_SHA256 [GCM] cipher suite"
        ("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
    ],
)
def test_cipher_suite_is_selected_from_the_clients(
    localhost: certificates.Made, offered: str, agreed: str
) -> None:
    client = client_context()
    client.set_tls13_ciphersuites(offered.encode())
    assert facts_of(handshake(loaded(localhost), client)[0]).cipher == agreed


@pytest.mark.skipif(
    SSL.OPENSSL_VERSION_NUMBER < 0x30500000, reason="OpenSSL has ML-KEM from 3.5 on"
)
@pytest.mark.parametrize("resumed", [False, True])
def test_key_exchange_is_hybrid_post_quantum(localhost: certificates.Made, resumed: bool) -> None:
    """draft-ietf-tls-ecdhe-mlkem section 4; RFC 8446 section 2.2, for resumed sessions."""
    server, client = loaded(localhost), client_context()
    ours, theirs = handshake(server, client)
    if resumed:
        ours, theirs = handshake(server, client, theirs.get_session())
    assert ours.get_group_name() == "X25519MLKEM768"


@pytest.mark.parametrize(("minimum", "agreed"), [("1.2", "TLSv1.2"), ("1.3", None)])
def test_minimum_version(localhost: certificates.Made, minimum: str, agreed: str | None) -> None:
    server = loaded(localhost, minimum=minimum)
    client = client_context(SSL.TLS1_2_VERSION)
    if agreed is None:
        with pytest.raises(SSL.Error):
            handshake(server, client)
    else:
        assert facts_of(handshake(server, client)[0]).version == agreed


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_client_with_alpn_is_accepted_without_alpn_setting(
    localhost: certificates.Made, version: int
) -> None:
    client = client_context(version)
    client.set_alpn_protos([b"h2", b"irc"])
    _, connection = handshake(loaded(localhost), client)
    assert connection.get_alpn_proto_negotiated() == b""


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [([b"http/1.1", b"x", b"imap"], b"imap"), ([b"http/1.1"], b"http/1.1"), ([], b"")],
)
def test_alpn_protocol_is_selected(
    localhost: certificates.Made, version: int, offered: list[bytes], agreed: bytes
) -> None:
    """RFC 7301 section 3.2: "the server selects ... the most highly preferred protocol that it
    supports and that is also advertised by the client"."""
    client = client_context(version)
    if offered:
        client.set_alpn_protos(offered)
    server, connection = handshake(loaded(localhost, alpn=("imap", "http/1.1")), client)
    assert connection.get_alpn_proto_negotiated() == agreed
    assert server.get_alpn_proto_negotiated() == agreed


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_client_without_common_alpn_protocol_is_refused(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 7301 section 3.2: "the server SHALL respond with a fatal no_application_protocol
    alert"."""
    client = client_context(version)
    client.set_alpn_protos([b"h2"])
    protocol: Any = None
    server = loaded(localhost, alpn=("imap",)).serverConnectionForTLS(protocol)
    server.set_accept_state()
    connection = SSL.Connection(client)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    server.bio_write(connection.bio_read(65536))
    with pytest.raises(SSL.Error, match="none of our protocols"):
        server.do_handshake()
    connection.bio_write(server.bio_read(65536))
    with pytest.raises(SSL.Error, match="no application protocol"):
        connection.do_handshake()


def test_chain_in_certificate_or_chain_file(tmp_path: Path) -> None:
    authority = certificates.make(tmp_path, "authority", authority=True)
    leaf = certificates.make(tmp_path, "leaf", issuer=authority)
    both = tmp_path / "both.pem"
    both.write_bytes(leaf.certificate_file.read_bytes() + authority.certificate_file.read_bytes())
    for settings in (
        {"certificate": str(both)},
        {"chain": str(authority.certificate_file)},
    ):
        _, client = handshake(loaded(leaf, **settings), client_context())
        assert len(client.get_peer_cert_chain(as_cryptography=True)) == 2


def test_key_in_the_certificate_file(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "one")
    one = tmp_path / "one-file.pem"
    one.write_bytes(made.key_file.read_bytes() + made.certificate_file.read_bytes())
    handshake(loaded(made, certificate=str(one), key=""), client_context())


def test_client_ca_requires_a_signed_client_certificate(tmp_path: Path) -> None:
    ours = certificates.make(tmp_path, "ours", authority=True)
    friend = certificates.make(tmp_path, "friend", issuer=ours)
    stranger = certificates.make(tmp_path, "stranger")
    server = loaded(ours, client_ca=str(ours.certificate_file))

    def client(made: certificates.Made | None) -> SSL.Context:
        context = client_context()
        if made:
            context.use_certificate_file(str(made.certificate_file))
            context.use_privatekey_file(str(made.key_file))
        return context

    handshake(server, client(friend))
    for other in (stranger, None):
        with pytest.raises(SSL.Error):
            handshake(server, client(other))


@pytest.mark.parametrize(
    ("settings", "key", "expected"),
    [
        ({"certificate": "gone.pem"}, "certificate", "No such file"),
        ({"certificate": "."}, "certificate", "Is a directory"),
        ({"certificate": "text"}, "certificate", "has no PEM certificate"),
        ({"certificate": "one-key.pem"}, "certificate", "has no PEM certificate"),
        ({"key": "gone.pem"}, "key", "No such file"),
        ({"key": "text"}, "key", "has no PEM private key"),
        ({"key": ""}, "certificate", "has no PEM private key"),
        ({"key": "locked"}, "key", "passphrase"),
        ({"key": "two-key.pem"}, "key", "is not the key of the certificate"),
        ({"chain": "text"}, "chain", "has no PEM certificate"),
        ({"client_ca": "text"}, "client_ca", "has no PEM certificate"),
    ],
)
def test_unusable_file_is_a_setting_error(
    tmp_path: Path, settings: dict[str, str], key: str, expected: str
) -> None:
    made = certificates.make(tmp_path, "one")
    certificates.make(tmp_path, "two")
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "locked").write_bytes(
        made.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    paths = {name: str(tmp_path / file) if file else "" for name, file in settings.items()}
    with pytest.raises(SettingError) as caught:
        loaded(made, **paths)
    assert caught.value.key == key
    assert expected in caught.value.text
    assert "\n" not in caught.value.text


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
@pytest.mark.parametrize("client_ca", [False, True], ids=["anybody", "client_ca"])
def test_session_is_resumed_by_ticket(tmp_path: Path, version: int, client_ca: bool) -> None:
    """RFC 5077 section 3.1; RFC 8446 section 4.6.1."""
    made = certificates.make(tmp_path, "localhost", authority=True)
    server = loaded(made, client_ca=str(made.certificate_file) if client_ca else "")
    client = client_context(version)
    client.use_certificate_file(str(made.certificate_file))
    client.use_privatekey_file(str(made.key_file))
    _, first = handshake(server, client)
    _, again = handshake(server, client, first.get_session())
    # pyOpenSSL cannot report a resumption; a resumed handshake has no certificate
    assert again.total_renegotiations() == 0
    certificate = len(made.certificate.public_bytes(Encoding.DER))
    full = server_flight(server, client, None)
    assert server_flight(server, client, first.get_session()) < full - certificate


def server_flight(
    server_side: Certificates, client: SSL.Context, session: Any, name: bytes = b"localhost"
) -> int:
    """Return the size of the server's first flight for an SNI, in bytes."""
    protocol: Any = None
    server = server_side.serverConnectionForTLS(protocol)
    server.set_accept_state()
    connection = SSL.Connection(client)
    connection.set_tlsext_host_name(name)
    connection.set_connect_state()
    if session is not None:
        connection.set_session(session)
    with contextlib.suppress(SSL.WantReadError):
        connection.do_handshake()
    server.bio_write(connection.bio_read(65536))
    with contextlib.suppress(SSL.WantReadError):
        server.do_handshake()
    return len(server.bio_read(65536))
