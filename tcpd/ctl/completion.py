"""Shell completion of ``tcpd-ctl``, by the package argcomplete (the extra ``completion``).

The shell's script runs ``tcpd-ctl`` at each Tab, with ``_ARGCOMPLETE`` in its environment.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import argcomplete
from argcomplete.completers import ChoicesCompleter, FilesCompleter, SuppressCompleter
from argcomplete.shell_integration import shellcode

from tcpd.ctl.arguments import Parser
from tcpd.ctl.client import Control, NotAllowed, Unreachable, find_socket
from tcpd.ctl.top.tables import CONNECTIONS, SERVICES
from tcpd.ops.levels import LEVELS
from tcpd.wire.safe_text import escape_controls

#: Seconds that the daemon has for its reply.
_TIMEOUT = 1.0


def script(shell: str) -> str:
    """Make the script that has a shell complete ``tcpd-ctl``. :param shell: bash, fish or zsh."""
    # without use_defaults bash would offer file names for an address or an id
    return shellcode(["tcpd-ctl"], use_defaults=False, shell=shell)


def complete(parser: Parser) -> None:
    """Write the completions that the shell's script requests, and exit the process."""
    parsers = [parser, *parser.commands().values()]
    for action in chain.from_iterable(each.arguments() for each in parsers):
        completer = _COMPLETERS.get(str(action.metavar or action.dest.upper()))
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(
        parser, always_complete_options=False, default_completer=SuppressCompleter()
    )


def _services(parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
    """The names of the daemon's services; none if no daemon replies."""
    path = parsed_args.socket and os.path.expanduser(parsed_args.socket)
    config = parsed_args.config and os.path.expanduser(parsed_args.config)
    try:
        with Control(find_socket(path, config, os.environ, os.geteuid()), _TIMEOUT) as control:
            reply = json.loads("\n".join(control.ask("SERVICES json").lines))
        return [escape_controls(each["name"]) for each in reply["services"]]
    except (Unreachable, NotAllowed, ValueError, LookupError, TypeError):
        return []


#: The completers, by the name of the argument in the usage line.
_COMPLETERS: dict[str, Callable[..., Any]] = {
    "PATH": FilesCompleter(),
    "FILE": FilesCompleter(),
    "SERVICE": _services,
    "LEVEL": ChoicesCompleter(dict.fromkeys(LEVELS, "")),
    "COLUMN": ChoicesCompleter(
        {each.heading.lower(): "" for table in (SERVICES, CONNECTIONS) for each in table.columns}
    ),
}
