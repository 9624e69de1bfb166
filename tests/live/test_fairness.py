"""No load within the default limits makes others wait: an echo beside each, on one core.

The wait is the CPU time that the daemon takes until it answers the echo, and no wall-clock time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from running import Daemon
from stalls import Crowd, waits

pytestmark = [
    pytest.mark.live,
    pytest.mark.serial,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux"),
]

#: Seconds: "nobody waits more than 50 ms".
BOUND = 0.05

CONFIG = """
[tcpd]
server_name = test.example
drain = 1s
[service:echo]
protocol = echo
listen =
  127.0.0.1:0
[service:line]
protocol = line
listen =
  127.0.0.1:0
"""

#: What an address may have of a service by default.
CONNECTIONS = 100


@pytest.mark.parametrize(
    ("service", "text", "end"),
    [
        pytest.param("line", b"HANDSHAKE\r\n" * 20 + b"PING over\r\n", b"PONG over", id="line"),
        pytest.param("line", b"SERVICES\r\n" * 100 + b"PING over\r\n", b"PONG over", id="services"),
        pytest.param("line", b"HELP x\r\n" * 50 + b"PING over\r\n", b"PONG over", id="guesses"),
    ],
)
def test_long_requests_of_many_lines(
    start: Callable[[str], Daemon], service: str, text: bytes, end: bytes
) -> None:
    daemon = start(CONFIG)

    def load() -> None:
        with Crowd(daemon.ports[service, ""], CONNECTIONS) as crowd:
            crowd.say([text], end)

    found = waits(daemon, load)
    assert min(found) < BOUND, found
