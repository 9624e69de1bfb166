"""What another package adds to tcpd: two line commands and a protocol."""
