"""Bytes to lines and text, shared by several protocols. Plain Python: no I/O, no twisted."""
