"""``python -m tcpd.ctl``: where the script is not on the path."""

import sys

from tcpd.ctl.main import main

sys.exit(main())
