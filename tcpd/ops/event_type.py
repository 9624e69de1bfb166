"""The type of the events in :mod:`tcpd.ops.catalogue`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.logger import LogEvent, Logger
from twisted.python.failure import Failure

#: The key of a log event for the id of its catalogue entry.
EVENT_ID = "event_id"


@dataclass(frozen=True, slots=True)
class EventType:
    """One entry of the catalogue.

    :ivar id: dotted words; stable.
    :ivar level: a constant of :class:`twisted.logger.LogLevel`.
    :ivar text: the sentence, a format of :mod:`twisted.logger` with ``{fields}``.
    :ivar fields: the meaning of each field, with its unit.
    :ivar doc: the occasion of the event, for the reference page.
    """

    id: str
    level: Any
    text: str
    fields: Mapping[str, str]
    doc: str

    def emit(self, log: Logger, **fields: object) -> None:
        """Log the event.

        :param log: the logger of the calling class.
        :param fields: exactly those of :attr:`fields`; a test checks the calls.
        """
        # Logger.emit without its check of the level, which takes a third of the time
        fields.update(
            log_logger=log,
            log_level=self.level,
            log_namespace=log.namespace,
            log_source=log.source,
            log_format=self.text,
            log_time=time.time(),
            event_id=self.id,
        )
        log.observer(fields)

    def fail(self, log: Logger, failure: Failure | None = None, **fields: object) -> None:
        """Log the event with a failure.

        :param failure: the failure with its traceback; by default, the current exception.
        """
        log.emit(
            self.level, self.text, event_id=self.id, log_failure=failure or Failure(), **fields
        )

    def make(self, **fields: object) -> LogEvent:
        """Return the event as a logger would publish it, without publishing it."""
        return {
            "log_format": self.text,
            "log_level": self.level,
            "log_namespace": __name__,
            "log_time": time.time(),
            EVENT_ID: self.id,
            **fields,
        }
