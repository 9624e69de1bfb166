"""What one TCP connection's handshake and layers looked like, from what the kernel kept of them.

Sans-IO: the parsers take bytes, the report takes :class:`tcpd.handshake.facts.Facts`, which the
connection layer gathers, and the renderings give lines of text or plain objects for JSON.
"""
