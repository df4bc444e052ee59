"""
The pods of an overlay, run by Podman: real containers of one machine, made from the manifests, without a control plane.

What a kubelet does and Podman does not is done here: variables in a container's words, files of several secrets in one
folder, the group that may use a volume, and Services' names.
"""

import base64
import copy
import ipaddress
import json
import os
import resource
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernetes.manifests import Manifest, command_line, container, of_kind, pod, yaml

from producer.deadlines import until

READY_S = 90
GROUP = 10001
ENOUGH = 16384
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


def missing(images: Sequence[str]) -> str | None:
    """Why no pod can be run here; None if one can."""
    if shutil.which("podman") is None or os.geteuid() != 0:
        return "needs Debian's podman, and root"
    absent = [each for each in images if subprocess.run(["podman", "image", "exists", each], check=False).returncode]
    return f"needs the images {' and '.join(absent)} in Podman: docs/kubernetes.md" if absent else None


class Pods:
    """The pods of one overlay. Use it as a context manager; leaving it removes them, and all that they had."""

    def __init__(self, overlay: str, folder: Path) -> None:
        self._overlay = overlay
        self._folder = folder
        self._prefix = f"poolrace-{uuid.uuid4().hex[:8]}"
        self._environ = {**os.environ, "CONTAINERS_CONF": str(_configuration(folder))}
        self.workloads = {each["metadata"]["name"]: each for each in of_kind(overlay, "Deployment", "StatefulSet")}

    def __enter__(self) -> "Pods":
        try:
            self._run("network", "create", "--internal", self._prefix)
            (network,) = json.loads(self._run("network", "inspect", self._prefix))
            subnet = ipaddress.ip_network(network["subnets"][0]["subnet"])
            self._addresses = {name: str(subnet[10 + number]) for number, name in enumerate(sorted(self.workloads))}
            for name in sorted(self.workloads, key=("upstream", "redis").__contains__, reverse=True):
                self.start(name)
                assert name != "redis" or until(lambda: self.probe("redis", "startupProbe") is None, READY_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        there = self._run("pod", "ls", "--filter", f"name={self._prefix}", "--quiet").split()
        if there:
            self._run("pod", "kill", *there, check=False)
            self._run("pod", "rm", "--force", "--time", "0", *there, check=False)
        self._run("network", "rm", "--force", self._prefix, check=False)

    def start(self, name: str) -> None:
        """Start the pod of a workload."""
        file = self._folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all([*self._maps(), self._manifest(name)]))
        place = ["--network", self._prefix, "--ip", self._addresses[name]]
        self._run("kube", "play", *place, str(file))

    def execute(self, name: str, *words: str, check: bool = True) -> str:
        """Run words in the container of a workload, as `kubectl exec` does; return what they print."""
        return self._run("exec", self._container(name), *words, check=check)

    def probe(self, name: str, kind: str) -> str | None:
        """Run a probe as a kubelet does; return what is wrong, or None."""
        words = container(self.workloads[name])[kind]["exec"]["command"]
        ended = self._podman("exec", self._container(name), *words)
        return None if ended.returncode == 0 else ended.stdout + ended.stderr

    def stop(self, name: str) -> int:
        """Ask a pod to end as a kubelet does, with its own time for that; return the exit code of its container."""
        given_s = pod(self.workloads[name])["spec"]["terminationGracePeriodSeconds"]
        self._run("stop", "--time", str(given_s), self._container(name))
        return int(self._run("inspect", "--format", "{{.State.ExitCode}}", self._container(name)))

    def logs(self, name: str) -> str:
        """What a pod has said."""
        ended = self._podman("logs", self._container(name))
        return ended.stdout + ended.stderr

    def inspect(self, name: str) -> Any:
        """What Podman knows of a container."""
        (found,) = json.loads(self._run("inspect", self._container(name)))
        return found

    def _pod(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _container(self, name: str) -> str:
        return f"{self._pod(name)}-{container(self.workloads[name])['name']}"

    def _maps(self) -> list[Manifest]:
        return [
            {**each, "metadata": {"name": each["metadata"]["name"]}} for each in of_kind(self._overlay, "ConfigMap")
        ]

    def _manifest(self, name: str) -> Manifest:
        template = copy.deepcopy(pod(self.workloads[name]))
        (inside,) = template["spec"]["containers"]
        self._fill_in(inside, self.workloads[name])
        # Nothing outside the network is to reach them, and Podman would publish them.
        inside.pop("ports", None)
        template["spec"]["hostAliases"] = [
            {"ip": address, "hostnames": [service]} for service, address in self._addresses.items()
        ]
        claims = [each["metadata"]["name"] for each in self.workloads[name]["spec"].get("volumeClaimTemplates", [])]
        template["spec"]["volumes"] += [{"name": each, "persistentVolumeClaim": {}} for each in claims]
        for volume in template["spec"]["volumes"]:
            self._place(volume, self._folder / name / volume["name"])
        metadata = {"name": self._pod(name), "labels": template["metadata"]["labels"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    def _fill_in(self, inside: Manifest, workload: Manifest) -> None:
        """Put the values of variables into a container's words."""
        words, own = command_line(self._overlay, workload), len(inside.get("command", []))
        for key, part in (("command", words[:own]), ("args", words[own:])):
            if key in inside:
                inside[key] = part

    def _place(self, volume: Manifest, folder: Path) -> None:
        """Give a volume that Podman does not know, or would not give to the group, a folder of the machine."""
        if "emptyDir" in volume:
            return
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2770)
        for source in volume.pop("projected", {"sources": []})["sources"]:
            self._write_secret(source["secret"]["name"], folder)
        volume.pop("persistentVolumeClaim", None)
        volume["hostPath"] = {"path": str(folder), "type": "Directory"}

    def _write_secret(self, name: str, folder: Path) -> None:
        (secret,) = [each for each in of_kind(self._overlay, "Secret") if each["metadata"]["name"] == name]
        for key, value in secret["data"].items():
            file = folder / key
            file.unlink(missing_ok=True)
            file.write_bytes(base64.b64decode(value))
            os.chown(file, 0, GROUP)
            file.chmod(0o440)

    def _run(self, *words: str, check: bool = True) -> str:
        ended = self._podman(*words)
        assert not check or ended.returncode == 0, f"podman {' '.join(words)}: {ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def _podman(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["podman", *words], capture_output=True, text=True, check=False, env=self._environ)


def _configuration(folder: Path) -> Path:
    """Settings of Podman for machines that allow fewer files and processes than it asks for, or have no systemd."""
    allowed = {kind: resource.getrlimit(number)[1] for kind, number in LIMITS.items()}
    most = {kind: ENOUGH if value == resource.RLIM_INFINITY else min(value, ENOUGH) for kind, value in allowed.items()}
    limits = ", ".join(f'"{kind}={value}:{value}"' for kind, value in most.items())
    runtime = 'runtime = "runc"\n' if shutil.which("runc") else ""
    path = folder / "containers.conf"
    path.write_text(f'[containers]\ndefault_ulimits = [{limits}]\n[engine]\ncgroup_manager = "cgroupfs"\n{runtime}')
    return path
