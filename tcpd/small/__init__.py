"""The classic small services: echo, discard, chargen, daytime, time and qotd, in TCP and UDP."""
