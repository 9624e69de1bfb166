"""When to tell of what may happen a thousand times a second: once a burst."""

from __future__ import annotations

#: Seconds between two log lines about the same.
BURST = 10.0


class Bursts:
    """Remembers what was told last, and how often it happened since.

    The words are the program's, never a client's: there is an entry for each.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def happened(self, word: str, now: float) -> int | None:
        """Note that it happened.

        :param word: what.
        :param now: in seconds, of a clock that only goes forward.
        :return: ``None`` if it is not to be told; else how many times it happened untold since it
            was told last.
        """
        told, since = self._told.get(word, (now - BURST, 0))
        if now - told < BURST:
            self._told[word] = (told, since + 1)
            return None
        self._told[word] = (now, 0)
        return since
