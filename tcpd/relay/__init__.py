"""What passes a connection's bytes on: to another address, or to a program."""
