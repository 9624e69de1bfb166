"""Files made by docs/generate.py are up to date."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from tcpd.tap import Options

ROOT = Path(__file__).resolve().parents[2]
GENERATED: dict[Path, str] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["generated"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], "run: python docs/generate.py"


def test_sample_is_the_output_of_print_config(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Options().parseOptions(["--print-config"])
    assert capsys.readouterr().out == (ROOT / "etc" / "tcpd.ini").read_text(encoding="utf-8")
