"""How often Python's garbage collector looks at everything there is.

A full collection takes some ten milliseconds for each thousand clients, in which nobody is served.
By default one may come with every 70,000 objects that are made, which a busy daemon has many times
a minute. Connections leave little behind that would need it: what they have is gone with them, by
its count of references.
"""

from __future__ import annotations

import gc

#: How many more objects were made than taken away before the youngest are looked at; how often that
#: is done before those who outlived it are, and that before all are. What does leave cycles (the
#: far side of ``forward``: a dozen objects a connection) then waits in some ten megabytes.
_YOUNG, _MIDDLE, _OLD = 5_000, 10, 4


def settle() -> None:
    """Take what there is now for what stays: it is never looked at again. Call it when all is
    loaded, and before clients come."""
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.collect()
    gc.freeze()
