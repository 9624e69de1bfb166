"""``tcpd-ctl completion``: scripts with which shells complete the command line of ``tcpd-ctl``."""
