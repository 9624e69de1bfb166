from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

tcpd = ServiceMaker(
    "tcpd",
    "tcpd.tap",
    "Echo and the other small services, a line command protocol and chat rooms, from an ini file.",
    "tcpd",
)

lean_reactor = Reactor(
    "tcpd",
    "tcpd.net.reactor",
    "epoll(7) for tcpd's lean transports.",
)
