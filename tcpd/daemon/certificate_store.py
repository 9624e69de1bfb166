"""The certificates in use."""

from __future__ import annotations

from collections.abc import Mapping

from tcpd.config.errors import SettingError
from tcpd.config.settings import Settings
from tcpd.daemon.problems import SettingProblems
from tcpd.net.tls import Certificates


class CertificateStore:
    """Certificates by NAME of their ``[tls:NAME]``.

    :param credentials: the directory of systemd's credentials; ``None`` for none.

    :ivar in_use: the certificates in use, by name. A name stays after a reload has removed it, for
        connections that drain.
    """

    def __init__(self, credentials: str | None) -> None:
        self.credentials = credentials
        self.in_use: dict[str, Certificates] = {}

    def read(self, settings: Settings, problems: SettingProblems) -> dict[str, Certificates]:
        """Read all files that settings name, and change nothing.

        :param problems: receives errors of the files.
        """
        loaded = {}
        for name, tls in settings.tls.items():
            try:
                loaded[name] = Certificates(tls, self.credentials)
            except SettingError as error:
                problems.add(f"tls:{name}", error)
        return loaded

    def use(self, loaded: Mapping[str, Certificates]) -> list[str]:
        """Use certificates for handshakes from now on.

        :return: names that were in use before with other certificates.
        """
        changed = []
        for name, certificates in loaded.items():
            if name not in self.in_use:
                self.in_use[name] = certificates
            elif self.in_use[name].adopt(certificates):
                changed.append(name)
        return changed
