"""What the process takes, under the names that Prometheus's libraries give it.

prometheus_client has a collector for this, which lists all open descriptors to count them: 8 ms
with 10,000 connections open, in which nobody is served. The kernel can just tell their number.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessFigures(Collector):
    """CPU, memory, descriptors and start of this process, as far as the system tells.

    :param proc: where the process file system is.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def describe(self) -> list[Family]:
        """Nothing is promised: what is not told is left out."""
        return []

    def collect(self) -> Iterator[Family]:
        """Read it. Called at each scrape."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            usage.ru_utime + usage.ru_stime,
        )
        yield GaugeMetricFamily(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        try:
            # proc_pid_stat(5); the name of the program, in parentheses, may hold anything
            stat = (self._proc / "self" / "stat").read_bytes().rpartition(b")")[2].split()
            boot = next(
                line.split()[1]
                for line in (self._proc / "stat").read_bytes().splitlines()
                if line.startswith(b"btime ")
            )
            open_fds = self._open_fds()
        except (OSError, StopIteration):
            return
        yield GaugeMetricFamily(
            "process_open_fds", "Number of open file descriptors.", float(open_fds)
        )
        yield GaugeMetricFamily(
            "process_virtual_memory_bytes", "Virtual memory size in bytes.", float(stat[20])
        )
        yield GaugeMetricFamily(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            float(stat[21]) * _PAGE,
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            float(boot) + float(stat[19]) / _TICKS,
        )

    def _open_fds(self) -> int:
        directory = self._proc / "self" / "fd"
        # proc_pid_fd(5): "since Linux 6.2, stat(2) returns the number of open files as st_size"
        return directory.stat().st_size or len(os.listdir(directory))
