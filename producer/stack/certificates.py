"""Makes the certificate authority and the server certificate of the stack, by openssl."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import subprocess
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.stack.passwords import AUTHORITY, usage_errors_of, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


AUTHORITY_DAYS = 3650

CERTIFICATE_DAYS = 825


def make_certificates(folder: Path, private: Path, names: Sequence[str]) -> None:
    """
    Make the broker's certificate for some names, and on first use the authority that signs it.

    Args:
        folder: The folder for the authority's certificate, which is public.
        private: The folder for the keys and the broker's certificate.
        names: Host names and addresses that nodes reach the broker by.

    Raises:
        UsageError: If a name is not valid, or a folder cannot be written.
    """
    subject = ",".join(map(alternative_name, names))
    with usage_errors_of(private):
        if not (private / AUTHORITY).exists():
            _make_authority(private)
        _make_certificate(private, subject)
    with usage_errors_of(folder):
        write_private(folder / AUTHORITY, (private / AUTHORITY).read_text(encoding="ascii"))


def alternative_name(name: str) -> str:
    """
    Return a host name or address as certificates hold it.

    Raises:
        UsageError: If it is neither.
    """
    with contextlib.suppress(ValueError):
        return f"IP:{ipaddress.ip_address(name)}"
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
        raise UsageError(f"--tls-name {name!r}: must be a host name or an address, e.g. first.example or 192.0.2.10.")
    return f"DNS:{name}"


def _make_authority(private: Path) -> None:
    _sign(
        private, AUTHORITY, "ca.key", AUTHORITY_DAYS, "/CN=Poolrace stack",
        ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"],
    )  # fmt: skip


def _make_certificate(private: Path, subject: str) -> None:
    _sign(
        private, "broker.pem", "broker.key", CERTIFICATE_DAYS, "/CN=Poolrace broker",
        ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", f"subjectAltName={subject}"],
        "-CA", str(private / AUTHORITY), "-CAkey", str(private / "ca.key"),
    )  # fmt: skip


def _sign(
    private: Path, name: str, key: str, days: int, subject: str, extensions: Sequence[str], *authority: str
) -> None:
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
        "-subj", subject, "-days", str(days),
        "-out", str(private / f"{name}.new"), "-keyout", str(private / f"{key}.new"), *authority,
    ]  # fmt: skip
    for extension in extensions:
        command += ["-addext", extension]
    _run(command)
    for made in (name, key):
        (private / f"{made}.new").chmod(0o400)
        (private / f"{made}.new").replace(private / made)


def _run(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UsageError("Certificates need the program openssl, which is not installed here.") from None
    if ended.returncode:
        raise UsageError(f"openssl made no certificate: {ended.stderr.strip()}")
