"""The diagram in docs/explanation/structure.rst shows the packages in their layers."""

from __future__ import annotations

import re

from docs.commands import ROOT, Page
from test_layers import LAYERS

PAGE = Page("docs/explanation/structure.rst")


def _drawn() -> dict[int, set[str]]:
    """Return the words in each layer of the diagram: the one block that has all packages."""
    packages = set(LAYERS) - {"__main__"}
    (drawing,) = [
        block.text for block in PAGE.blocks if packages <= set(re.findall(r"\w+", block.text))
    ]
    found: dict[int, set[str]] = {}
    layer = -1
    for line in drawing.splitlines():
        label, _, inside = line.strip().partition("|")
        if label.strip().isdecimal():
            layer = int(label)
        if layer >= 0:
            found.setdefault(layer, set()).update(re.findall(r"\w+", inside))
    return found


def test_diagram_shows_each_package_in_its_layer() -> None:
    drawn = _drawn()
    assert sorted(drawn) == sorted(set(LAYERS.values()))
    for layer, words in drawn.items():
        packages = {name for name, number in LAYERS.items() if number == layer} - {"__main__"}
        assert words & set(LAYERS) == packages, layer


def test_modules_in_the_diagram_exist() -> None:
    words = _drawn()[4]
    for package, names in {"chat": ("hub", "state", "fanout"), "small": ("echo",)}.items():
        for name in names:
            assert name in words
            assert (ROOT / "tcpd" / package / f"{name}.py").exists()
