"""Writes the files that are made from the declarations in the code: ``python docs/generate.py``.

``tests/docs/test_generated.py`` fails where they are out of date.
"""

from __future__ import annotations

from pathlib import Path

from tcpd.config.show import reference, sample
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """What each of the files should hold."""
    kinds = Kinds(entry_points=()).built_in()
    return {
        ROOT / "etc" / "tcpd.ini": sample(kinds, SECTIONS).rstrip("\n") + "\n",
        ROOT / "docs" / "reference" / "configuration.rst": reference(kinds, SECTIONS),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
