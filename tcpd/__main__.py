"""``python -m tcpd``: the same as ``twistd -n --pidfile= tcpd``, in the foreground."""

import sys

from twisted.scripts import twistd

if __name__ == "__main__":
    sys.argv[1:1] = ["-n", "--pidfile=", "tcpd"]
    twistd.run()
