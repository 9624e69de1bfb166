"""What is on the screen, at any size, and what keys do to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from topping import STATUS, connection, sample, service

from tcpd.ctl.top.layout import cells
from tcpd.ctl.top.rates import Seen, compare
from tcpd.ctl.top.sampler import Lost
from tcpd.ctl.top.screen import PLAIN, REVERSE, draw, plain
from tcpd.ctl.top.tables import CONNECTIONS, SERVICES, number
from tcpd.ctl.top.view import View, chosen
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
SEEN = compare(BEFORE, AFTER)

MANY = compare(
    None,
    sample(
        0.0,
        *(service(f"service-{n}", connections=n) for n in range(100)),
        connections=tuple(connection(str(n)) for n in range(100)),
        total=20_000,
    ),
)


def shown(view: View, seen: Seen = SEEN, notice: str = "", size: str = "80x24") -> list[str]:
    width, height = map(int, size.split("x"))
    return [line.text.rstrip() for line in draw(view, seen, notice, width, height)]


def press(view: View, *keys: str) -> View:
    assert all(view.press(key) for key in keys)
    return view


def names(view: View, seen: Seen = SEEN) -> list[str]:
    """The first cells of the rows."""
    lines = shown(view, seen)
    rows = lines[5 : lines.index("", 5)]
    return [row.split()[0] for row in rows]


def test_the_whole_screen_at_80x24() -> None:
    """Looks right at 80x24."""
    assert shown(View()) == [
        "tcpd 0.1.0 ready, up 1h00m, on test.example",
        "connections 3 of 10000, new 1.0/s, refused 3.0/s, lag 0ms, max 12ms",
        "in 2.0K/s, out 0/s, memory 50M, people 2, rooms 1, bans 0",
        "",
        "SERVICE       PROTOCOL   STATE      OPEN  NEW/S  REF/S  IN/S  OUT/S  REFUSED",
        "line          line       open          2    0.0    0.0    50      0        0",
        "echo          echo       open          1    1.0    0.0  2.0K      0        0",
        "chat          chat       open          0    0.0    3.0     0      0        7",
        *[""] * 14,
        "3 services, by OPEN",
        "q quit  c connections  < > sort  r reverse  / filter  p pause  h help",
    ]


def test_the_connections() -> None:
    assert shown(press(View(), "c"))[4:7] == [
        "   ID  SERVICE   PEER                AGE   QUIET  IN/S  OUT/S    IN   OUT",
        "    1  echo      192.0.2.1:4711      10s      1s  2.0K      0  4.0K     0",
        "    2  chat      192.0.2.2:4711      10s      1s     0     10     0    20",
    ]


SIZES = st.tuples(st.integers(-1, 200), st.integers(-1, 60))


@given(SIZES, st.sampled_from([SEEN, MANY]), st.lists(st.sampled_from("chr/pj<>9 x")), st.text())
def test_no_size_is_too_small_and_nothing_is_outside(
    size: tuple[int, int], seen: Seen, keys: list[str], notice: str
) -> None:
    """Looks right at other sizes, also tiny ones."""
    view = press(View(), *keys)
    width, height = size
    lines = draw(view, seen, notice, width, height)
    assert len(lines) == (height if width > 0 and height > 0 else 0)
    assert all(cells(line.text) <= width for line in lines)
    assert all(escape_controls(line.text) == line.text for line in lines)


def test_what_matters_most_is_on_few_lines() -> None:
    assert shown(View(), size="80x1")[0].startswith("tcpd 0.1.0 ready")
    assert shown(View(), notice="LOST", size="80x1") == ["LOST"]
    assert [line.split()[0] for line in shown(View(), size="30x4")[1:]] == [
        "SERVICE",
        "line",
        "echo",
    ]
    assert shown(press(View(), "/", "x"), size="30x3")[-1] == "filter: x_"


def test_sorted_by_another_column_and_the_other_way_round() -> None:
    view = View()
    assert names(view) == ["line", "echo", "chat"]
    assert names(press(view, ">")) == ["echo", "line", "chat"]  # NEW/S
    assert names(press(view, "right")) == ["chat", "echo", "line"]  # REF/S
    assert names(press(view, "r")) == ["echo", "line", "chat"]
    assert names(press(view, "r", "1")) == ["chat", "echo", "line"]
    assert names(press(view, "left")) == ["chat", "echo", "line"]  # round, to REFUSED
    assert shown(view)[-2] == "3 services, by REFUSED"


def test_who_came_together_keeps_places() -> None:
    """Their ages are told to the millisecond, each a moment after the one before it."""
    view = press(View(), "c")
    ages = {"9": 10.001, "10": 10.002, "11": 10.001}
    rows = tuple(connection(id, seconds=age) for id, age in ages.items())
    seen = compare(None, sample(0.0, connections=rows))
    assert [line.split()[0] for line in shown(view, seen)[5:8]] == ["9", "10", "11"]
    assert [line.split()[0] for line in shown(press(view, "r"), seen)[5:8]] == ["11", "10", "9"]


def test_what_is_unknown_comes_last_either_way() -> None:
    seen = compare(BEFORE, replace(AFTER, services=(service("new"), *AFTER.services)))
    view = press(View(), "7")
    assert names(view, seen)[-1] == "new"
    assert names(press(view, "r"), seen)[-1] == "new"
    (row,) = (line for line in shown(view, seen) if line.startswith("new"))
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
    assert shown(press(view, "/", "z"))[5] == "no services like that"
    assert names(press(view, "escape")) == ["line", "echo", "chat"]
    press(view, "/", *"a" * 1000)
    assert len(view.wanted) == 64


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


def test_help_is_there_until_a_key() -> None:
    view = press(View(), "h")
    assert any("the other way round" in line for line in shown(view))
    assert not any("SERVICE" in line for line in shown(view))
    press(view, "q")  # which leaves the help, and not the program
    assert any("SERVICE" in line for line in shown(view))
    assert not view.press("q")


def test_of_many_connections_the_best_are_asked_for() -> None:
    view = View()
    assert view.request() == ""
    press(view, "c")
    assert view.request() == "CONNECTIONS json SORT=age LIMIT=1000"
    press(view, "r")
    assert view.request() == "CONNECTIONS json SORT=new LIMIT=1000"
    press(view, "6")
    assert view.request() == "CONNECTIONS json SORT=in LIMIT=1000"
    assert shown(view, MANY)[-2].startswith("100 of 20000 connections, by IN/S reversed")


def test_paused_nothing_moves_until_it_goes_on() -> None:
    view = View()
    state = Watch(view, 2.0)
    assert state.lines(0.0, 80, 24) == []
    state.note(BEFORE)
    first = state.lines(0.1, 80, 24)
    press(view, "p")
    state.note(AFTER)
    paused = state.lines(2.1, 80, 24)
    assert paused[:22] == first[:22]
    assert paused[22].text.startswith("PAUSED, 3 services")
    press(view, " ")
    assert "new 1.0/s" in state.lines(2.1, 80, 24)[1].text


def test_who_lost_the_daemon_says_so_keeps_the_last_and_finds_it_again() -> None:
    """Resumes after the daemon restarts: says that it lost it."""
    state = Watch(View(), 2.0)
    state.note(BEFORE)
    state.note(Lost("nobody listens on /run/tcpd/control\x1b"))
    lines = state.lines(7.0, 80, 24)
    assert lines[3].style == REVERSE
    assert lines[3].text.startswith("LOST 7s ago, trying again every 2 s: nobody listens")
    assert lines[5].text.startswith("echo")
    again = replace(STATUS, began=(8, "later"), uptime=1.0)
    state.note(sample(9.0, service("echo", accepted=1), status=again))
    lines = state.lines(9.0, 80, 24)
    assert (lines[3].text, lines[3].style) == ("", PLAIN)
    assert "new -/s" in lines[1].text


def test_a_daemon_that_hangs_is_told() -> None:
    state = Watch(View(), 2.0)
    state.note(BEFORE)
    assert state.lines(3.9, 80, 24)[3].text == ""
    assert state.lines(5.0, 80, 24)[3].text.startswith("NO ANSWER for 5s")


def test_a_daemon_that_stops_stands_out() -> None:
    status = replace(STATUS, unready="stopping: connections are being drained")
    (first, *_) = draw(View(), compare(None, sample(0.0, status=status)), "", 80, 24)
    assert first.style == REVERSE
    assert "NOT READY, stopping: connections are being drained" in first.text


def test_plain_text_is_as_wide_as_it_takes() -> None:
    text = plain(chosen(False, "in/s", False, "ech"), SEEN)
    assert text.endswith(
        "SERVICE       PROTOCOL   STATE      OPEN  NEW/S  REF/S  IN/S  OUT/S  ACCEPTED  REFUSED\n"
        "echo          echo       open          1    1.0    0.0  2.0K      0        12        0\n"
    )


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="'age' is no column to sort by; there are SERVICE, "):
        chosen(False, "age", False, "")
    assert chosen(True, "age", True, "").order.is_reversed


def test_a_rate_has_at_most_five_characters() -> None:
    assert [number(rate) for rate in (None, 0.0, 0.04, 999.94, 1000.0, 123456.0)] == [
        "-",
        "0.0",
        "0.0",
        "999.9",
        "1.0K",
        "121K",
    ]


def test_no_two_columns_have_one_heading() -> None:
    for table in (SERVICES, CONNECTIONS):
        headings = [column.heading for column in table.columns]
        assert len(set(headings)) == len(headings)
