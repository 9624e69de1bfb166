"""The benchmarks stand beside the tests, and in no installed package."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# behind what is there: nothing else is to be found in the checkout that is installed elsewhere
sys.path.append(str(ROOT))
