"""What a benchmark promises, tried on one of a user's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from spaces import default
from trainers.benchmarks.benchmark import Benchmark
from trainers.catalog import family_space
from trainers.conformance.checks import Finding
from trainers.data.batching import DeviceData
from trainers.data.dataset import SPLITS, Dataset, Split
from trainers.models import MODELS
from trainers.training.loop import Diverged, Training

STATED: Final = ("name", "summary", "task", "metric", "splits")
TRIED: Final = 12
"""Examples of a split that a small model is trained on."""


def check_benchmark(
    kind: type[Benchmark], cache: Path, options: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What is wrong with a benchmark; empty if nothing is.

    It is loaded twice, and a small GRU is trained on a few of its examples.
    """
    lacks = [name for name in STATED if not isinstance(getattr(kind, name, None), str)]
    if lacks:
        return [Finding("states", False, f"the class must state as text: {', '.join(lacks)}")]
    try:
        first, second = (kind.with_options(options or {}).load(cache) for _ in range(2))
    except (ValueError, OSError, TypeError) as error:
        return [Finding("loads", False, f"it cannot be loaded: {error}")]
    found = {
        "task": _of_task(kind, first),
        "splits": _of_splits(first),
        "repeats": _repeats(first, second),
        "trains": _trains(first),
    }
    return [
        Finding(check, check == "splits", message)
        for check, messages in found.items()
        for message in messages
    ]


def _of_task(kind: type[Benchmark], dataset: Dataset) -> Iterator[str]:
    task = dataset.task
    if task.name != kind.task:
        yield f"`task` says {kind.task!r}, but the data set's task is {task.name!r}"
    names = [metric.name for metric in task.metrics]
    if kind.metric not in names:
        yield f"`metric` must be one of the task's, {', '.join(names)}, got {kind.metric!r}"


def _of_splits(dataset: Dataset) -> Iterator[str]:
    """No example of one split is also in another, value for value."""
    seen: dict[bytes, str] = {}
    for name in SPLITS:
        split = getattr(dataset, name)
        keys = {_key(split, index) for index in range(len(split))}
        shared = sorted({seen[key] for key in keys if key in seen})
        if shared:
            count = sum(key in seen for key in keys)
            yield f"{count} examples of {name} are in {' and '.join(shared)}, too"
        seen |= dict.fromkeys(keys, name)


def _key(split: Split, index: int) -> bytes:
    inputs, targets = split.inputs.example(index), split.targets.example(index)
    return inputs.tobytes() + b"|" + targets.tobytes()


def _repeats(first: Dataset, second: Dataset) -> Iterator[str]:
    for name in SPLITS:
        one, other = getattr(first, name), getattr(second, name)
        for side in ("inputs", "targets"):
            a, b = getattr(one, side), getattr(other, side)
            same = all(
                np.array_equal(getattr(a, part), getattr(b, part))
                for part in ("values", "starts", "lengths")
            )
            if not same:
                yield f"loaded again, the {side} of {name} are others; every draw needs a seed"


def _trains(dataset: Dataset) -> Iterator[str]:
    few = {name: _few(getattr(dataset, name)) for name in SPLITS}
    small = Dataset(dataset.name, dataset.task, preprocessing=dataset.preprocessing, **few)
    family = MODELS["gru"]
    try:
        config = default(family_space(family, small.task, TRIED))
        training = Training(family, config, DeviceData(small), seed=0, epochs=1)
        training.run_epoch()
        training.evaluate("test")
    except (ValueError, IndexError, RuntimeError, Diverged) as error:
        yield f"a small model cannot be trained on it: {str(error).partition(chr(10))[0]}"


def _few(split: Split) -> Split:
    return split.select(np.arange(min(TRIED, len(split))))
