"""``tcpd-ctl top``: the daemon's activity, updated every two seconds.

Samples of the daemon's counters (:mod:`~tcpd.ctl.top.sample`) become rates
(:mod:`~tcpd.ctl.top.rates`), rows of a table (:mod:`~tcpd.ctl.top.tables`,
:mod:`~tcpd.ctl.top.layout`) and lines of a screen (:mod:`~tcpd.ctl.top.screen`), all without a
terminal or a clock. Keys change a :class:`~tcpd.ctl.top.view.View`. At the edge are a thread that
asks the daemon (:mod:`~tcpd.ctl.top.sampler`) and the terminal (:mod:`~tcpd.ctl.top.terminal`).

The terminal is controlled by a few sequences of ECMA-48 that all terminals support, and not by
``curses``: curses keeps its own copy of the screen, which tests cannot see, takes over the
process's terminal, and needs a Python with ncurses.
"""
