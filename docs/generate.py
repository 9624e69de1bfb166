"""Writes the files that are made from the declarations in the code: ``python docs/generate.py``.

``tests/docs/test_generated.py`` fails where they are out of date.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from tcpd.config.show import reference, sample
from tcpd.ctl import main as ctl
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds
from tcpd.ops.catalogue import CATALOGUE, EventType
from tcpd.ops.metrics import METRICS, Metric

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """What each of the files should hold."""
    kinds = Kinds(entry_points=()).built_in()
    return {
        ROOT / "etc" / "tcpd.ini": sample(kinds, SECTIONS).rstrip("\n") + "\n",
        ROOT / "docs" / "reference" / "configuration.rst": reference(kinds, SECTIONS),
        ROOT / "docs" / "reference" / "events.rst": EVENTS
        + "".join(map(event, CATALOGUE.values())),
        ROOT / "docs" / "reference" / "metrics.rst": METRICS_HEAD + "".join(map(metric, METRICS)),
        ROOT / "docs" / "reference" / "tcpd-ctl.rst": tcpd_ctl(ctl._parser()),
    }


EVENTS = """\
.. Made from the catalogue in the code by docs/generate.py; a test keeps it so.

Events
======

What the daemon reports as a fact has an id that never changes its meaning, a level, and fields.
:doc:`/howto/logs` shows where it goes. Lines of the log that have no id are for those who look for
a fault; their wording may change. Text that came from a client is never in an event, or anywhere
else in a log, with a control character in it: those are shown as escapes, such as ``\\x1b``.
"""


def event(entry: EventType) -> str:
    """One event as a section of the page."""
    fields = "".join(f"``{name}``\n    {meaning}\n\n" for name, meaning in entry.fields.items())
    return (
        f"\n{entry.id}\n{'-' * len(entry.id)}\n\n"
        f"{entry.doc} Level: *{entry.level.name}*.\n\n"
        f"::\n\n    {entry.text}\n\n{fields}"
    ).rstrip("\n") + "\n"


METRICS_HEAD = """\
.. Made from the declarations in the code by docs/generate.py; a test keeps it so.

Metrics
=======

What ``/metrics`` of the site in ``[metrics]`` tells; :doc:`/howto/monitor` shows what for. It is
OpenMetrics for a scraper that asks for it, as Prometheus does, and otherwise the older text format
of Prometheus.

The values of labels are words of the program and names from the ini files, never what a client
sent. ``service`` is the NAME of ``[service:NAME]``, or what the daemon calls a service of its own,
such as ``metrics``. What a service has counted outlives a reload, as long as the service is in the
files. Reasons are the words that the log has, too.

Beside these there are those that every Python program has which uses Prometheus's own library:
``process_cpu_seconds_total``, ``process_resident_memory_bytes``, ``process_virtual_memory_bytes``,
``process_open_fds``, ``process_max_fds``, ``process_start_time_seconds``, ``python_info`` and
``python_gc_...``.
"""


def metric(entry: Metric) -> str:
    """One metric as a section of the page."""
    labels = ", ".join(f"``{name}``" for name in entry.labels)
    return (
        f"\n{entry.name}\n{'-' * len(entry.name)}\n\n{entry.help}\n\n"
        f"*{entry.type}*; {f'labels {labels}' if labels else 'no labels'}\n"
    )


TCPD_CTL_HEAD = """\
.. Made from the declarations in the code by docs/generate.py; a test keeps it so.

The commands of tcpd-ctl
========================

:doc:`control` tells what it speaks to, who may use it, and what its exit status means.

.. manual

Synopsis
--------

**tcpd-ctl** [*options*] *COMMAND* [*options of the command*] [*ARGUMENT*]...

.. end of synopsis

Options
-------

{options}These stand behind a command as well:

{common}Commands
--------

{commands}
"""


def tcpd_ctl(parser: argparse.ArgumentParser) -> str:
    """The page of its command line."""
    (commands,) = (each for each in parser._actions if isinstance(each.choices, dict))
    told = {each.dest: each.help for each in commands._get_subactions()}
    both = [
        {tuple(a.option_strings): a for a in made._actions} for made in commands.choices.values()
    ]
    # what every command has beside its own
    common = [("--json",), ("--timeout",)]
    return (
        TCPD_CTL_HEAD.format(
            options="".join(options(parser._actions)),
            common="".join(options(both[0][names] for names in common)),
            commands="".join(
                command(
                    name,
                    told[name] or "",
                    [a for a in made._actions if tuple(a.option_strings) not in common],
                )
                for name, made in commands.choices.items()
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
    told = ". ".join([sentence(help), *map(sentence, about)])
    text = f"``{' '.join([name, *words])}``\n    {told}.\n\n"
    return text + "".join(
        f"    {line}" if line.strip() else line
        for option in options(actions)
        for line in option.splitlines(True)
    )


def argument(action: argparse.Action) -> str:
    """A positional argument as in a synopsis."""
    name = str(action.metavar or action.dest.upper())
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
    """It begins with a capital letter."""
    return (text[:1].upper() + text[1:]).replace("\\", "\\\\")


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
