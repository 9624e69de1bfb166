from twisted.application.service import ServiceMaker

tcpd = ServiceMaker(
    "tcpd",
    "tcpd.tap",
    "Echo and the other small services, a line command protocol and chat rooms, from an ini file.",
    "tcpd",
)
