"""Limits on connections, rates and work. Plain Python: no I/O, no clock, no twisted."""
