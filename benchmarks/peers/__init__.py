"""Peers of tcpd, each as its users would write it."""
