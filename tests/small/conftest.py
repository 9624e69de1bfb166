"""Fixtures of the tests of small services."""

from __future__ import annotations

import pytest

from tcpd.line.testing import MemoryContext

#: 2022-02-22 17:37:43.9 UTC
NOW = 1_645_551_463.9


@pytest.fixture
def context() -> MemoryContext:
    return MemoryContext(service="test", server_name="test.example", epoch=NOW)
