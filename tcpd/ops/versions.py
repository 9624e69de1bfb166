"""The versions of tcpd and its dependencies."""

from __future__ import annotations

import functools
from importlib import metadata


@functools.cache
def version_of(package: str) -> str:
    """The version of an installed package; ``uninstalled`` in a checkout."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "uninstalled"
