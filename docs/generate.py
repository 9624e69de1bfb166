"""Writes the files that are made from the declarations in the code: ``python docs/generate.py``.

``tests/docs/test_generated.py`` fails where they are out of date.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from tcpd.config.show import reference, sample
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
        ROOT / "docs" / "reference" / "tcpd-ctl.rst": runpy.run_path(
            str(ROOT / "docs" / "tcpd_ctl.py")
        )["page"](),
        ROOT / "docs" / "reference" / "events.rst": EVENTS
        + "".join(map(event, CATALOGUE.values())),
        ROOT / "docs" / "reference" / "metrics.rst": METRICS_HEAD + "".join(map(metric, METRICS)),
        ROOT / "etc" / "grafana" / "tcpd.json": runpy.run_path(str(ROOT / "docs" / "dashboard.py"))[
            "dashboard"
        ](),
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
files. The page is written once a second at most: who asks more often gets the same. Reasons are the
words that the log has, too.

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


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
