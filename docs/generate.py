"""Writes the files that are made from the declarations in the code: ``python docs/generate.py``.

``tests/docs/test_generated.py`` fails where they are out of date.
"""

from __future__ import annotations

from pathlib import Path

from tcpd.config.show import reference, sample
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds
from tcpd.ops.catalogue import CATALOGUE, EventType

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """What each of the files should hold."""
    kinds = Kinds(entry_points=()).built_in()
    return {
        ROOT / "etc" / "tcpd.ini": sample(kinds, SECTIONS).rstrip("\n") + "\n",
        ROOT / "docs" / "reference" / "configuration.rst": reference(kinds, SECTIONS),
        ROOT / "docs" / "reference" / "events.rst": EVENTS
        + "".join(map(event, CATALOGUE.values())),
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


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
