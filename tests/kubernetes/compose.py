"""docker-compose.yml as it is when nothing is set."""

import functools
import re
from typing import Any

from kubernetes.manifests import ROOT, yaml

UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@functools.cache
def services() -> dict[str, Any]:
    """The services, with the defaults of their variables."""
    text = (ROOT / "docker-compose.yml").read_text()
    plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    found: dict[str, Any] = yaml.safe_load(plain)["services"]
    return found


def command_line(service: str) -> list[str]:
    found = services()[service]
    return [str(word) for word in [*found.get("entrypoint", []), *found.get("command", [])]]


def environment(service: str) -> dict[str, str]:
    """The environment, as Compose writes it: what is not set is empty, and everything is text."""
    given = services()[service].get("environment", {})
    return {name: _text(value) for name, value in given.items()}


def _text(value: object) -> str:
    return {True: "true", False: "false", None: ""}.get(value, str(value)) if not isinstance(value, str) else value


def health_check(service: str) -> list[str]:
    """What a health check runs, without what waits for it and notes that it passed: Kubernetes does both."""
    kind, *words = services()[service]["healthcheck"]["test"]
    if kind == "CMD-SHELL":
        (asked,) = re.findall(r"sleep 60; (.*) && touch", words[0])
        return ["sh", "-c", asked.replace("$$", "$")]
    plain = words[1:] if words[0] == "healthy" else words
    if plain[:2] == ["sh", "-c"]:
        return plain[2].split(" || exec ")[1].split()
    return plain


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found is not None
    return int(found[1])


def amount(text: object) -> float:
    """Bytes or cores, as Compose or Kubernetes write them."""
    found = re.fullmatch(r"([\d.]+)(Ki|Mi|Gi|[kmg])?", str(text))
    assert found is not None
    return float(found[1]) * UNITS.get(found[2] or "", 1)


def cores(text: object) -> float:
    """Cores, as Kubernetes writes them: 2, or 500m for a half."""
    return float(str(text)[:-1]) / 1000 if str(text).endswith("m") else float(str(text))
