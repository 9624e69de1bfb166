"""An asyncio Protocol, on asyncio's loop or on uvloop.

``python loops.py asyncio|uvloop PORT [PEM]``; with a PEM file it serves TLS, by the module ssl.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any


class Echo(asyncio.Protocol):
    """Echo with flow control: does not read from a client that does not read."""

    transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


async def serve(port: int, context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=4096, ssl=context)
    await server.serve_forever()


def main(kind: str, port: str, *pem: str) -> None:
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem[0])
    if kind == "uvloop":
        import uvloop

        uvloop.run(serve(int(port), context))
    else:
        asyncio.run(serve(int(port), context))


if __name__ == "__main__":
    main(*sys.argv[1:])
