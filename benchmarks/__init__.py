"""Benchmarks of tcpd and its peers, in turns on one machine: ``python -m benchmarks --help``.

All figures come from here; no test measures speed. docs/explanation/speed.rst has the results.
"""
