"""The control socket: the line protocol with operators' commands, which tcpd-ctl sends."""
