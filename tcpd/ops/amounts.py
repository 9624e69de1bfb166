"""Short formats of durations and sizes, for tables."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Format a duration: ``7s``, ``3m12s``, ``5h01m``, ``12d03h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(count: int) -> str:
    """Format a number of bytes: ``512``, ``1.5K``, ``20M``."""
    value = float(count)
    for unit in ("", "K", "M", "G"):
        if value < 1000:
            return f"{value:.1f}{unit}" if unit and value < 10 else f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.1f}T" if value < 10 else f"{value:.0f}T"
