"""How much the tests that try many inputs do: all of it, or a part that an environment asks for.

``TCPD_TEST_EXAMPLES=0.2`` tries a fifth of the examples of property tests: for one more Python,
say. ``TCPD_TEST_SOAK=0.1`` runs the tests marked ``soak`` at a tenth of their length.
"""

from __future__ import annotations

import os

import hypothesis

_EXAMPLES = float(os.environ.get("TCPD_TEST_EXAMPLES", "1"))
_SOAK = float(os.environ.get("TCPD_TEST_SOAK", "1"))


def examples(count: int) -> int:
    """So many examples of a property test, scaled; at least 5."""
    return max(5, round(count * _EXAMPLES))


def soak(count: int) -> int:
    """So many rounds of a soak test, scaled; at least 1."""
    return max(1, round(count * _SOAK))


def load_profile() -> None:
    """Scale the default number of examples too, and let each take as long as a busy machine makes
    it: Hypothesis's own deadline is wall time. pytest calls it before it collects."""
    hypothesis.settings.register_profile(
        "scaled",
        hypothesis.settings.default,
        max_examples=examples(100),
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("scaled")
