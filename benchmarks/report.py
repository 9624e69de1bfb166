"""Results: medians, spreads and ratios, as a text table and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table, as text."""

    cells: tuple[str, ...]


class Table:
    """The results of one case.

    :param name: the case.
    :param title: description.
    :param operation: the unit of the count.
    :param unit: the server that others are compared with.

    :ivar results: by server, in order of arrival, then by round.
    :ivar skipped: reasons by server.
    """

    def __init__(self, name: str, title: str, operation: str, unit: str) -> None:
        self.name = name
        self.title = title
        self.operation = operation
        self.unit = unit
        self.results: dict[str, dict[int, dict[str, float]]] = {}
        self.skipped: dict[str, str] = {}

    def add(self, server: str, round_: int, result: dict[str, float]) -> None:
        """Record the result of a server in a round."""
        self.results.setdefault(server, {})[round_] = result

    def order(self, names: Sequence[str]) -> None:
        """Sort the servers."""
        self.results = {name: self.results[name] for name in names if name in self.results}

    def costs(self, server: str) -> dict[int, float]:
        """Return the cost of an operation by round: CPU time in seconds, or memory in bytes."""
        return {
            round_: result["bytes"] if "bytes" in result else result["cpu"] / result["operations"]
            for round_, result in self.results.get(server, {}).items()
        }

    def ratios(self, server: str) -> list[float]:
        """Return the cost of the unit divided by that of the server, for rounds that have both."""
        unit = self.costs(self.unit)
        return [
            unit[round_] / cost
            for round_, cost in self.costs(server).items()
            if round_ in unit and cost > 0
        ]

    def rows(self) -> list[Row]:
        """Return the heading and a row for each server."""
        if any("bytes" in result for rounds in self.results.values() for result in rounds.values()):
            heading = ["", f"bytes/{self.operation}"]
        elif self.operation == "start":
            heading = ["", "seconds", "CPU s"]
        else:
            heading = ["", f"{_plural(self.operation)}/s", f"CPU us/{self.operation}"]
        heading.append("x unit (least-most)")
        chat = any("p99_ms" in result for result in self._flat())
        if chat:
            heading += ["p50 ms", "p99 ms", "disturbed"]
        longest = any("longest_ms" in result for result in self._flat())
        if longest:
            heading.append("longest ms")
        rows = [Row(tuple(heading))]
        for server, rounds in self.results.items():
            found = list(rounds.values())
            costs = self.costs(server).values()
            cells = [server]
            if "bytes" in found[0]:
                cells.append(f"{median(costs):,.0f}")
            elif self.operation == "start":
                cells.append(f"{median(result['seconds'] for result in found):.2f}")
                cells.append(f"{median(costs):.2f}")
            else:
                rates = [result["operations"] / result["seconds"] for result in found]
                cells.append(f"{median(rates):,.0f}")
                cells.append(f"{median(costs) * 1e6:,.2f}")
            cells.append(spread(self.ratios(server)))
            if chat:
                cells += [f"{median(r[key] for r in found):.1f}" for key in ("p50_ms", "p99_ms")]
                cells.append(f"{median(r['disturbed'] for r in found):.0%}")
            if longest:
                cells.append(f"{median(r['longest_ms'] for r in found):.1f}")
            rows.append(Row(tuple(cells)))
        return rows

    def text(self) -> str:
        """Return the table as text."""
        rows = [row.cells for row in self.rows()]
        widths = [max(len(cells[at]) for cells in rows) for at in range(len(rows[0]))]
        lines = [f"{self.name}: {self.title} (unit: {self.unit})"]
        for cells in rows:
            rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            lines.append("  ".join([f"  {cells[0].ljust(widths[0])}", *rest]))
        lines += [f"  {server}: skipped, {why}" for server, why in self.skipped.items()]
        return "\n".join(lines)

    def record(self) -> dict[str, object]:
        """Return the results for JSON."""
        return {
            "case": self.name,
            "title": self.title,
            "operation": self.operation,
            "unit": self.unit,
            "results": {name: list(rounds.values()) for name, rounds in self.results.items()},
            "ratios": {name: self.ratios(name) for name in self.results},
            "skipped": self.skipped,
        }

    def _flat(self) -> list[dict[str, float]]:
        return [result for rounds in self.results.values() for result in rounds.values()]


def spread(ratios: Sequence[float]) -> str:
    """Return the median, with minimum and maximum in parentheses."""
    if not ratios:
        return "-"
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _plural(word: str) -> str:
    return "deliveries" if word == "delivery" else f"{word}s"
