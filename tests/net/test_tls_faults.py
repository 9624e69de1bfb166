"""Classification of failed TLS handshakes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import certificates
import pytest
from net.doubles import server_tls
from OpenSSL import SSL
from twisted.internet.task import Clock

from tcpd.net.tls_faults import TLSFault, handshake_fault, reasons_of
from tcpd.policy.reasons import End


class ServerHandshake:
    """The server's side of a handshake with a client in memory."""

    def __init__(
        self, made: certificates.Made, prepare: Callable[[SSL.Context], object] = lambda _: None
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        prepare(context)
        self.client = SSL.Connection(context)
        self.client.set_connect_state()
        self.server = server_tls(made, Clock()).serverConnectionForTLS(None)
        self.server.set_accept_state()

    def client_output(self) -> bytes:
        """Continue the handshake as client, and return its output, an alert included."""
        with contextlib.suppress(SSL.Error):
            self.client.do_handshake()
        return self.client.bio_read(1 << 16)

    def server_gets(self, data: bytes) -> TLSFault | None:
        self.server.bio_write(data)
        try:
            self.server.do_handshake()
        except SSL.WantReadError:
            return None
        except SSL.Error as error:
            return handshake_fault(error, self.server)
        raise AssertionError("the handshake is complete")

    def until_certificate(self) -> ServerHandshake:
        """Continue until the server has sent its certificate."""
        assert self.server_gets(self.client_output()) is None
        self.client.bio_write(self.server.bio_read(1 << 16))
        return self


def at_most(version: int) -> Callable[[SSL.Context], object]:
    return lambda context: context.set_max_proto_version(version)


VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])


@VERSIONS
def test_untrusted_certificate_is_refused_by_client(
    localhost: certificates.Made, version: int
) -> None:
    """RFC 8446 section 6: in TLS 1.3 the alert is encrypted."""

    def prepare(context: SSL.Context) -> None:
        context.set_max_proto_version(version)
        context.set_verify(SSL.VERIFY_PEER)

    handshake = ServerHandshake(localhost, prepare).until_certificate()
    assert handshake.server_gets(handshake.client_output()) == TLSFault(
        End.TLS_REFUSED, "tlsv1 alert unknown ca"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (40, "handshake failure"),
        (42, "bad certificate"),
        (43, "unsupported certificate"),
        (44, "certificate revoked"),
        (45, "certificate expired"),
        (46, "certificate unknown"),
        (48, "unknown ca"),
        (49, "access denied"),
        (51, "decrypt error"),
        (80, "internal error"),
        (90, "user cancelled"),
        (112, "unrecognized name"),
        (113, "bad certificate status response"),
    ],
)
def test_each_alert_is_a_refusal_by_the_client(
    localhost: certificates.Made, code: int, words: str
) -> None:
    """RFC 8446 section 6.2; in TLS 1.2 alerts are in plaintext."""
    handshake = ServerHandshake(localhost, at_most(SSL.TLS1_2_VERSION)).until_certificate()
    fault = handshake.server_gets(b"\x15\x03\x03\x00\x02\x02" + bytes([code]))
    assert fault is not None
    assert fault.end is End.TLS_REFUSED
    assert fault.reason.endswith(words)


@pytest.mark.parametrize(
    ("rubbish", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "http request"),
        (b"\0" * 99, "wrong version number"),
        (b"\x16\x03\x01\xff\xff" + bytes(99), "data length too long"),
        (b"\x15\x03\x01\x00\x02\x02\x30", "unexpected message"),
    ],
    ids=["HTTP", "zeros", "record", "alert without a hello"],
)
def test_invalid_client_hello_is_misbehaviour(
    localhost: certificates.Made, rubbish: bytes, reason: str
) -> None:
    fault = ServerHandshake(localhost).server_gets(rubbish)
    assert fault is not None
    assert fault.end is End.TLS_FAILED
    assert fault.reason.startswith(reason)


@VERSIONS
def test_invalid_data_after_the_client_hello_is_misbehaviour(
    localhost: certificates.Made, version: int
) -> None:
    handshake = ServerHandshake(localhost, at_most(version)).until_certificate()
    fault = handshake.server_gets(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert fault is not None
    assert fault.end is End.TLS_FAILED


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (
            lambda context: (
                context.set_cipher_list(b"ALL:@SECLEVEL=0"),
                context.set_min_proto_version(SSL.TLS1_1_VERSION),
                context.set_max_proto_version(SSL.TLS1_1_VERSION),
            ),
            "unsupported protocol",
        ),
        (
            lambda context: (
                context.set_max_proto_version(SSL.TLS1_2_VERSION),
                context.set_cipher_list(b"AES128-SHA"),
            ),
            "no shared cipher",
        ),
    ],
    ids=["version", "cipher"],
)
def test_client_hello_with_nothing_in_common_is_a_refusal(
    localhost: certificates.Made, prepare: Callable[[SSL.Context], object], reason: str
) -> None:
    handshake = ServerHandshake(localhost, prepare)
    assert handshake.server_gets(handshake.client_output()) == TLSFault(End.TLS_REFUSED, reason)


@VERSIONS
def test_close_after_the_certificate_is_a_refusal(
    localhost: certificates.Made, version: int
) -> None:
    handshake = ServerHandshake(localhost, at_most(version)).until_certificate()
    fault = handshake_fault(None, handshake.server)
    assert fault == TLSFault(End.TLS_REFUSED, "the connection was closed in the handshake")


def test_truncated_client_hello_is_misbehaviour(localhost: certificates.Made) -> None:
    handshake = ServerHandshake(localhost)
    assert handshake.server_gets(handshake.client_output()[:100]) is None
    assert handshake_fault(None, handshake.server).end is End.TLS_FAILED


@pytest.mark.parametrize(
    "error", [None, ValueError([("a", "b", "c")]), SSL.Error(), SSL.Error(-1, "x"), SSL.Error([])]
)
def test_error_without_reason(error: BaseException | None) -> None:
    assert reasons_of(error) == []
