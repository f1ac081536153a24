"""Certificates of a test's own making, by the `openssl` program."""

import subprocess
from pathlib import Path

__all__ = ["Authority"]


class Authority:
    """Signs certificates: one for a server, one for a client."""

    def __init__(self, folder: Path) -> None:
        """Make the certificates in a new folder: `ca`, `server` and `client`, each a .pem and a .key."""
        folder.mkdir()
        self._folder = folder
        self._request("ca", "critical,CA:TRUE", "keyCertSign", [])
        signed = ["-CA", str(self.path("ca.pem")), "-CAkey", str(self.path("ca.key"))]
        for name in ("server", "client"):
            self._request(name, "critical,CA:FALSE", "digitalSignature", signed)

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self._folder / name

    def _request(self, name: str, constraints: str, usage: str, signed: list[str]) -> None:
        """Make a key and a certificate of it, with what Python's strict checking asks for."""
        self.path("openssl.cnf").write_text(
            f"[req]\ndistinguished_name = name\nprompt = no\nx509_extensions = v3\n[name]\nCN = {name}\n"
            f"[v3]\nbasicConstraints = {constraints}\nkeyUsage = critical,{usage}\nsubjectAltName = DNS:localhost\n"
            "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always\n"
        )
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-days", "2", "-config", self.path("openssl.cnf"),
                "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"), *signed,
            ],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
