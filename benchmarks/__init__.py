"""tcpd beside its peers, on one machine, in turns: ``python -m benchmarks --help``.

Figures come from here, and from no timed test. docs/explanation/speed.rst has what came out.
"""
