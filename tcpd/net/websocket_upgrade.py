"""The opening handshake of WebSocket: an HTTP request and the response (RFC 6455 section 4).

Other requests get a plain-text response, for people with a browser or curl.

No extension is negotiated. permessage-deflate (RFC 7692) would take some 300 KiB a connection
(zlib's zconf.h: 256 to deflate, 40 to inflate). A line to a room would be compressed for each
member. A small message could decompress to a large one before any limit applies. The compressed
length of a secret together with text of others reveals the secret (CRIME, BREACH).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from wsproto.utilities import generate_accept_token

from tcpd.http.request import MAX_HEAD, BadRequest, HTTPRequest, RequestReader
from tcpd.http.response import closing
from tcpd.net.websocket_settings import Frames, WebSocketOptions, allows

_VERSION = b"13"

_HERE = "This port speaks WebSocket (RFC 6455)"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A successful handshake.

    :ivar response: the response to the client.
    :ivar frames: the type of the negotiated subprotocol; ``None`` without one.
    :ivar rest: the bytes received after the request.
    """

    response: bytes
    frames: Frames | None
    rest: bytes


@dataclass(frozen=True, slots=True)
class UpgradeRefused:
    """A refused request.

    :ivar response: the response to the client; the connection is then closed.
    :ivar why: a word for counters.
    """

    response: bytes
    why: str


_BAD = {
    BadRequest.NOT_HTTP: UpgradeRefused(
        closing(400, f"{_HERE}, and this is no HTTP request."), "not-http"
    ),
    BadRequest.MALFORMED: UpgradeRefused(
        closing(400, f"{_HERE}, and this request is malformed."), "bad-request"
    ),
    BadRequest.TOO_LONG: UpgradeRefused(
        closing(431, f"The request is longer than {MAX_HEAD} bytes."), "bad-request"
    ),
}


class Upgrade:
    """Processes the request of one connection.

    :param options: the options of the service.
    :param is_own: returns whether a host, without port, is this daemon.
    """

    __slots__ = ("_is_own", "_options", "_reader")

    def __init__(self, options: WebSocketOptions, is_own: Callable[[str], bool]) -> None:
        self._options = options
        self._is_own = is_own
        self._reader = RequestReader()

    def feed(self, data: bytes) -> Accepted | UpgradeRefused | None:
        """Feed the next bytes. Not called again after a result.

        :return: ``None`` while the request is incomplete.
        """
        request = self._reader.feed(data)
        if request is None:
            return None
        if isinstance(request, BadRequest):
            return _BAD[request]
        return self.answer(request)

    def answer(self, request: HTTPRequest) -> Accepted | UpgradeRefused:
        """Answer a request that is read already."""
        return self._check(request) or self._accept(request)

    def _check(self, request: HTTPRequest) -> UpgradeRefused | None:
        """Check the request (RFC 6455 section 4.2.1), for the most helpful response first."""
        headers = request.headers
        body = request.method != b"HEAD"
        version = headers.get(b"sec-websocket-version", [])
        if (
            # "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0
            # request" (RFC 9110 section 7.8)
            request.version != b"1.1"
            or b"websocket" not in _tokens(headers.get(b"upgrade", ()), lower=True)
            or b"upgrade" not in _tokens(headers.get(b"connection", ()), lower=True)
        ):
            sentence = f"{_HERE}: connect to it with a ws:// or wss:// address."
            return UpgradeRefused(_upgrade_required(sentence, body), "plain-http")
        if version != [_VERSION]:
            return UpgradeRefused(_upgrade_required(f"{_HERE}, version 13.", body), "bad-request")
        if request.method != b"GET" or request.has_body:
            return UpgradeRefused(
                closing(400, "A WebSocket begins with a GET request without a body.", body=body),
                "bad-request",
            )
        if not _is_key(headers.get(b"sec-websocket-key", [])):
            return UpgradeRefused(
                closing(400, "Sec-WebSocket-Key has to be 16 bytes in base64."), "bad-request"
            )
        origin = headers.get(b"origin", [])
        if origin and (len(origin) > 1 or not self._allows(origin[0], headers[b"host"][0])):
            sentences = (
                "Web pages of this origin are not allowed. The operator lists the allowed origins "
                "in websocket_origins. Its default, same, allows pages of server_name, of a name "
                "in the certificate, and of the address that is connected to."
            )
            return UpgradeRefused(closing(403, sentences), "origin")
        return None

    def _allows(self, origin: bytes, host: bytes) -> bool:
        return allows(
            self._options.origins,
            origin.decode("latin-1"),
            host.decode("latin-1"),
            self._is_own,
        )

    def _accept(self, request: HTTPRequest) -> Accepted:
        headers = request.headers
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + generate_accept_token(headers[b"sec-websocket-key"][0]),
        ]
        frames = None
        # in the client's order of preference
        for offered in _tokens(headers.get(b"sec-websocket-protocol", ())):
            frames = self._options.subprotocols.get(offered.decode("latin-1"))
            if frames is not None:
                lines.append(b"Sec-WebSocket-Protocol: " + offered)
                break
        return Accepted(b"\r\n".join([*lines, b"", b""]), frames, request.rest)


def _upgrade_required(sentence: str, body: bool) -> bytes:
    # RFC 9110 sections 7.8 and 15.5.22, RFC 6455 section 4.4
    return closing(
        426,
        sentence,
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade, close"),
        ("Sec-WebSocket-Version", _VERSION.decode()),
        body=body,
    )


def _tokens(values: Iterable[bytes], *, lower: bool = False) -> list[bytes]:
    """Return the elements of a list in one or several header fields."""
    whole = b",".join(values)
    return [token.strip() for token in (whole.lower() if lower else whole).split(b",")]


def _is_key(values: Sequence[bytes]) -> bool:
    try:
        return [len(base64.b64decode(value, validate=True)) for value in values] == [16]
    except binascii.Error:
        return False
