"""``tcpd-ctl top``: what the daemon does just now, drawn anew every other second.

Samples of the daemon's counters (:mod:`~tcpd.ctl.top.sample`) become rates
(:mod:`~tcpd.ctl.top.rates`), rows of a table (:mod:`~tcpd.ctl.top.tables`,
:mod:`~tcpd.ctl.top.layout`) and lines of a screen (:mod:`~tcpd.ctl.top.screen`), all without a
terminal or a clock. Keys change a :class:`~tcpd.ctl.top.view.View`. At the edge are a thread that
asks the daemon (:mod:`~tcpd.ctl.top.sampler`) and the terminal (:mod:`~tcpd.ctl.top.terminal`).

The terminal is driven by a few control sequences of ECMA-48 that every terminal of today obeys, and
not by ``curses``: that would keep a picture of the screen of its own, which no test sees, take the
process's only terminal for itself, and need ncurses in the Python it runs on.
"""
