"""A study as a `RayJob` of KubeRay: a cluster that comes for the study and goes with it."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster.node import HEALTH
from cluster.work import Work, comment

LONGEST_NAME = 40  # KubeRay admits 47
MOUNT = "/seqtune"  # the study file and its companions, and the script that runs it
RESULTS = "/results"

HEADER = """
A seqtune study on Kubernetes: a RayJob of KubeRay (1.5.1 or newer), whose Ray cluster comes for the
study and goes with it. KubeRay draws the token of the cluster and keeps it in a secret.

By hand
  kubectl apply -f THIS_FILE              start
  kubectl get rayjob NAME                 where the job stands
  kubectl logs -f job/NAME                what the driver prints (kubectl get jobs shows its name)
  kubectl delete -f THIS_FILE             end it; the study's log and checkpoints stay in the claim
  kubectl apply -f THIS_FILE              ... and go on with the study

The claim must exist, be writable from all nodes (ReadWriteMany), and holds the results. The image
must hold Python, Ray and seqtune in the versions of the machine that rendered this.
A driver or a head that is lost is tried again with a new cluster, which resumes the study.
"""

ENTRYPOINT = r"""
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
"$python" -P -m search cluster check --address "$RAY_ADDRESS" --out "$out" \
    --nodes "$count" --wait-seconds "$seconds_to_join" || exit
if [ -e "$directory/study.toml" ]; then
    "$python" -P -m search resume "$directory" --address "$RAY_ADDRESS"
else
    "$python" -P -m search run "$study" --out "$out" --address "$RAY_ADDRESS"
fi
code=$?
# `seqtune stop` was meant: the job is not to be tried again
if [ "$code" -eq 143 ]; then exit 0; fi
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Pods:
    """What is asked of Kubernetes.

    Args:
        image: With Python, Ray and seqtune.
        claim: The PersistentVolumeClaim of the results.
        workers: Pods that train.
        cpus: CPUs of each pod.
        gpus: GPUs of each worker.
        memory: Memory of each pod, such as `16Gi`.
        retries: How often the job is tried again with a new cluster.
        ray_version: That of the image.
        files: Text files beside the study file, by their paths from there: its own families.
    """

    image: str
    claim: str
    ray_version: str
    workers: int = 2
    cpus: int = 4
    gpus: int = 0
    memory: str = "16Gi"
    retries: int = 3
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("cpus", 1), ("gpus", 0), ("retries", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        for path in self.files:
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(
                    f"a file must lie below the folder of the study file, got {path!r}"
                )


def render(work: Work, pods: Pods, study_text: str) -> str:
    """The manifest: the study in a ConfigMap, and the RayJob that runs it.

    Args:
        work: Its `study`, `folder` and `out` are not looked at: they are places in the pods.
    """
    name = resource_name(work.name)
    inside = Work(work.name, "study.toml", RESULTS, MOUNT, work.python, work.setup)
    values = inside.assignments(count=pods.workers + 1, seconds_to_join=work.seconds_to_join)
    files = {
        **pods.files,
        "study.toml": study_text,
        "run.sh": f"{values}{ENTRYPOINT.strip()}\n",
    }
    keys = {f"file-{number}": path for number, path in enumerate(files)}
    described = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {key: files[path] for key, path in keys.items()},
    }
    documents = [described, _job(name, pods, keys)]
    text = yaml.dump_all(documents, Dumper=Plain, sort_keys=False, allow_unicode=True)
    return f"{comment(HEADER)}---\n{text}"


class Plain(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """YAML without references, which few people read, and with texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _text(dumper: Plain, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Plain.add_representer(str, _text)


def resource_name(name: str) -> str:
    """A name as Kubernetes admits it; two studies never get the same one."""
    plain = re.sub(r"[^a-z0-9-]+", "-", f"seqtune-{name.lower()}").strip("-")
    if plain == f"seqtune-{name}" and len(plain) <= LONGEST_NAME:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{plain[: LONGEST_NAME - 7].rstrip('-')}-{digest}"


def _job(name: str, pods: Pods, keys: Mapping[str, str]) -> dict[str, Any]:
    items = [{"key": key, "path": path} for key, path in keys.items()]
    study = {"name": "study", "configMap": {"name": name, "items": items}}
    results = {"name": "results", "persistentVolumeClaim": {"claimName": pods.claim}}
    volumes = [study, results]
    head_gpus = 0 if pods.workers else pods.gpus
    worker = {
        "groupName": "workers",
        "replicas": pods.workers,
        "minReplicas": pods.workers,
        "maxReplicas": pods.workers,
        "rayStartParams": {},
        "template": _pod("ray-worker", pods, pods.gpus, volumes),
    }
    cluster = {
        "rayVersion": pods.ray_version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0"} if pods.workers else {},
            "template": _pod("ray-head", pods, head_gpus, volumes),
        },
        "workerGroupSpecs": [worker] if pods.workers else [],
    }
    spec = {
        # no value of a user's: KubeRay passes it through two shells
        "entrypoint": f"bash {MOUNT}/run.sh",
        "submissionMode": "K8sJobMode",
        "backoffLimit": pods.retries,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 10,
        "rayClusterSpec": cluster,
    }
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}, "spec": spec}


def _pod(container: str, pods: Pods, gpus: int, volumes: Sequence[Any]) -> dict[str, Any]:
    resources = {"cpu": str(pods.cpus), "memory": pods.memory}
    if gpus:
        resources["nvidia.com/gpu"] = str(gpus)
    environment = HEALTH | {"RAY_USAGE_STATS_ENABLED": "0"}
    described = {
        "name": container,
        "image": pods.image,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": resources, "limits": dict(resources)},
        "volumeMounts": [
            {"name": "study", "mountPath": MOUNT},
            {"name": "results", "mountPath": RESULTS},
        ],
    }
    return {"spec": {"containers": [described], "volumes": list(volumes)}}
