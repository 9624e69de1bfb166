"""tcpd: one daemon for small TCP services, a line command protocol and chat rooms."""
