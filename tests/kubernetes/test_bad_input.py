"""What a user may do wrong has an error that the page explains, or cannot be done."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.manifests import OVERLAYS, ROOT, WORKLOADS, Manifest, container, copy_into, kustomize, render

OLD_KUBECTL = os.environ.get("POOLRACE_OLD_KUBECTL")

page = (ROOT / "docs/kubernetes.md").read_text


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_into(tmp_path)


@pytest.mark.parametrize("name", ["broker-password", "redis-users.acl", "flower-login"])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_without_a_file_of_passwords_nothing_is_rendered(copy: Path, overlay: str, name: str) -> None:
    (copy / "base/secrets" / name).unlink()
    ended = kustomize(copy / "overlays" / overlay)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert f"base/secrets/{name}: no such file or directory" in ended.stderr
    assert "base/secrets/broker-password: no such file or directory" in page()


def without_tag(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "newTag" not in line)


def without_images(text: str) -> str:
    before, _, after = text.partition("# newName:")
    return before + after.partition('newTag: "8"\n')[2]


def from_registry(text: str) -> str:
    return text.replace("newName: poolrace", "newName: registry.example/poolrace")


@pytest.mark.parametrize("change", [without_tag, without_images, lambda text: from_registry(without_tag(text))])
@pytest.mark.parametrize("overlay", ["small", "two-pool"])
def test_an_image_whose_tag_was_not_set_has_that_of_this_version(
    copy: Path, overlay: str, change: Callable[[str], str]
) -> None:
    """An image without a tag would be `latest`: another one on each machine."""
    file = copy / "overlays" / overlay / "kustomization.yaml"
    changed = change(file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    images = {_image(each) for each in render(file.parent) if each["kind"] in WORKLOADS}
    registry = "registry.example/" if "newName: registry.example" in changed else ""
    assert images == {f"{registry}poolrace:0.1.0", "redis:8"}


def _image(manifest: Manifest) -> str:
    return str(container(manifest)["image"])


def test_the_image_is_named_in_one_place_of_an_overlay(copy: Path) -> None:
    file = copy / "overlays/two-pool/kustomization.yaml"
    file.write_text(from_registry(file.read_text()).replace("newTag: 0.1.0", "newTag: 1.2.3"))
    for overlay in ("two-pool", "autoscaled"):
        images = {_image(each) for each in render(copy / "overlays" / overlay) if each["kind"] in WORKLOADS}
        assert images == {"registry.example/poolrace:1.2.3", "redis:8"}


def test_another_namespace_is_one_line_and_keda_finds_the_scaler_there(copy: Path) -> None:
    file = copy / "overlays/autoscaled/kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: poolrace", "namespace: elsewhere"))
    manifests = render(file.parent)
    assert {each["metadata"]["namespace"] for each in manifests if each["kind"] != "Namespace"} == {"elsewhere"}
    assert [each["metadata"]["name"] for each in manifests if each["kind"] == "Namespace"] == ["elsewhere"]
    urls = [each["spec"]["triggers"][0]["metadata"]["url"] for each in manifests if each["kind"] == "ScaledObject"]
    assert [url.split("/")[2] for url in urls] == ["scaler.elsewhere.svc:9810"] * 2


def test_secrets_that_come_from_elsewhere_are_asked_for_by_their_plain_names(copy: Path) -> None:
    file = copy / "base/kustomization.yaml"
    before, _, after = file.read_text().partition("secretGenerator:")
    file.write_text(before + after[after.index("# The settings") :])
    manifests = render(copy / "overlays/two-pool")
    assert [each for each in manifests if each["kind"] == "Secret"] == []
    asked = {
        source["secret"]["name"]
        for each in manifests
        if each["kind"] in WORKLOADS
        for volume in each["spec"]["template"]["spec"]["volumes"]
        for source in volume.get("projected", {"sources": []})["sources"]
    }
    assert asked == {"broker-password", "redis-users", "flower-login"}
    assert [name for name in asked if f"`{name}`" not in page()] == []


@pytest.mark.skipif(OLD_KUBECTL is None, reason="POOLRACE_OLD_KUBECTL names no kubectl of 2021, e.g. Debian 12's")
def test_an_old_kubectl_renders_nothing_and_says_what_the_page_says(copy: Path) -> None:
    assert OLD_KUBECTL is not None
    ended = kustomize(copy / "overlays/two-pool", OLD_KUBECTL)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "'../../base' must be a file" in ended.stderr
    assert "'../../base' must be a file" in page()


def test_every_overlay_is_in_a_folder_that_the_page_names() -> None:
    assert [name for name in OVERLAYS if f"deploy/kubernetes/overlays/{name}" not in page()] == []
