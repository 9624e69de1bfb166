"""The user's choices, and the keys that change them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcpd.ctl.top.tables import CONNECTIONS, MOST_CONNECTIONS, SERVICES, Table

#: The longest filter, in characters.
_LONGEST_FILTER = 64

HELP = (
    "c          connections; again: services",
    "< >        sort by the column to the left or right (also arrow keys)",
    "1 ... 9    sort by that column",
    "r          reverse the order",
    "/          show only rows that contain a text; Enter keeps it, Esc clears it",
    "p, space   pause; again: continue",
    "up, down   scroll (also j and k, PgUp and PgDn, Home)",
    "h, ?       this help",
    "q          quit",
    "",
    "NEW/S accepted clients, REF/S refused clients, IN/S and OUT/S bytes, per second",
    "since the last refresh; - is unknown. At most 1000 connections are compared:",
    "the first by the column that sorts them (IN/S: by IN; OUT/S: by OUT).",
    "lag: the delay of the reactor, now and at most in the last minute or two.",
)


@dataclass(slots=True)
class Order:
    """The order of a table. :ivar column: its index."""

    column: int
    is_reversed: bool = False


@dataclass(slots=True)
class View:
    """The user's choices.

    :ivar table: the table on the screen.
    :ivar filter: a text that rows must contain; empty for all rows.
    :ivar is_typing: whether keys are characters of the filter.
    :ivar first: the index of the first row on the screen; the screen keeps it in bounds.
    :ivar page: the number of rows that the screen shows; set by the screen.
    """

    table: Table = SERVICES
    filter: str = ""
    is_typing: bool = False
    is_paused: bool = False
    help: bool = False
    first: int = 0
    page: int = 10
    orders: dict[str, Order] = field(
        default_factory=lambda: {each.noun: Order(each.first) for each in (SERVICES, CONNECTIONS)}
    )

    @property
    def order(self) -> Order:
        """The order of the table on the screen."""
        return self.orders[self.table.noun]

    def request(self) -> str:
        """The request for connections; empty if they are not on the screen."""
        if self.table is not CONNECTIONS:
            return ""
        sort = self.table.columns[self.order.column].sort
        if sort in ("age", "new") and self.order.is_reversed:
            sort = "new" if sort == "age" else "age"
        return f"CONNECTIONS json SORT={sort} LIMIT={MOST_CONNECTIONS}"

    def press(self, key: str) -> bool:
        """Apply a key.

        :param key: a character, or a name of :mod:`tcpd.ctl.top.keys`.
        :return: ``False`` for the key that quits.
        """
        if self.is_typing:
            self._type(key)
        elif self.help:
            self.help = False
        elif key in ("q", "Q"):
            return False
        elif key in ("p", " "):
            self.is_paused = not self.is_paused
        elif key in ("h", "?"):
            self.help = True
        elif key == "/":
            self.is_typing = True
        elif key == "escape":
            self.filter = ""
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
            self.is_typing = False
        elif key == "escape":
            self.is_typing, self.filter = False, ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1 and key.isprintable():
            self.filter = (self.filter + key)[:_LONGEST_FILTER]
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


def make_view(connections: bool, sort: str | None, is_reversed: bool, filter: str) -> View:
    """Make the view that the command line requests.

    :param connections: show connections, not services.
    :param sort: the heading of a column, ignoring case; ``None`` for the default.
    :param is_reversed: reverse the order.
    :param filter: a text that rows must contain.
    :raise ValueError: if the table has no such column.
    """
    view = View(table=CONNECTIONS if connections else SERVICES, filter=filter)
    headings = [column.heading for column in view.table.columns]
    if sort is not None:
        if sort.upper() not in headings:
            raise ValueError(
                f"{sort!r} is not a column to sort by; there are {', '.join(headings)}"
            )
        view.order.column = headings.index(sort.upper())
    view.order.is_reversed = is_reversed
    return view
