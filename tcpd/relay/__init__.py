"""Services that relay a connection: ``forward`` to another address, ``exec`` to a program."""
