"""``tcpd-ctl probe``: probes a service as a client."""

from __future__ import annotations

import ipaddress
import queue
import re
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

#: Maximum number of bytes that are read while the expected text has not arrived.
_MOST = 64 * 1024

# The most frequent errors of certificates, by OpenSSL's X509_V_ERR_ numbers.
_FAULTS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed and not trusted; --ca names a file of authorities to trust",
    19: "its chain ends in an untrusted certificate; --ca names a file of authorities to trust",
    20: "its issuer is unknown: --ca names a file of authorities, or the chain is not sent",
    21: "the first certificate cannot be verified, or the chain is not sent",
}

_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


class ProbeFailed(Exception):
    """The service failed; the text says how."""


@dataclass(slots=True)
class Found:
    """The results of a probe, up to the step that failed.

    :ivar address: the address of the connection.
    :ivar times: seconds, by step: ``connect``, ``tls``, ``expect``.
    :ivar tls: version, cipher and facts of the certificate; empty without TLS.
    """

    address: str = ""
    times: dict[str, float] = field(default_factory=dict)
    tls: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe of a service.

    :ivar host: a name or an address.
    :ivar port: the number.
    :ivar tls: whether to use TLS.
    :ivar name: the name that the certificate must have.
    :ivar ca: a PEM file of authorities to trust; ``None`` for those of the system.
    :ivar send: bytes to send; empty for none.
    :ivar expect: bytes that must come; empty for none.
    :ivar min_days: the minimum number of days that the certificate must be valid.
    :ivar timeout: seconds for the whole probe.
    """

    host: str
    port: int
    tls: bool
    name: str
    ca: str | None
    send: bytes
    expect: bytes
    min_days: float
    timeout: float

    def run(self, found: Found) -> None:
        """Run the probe.

        :param found: gets the results, step by step.
        :raise ProbeFailed: at the first failure.
        """
        end = time.monotonic() + self.timeout
        began = time.monotonic()
        with self._connect(end) as plain:
            found.times["connect"] = time.monotonic() - began
            host, port = plain.getpeername()[:2]
            found.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            plain.setblocking(False)
            wire = _Wire(plain, end)
            if self.tls:
                wire.stream = self._handshake(wire, found)
            self._converse(wire, found)

    def _connect(self, end: float) -> socket.socket:
        """Connect to the first address that accepts, in the order of ``getaddrinfo(3)``."""
        fault: OSError | None = None
        for family, sockaddr in self._addresses():
            plain = socket.socket(family)
            try:
                plain.settimeout(max(end - time.monotonic(), 0.001))
                plain.connect(sockaddr)
            except OSError as error:
                plain.close()
                fault = error
            else:
                return plain
        assert fault is not None  # getaddrinfo gives one address or raises
        raise self._unconnected(fault) from fault

    def _addresses(self) -> list[tuple[int, Any]]:
        """Look the host up in a thread: a resolver that waits for name servers cannot be
        interrupted, even by Ctrl-C."""
        answers: queue.SimpleQueue[list[tuple[int, Any]] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
                answers.put([(family, sockaddr) for family, *_, sockaddr in found])
            except Exception as error:
                answers.put(error)

        threading.Thread(target=look_up, daemon=True).start()
        try:
            answer = answers.get(timeout=self.timeout)
        except queue.Empty:
            raise ProbeFailed(
                f"cannot look up {self.host}: the system's resolver has not answered in "
                f"{self.timeout:g} s; do the name servers in /etc/resolv.conf answer?"
            ) from None
        if isinstance(answer, OSError):
            raise self._unconnected(answer) from answer
        if isinstance(answer, Exception):
            raise ProbeFailed(f"{self.host!r} is no name of a host: {answer}") from answer
        return answer

    def _unconnected(self, error: OSError) -> ProbeFailed:
        return ProbeFailed(
            f"cannot connect to {self.host} port {self.port}: {error.strerror or error}"
        )

    def _converse(self, wire: _Wire, found: Found) -> None:
        began = time.monotonic()
        wire.send(self.send)
        if not self.expect:
            return
        received = b""
        while self.expect not in received:
            data = wire.receive()
            received += data
            if not data or len(received) > _MOST:
                what = received[-200:].decode("utf-8", "backslashreplace")
                raise ProbeFailed(f"{self.expect!r} did not come, but: {what!r}")
        found.times["expect"] = time.monotonic() - began

    def _handshake(self, wire: _Wire, found: Found) -> Any:
        # imported here: they take longer than the rest of tcpd-ctl
        from OpenSSL import SSL
        from service_identity import VerificationError
        from service_identity.pyopenssl import verify_hostname, verify_ip_address

        faults: list[int] = []

        def note(_: object, __: object, fault: int, depth: int, ok: int) -> bool:
            if not ok:
                faults.append(fault)
            return bool(ok)

        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_verify(SSL.VERIFY_PEER, note)
        try:
            if self.ca is None:
                context.set_default_verify_paths()
            else:
                context.load_verify_locations(self.ca)
        except SSL.Error:
            raise ProbeFailed(f"{self.ca} has no certificates in PEM, or cannot be read") from None
        stream = SSL.Connection(context, wire.plain)
        stream.set_connect_state()
        name, is_address = _expected(self.name)
        if not is_address:
            stream.set_tlsext_host_name(name.encode("ascii"))
        began = time.monotonic()
        try:
            wire.retry(stream.do_handshake)
        except SSL.Error as error:
            if faults:
                why = _FAULTS.get(faults[0], f"OpenSSL says error {faults[0]}")
                raise ProbeFailed(f"the certificate is not trusted: {why}") from error
            raise ProbeFailed(f"the TLS handshake failed: {_reason(error)}") from error
        found.times["tls"] = time.monotonic() - began
        certificate = stream.get_peer_certificate(as_cryptography=True)
        assert certificate is not None  # a server of TLS 1.2 or 1.3 always has one
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        days = left.total_seconds() / 86400
        found.tls.update(
            version=stream.get_protocol_version_name(),
            cipher=stream.get_cipher_name(),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            days_left=round(days, 1),
            name=self.name,
        )
        try:
            (verify_ip_address if is_address else verify_hostname)(stream, name)
        except VerificationError as error:
            raise ProbeFailed(f"the certificate is not for {self.name}") from error
        if days < self.min_days:
            raise ProbeFailed(
                f"the certificate is valid for {days:.1f} days more, less than {self.min_days:g}"
            )
        return stream


class _Wire:
    """A non-blocking socket with or without TLS, and a deadline.

    :param plain: the socket.
    :param end: the deadline, by ``time.monotonic()``.
    """

    def __init__(self, plain: socket.socket, end: float) -> None:
        self.plain = plain
        self.stream: Any = plain
        self._end = end

    def retry(self, operation: Any, *arguments: object) -> Any:
        """Retry an operation until it does not block. :raise ProbeFailed: at the deadline."""
        while True:
            try:
                return operation(*arguments)
            except BlockingIOError:
                reading = operation == self.plain.recv
            except Exception as error:
                name = type(error).__name__
                if name not in ("WantReadError", "WantWriteError"):
                    raise
                reading = name == "WantReadError"
            left = self._end - time.monotonic()
            waiting = [self.plain]
            ready = left > 0 and any(
                select.select(waiting if reading else [], [] if reading else waiting, [], left)
            )
            if not ready:
                raise ProbeFailed("it took too long; --timeout allows more")

    def send(self, data: bytes) -> None:
        """Send all data."""
        try:
            while data:
                data = data[self.retry(self.stream.send, data) :]
        except OSError as error:
            raise ProbeFailed(f"cannot send: {error.strerror or error}") from error

    def receive(self) -> bytes:
        """Receive some bytes; none at the end."""
        try:
            received: bytes = self.retry(self.stream.recv, 4096)
        except ProbeFailed:
            raise
        except OSError as error:
            raise ProbeFailed(f"the connection was lost: {error.strerror or error}") from error
        except Exception as error:  # pyOpenSSL's, which need not be imported here
            if type(error).__name__ in ("ZeroReturnError", "SysCallError"):
                return b""
            raise ProbeFailed(f"TLS failed: {_reason(error)}") from error
        return received


def _expected(name: str) -> tuple[str, bool]:
    """Return the name that a certificate must have, and whether it is an address.

    A name consists of A-labels, without a trailing dot (RFC 6066 section 3, RFC 9525 section 6.3).

    :raise ProbeFailed: for a name that no certificate can be for.
    """
    plain = name.removesuffix(".")
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        pass
    else:
        return plain, True
    try:
        encoded = plain.encode("idna").decode("ascii").removesuffix(".")
    except UnicodeError:
        encoded = ""
    if _NAME.fullmatch(encoded) is None:
        raise ProbeFailed(f"{name!r} is not a name that a certificate can be for; --name gives one")
    return encoded, False


def _reason(error: Exception) -> str:
    """The reason in an error of pyOpenSSL: a list of (library, function, reason)."""
    reasons = error.args[0] if error.args else None
    if isinstance(reasons, list) and reasons:
        return str(reasons[-1][-1])
    return str(error) or "the peer closed the connection"
