"""Fixtures of the tests of tcpd.net."""

from __future__ import annotations

import pytest
from net.doubles import BOTH_KINDS, Make


@pytest.fixture(**BOTH_KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    """Make a connection layer; its connections are of each kind in turn."""
    maker: Make = request.param
    return maker
