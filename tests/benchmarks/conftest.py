"""Makes the package benchmarks importable, which is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# appended, so that an installed tcpd precedes the checkout's
sys.path.append(str(ROOT))
