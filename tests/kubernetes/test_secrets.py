"""Passwords come from files that `poolrace secrets make` writes, and each pod has those that it needs alone."""

import base64
import re
import subprocess
from pathlib import Path

import pytest
from kubernetes.manifests import (
    FILES,
    OVERLAYS,
    ROOT,
    Manifest,
    every_workload,
    mounted_secrets,
    of_kind,
    pod,
    rendered,
    workload,
)

from producer.stack import passwords

NEEDED = {
    "redis": {passwords.BROKER_USERS, passwords.BROKER_PASSWORD},
    "upstream": set(),
    "flower": {passwords.BROKER_PASSWORD, passwords.FLOWER_LOGIN},
    "producer": {passwords.BROKER_PASSWORD},
    "scaler": {passwords.BROKER_PASSWORD},
    "worker-prefork": {passwords.BROKER_PASSWORD},
    "worker-threads": {passwords.BROKER_PASSWORD},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files that are made."""
    folder: Path = tmp_path_factory.mktemp("secrets")
    passwords.make(folder)
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_key_of_a_secret_is_a_file_that_is_made(overlay: str, made: set[str]) -> None:
    keys = {key for secret in of_kind(overlay, "Secret") for key in secret["data"]}
    assert keys
    assert keys <= made


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_pod_mounts_the_secrets_that_it_needs_and_no_other(overlay: str, found: Manifest) -> None:
    mounted = mounted_secrets(overlay, found)
    assert mounted == {f"/run/poolrace/{key}": key for key in NEEDED[found["metadata"]["name"]]}


@pytest.mark.parametrize(("overlay", "found"), every_workload())
def test_a_secret_is_read_by_the_user_of_the_pod_and_written_by_nobody(overlay: str, found: Manifest) -> None:
    volumes = [each["projected"] for each in pod(found)["spec"]["volumes"] if "projected" in each]
    assert [oct(each["defaultMode"]) for each in volumes] == ["0o440"] * len(volumes)
    assert pod(found)["spec"]["securityContext"]["fsGroup"] == 10001


def test_a_new_password_rolls_out_by_a_new_name() -> None:
    for each in of_kind("two-pool", "Secret", "ConfigMap"):
        assert re.search(r"-[a-z0-9]{10}$", each["metadata"]["name"])
    names = {source["secret"]["name"] for source in _sources(workload("two-pool", "redis"))}
    assert names <= {each["metadata"]["name"] for each in of_kind("two-pool", "Secret")}


def _sources(manifest: Manifest) -> list[Manifest]:
    return [
        source
        for volume in pod(manifest)["spec"]["volumes"]
        for source in volume.get("projected", {"sources": []})["sources"]
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_password_is_anywhere_but_in_a_secret(overlay: str) -> None:
    kept = [value for each in of_kind(overlay, "Secret") for value in each["data"].values()]
    others = str([each for each in rendered(overlay) if each["kind"] != "Secret"])
    assert kept
    assert [value for value in kept if value in others or base64.b64decode(value).decode().strip() in others] == []


def test_no_secret_is_in_the_repository_and_none_can_get_there() -> None:
    folder = FILES / "base" / "secrets"
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [Path(path).name for path in listed.stdout.split()] == [".gitignore"]
    asked = subprocess.run(["git", "check-ignore", folder / passwords.BROKER_PASSWORD], cwd=ROOT, check=False)
    assert asked.returncode == 0
    assert "kind: Secret" not in "".join(path.read_text() for path in FILES.rglob("*.yaml"))
