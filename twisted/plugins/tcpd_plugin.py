from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

tcpd = ServiceMaker(
    "tcpd",
    "tcpd.tap",
    "Small TCP services from ini files: echo and its kin, line, chat, irc, forward, exec.",
    "tcpd",
)

tcpd_reactor = Reactor(
    "tcpd",
    "tcpd.net.reactor",
    "epoll(7), with direct calls of tcpd's transports.",
)
