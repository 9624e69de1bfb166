"""HTTP/1.1 without I/O: requests, responses and the pages of a site. h11 parses.

``tcpd.net.http_protocol`` is the edge.
"""
