"""Scale factors for property tests and soak tests, set by the environment.

``TCPD_TEST_EXAMPLES=0.2`` runs a fifth of the examples of property tests, as CI does on further
Pythons. ``TCPD_TEST_SOAK=0.1`` runs tests marked ``soak`` at a tenth of their length, and the loads
of 5,000 clients with fewer.
"""

from __future__ import annotations

import os

import hypothesis

_EXAMPLES = float(os.environ.get("TCPD_TEST_EXAMPLES", "1"))
_SOAK = float(os.environ.get("TCPD_TEST_SOAK", "1"))


def examples(count: int) -> int:
    """Return the scaled number of examples of a property test, at least 5."""
    return max(5, round(count * _EXAMPLES))


def soak(count: int) -> int:
    """Return the scaled number of rounds of a soak test, at least 1."""
    return max(1, round(count * _SOAK))


def load_profile() -> None:
    """Scale the default number of examples, and turn off Hypothesis's deadline, which is wall time.

    Called by ``pytest_configure``.
    """
    hypothesis.settings.register_profile(
        "scaled",
        hypothesis.settings.default,
        max_examples=examples(100),
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("scaled")
