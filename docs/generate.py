"""Write the files that are generated from the code: ``python docs/generate.py``.

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
    """Return the content of each generated file."""
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
.. Generated from the catalogue in the code by docs/generate.py; do not edit.

Events
======

Each event has an id, whose meaning never changes, a level, and fields. :doc:`/howto/logs` shows
where events go. Log lines without an id are diagnostics; their wording may change. Control
characters in text from clients are escaped in every log, for example as ``\\x1b``.
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
.. Generated from the declarations in the code by docs/generate.py; do not edit.

Metrics
=======

The metrics that ``/metrics`` of the site in ``[metrics]`` exposes; :doc:`/howto/monitor` shows how
to use them. The format is OpenMetrics for a scraper that accepts it, as Prometheus does, and the
Prometheus text format otherwise.

Label values are constants of the program and names from the ini files, never text from a client.
``service`` is the NAME of ``[service:NAME]``, or the name of an internal service, such as
``metrics``. ``reason`` has the same words as the log. A reload keeps the counters of every service
that remains in the files. The page is rendered at most once a second; scrapes in between get the
same page.

The Prometheus client library adds
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
