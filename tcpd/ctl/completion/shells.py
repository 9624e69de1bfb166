"""The shells that there is completion for."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tcpd.ctl.completion.bash import bash
from tcpd.ctl.completion.fish import fish
from tcpd.ctl.completion.zsh import zsh

#: What makes the script, by shell.
SHELLS: dict[str, Callable[[argparse.ArgumentParser], str]] = {
    "bash": bash,
    "fish": fish,
    "zsh": zsh,
}
