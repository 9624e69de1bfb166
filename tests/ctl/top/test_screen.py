"""The screen at any size, and the keys that change it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.screen import Screen
from rich.segment import Segment
from topping import STATUS, connection, sample, service

from tcpd.ctl.top.plain import plain
from tcpd.ctl.top.rates import Rate, Snapshot, compare
from tcpd.ctl.top.sampler import Lost
from tcpd.ctl.top.screen import Sparkline, draw
from tcpd.ctl.top.tables import CONNECTIONS, SERVICES, number
from tcpd.ctl.top.view import View, make_view
from tcpd.ctl.top.watch import Watch
from tcpd.wire.safe_text import escape_controls

BEFORE = sample(
    0.0,
    service("echo", accepted=10, bytes_in=1000),
    service("line"),
    service("chat", refused=1),
    connections=(connection("1"), connection("2")),
)
AFTER = sample(
    2.0,
    service("echo", accepted=12, bytes_in=5000, connections=1),
    service("line", bytes_in=100, connections=2),
    service("chat", refused=7),
    connections=(connection("1", bytes_in=4096), connection("2", service="chat", bytes_out=20)),
)
SNAPSHOT = compare(BEFORE, AFTER)

MANY = compare(
    None,
    sample(
        0.0,
        *(service(f"service-{n}", connections=n) for n in range(100)),
        connections=tuple(connection(str(n)) for n in range(100)),
        total=20_000,
    ),
)


def render(screen: RenderableType, width: int, height: int) -> list[list[Segment]]:
    """The lines of a terminal of this size."""
    console = Console(width=width, height=height, color_system=None, _environ={})
    return console.render_lines(Screen(screen))


def shown(
    view: View, snapshot: Snapshot = SNAPSHOT, notice: str = "", size: str = "80x24"
) -> list[str]:
    width, height = map(int, size.split("x"))
    lines = render(draw(view, snapshot, (), notice, width, height), width, height)
    return ["".join(each.text for each in line).rstrip() for line in lines]


def watched(state: Watch, now: float, width: int = 80) -> list[str]:
    lines = render(state.draw(now, width, 24), width, 24)
    return ["".join(each.text for each in line) for line in lines]


def press(view: View, *keys: str) -> View:
    assert all(view.press(key) for key in keys)
    return view


def names(view: View, snapshot: Snapshot = SNAPSHOT) -> list[str]:
    """The first cells of the rows."""
    lines = shown(view, snapshot)
    rows = lines[5 : lines.index("", 5)]
    return [row.split()[0] for row in rows]


def test_screen_of_80x24() -> None:
    assert shown(View()) == [
        "tcpd 0.1.0 ready, up 1h00m, on test.example",
        "connections 3 of 10000, new 1.0/s, refused 3.0/s, lag 0ms, max 12ms",
        "in 2.0K/s, out 0/s, memory 50M, people 2, rooms 1, bans 0",
        "new                        in                        out",
        "SERVICE       PROTOCOL   STATE      OPEN  NEW/S  REF/S  IN/S  OUT/S  REFUSED",
        "line          line       open          2    0.0    0.0    50      0        0",
        "echo          echo       open          1    1.0    0.0  2.0K      0        0",
        "chat          chat       open          0    0.0    3.0     0      0        7",
        *[""] * 14,
        "3 services, by OPEN",
        "q quit  c connections  < > sort  r reverse  / filter  p pause  h help",
    ]


def test_connections() -> None:
    assert shown(press(View(), "c"))[4:7] == [
        "   ID  SERVICE   PEER                AGE   QUIET  IN/S  OUT/S    IN   OUT",
        "    1  echo      192.0.2.1:4711      10s      1s  2.0K      0  4.0K     0",
        "    2  chat      192.0.2.2:4711      10s      1s     0     10     0    20",
    ]


SIZES = st.tuples(st.integers(1, 200), st.integers(1, 60))


@given(
    SIZES, st.sampled_from([SNAPSHOT, MANY]), st.lists(st.sampled_from("chr/pj<>9 x")), st.text()
)
def test_screen_fits_every_size(
    size: tuple[int, int], snapshot: Snapshot, keys: list[str], notice: str
) -> None:
    view = press(View(), *keys)
    width, height = size
    screen = draw(view, snapshot, (), notice, width, height)
    console = Console(width=width, color_system=None, _environ={})
    # before the terminal crops it: no line more than it has
    assert len(console.render_lines(screen)) == height
    for line in render(screen, width, height):
        text = "".join(each.text for each in line)
        assert cell_len(text) == width
        assert escape_controls(text) == text


def test_sparkline_shows_the_latest_rates() -> None:
    """The largest rate has the highest block; an unknown one has none."""

    def drawn(*rates: Rate, width: int = 8) -> str:
        return "".join(each.text for each in render(Sparkline(rates), width, 1)[0])

    assert drawn(None, 0.0, 1.0, 7.0) == "     \u2581\u2582\u2588"
    assert drawn(9.0, *[3.5] * 8) == "\u2588" * 8
    assert drawn(0.0, 0.0, width=2) == "\u2581\u2581"
    assert drawn(width=1) == " "


def test_wide_screen_has_a_sparkline_per_service() -> None:
    state = Watch(View(), 2.0)
    state.note(BEFORE)
    state.note(AFTER)
    lines = watched(state, 2.0, 120)
    assert lines[4].rstrip().endswith("REFUSED  IN+OUT")
    assert [line[-1] for line in lines[5:8]] == ["\u2588", "\u2588", "\u2581"]
    assert "IN+OUT" not in "".join(watched(state, 2.0))


def test_few_lines_show_the_most_important_parts() -> None:
    assert shown(View(), size="80x1")[0].startswith("tcpd 0.1.0 ready")
    assert shown(View(), notice="LOST", size="80x1") == ["LOST"]
    assert [line.split()[0] for line in shown(View(), size="30x4")[1:]] == [
        "SERVICE",
        "line",
        "echo",
    ]
    assert shown(press(View(), "/", "x"), size="30x3")[-1] == "filter: x_"


def test_keys_choose_the_column_and_the_order() -> None:
    view = View()
    assert names(view) == ["line", "echo", "chat"]
    assert names(press(view, ">")) == ["echo", "line", "chat"]  # NEW/S
    assert names(press(view, "right")) == ["chat", "echo", "line"]  # REF/S
    assert names(press(view, "r")) == ["echo", "line", "chat"]
    assert names(press(view, "r", "1")) == ["chat", "echo", "line"]
    assert names(press(view, "left")) == [
        "chat",
        "echo",
        "line",
    ]  # from the first to the last: REFUSED
    assert shown(view)[-2] == "3 services, by REFUSED"


def test_connections_of_the_same_age_keep_their_order() -> None:
    """Ages are rounded to milliseconds, and computed one after the other."""
    view = press(View(), "c")
    ages = {"9": 10.001, "10": 10.002, "11": 10.001}
    rows = tuple(connection(id, seconds=age) for id, age in ages.items())
    snapshot = compare(None, sample(0.0, connections=rows))
    assert [line.split()[0] for line in shown(view, snapshot)[5:8]] == ["9", "10", "11"]
    assert [line.split()[0] for line in shown(press(view, "r"), snapshot)[5:8]] == ["11", "10", "9"]


def test_unknown_values_come_last_in_both_orders() -> None:
    snapshot = compare(BEFORE, replace(AFTER, services=(service("added"), *AFTER.services)))
    view = press(View(), "7")
    assert names(view, snapshot)[-1] == "added"
    assert names(press(view, "r"), snapshot)[-1] == "added"
    (row,) = (line for line in shown(view, snapshot) if line.startswith("added"))
    assert row.split()[4:8] == ["-", "-", "-", "-"]


def test_each_table_has_its_own_order() -> None:
    view = press(View(), "2", "c", "r")
    assert shown(view)[-2] == "2 connections, by AGE reversed"
    assert shown(press(view, "c"))[-2] == "3 services, by PROTOCOL"


def test_filter_by_typed_text() -> None:
    view = press(View(), "/", "C", "h", "q", "backspace")
    assert shown(view)[-1] == "filter: Ch_"
    assert names(view) == ["echo", "chat"]
    assert shown(press(view, "enter"))[-2] == "3 services, by OPEN, with 'Ch'"
    assert shown(press(view, "/", "z"))[5] == "no services with this text"
    assert names(press(view, "escape")) == ["line", "echo", "chat"]
    press(view, "/", *"a" * 1000)
    assert len(view.filter) == 64


def test_scrolling_stays_in_bounds() -> None:
    view = View()
    assert shown(view, MANY)[5].startswith("service-99")
    assert len([line for line in shown(view, MANY) if line.startswith("service-")]) == 17
    press(view, "k", "up")
    assert shown(view, MANY)[5].startswith("service-99")
    press(view, "page down", "j")
    assert shown(view, MANY)[5].startswith("service-81")
    press(view, *["page down"] * 50)
    assert shown(view, MANY)[21].startswith("service-0 ")
    assert shown(press(view, "home"), MANY)[5].startswith("service-99")


def test_next_key_closes_the_help() -> None:
    view = press(View(), "h")
    assert any("reverse the order" in line for line in shown(view))
    assert not any("SERVICE" in line for line in shown(view))
    press(view, "q")  # closes the help only
    assert any("SERVICE" in line for line in shown(view))
    assert not view.press("q")


def test_order_chooses_the_connections_of_the_request() -> None:
    view = View()
    assert view.request() == ""
    press(view, "c")
    assert view.request() == "CONNECTIONS json SORT=age LIMIT=1000"
    press(view, "r")
    assert view.request() == "CONNECTIONS json SORT=new LIMIT=1000"
    press(view, "6")
    assert view.request() == "CONNECTIONS json SORT=in LIMIT=1000"
    assert shown(view, MANY)[-2].startswith("100 of 20000 connections, by IN/S reversed")


def test_pause_freezes_the_screen() -> None:
    view = View()
    state = Watch(view, 2.0)
    assert watched(state, 0.0) == [" " * 80] * 24
    state.note(BEFORE)
    first = watched(state, 0.1)
    press(view, "p")
    state.note(AFTER)
    paused = watched(state, 2.1)
    assert paused[:22] == first[:22]
    assert paused[22].startswith("PAUSED, 3 services")
    press(view, " ")
    assert "new 1.0/s" in watched(state, 2.1)[1]


def test_lost_daemon_leaves_the_last_sample_until_it_is_back() -> None:
    state = Watch(View(), 2.0)
    state.note(BEFORE)
    state.note(Lost("nobody listens on /run/tcpd/control\x1b"))
    lines = watched(state, 7.0)
    assert lines[3].startswith("LOST 7s ago, trying again every 2 s: nobody listens")
    assert lines[5].startswith("echo")
    again = replace(STATUS, pid=8, started="later", uptime=1.0)
    state.note(sample(9.0, service("echo", accepted=1), status=again))
    lines = watched(state, 9.0)
    assert lines[3].startswith("new ")
    assert "new -/s" in lines[1]


def test_silent_daemon_is_shown() -> None:
    state = Watch(View(), 2.0)
    state.note(BEFORE)
    assert watched(state, 3.9)[3].startswith("new ")
    assert watched(state, 5.0)[3].startswith("NO ANSWER for 5s")


def test_stopping_daemon_is_highlighted() -> None:
    status = replace(STATUS, unready="stopping: connections are being drained")
    screen = draw(View(), compare(None, sample(0.0, status=status)), (), "", 80, 24)
    (first, *_), *_ = render(screen, 80, 24)
    assert "NOT READY, stopping: connections are being drained" in first.text
    assert first.style
    assert first.style.reverse


def test_plain_text_has_all_columns() -> None:
    text = plain(make_view(False, "in/s", False, "ech"), SNAPSHOT)
    assert text.endswith(
        "SERVICE       PROTOCOL   STATE      OPEN  NEW/S  REF/S  IN/S  OUT/S  ACCEPTED  REFUSED\n"
        "echo          echo       open          1    1.0    0.0  2.0K      0        12        0\n"
    )


def test_unknown_column_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'age' is not a column to sort by; there are SERVICE, "):
        make_view(False, "age", False, "")
    assert make_view(True, "age", True, "").order.is_reversed


def test_rate_has_at_most_five_characters() -> None:
    assert [number(rate) for rate in (None, 0.0, 0.04, 999.94, 1000.0, 123456.0)] == [
        "-",
        "0.0",
        "0.0",
        "999.9",
        "1.0K",
        "121K",
    ]


def test_headings_are_unique() -> None:
    for table in (SERVICES, CONNECTIONS):
        headings = [column.heading for column in table.columns]
        assert len(set(headings)) == len(headings)
