"""Who reaches whom by the NetworkPolicies of an overlay, by the rules that Kubernetes has for them."""

from dataclasses import dataclass, field

from kubernetes.manifests import Manifest, of_kind, pod, selects

NAMESPACE = "poolrace"


@dataclass(frozen=True)
class Peer:
    """A pod: in our namespace one that the policies may select, in others one that they may only let in or out to."""

    name: str
    namespace: str
    labels: dict[str, str] = field(default_factory=dict)


def ours(overlay: str) -> list[Peer]:
    """A pod of each workload."""
    return [
        Peer(each["metadata"]["name"], NAMESPACE, pod(each)["metadata"]["labels"])
        for each in of_kind(overlay, "Deployment", "StatefulSet")
    ]


DNS = Peer("dns", "kube-system", {"k8s-app": "kube-dns"})
KEDA = Peer("keda", "keda", {"app": "keda-operator"})
OTHERS = (
    DNS,
    KEDA,
    Peer("stranger", "default", {"app.kubernetes.io/component": "worker"}),
    Peer("neighbour", "kube-system", {"app": "keda-operator"}),
    Peer("lodger", "keda", {"app": "prometheus"}),
)
"""Pods of others; three of them would like to pass for somebody else."""


def reaches(overlay: str, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether both ends allow it: the policies of the source's pod to leave, and those of the target's to come in."""
    leaves = _allowed(overlay, source, "Egress", target, (protocol, port))
    return leaves and _allowed(overlay, target, "Ingress", source, (protocol, port))


def _allowed(overlay: str, end: Peer, direction: str, other: Peer, port: tuple[str, int]) -> bool:
    if end.namespace != NAMESPACE:
        return True
    policies = [
        each["spec"]
        for each in of_kind(overlay, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and selects(each["spec"]["podSelector"], end.labels)
    ]
    rules = [rule for each in policies for rule in each.get(direction.lower(), [])]
    return not policies or any(_matches(rule, direction, other, port) for rule in rules)


def _matches(rule: Manifest, direction: str, other: Peer, port: tuple[str, int]) -> bool:
    peers = rule.get("to" if direction == "Egress" else "from")
    ports = rule.get("ports")
    named = peers is None or any(_names(each, other) for each in peers)
    return named and (ports is None or port in {(each["protocol"], each["port"]) for each in ports})


def _names(peer: Manifest, other: Peer) -> bool:
    """Without a selector of namespaces, a peer is of the policy's own."""
    if "namespaceSelector" in peer:
        space = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        space = other.namespace == NAMESPACE
    return space and selects(peer.get("podSelector", {}), other.labels)
