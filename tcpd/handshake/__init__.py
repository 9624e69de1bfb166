"""The handshake report: the three-way handshake and the layers of one TCP connection.

Sans-IO: the parsers take bytes, the report takes the :class:`tcpd.handshake.facts.Facts` that the
connection layer gathers, and the renderings return lines of text or objects for JSON.
"""
