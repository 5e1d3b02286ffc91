"""What machines said of themselves, judged: a table, and how to mend what is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.probe import Answer

MOST_SKEW_SECONDS = 5.0  # the lock of a study tells living from dead drivers by their clocks
LEAST_FREE_BYTES = 2**30
LEAST_BYTES_PER_SECOND = 5e6
GIGA = 1e9


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing about one machine.

    Args:
        mend: What to do, in a sentence; empty where all is well.
    """

    column: str
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """All about one machine."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was said.

    Args:
        driver: By the machine that asks.
        nodes: By each machine of the cluster, by its id: what `cluster.probe` says, its `name`, the
            `gpus` that Ray was told of and `skew_seconds`; `unreachable` where it did not answer.
        place: Where results go: a folder, or a URL.
        thorough: Whether devices, the speed of storage and authentication were asked about.
    """

    driver: Answer
    nodes: dict[str, Answer]
    place: str
    thorough: bool


def judge(found: Findings) -> list[Row]:
    """One row for each machine of the cluster."""
    return [
        Row(answer["name"], tuple(_cells(node, answer, found)))
        for node, answer in found.nodes.items()
    ]


def mends(rows: list[Row]) -> list[str]:
    """What is wrong with each machine and how to mend it, one sentence each."""
    return [f"{row.name}: {cell.mend}" for row in rows for cell in row.cells if cell.mend]


def _cells(node: str, answer: Answer, found: Findings) -> Iterator[Cell]:
    if "unreachable" in answer:
        mend = (
            f"it must answer, but {answer['unreachable']}; look at Ray's logs there, below the "
            "folder given as --temp-dir or in ray/session_latest of the one for temporary files"
        )
        yield Cell("reachable", "no", mend)
        return
    yield Cell("reachable", "yes")
    for name in ("python", "ray", "torch", "seqtune"):
        yield _version_cell(name, answer[name], found.driver[name])
    yield _clock_cell(answer.get("skew_seconds", 0.0))
    if found.thorough:
        yield _device_cell(answer)
        yield Cell("memory", f"{answer['memory_bytes'] / GIGA:.0f} GB")
        yield _authentication_cell(answer["authentication"])
    yield from _storage_cells(node, answer, found)


def _version_cell(name: str, there: str | None, here: str | None) -> Cell:
    if there == here:
        return Cell(name, there or "none")
    mend = f"install {name} {here} there, as the driver has it; it has {there or 'none'}"
    return Cell(name, there or "none", mend)


def _device_cell(answer: Answer) -> Cell:
    if "device_error" in answer:
        mend = f"torch must load there, but: {answer['device_error']}"
        return Cell("GPUs", "?", mend)
    seen, told = answer["devices"], answer["gpus"]
    text = ", ".join(f"{name} {size / GIGA:.0f} GB" for name, size in seen) or "none"
    if len(seen) == told:
        return Cell("GPUs", text)
    mend = (
        f"Ray was told of {told} GPUs and torch sees {len(seen)}: install there a torch for its "
        f"CUDA driver, or start Ray there with --num-gpus {len(seen)}"
    )
    return Cell("GPUs", text, mend)


def _clock_cell(skew_seconds: float) -> Cell:
    if abs(skew_seconds) <= MOST_SKEW_SECONDS:
        return Cell("clock", "right" if abs(skew_seconds) < 0.1 else f"{skew_seconds:+.1f} s")
    mend = f"set its clock by NTP: it is {skew_seconds:+.1f} s off the driver's"
    return Cell("clock", f"{skew_seconds:+.1f} s", mend)


def _authentication_cell(on: bool) -> Cell:
    if on:
        return Cell("token", "on")
    mend = (
        "start Ray on all machines with RAY_AUTH_MODE=token and one RAY_AUTH_TOKEN_PATH: whoever "
        "reaches its ports runs code as you"
    )
    return Cell("token", "off", mend)


def _storage_cells(node: str, answer: Answer, found: Findings) -> Iterator[Cell]:
    place, nodes = found.place, found.nodes
    shared = f"mount one file system at {place} on all machines, or give --out DIR on one"
    if "://" in place:
        shared = f"all machines must reach {place}, with its keys in their environment"
    if "write_error" in answer:
        mend = f"it cannot write to {place} ({answer['write_error']}): {shared}"
        yield Cell("results", "cannot write", mend)
        return
    unseen = [nodes[name]["name"] if name in nodes else "the driver" for name in answer["unread"]]
    if unseen:
        yield Cell(
            "results",
            "not shared",
            f"it does not see in {place} what {', '.join(unseen)} wrote there: {shared}",
        )
    elif node in found.driver["unread"]:
        yield Cell("results", "not shared", f"the driver does not see what it wrote: {shared}")
    else:
        yield Cell("results", "shared")
    if "free_bytes" in answer:
        yield _room_cell(answer["free_bytes"], place)
    if found.thorough:
        yield _speed_cell(answer)


def _room_cell(free: int, place: str) -> Cell:
    mend = f"make room: {free / GIGA:.2f} GB are free in {place}"
    return Cell("free", f"{free / GIGA:.0f} GB", mend if free < LEAST_FREE_BYTES else "")


def _speed_cell(answer: Answer) -> Cell:
    speeds = [answer[f"{way}_bytes_per_second"] for way in ("write", "read")]
    text = "/".join(f"{speed / 1e6:.0f}" for speed in speeds) + " MB/s"
    slow = min(speeds) < LEAST_BYTES_PER_SECOND
    mend = f"put results on faster storage: {text} written and read"
    return Cell("write/read", text, mend if slow else "")
