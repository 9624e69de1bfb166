"""What the process was started in, for what has to know: the control socket and the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Told to the daemon by whoever starts it; one that only checks settings has none.

    :ivar environ: the environment, of which systemd's and the user's directories are looked at.
    :ivar uid: the user id that it was started as.
    :ivar owner: the user id that it is going to have once its ports are open; ``None`` for that.
    :ivar group: the same of its group id.
    """

    environ: Mapping[str, str]
    uid: int
    owner: int | None = None
    group: int | None = None
