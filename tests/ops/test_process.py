"""Resource usage of the process, compared with prometheus_client's collector."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from prometheus_client import ProcessCollector

from tcpd.ops.process import Process
from tcpd.ops.process_figures import ProcessFigures

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


def values(collector: ProcessCollector | ProcessFigures) -> dict[str, tuple[str, str, float]]:
    return {
        family.name: (family.type, family.documentation, family.samples[0].value)
        for family in collector.collect()
    }


@needs_proc
def test_figures_equal_those_of_prometheus_client() -> None:
    ours, theirs = values(ProcessFigures(Process())), values(ProcessCollector(registry=None))
    assert ours.keys() == theirs.keys()
    for name, (kind, help_text, value) in theirs.items():
        assert ours[name][:2] == (kind, help_text)
        assert ours[name][2] == pytest.approx(value, rel=0.2, abs=2), name


@needs_proc
def test_figures_without_free_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: STATUS failed without free descriptors."""

    def none_left(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    process = Process()
    process.keep()
    names = values(ProcessFigures(process)).keys()
    monkeypatch.setattr(os, "open", none_left)
    monkeypatch.setattr(Path, "read_bytes", none_left)
    monkeypatch.setattr(os, "listdir", none_left)
    resident = process.resident()
    assert resident is not None
    assert resident > 1 << 20
    assert values(ProcessFigures(process)).keys() == names
    process.close()
    process.close()
    assert process.resident() is None
    assert "process_open_fds" in values(ProcessFigures(process))


@needs_proc
def test_descriptors_are_counted() -> None:
    before = values(ProcessFigures(Process()))["process_open_fds"][2]
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    try:
        assert values(ProcessFigures(Process()))["process_open_fds"][2] == before + 50
    finally:
        for each in opened:
            os.close(each)


def test_descriptors_are_listed_on_older_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self" / "fd").mkdir(parents=True)
    (tmp_path / "stat").write_bytes(b"cpu 1\nbtime 1000\n")
    (tmp_path / "self" / "stat").write_bytes(b"7 (a) b) S" + b" 0" * 50)
    for name in "012":
        (tmp_path / "self" / "fd" / name).touch()
    figures = ProcessFigures(Process(tmp_path))
    monkeypatch.setattr(Path, "stat", lambda _: os.stat_result([0] * 10))
    assert values(figures)["process_open_fds"][2] == 3
    assert values(figures)["process_start_time_seconds"][2] == 1000


def test_figures_without_proc(tmp_path: Path) -> None:
    found = values(ProcessFigures(Process(tmp_path / "gone")))
    assert set(found) == {"process_cpu_seconds", "process_max_fds"}
