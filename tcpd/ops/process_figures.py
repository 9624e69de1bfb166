"""Metrics of the process, under the standard names of Prometheus client libraries."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from tcpd.ops.process import PAGE, RSS, STARTTIME, VSIZE, Process

_TICKS = os.sysconf("SC_CLK_TCK")


class ProcessFigures(Collector):
    """CPU, memory, descriptors and start time of this process, as far as available.

    :param process: read at each scrape.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    def describe(self) -> list[Family]:
        """Return nothing, as any metric may be unavailable."""
        return []

    def collect(self) -> Iterator[Family]:
        """Read the metrics. Called at each scrape."""
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
        process = self._process
        with contextlib.suppress(OSError):
            yield GaugeMetricFamily(
                "process_open_fds",
                "Number of open file descriptors.",
                float(process.open_descriptors()),
            )
        with contextlib.suppress(OSError):
            stat = process.stat()
            yield GaugeMetricFamily(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                float(stat[VSIZE]),
            )
            yield GaugeMetricFamily(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                float(stat[RSS]) * PAGE,
            )
            yield GaugeMetricFamily(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                process.boot() + float(stat[STARTTIME]) / _TICKS,
            )
