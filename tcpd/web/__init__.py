"""``protocol = web``: pages about the reader's own connection, a lesson, the rooms and the daemon.

The pages of a connection and the lesson are pure functions of a
:class:`tcpd.handshake.report.Report`. They read no socket and no clock, and do not depend on how
HTTP is served.
"""
