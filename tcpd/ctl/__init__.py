"""``tcpd-ctl``: the operator's command line, over the control socket of a running daemon."""
