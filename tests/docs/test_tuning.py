"""docs/howto/tuning.rst: the defaults that it names are current."""

from __future__ import annotations

from docs.commands import Page

from tcpd.config.settings import PolicySettings, TcpdSettings
from tcpd.net.sockets import BACKLOG

PAGE = Page("docs/howto/tuning.rst")


def test_defaults_are_current() -> None:
    policy = PolicySettings()
    assert PAGE.mentions("``[tcpd] connections``", f"({TcpdSettings().connections:,}")
    assert PAGE.mentions("``connections`` of a policy", f"({policy.connections:,})")
    assert PAGE.mentions("``per_address``", f"({policy.per_address})")
    assert PAGE.mentions("backlog", f"{BACKLOG:,}")
    assert PAGE.mentions("``unsent``", f"({policy.unsent >> 20} MiB)")
    assert PAGE.mentions("``stalled``", f"({policy.stalled / 60:.0f} minutes)")
    assert PAGE.mentions("``handshake``", f"({policy.handshake:.0f} s)")
