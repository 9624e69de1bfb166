"""``tcpd-ctl top``: the daemon's activity, updated every two seconds.

Samples of the daemon's counters (:mod:`~tcpd.ctl.top.sample`) become rates
(:mod:`~tcpd.ctl.top.rates`) and rows of a table (:mod:`~tcpd.ctl.top.tables`), without a terminal
or a clock. :mod:`~tcpd.ctl.top.plain` prints them once. rich, the extra ``top``, draws the live
display (:mod:`~tcpd.ctl.top.watch`, :mod:`~tcpd.ctl.top.screen`). Keys change a
:class:`~tcpd.ctl.top.view.View`. A thread takes the samples (:mod:`~tcpd.ctl.top.sampler`).
"""
