"""The files made by docs/generate.py are what it would make now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tcpd.tap import Options

ROOT = Path(__file__).resolve().parents[2]
GENERATED: dict[Path, str] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["generated"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], "run: python docs/generate.py"


def test_the_sample_is_what_print_config_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """``twistd tcpd --print-config`` and etc/tcpd.ini are one text."""
    with pytest.raises(SystemExit):
        Options().parseOptions(["--print-config"])
    assert capsys.readouterr().out == (ROOT / "etc" / "tcpd.ini").read_text(encoding="utf-8")
