"""Renders the metrics in the formats of Prometheus, by prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector

from tcpd.ops.figures import Figures
from tcpd.ops.metrics import METRICS
from tcpd.ops.process import Process
from tcpd.ops.process_figures import ProcessFigures

#: The media type of OpenMetrics in an Accept header, and the content type of the response.
OPENMETRICS = "application/openmetrics-text"
OPENMETRICS_TYPE = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"

#: The content type of the text format.
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_WRITERS: Mapping[str, Any] = {OPENMETRICS_TYPE: write_openmetrics, TEXT_TYPE: write_text}

_FAMILIES: Mapping[str, Any] = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class _Metrics(Collector):
    """Collects the metrics of :data:`tcpd.ops.metrics.METRICS` for prometheus_client."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Family]:
        # called on registration, before there are values
        return []

    def collect(self) -> Iterator[Family]:
        figures = self._figures()
        for metric in METRICS:
            family = _FAMILIES[metric.type](metric.name, metric.help, labels=metric.labels)
            for labels, value in metric.read(figures):
                family.add_metric(labels, value)
            yield family


#: Seconds for which a rendered text is reused. Rendering takes a millisecond or more.
FRESH = 1.0


class Exposition:
    """Renders the metrics in the reactor's thread, at most once a second in each format.

    :param figures: returns the values.
    :param clock: seconds.
    :param process: this process.
    """

    def __init__(
        self, figures: Callable[[], Figures], clock: Callable[[], float], process: Process
    ) -> None:
        self._clock = clock
        self._written: dict[str, tuple[float, bytes]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(_Metrics(figures))
        self._registry.register(ProcessFigures(process))
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def scrape(self, accept: str) -> tuple[str, bytes]:
        """Render all metrics.

        :param accept: the scraper's Accept header; may be empty or invalid.
        :return: the content type and the text.
        """
        form = OPENMETRICS_TYPE if _accepts_openmetrics(accept) else TEXT_TYPE
        now = self._clock()
        written = self._written.get(form)
        if written is not None and now - written[0] < FRESH:
            return form, written[1]
        text: bytes = _WRITERS[form](self._registry)
        self._written[form] = (now, text)
        return form, text


def _accepts_openmetrics(accept: str) -> bool:
    # Prometheus prefers OpenMetrics to the text format by weights. prometheus_client's
    # choose_encoder raises for a version that is not a number.
    for offer in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in offer.split(";"))
        if media_type == OPENMETRICS:
            return not any(each in ("q=0", "q=0.0", "q=0.00", "q=0.000") for each in parameters)
    return False
