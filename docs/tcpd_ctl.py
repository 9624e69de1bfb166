"""The reference page of tcpd-ctl's command line, from its parser. docs/generate.py calls it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from tcpd.ctl.main import make_parser

PAGE = """\
.. Generated from the declarations in the code by docs/generate.py; do not edit.

The commands of tcpd-ctl
========================

:doc:`control` describes its socket, who may use it, and its exit status.

.. manual

Synopsis
--------

**tcpd-ctl** [*options*] *COMMAND* [*options of the command*] [*ARGUMENT*]...

.. end of synopsis

Options
-------

{options}These may also follow the command:

{common}Commands
--------

{commands}
"""


def page() -> str:
    """Return the page."""
    parser = make_parser()
    # options of every command
    common = ("--json", "--timeout")
    status = {name: a for a in parser.commands()["status"].arguments() for name in a.option_strings}
    return (
        PAGE.format(
            options="".join(options(parser.arguments())),
            common="".join(options(status[name] for name in common)),
            commands="".join(
                command(
                    name,
                    (made.description or "").removesuffix("."),
                    [a for a in made.arguments() if not {*common}.intersection(a.option_strings)],
                )
                for name, made in parser.commands().items()
            ),
        ).rstrip("\n")
        + "\n"
    )


def command(name: str, help: str, actions: list[argparse.Action]) -> str:
    """One command with its arguments and options, as an item of a list."""
    words = [argument(each) for each in actions if not each.option_strings]
    about = [
        f"*{each.metavar or each.dest.upper()}*: {each.help}"
        for each in actions
        if not each.option_strings and each.help
    ]
    description = ". ".join([sentence(help), *map(sentence, about)])
    text = f"``{' '.join([name, *words])}``\n    {description}.\n\n"
    return text + "".join(
        f"    {line}" if line.strip() else line
        for option in options(actions)
        for line in option.splitlines(True)
    )


def argument(action: argparse.Action) -> str:
    """A positional argument as in a synopsis."""
    name = str(action.metavar or "|".join(action.choices or ()) or action.dest.upper())
    return {"?": f"[{name}]", "*": f"[{name} ...]"}.get(str(action.nargs), name)


def options(actions: Iterable[argparse.Action]) -> Iterator[str]:
    """Each option, as an item of a list."""
    for each in actions:
        if not each.option_strings or each.dest == "help":
            continue
        value = each.metavar or "|".join(each.choices or ()) or each.dest.upper()
        names = [name if each.nargs == 0 else f"{name} {value}" for name in each.option_strings]
        yield f"{', '.join(f'``{name}``' for name in names)}\n    {sentence(each.help or '')}.\n\n"


def sentence(text: str) -> str:
    """Capitalize the first letter."""
    return (text[:1].upper() + text[1:]).replace("\\", "\\\\")
