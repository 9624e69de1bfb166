"""The operator's socket: the line protocol with commands of its own, as tcpd-ctl speaks it."""
