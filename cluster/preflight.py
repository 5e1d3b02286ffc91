"""Every machine of the connected Ray cluster is asked what it is like, before anything is spent."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import ray
from ray import cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster import bucket, bucket_probe, probe
from cluster.bucket import Bucket, url_of
from cluster.findings import Findings

PATIENCE_SECONDS = 180.0  # the first task on a machine starts a process there, which loads Ray
LOOK_SECONDS = 0.5
FULL_BYTES = 16 * 2**20  # what a machine writes where the storage is timed
QUICK_BYTES = 64
TRIED = ".seqtune-check-"

for module in (probe, bucket, bucket_probe):
    cloudpickle.register_pickle_by_value(module)  # they run where seqtune is missing, too


def living_nodes() -> list[dict[str, Any]]:
    """Ray's own words about the machines of the connected cluster."""
    return [node for node in ray.nodes() if node["Alive"]]


def wait_for_nodes(count: int, seconds: float) -> int:
    """Wait until the cluster has that many machines, or the time is over; how many there are."""
    deadline = time.monotonic() + seconds
    while len(living_nodes()) < count and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return len(living_nodes())


def ask_nodes(place: Path | str, *, device_question: str | None = None) -> Findings:
    """Ask all machines of the connected cluster.

    Args:
        place: Where results will go: a URL, or a folder, which is made if need be.
        device_question: See `probe.describe`; with it, they are asked thoroughly.

    Raises:
        OSError: The folder cannot be made here, or the object store does not answer.
    """
    about = {node["NodeID"]: node for node in living_nodes()}
    nodes = {
        node: {
            "name": f"{about[node]['NodeManagerHostname']} {node[:6]}",
            "gpus": int(about[node]["Resources"].get("GPU", 0)),
            **answer,
        }
        for node, answer in _everywhere(list(about), probe.describe, device_question).items()
    }
    url = url_of(place)
    shown = url or str(Path(place).absolute())
    found = Findings(probe.describe(None), nodes, shown, device_question is not None)
    answering = [node for node, answer in nodes.items() if "unreachable" not in answer]
    _compare_clocks(answering, found)
    size = FULL_BYTES if found.thorough else QUICK_BYTES
    if url is None:
        with _new_folder(Path(shown)) as folder:
            _try_storage(probe.write, probe.read, folder, size, found)
    else:
        with _new_prefix(url) as prefix:
            _try_storage(bucket_probe.write, bucket_probe.read, prefix, size, found)
    return found


@contextmanager
def _new_folder(folder: Path) -> Iterator[str]:
    """A folder in `folder` for a while."""
    place = folder / f"{TRIED}{uuid4().hex[:8]}"
    place.mkdir(parents=True)
    try:
        yield str(place)
    finally:
        rmtree(place, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # if nothing else is there


@contextmanager
def _new_prefix(url: str) -> Iterator[str]:
    """A URL below `url`, at which nothing is left afterwards."""
    place = Bucket(f"{url}/{TRIED}{uuid4().hex[:8]}")
    place.check()
    try:
        yield place.url
    finally:
        with suppress(OSError):
            place.delete_all()


def _try_storage(
    write: Callable[..., Any], read: Callable[..., Any], place: str, size: int, found: Findings
) -> None:
    """Let each machine write a file, and each read what all the others wrote."""
    nodes = [node for node, answer in found.nodes.items() if "unreachable" not in answer]
    found.driver.update(write(place, "driver", size))
    for node, answer in _on_each(nodes, write, lambda node: (place, node, size)):
        found.nodes[node].update(answer)
    wrote = ["driver", *(node for node in nodes if "write_error" not in found.nodes[node])]

    def others(node: str) -> tuple[str, list[str], int]:
        return place, [name for name in wrote if name != node], size

    for node, answer in _on_each(nodes, read, others):
        found.nodes[node].update(answer)
    found.driver.update(read(place, wrote[1:], size))


def _compare_clocks(nodes: list[str], found: Findings) -> None:
    """How far each clock is from ours for certain: less than the way there and back tells nothing.

    One after another, in processes that are there already.
    """
    for node in nodes:
        began = time.time()
        answer = _everywhere([node], probe.clock).get(node)
        ended = time.time()
        if isinstance(answer, float):
            found.nodes[node]["skew_seconds"] = max(answer - ended, 0.0) + min(answer - began, 0.0)


def _everywhere(nodes: list[str], ask: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    return dict(_on_each(nodes, ask, lambda _: arguments))


def _on_each(
    nodes: list[str], ask: Callable[..., Any], arguments: Callable[[str], tuple[Any, ...]]
) -> list[tuple[str, Any]]:
    """What each machine says, all asked at once; who does not say anything is `unreachable`."""
    task = ray.remote(num_cpus=0, max_retries=0)(ask)
    asked = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        asked[node] = task.options(scheduling_strategy=there).remote(*arguments(node))
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=PATIENCE_SECONDS)
    return [(node, _answer(reference)) for node, reference in asked.items()]


def _answer(reference: Any) -> Any:
    try:
        return ray.get(reference, timeout=0)
    except ray.exceptions.GetTimeoutError:
        return {"unreachable": f"no answer within {PATIENCE_SECONDS:g} s"}
    except ray.exceptions.RayError as error:
        return {"unreachable": (str(error).strip().splitlines() or [type(error).__name__])[-1]}
