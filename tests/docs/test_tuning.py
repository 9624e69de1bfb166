"""docs/howto/tuning.rst: the limits that it starts from are those that there are."""

from __future__ import annotations

from pathlib import Path

from tcpd.config.settings import PolicySettings, TcpdSettings
from tcpd.net.sockets import BACKLOG

PAGE = " ".join(
    (Path(__file__).resolve().parents[2] / "docs" / "howto" / "tuning.rst")
    .read_text("utf-8")
    .split()
)


def test_the_defaults_are_told() -> None:
    policy = PolicySettings()
    assert f"``[tcpd] connections`` ({TcpdSettings().connections:,} unless set)" in PAGE
    assert f"``connections`` of a policy ({policy.connections:,})" in PAGE
    assert f"``per_address`` ({policy.per_address})" in PAGE
    assert f"requests {BACKLOG:,} places" in PAGE
    assert policy.unsent == 1 << 20
    assert "``unsent`` (1 MiB)" in PAGE
    assert policy.stalled == 300
    assert "``stalled`` (5 minutes)" in PAGE
    assert policy.handshake == 10
    assert "``handshake`` of the policy (10 s)" in PAGE
