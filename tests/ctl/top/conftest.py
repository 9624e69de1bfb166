"""Fixtures of the tests of ``tcpd-ctl top``."""

from __future__ import annotations

from in_memory import listeners_in_memory

__all__ = ["listeners_in_memory"]
