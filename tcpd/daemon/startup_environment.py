"""The environment that the process was started in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartupEnvironment:
    """Environment variables and user ids, for the control socket and the state directory.

    A daemon that only checks its settings has none.

    :ivar environ: the environment variables; systemd's and the user's directories are read.
    :ivar uid: the user id that the process was started as.
    :ivar owner: the user id that the daemon changes to once its ports are open; ``None``
        for no change.
    :ivar group: the group id that it changes to; ``None`` for no change.
    """

    environ: Mapping[str, str]
    uid: int
    owner: int | None = None
    group: int | None = None
