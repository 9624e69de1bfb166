"""Resources of a run: a directory, compiled programs, a certificate, cores."""

from __future__ import annotations

import datetime
import os
import random
import shutil
import socket
import subprocess
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from benchmarks.process import cores

HERE = Path(__file__).resolve().parent

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Skipped(Exception):
    """A measurement is not possible; the text is the reason."""


class Ground:
    """Resources of one run.

    :param directory: for files.
    :param key: type of the certificate's key: ``ec`` for P-256, ``rsa`` for RSA-2048.
    """

    def __init__(self, directory: Path, key: str = "ec") -> None:
        self.directory = directory
        self.key = key
        self.server_core, self.load_core = cores()
        # measure the checkout, not an installed tcpd
        self.variables = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        self.variables.pop("PYTHONDEVMODE", None)

    def with_key(self, key: str) -> Ground:
        """Return the resources with another type of key."""
        return self if key == self.key else Ground(self.directory, key)

    def build(self, source: str, *libraries: str) -> str:
        """Compile a C program, once.

        :param source: its path, relative to this directory.
        :param libraries: to link with.
        :raise Skipped: if there is no compiler, or it fails.
        """
        path = HERE / source
        program = self.directory / f"{path.parent.name}-{path.stem}"
        if not program.exists():
            compiler = shutil.which("cc")
            if compiler is None:
                raise Skipped("there is no C compiler (cc)")
            linked = [f"-l{library}" for library in libraries]
            command = [compiler, "-O2", "-o", str(program), str(path), *linked]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Skipped(f"{source} cannot be compiled: {done.stderr.strip()[:200]}")
        return str(program)

    @cached_property
    def pem(self) -> str:
        """Path of a certificate with its key."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = (
            rsa.generate_private_key(65537, 2048)
            if self.key == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        today = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(key, hashes.SHA256())
        )
        path = self.directory / f"server-{self.key}.pem"
        encoding = serialization.Encoding.PEM
        path.write_bytes(
            key.private_bytes(
                encoding,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(encoding)
        )
        return str(path)


def free_port() -> int:
    """A TCP and UDP port that no socket uses, on any address.

    The port lies below the kernel's range of ephemeral ports (ip(7)). A port of that range may be
    given to another process before the caller binds it. It may also be the source port of a client
    on another address, also in TIME_WAIT, and bind(2) to a wildcard then fails with EADDRINUSE.
    The port is random, so that processes side by side choose different ones.
    """
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    while True:
        port = random.SystemRandom().randrange(10_000, lowest)
        with ExitStack() as sockets:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = sockets.enter_context(socket.socket(socket.AF_INET6, kind))
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    sock.bind(("::", port))
            except OSError:
                continue
        return port
