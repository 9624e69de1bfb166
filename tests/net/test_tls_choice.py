"""Several certificates in one ``[tls:NAME]``: selection, resumption and errors."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import certificates
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from net.test_tls import client_context, handshake, server_flight
from OpenSSL import SSL

from tcpd.config.errors import SettingError
from tcpd.config.settings import TLSSettings
from tcpd.net.tls import Certificates, facts_of

VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])


def load_several(made: Sequence[certificates.Made], **settings: Any) -> Certificates:
    files = {
        "certificate": tuple(str(each.certificate_file) for each in made),
        # in any order
        "key": tuple(str(each.key_file) for each in reversed(made)),
    }
    return Certificates(TLSSettings(**{**files, **settings}))


def certificate_for(
    server: Certificates, name: bytes | None, client: SSL.Context | None = None
) -> x509.Certificate:
    _, connection = handshake(server, client or client_context(), name=name)
    found = connection.get_peer_certificate(as_cryptography=True)
    assert found is not None
    return found


def only(cipher: str) -> SSL.Context:
    """A TLS 1.2 client that supports one key type."""
    client = client_context(SSL.TLS1_2_VERSION)
    client.set_cipher_list(f"ECDHE-{cipher}-AES128-GCM-SHA256".encode())
    return client


@VERSIONS
@pytest.mark.parametrize(
    ("sni", "number"),
    [
        (b"a.example.org", 0),
        (b"A.Example.Org", 0),
        (b"b.example.org", 1),
        (b"c.example.org", 2),  # the wildcard
        (b"a.b.example.org", 0),  # no match: the first
        (b"other.test", 0),
        (None, 0),
    ],
)
def test_certificate_is_selected_by_sni(
    tmp_path: Path, version: int, sni: bytes | None, number: int
) -> None:
    """RFC 6066 section 3; an exact name is preferred to an earlier wildcard."""
    made = [
        certificates.make(tmp_path, "a", names=["a.example.org"]),
        certificates.make(tmp_path, "b", names=["b.example.org"]),
        certificates.make(tmp_path, "any", names=["*.example.org"]),
    ]
    assert (
        certificate_for(load_several(made), sni, client_context(version))
        == made[number].certificate
    )


def test_exact_name_is_preferred_to_an_earlier_wildcard(tmp_path: Path) -> None:
    made = [
        certificates.make(tmp_path, "any", names=["*.example.org"]),
        certificates.make(tmp_path, "a", names=["a.example.org"]),
    ]
    assert certificate_for(load_several(made), b"a.example.org") == made[1].certificate


@pytest.mark.parametrize("sni", [b"example.org", None])
@pytest.mark.parametrize("first", ["RSA", "ECDSA"])
def test_key_type_is_selected_by_signature_algorithms(
    tmp_path: Path, sni: bytes | None, first: str
) -> None:
    """RFC 8446 section 4.4.2.2"""
    second = {"RSA": "ECDSA", "ECDSA": "RSA"}[first]
    made = {
        each: certificates.make(tmp_path, "example.org", key_type=each, file=each)
        for each in (first, second)
    }
    server = load_several(list(made.values()))
    for each in ("RSA", "ECDSA"):
        assert certificate_for(server, sni, only(each)) == made[each].certificate


@VERSIONS
def test_ecdsa_is_preferred_to_rsa(tmp_path: Path, version: int) -> None:
    made = [
        certificates.make(tmp_path, "example.org", key_type=each, file=each)
        for each in ("RSA", "ECDSA")
    ]
    server = load_several(made)
    assert certificate_for(server, b"example.org", client_context(version)) == made[1].certificate


def test_each_key_type_has_its_own_chain(tmp_path: Path) -> None:
    leaves, bundle = {}, []
    for each in ("RSA", "ECDSA"):
        root = certificates.make(tmp_path, f"root {each}", authority=True)
        middle = certificates.make(
            tmp_path, f"middle {each}", issuer=root, authority=True, key_type=each
        )
        leaves[each] = certificates.make(tmp_path, "a", issuer=middle, key_type=each, file=each)
        bundle.append(middle.certificate_file.read_bytes())
    chain = tmp_path / "chains.pem"
    chain.write_bytes(b"".join(bundle))
    server = load_several(list(leaves.values()), chain=(str(chain),))
    for each, leaf in leaves.items():
        _, client = handshake(server, only(each), name=b"a")
        shown = client.get_peer_cert_chain(as_cryptography=True)
        assert [cert.subject.rfc4514_string() for cert in shown] == ["CN=a", f"CN=middle {each}"]
        assert shown[0] == leaf.certificate


@VERSIONS
@pytest.mark.parametrize("sni", [b"a", b"b"], ids=["first", "switched"])
@pytest.mark.parametrize("client_ca", [False, True], ids=["anybody", "client_ca"])
def test_sessions_are_resumed_on_each_certificate(
    tmp_path: Path, version: int, sni: bytes, client_ca: bool
) -> None:
    """RFC 5077 section 3.1; RFC 8446 section 4.6.1."""
    made = [certificates.make(tmp_path, each, authority=True) for each in ("a", "b")]
    server = load_several(made, client_ca=str(made[0].certificate_file) if client_ca else "")
    client = client_context(version)
    client.use_certificate_file(str(made[0].certificate_file))
    client.use_privatekey_file(str(made[0].key_file))
    _, first = handshake(server, client, name=sni)
    session = first.get_session()
    ours, _ = handshake(server, client, session, name=sni)
    assert (facts_of(ours).fingerprint is not None) == client_ca, "it is in the ticket"
    full = server_flight(server, client, None, sni)
    resumed = server_flight(server, client, session, sni)
    assert resumed < full - 300, "a resumed handshake has no certificate"


@pytest.mark.parametrize("sni", [b"a", b"b"], ids=["first", "switched"])
@VERSIONS
def test_alpn_and_versions_apply_to_each_certificate(
    tmp_path: Path, version: int, sni: bytes
) -> None:
    made = [certificates.make(tmp_path, each) for each in ("a", "b")]
    client = client_context(version)
    client.set_alpn_protos([b"h2", b"irc"])
    ours, connection = handshake(load_several(made), client, name=sni)
    assert connection.get_alpn_proto_negotiated() == b""
    assert facts_of(ours).server_name == sni.decode()
    if version == SSL.TLS1_2_VERSION:
        with pytest.raises(SSL.Error):
            handshake(load_several(made, minimum="1.3"), client, name=sni)


@pytest.mark.parametrize("sni", [b"a", b"b"], ids=["first", "switched"])
@VERSIONS
@pytest.mark.parametrize("who", ["friend", "stranger", "nobody"])
@pytest.mark.parametrize("word", ["required", "optional"])
def test_client_certificate_is_required_on_each_certificate(
    tmp_path: Path, version: int, sni: bytes, who: str, word: str
) -> None:
    made = [certificates.make(tmp_path, each, authority=True) for each in ("a", "b")]
    ca = made[0]
    shows = {
        "friend": certificates.make(tmp_path, "ann", issuer=ca, names=["ann.example"]),
        "stranger": certificates.make(tmp_path, "eve"),
        "nobody": None,
    }[who]
    server = load_several(made, client_ca=str(ca.certificate_file), client_certificate=word)
    client = client_context(version)
    if shows is not None:
        client.use_certificate_file(str(shows.certificate_file))
        client.use_privatekey_file(str(shows.key_file))
    refused = who == "stranger" or (who == "nobody" and word == "required")
    with pytest.raises(SSL.Error) if refused else contextlib.nullcontext():
        ours, _ = handshake(server, client, name=sni)
        facts = facts_of(ours)
        if shows is None:
            assert (facts.fingerprint, facts.subject, facts.client_names) == (None, None, ())
            assert "client" not in str(facts)
        else:
            pem = shows.certificate_file.read_text()
            der = ssl.PEM_cert_to_DER_cert(pem)
            assert facts.fingerprint == hashlib.sha256(der).hexdigest()
            assert facts.subject == "CN=ann"
            assert facts.client_names == ("ann.example", "127.0.0.1")
            assert str(facts).endswith(f", client CN=ann sha256:{facts.fingerprint}")


def test_weak_cipher_suites_are_refused(localhost: certificates.Made) -> None:
    """RFC 9325 section 4.1: no CBC with SHA-1, and no key exchange without forward secrecy."""
    client = client_context(SSL.TLS1_2_VERSION)
    client.set_cipher_list(b"ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(SSL.Error):
        handshake(load_several([localhost]), client)


def test_renegotiation_is_refused(localhost: certificates.Made) -> None:
    """RFC 9325 section 3.5; the alert no_renegotiation of RFC 5246."""
    server, client = handshake(load_several([localhost]), client_context(SSL.TLS1_2_VERSION))
    assert client.renegotiate()
    with contextlib.suppress(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(client.bio_read(65536))
    with contextlib.suppress(SSL.WantReadError):
        server.recv(1)
    client.bio_write(server.bio_read(65536))
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()
    assert server.total_renegotiations() == 0


def test_renewed_certificate_applies_to_new_connections(tmp_path: Path) -> None:
    old = certificates.make(tmp_path, "a")
    server = load_several([old])
    ours, theirs = handshake(server, client_context(), name=b"a")
    new = certificates.make(tmp_path, "a")
    assert server.adopt(load_several([new]))
    assert certificate_for(server, b"a") == new.certificate
    theirs.send(b"hello")
    ours.bio_write(theirs.bio_read(65536))
    assert ours.recv(5) == b"hello"


def test_adopt_without_change_keeps_the_context(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "a")
    server = load_several([made])
    assert not server.adopt(load_several([made]))
    assert server.adopt(load_several([made], minimum="1.3"))


def test_tickets_of_rotated_keys_are_not_resumed(localhost: certificates.Made) -> None:
    server = load_several([localhost])
    client = client_context()
    _, first = handshake(server, client)  # without a shutdown, freeing it would end the session
    session = first.get_session()
    resumed = server_flight(server, client, session)
    server.rotate()
    assert server_flight(server, client, session) > resumed + 300


# --- errors ---


def setting_error(made: Sequence[certificates.Made], **settings: Any) -> SettingError:
    with pytest.raises(SettingError) as caught:
        load_several(made, **settings)
    return caught.value


def test_missing_key_is_an_error(tmp_path: Path) -> None:
    made = [certificates.make(tmp_path, each) for each in ("a", "b")]
    error = setting_error(made, key=(str(made[0].key_file),))
    assert error.key == "key"
    assert error.text == (
        f"none of the files named here is the key of the certificate in {made[1].certificate_file}"
    )


def test_unused_key_is_an_error(tmp_path: Path) -> None:
    a, b, c = (certificates.make(tmp_path, each) for each in ("a", "b", "c"))
    error = setting_error([a, b], key=tuple(str(each.key_file) for each in (a, b, c)))
    assert error.key == "key"
    assert error.text.startswith(f"{c.key_file} is not the key of any of the certificates in ")


def test_certificate_never_selected_is_an_error(tmp_path: Path) -> None:
    names = ["a.example", "b.example"]
    a = certificates.make(tmp_path, "a", names=names)
    b = certificates.make(tmp_path, "b", names=names[:1])
    error = setting_error([a, b])
    assert error.key == "certificate"
    assert error.text.startswith(f"{b.certificate_file} would never be selected")


def test_unused_chain_is_an_error(tmp_path: Path) -> None:
    a = certificates.make(tmp_path, "a")
    stranger = certificates.make(tmp_path, "b", authority=True)
    error = setting_error([a], chain=(str(stranger.certificate_file),))
    assert error.key == "chain"
    assert "no certificate of the issuer of" in error.text


def test_no_certificate_is_an_error() -> None:
    with pytest.raises(SettingError, match="at least one file"):
        Certificates(TLSSettings(certificate=()))


def test_certificate_refused_by_openssl_is_an_error(tmp_path: Path) -> None:
    made = certificates.make(tmp_path, "a", key_type="short RSA")
    error = setting_error([made])
    assert error.key == "certificate"
    assert "is rejected by OpenSSL: ee key too small" in error.text


# --- systemd credentials ---


def test_systemd_credentials(tmp_path: Path) -> None:
    """systemd.exec(5), LoadCredential="""
    made = certificates.make(tmp_path, "a")
    server = Certificates(
        TLSSettings(
            certificate=(f"credential:{made.certificate_file.name}",),
            key=(f"credential:{made.key_file.name}",),
            client_ca=f"credential:{made.certificate_file.name}",
            client_certificate="optional",
        ),
        str(tmp_path),
    )
    assert certificate_for(server, b"a") == made.certificate
    assert set(server.stamps) == {str(made.certificate_file), str(made.key_file)}


def test_credential_without_directory_is_an_error() -> None:
    with pytest.raises(SettingError) as caught:
        Certificates(TLSSettings(certificate=("credential:web.pem",)))
    assert caught.value.key == "certificate"
    assert "LoadCredential=web.pem:PATH" in caught.value.text


@pytest.fixture(scope="module")
def valid_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A directory, and the contents of a certificate (DER) and its key."""
    directory = tmp_path_factory.mktemp("valid_files")
    made = certificates.make(directory, "a")
    return directory, made.certificate.public_bytes(Encoding.DER), made.key_file.read_bytes()


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(at=st.integers(0, 600), bits=st.integers(1, 255), end=st.integers(0, 600))
def test_corrupt_certificate_loads_or_is_a_setting_error(
    valid_files: tuple[Path, bytes, bytes], at: int, bits: int, end: int
) -> None:
    directory, der, key = valid_files
    faulty = bytearray(der)
    faulty[at % len(der)] ^= bits
    if end < len(der) // 4:
        del faulty[len(der) - end :]
    base64 = ssl.DER_cert_to_PEM_cert(bytes(faulty)).encode()
    (directory / "faulty.pem").write_bytes(base64 + key)
    with contextlib.suppress(SettingError):
        loaded = Certificates(TLSSettings(certificate=(str(directory / "faulty.pem"),)))
        assert loaded.pairs[0].fingerprint


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_truncated_file_loads_or_is_a_setting_error(
    valid_files: tuple[Path, bytes, bytes], other: bytes, end: int
) -> None:
    directory, der, key = valid_files
    text = (key + ssl.DER_cert_to_PEM_cert(der).encode())[:end] + other
    (directory / "half.pem").write_bytes(text)
    with contextlib.suppress(SettingError):
        Certificates(TLSSettings(certificate=(str(directory / "half.pem"),)))
