"""
Puts the password and the trusted authority, which come from files, into the broker's URL, and hides secrets in it.

A URL in the environment is visible to everyone who may inspect the process or its container; a file is not. Standard
library only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

BROKER_URL = "POOLRACE_BROKER_URL"
PASSWORD_FILE = "POOLRACE_BROKER_PASSWORD_FILE"  # noqa: S105 - a variable's name
CA_FILE = "POOLRACE_BROKER_CA_FILE"


def broker_url(environ: Mapping[str, str]) -> str | None:
    """
    Return the complete URL of the environment's broker, or None if it names no broker.

    Raises:
        ValueError: If a file that is named cannot be used. The message has its name and the reason, never a password.
    """
    url = environ.get(BROKER_URL) or None
    if url is None or "://" not in url:
        return url
    if password_file := environ.get(PASSWORD_FILE):
        url = with_password(url, read_password(Path(password_file)))
    if ca_file := environ.get(CA_FILE):
        url = with_authority(url, Path(ca_file))
    return url


def read_password(path: Path) -> str:
    """
    Read a password from a file, without the end of its line.

    Raises:
        ValueError: If the file cannot be read or is empty.
    """
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise ValueError(f"{PASSWORD_FILE} {path}: {reason}. Name a file that holds the broker's password.") from None
    if not password:
        raise ValueError(f"{PASSWORD_FILE} {path}: empty. Name a file that holds the broker's password.")
    return password


def with_password(url: str, password: str) -> str:
    """
    Put a password, percent-encoded, into a URL.

    Raises:
        ValueError: If the URL has a password already: nobody could know which of the two is right.
    """
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    if ":" in user:
        raise ValueError(f"{BROKER_URL} holds a password, and {PASSWORD_FILE} names another. Give it in one place.")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{place}"))


def with_authority(url: str, ca_file: Path) -> str:
    """
    Require of a `rediss` URL's broker a certificate that the authority in a file has signed.

    Raises:
        ValueError: If the URL is not one for TLS, or there is no such file.
    """
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        raise ValueError(
            f"{CA_FILE} is for TLS, and {BROKER_URL} is {parts.scheme}://. Write rediss://, or leave it out."
        )
    if not ca_file.is_file():
        raise ValueError(f"{CA_FILE} {ca_file}: no such file. Name the certificate of the broker's authority, as PEM.")
    query = dict(parse_qsl(parts.query)) | {"ssl_cert_reqs": "required", "ssl_ca_certs": str(ca_file)}
    return urlunsplit(parts._replace(query=urlencode(query, safe="/")))


def hide_password(url: str) -> str:
    """
    Hide the secrets of a URL, also of a malformed one: passwords are often pasted without percent-encoding.

    Hidden are everything before the last `@` except for a user's name, a port that is no number, and the value of every
    query parameter whose name means a secret.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***"
    secret, at, place = rest.rpartition("@")
    user = secret.partition(":")[0] if ":" in secret else ""
    place = _NO_PORT.sub(r"\1:***", _SECRET_VALUE.sub(r"\1***", place))
    return f"{scheme}://{user}:***@{place}" if at else f"{scheme}://{place}"


_SECRET_VALUE = re.compile(r"([\w-]*(?:pass|secret|token|credential)[\w-]*=)[^&]*", re.IGNORECASE)
_NO_PORT = re.compile(r"^([^/?#:\[\]]*|\[[^\]]*\]):(?!\d*(?:[/?#]|$))[^/?#]*")
