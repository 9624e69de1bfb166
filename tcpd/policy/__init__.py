"""Who may connect, how many, how fast. Plain Python: no I/O, no clock, no twisted."""
