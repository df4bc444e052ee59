"""The overlays as `kubectl kustomize` renders them, with passwords that were made for the tests alone."""

import atexit
import functools
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from poolrace.pools import DEFAULT_POOLS
from producer.stack import passwords

REQUIRED = os.environ.get("POOLRACE_KUBERNETES") == "required"
ROOT = Path(__file__).parents[2]
FILES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "two-pool", "autoscaled")
WORKLOADS = ("Deployment", "StatefulSet")
POOLS = DEFAULT_POOLS
KUBECTL = Path(sys.executable).with_name("kubectl")


def needed(module: str) -> Any:
    """Import what `make kubernetes-check` installs; without it a module of tests is skipped, unless it must run."""
    if REQUIRED:
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"needs {module}, which `make kubernetes-check` installs")


yaml = needed("yaml")
if not KUBECTL.exists() and not REQUIRED:
    pytest.skip("needs kubectl, which `make kubernetes-check` installs", allow_module_level=True)

Manifest = dict[str, Any]


def copy_into(folder: Path) -> Path:
    """Copy the files of the repository and make their passwords."""
    copy = folder / "kubernetes"
    shutil.copytree(FILES, copy, ignore=shutil.ignore_patterns("broker-*", "flower-login", "grafana-*", "*.acl"))
    passwords.make(copy / "base" / "secrets")
    return copy


def kustomize(folder: Path, kubectl: str | Path = KUBECTL) -> subprocess.CompletedProcess[str]:
    """`kubectl kustomize`, with no cluster to ask."""
    alone = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": os.devnull}
    return subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False, env=alone)


def render(folder: Path) -> list[Manifest]:
    """What an overlay in a folder becomes."""
    ended = kustomize(folder)
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


@functools.cache
def _files() -> Path:
    atexit.register(forget)
    return copy_into(Path(tempfile.mkdtemp(prefix="poolrace-manifests-")))


@functools.cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """What an overlay of the repository becomes; not to be changed by a test."""
    return tuple(render(_files() / "overlays" / overlay))


def forget() -> None:
    """Remove what the tests have rendered from, passwords and all."""
    if _files.cache_info().currsize:
        shutil.rmtree(_files().parent)
        _files.cache_clear()


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    """The manifest of a kind and a name, without the hash that kustomize appends to those that it generates."""
    (found,) = [
        each for each in of_kind(overlay, kind) if re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"]) == name
    ]
    return found


def workload(overlay: str, name: str) -> Manifest:
    (found,) = [each for each in of_kind(overlay, *WORKLOADS) if each["metadata"]["name"] == name]
    return found


def pod(manifest: Manifest) -> Manifest:
    """The pod that a workload makes."""
    template: Manifest = manifest["spec"]["template"]
    return template


def container(manifest: Manifest) -> Manifest:
    """The one container of a workload's pod."""
    (found,) = pod(manifest)["spec"]["containers"]
    assert "initContainers" not in pod(manifest)["spec"]
    return found


def environment(overlay: str, manifest: Manifest) -> dict[str, str]:
    """The environment of a workload's container, with what comes from maps."""
    found: dict[str, str] = {}
    for source in container(manifest).get("envFrom", []):
        (config,) = [
            each for each in of_kind(overlay, "ConfigMap") if each["metadata"]["name"] == source["configMapRef"]["name"]
        ]
        found |= config["data"]
    return found | {each["name"]: each["value"] for each in container(manifest).get("env", [])}


def command_line(overlay: str, manifest: Manifest) -> list[str]:
    """What a container runs after its image's entrypoint, or in place of it, with its variables filled in."""
    values = environment(overlay, manifest)
    words = [*container(manifest).get("command", []), *container(manifest).get("args", [])]
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in words]


def mounted_secrets(overlay: str, manifest: Manifest) -> dict[str, str]:
    """The keys of secrets that a pod mounts, by their path."""
    paths = {mount["name"]: mount["mountPath"] for mount in container(manifest)["volumeMounts"]}
    return {
        f"{paths[volume['name']]}/{key}": key
        for volume in pod(manifest)["spec"]["volumes"]
        for source in volume.get("projected", {"sources": ()})["sources"]
        for key in secret(overlay, source["secret"]["name"])["data"]
    }


def secret(overlay: str, name: str) -> Manifest:
    (found,) = [each for each in of_kind(overlay, "Secret") if each["metadata"]["name"] == name]
    return found


def probes(manifest: Manifest) -> dict[str, Manifest]:
    return {kind: container(manifest)[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes selects what bears some labels; an empty one selects all."""
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(_meets(each, labels) for each in selector.get("matchExpressions", ()))


def _meets(expression: Manifest, labels: dict[str, str]) -> bool:
    assert expression["operator"] == "In", "the only operator in these files; read another one, too"
    return labels.get(expression["key"]) in expression["values"]


def every_workload() -> list[Any]:
    """Each workload of each overlay, as a parameter of a test."""
    return [
        pytest.param(overlay, each, id=f"{overlay}-{each['metadata']['name']}")
        for overlay in OVERLAYS
        for each in of_kind(overlay, *WORKLOADS)
    ]
