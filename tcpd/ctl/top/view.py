"""What somebody who watches has chosen, and what keys do to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcpd.ctl.top.tables import CONNECTIONS, MOST_CONNECTIONS, SERVICES, Table

#: The longest text to filter by, in characters.
_LONGEST_FILTER = 64

HELP = (
    "c          connections; again: services",
    "< >        sort by the column to the left or right (arrow keys, too)",
    "1 ... 9    sort by that column",
    "r          the other way round",
    "/          type a text that rows must have; Enter keeps it, Esc drops it",
    "p, space   pause; again: go on",
    "up, down   scroll (j and k, PgUp and PgDn, Home)",
    "h, ?       this help",
    "q          quit",
    "",
    "NEW/S clients let in, REF/S refused, IN/S and OUT/S bytes, all a second since",
    "the last look; - is unknown. Of very many connections 1000 are looked at: the",
    "first by the column that they are sorted by (IN/S: by IN; OUT/S: by OUT).",
    "lag: how late the reactor is with a timer, and was at most in a minute or two.",
)


@dataclass(slots=True)
class Order:
    """How a table is sorted. :ivar column: its place."""

    column: int
    is_reversed: bool = False


@dataclass(slots=True)
class View:
    """What is shown, and how.

    :ivar table: which of the two.
    :ivar wanted: what rows must have in them; empty for all.
    :ivar typing: whether keys are letters of that.
    :ivar first: the place of the first row that is shown; the screen keeps it in bounds.
    :ivar page: how many rows the screen shows; set by the screen.
    """

    table: Table = SERVICES
    wanted: str = ""
    typing: bool = False
    paused: bool = False
    help: bool = False
    first: int = 0
    page: int = 10
    orders: dict[str, Order] = field(
        default_factory=lambda: {each.noun: Order(each.first) for each in (SERVICES, CONNECTIONS)}
    )

    @property
    def order(self) -> Order:
        """How the table that is shown is sorted."""
        return self.orders[self.table.noun]

    def request(self) -> str:
        """What to ask the daemon for connections; empty if they are not shown."""
        if self.table is not CONNECTIONS:
            return ""
        asked = self.table.columns[self.order.column].asked
        if asked in ("age", "new") and self.order.is_reversed:
            asked = "new" if asked == "age" else "age"
        return f"CONNECTIONS json SORT={asked} LIMIT={MOST_CONNECTIONS}"

    def press(self, key: str) -> bool:
        """Do what a key means.

        :param key: a character, or a name of :mod:`tcpd.ctl.top.keys`.
        :return: whether to go on; not if it was the key to quit.
        """
        if self.typing:
            self._type(key)
        elif self.help:
            self.help = False
        elif key in ("q", "Q"):
            return False
        elif key in ("p", " "):
            self.paused = not self.paused
        elif key in ("h", "?"):
            self.help = True
        elif key == "/":
            self.typing = True
        elif key == "escape":
            self.wanted = ""
        elif key == "c":
            self.table = SERVICES if self.table is CONNECTIONS else CONNECTIONS
            self.first = 0
        elif key == "r":
            self.order.is_reversed = not self.order.is_reversed
        else:
            self._move(key)
        return True

    def _type(self, key: str) -> None:
        if key == "enter":
            self.typing = False
        elif key == "escape":
            self.typing, self.wanted = False, ""
        elif key == "backspace":
            self.wanted = self.wanted[:-1]
        elif len(key) == 1 and key.isprintable():
            self.wanted = (self.wanted + key)[:_LONGEST_FILTER]
        self.first = 0

    def _move(self, key: str) -> None:
        order, count = self.order, len(self.table.columns)
        if key in ("<", ",", "left"):
            order.column = (order.column - 1) % count
        elif key in (">", ".", "right"):
            order.column = (order.column + 1) % count
        elif key in tuple("123456789"):
            order.column = min(int(key), count) - 1
        elif key in ("j", "down"):
            self.first += 1
        elif key in ("k", "up"):
            self.first -= 1
        elif key == "page down":
            self.first += self.page
        elif key == "page up":
            self.first -= self.page
        elif key == "home":
            self.first = 0
        self.first = max(0, self.first)


def chosen(connections: bool, sort: str | None, is_reversed: bool, wanted: str) -> View:
    """A view as the command line asks for it.

    :param connections: whether to show those, and not services.
    :param sort: the heading of a column, in capitals or not; ``None`` for the usual one.
    :param is_reversed: the other way round.
    :param wanted: what rows must have in them.
    :raise ValueError: if there is no such column.
    """
    view = View(table=CONNECTIONS if connections else SERVICES, wanted=wanted)
    headings = [column.heading for column in view.table.columns]
    if sort is not None:
        if sort.upper() not in headings:
            raise ValueError(f"{sort!r} is no column to sort by; there are {', '.join(headings)}")
        view.order.column = headings.index(sort.upper())
    view.order.is_reversed = is_reversed
    return view
