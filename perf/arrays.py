"""Arrays of trials against trials one by one: the same models, data and settings, turn about.

On a processor, each family at width 32: an epoch of an array of 8 against an epoch of 8 trainings
one after another, in processor seconds, in which other processes' share of the machine is not; and
five seeds of a GRU against one.

With `--device cuda`, models of other widths on shapes of `jsb_chorales`: arrays of up to 64 members
and 4 and 8 processes that share the GPU, each against one process; arrays of recurrent ones with
the recurrence as a loop, as CUDA graphs and as a persistent kernel. Needs an NVIDIA GPU that torch
sees, and Triton for the kernel.

    python -m perf.arrays                               # on one core
    python -m perf.arrays --device cuda                 # on one GPU; only prints its table
"""

import argparse
import multiprocessing
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch

from perf.report import arguments, judged, publish, stamp, table
from spaces import Config, default
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.models.recurrence import operations
from trainers.models.recurrence.choice import WAYS, Use
from trainers.models.recurrence.loops import LOOPS, Recurrence
from trainers.tasks import MultilabelFrames
from trainers.training.loop import Training, TrainingArray

EXAMPLES, VALID, BATCH, STEPS, LABELS = 64, 32, 16, 64, 16
WANTED = {"gru": 3.0, "rnn": 3.0, "tcn": 1.5}
MOST_OF_FIVE = 2.0
FAMILIES = ("gru", "rnn", "tcn", "lstm", "transformer", "ssm")
ON_A_GPU = [
    ("lstm", 64),
    ("lstm", 128),
    ("lstm", 256),
    ("gru", 64),
    ("gru", 128),
    ("gru", 256),
    ("tcn", 64),
    ("transformer", 64),
]
RECURRENT = ("lstm", "gru")
SIZES, PROCESSES = (1, 4, 16, 32, 64), (4, 8)
CHORALES = {"examples": 229, "valid": 76, "labels": 88}
AIMS = {"CUDA graphs": 15.0, "persistent kernel": 30.0}


def made_up(
    steps: int = STEPS, examples: int = EXAMPLES, valid: int = VALID, labels: int = LABELS
) -> Dataset:
    """Noise, of the shape of music: speed does not depend on what is learned."""
    rng = np.random.default_rng(0)
    frames = (rng.random((examples + valid, steps, labels)) < 0.1).astype(np.uint8)
    both = Split(Sequences.from_array(frames), Sequences.from_array(frames))
    train, valid_rows = np.arange(examples), np.arange(examples, examples + valid)
    task = MultilabelFrames(input_size=labels, labels=labels)
    return Dataset("made up", task, both.select(train), *(both.select(valid_rows),) * 2, {})


def configuration(name: str, width: int, task: MultilabelFrames) -> Config:
    """The family's defaults at a width."""
    family = load_family(name)
    config: Config = default(family_space(family, task, EXAMPLES))
    heads = config["model"].get("num_heads", 1) if name == "transformer" else 1
    config["model"][family.width] = width // heads
    config["training"]["batch_size"] = BATCH
    return config


def trainings(name: str, width: int, count: int, data: DeviceData) -> list[Training]:
    """As a search has them: of one seed, with learning rates of their own."""
    found = []
    for number in range(count):
        config = configuration(name, width, data.task)  # type: ignore[arg-type] # it is ours
        config["training"]["optimizer"]["learning_rate"] *= 1 + number / count
        found.append(Training(load_family(name), config, data, seed=0, epochs=100))
    return found


@dataclass(frozen=True, slots=True)
class Pair:
    """Trials as an array and one by one; seconds of each epoch of all of them."""

    name: str
    width: int
    members: int
    fused: list[float]
    alone: list[float]

    @property
    def times(self) -> float:
        """How many times the trials per hour an array brings: the median over neighbours."""
        return statistics.median(
            alone / fused for alone, fused in zip(self.alone, self.fused, strict=True)
        )

    def row(self) -> list[object]:
        """A line of the table."""
        each = [statistics.median(values) / self.members for values in (self.alone, self.fused)]
        seconds = [f"{1000 * value:.1f} ms" for value in each]
        return [f"`{self.name}`", self.width, self.members, *seconds, f"{self.times:.2f}"]


def turn_about(runs: Sequence[Callable[[], object]], epochs: int, gpu: bool) -> list[list[float]]:
    """Seconds of each, after one epoch to warm up."""
    clock = time.perf_counter if gpu else time.process_time
    seconds: list[list[float]] = [[] for _ in runs]
    for epoch in range(epochs + 1):
        for run, taken in zip(runs, seconds, strict=True):
            start = clock()
            run()
            if gpu:
                torch.cuda.synchronize()
            if epoch:
                taken.append(clock() - start)
    return seconds


def compare(name: str, width: int, members: int, epochs: int, data: DeviceData) -> Pair:
    """An array of so many against as many one by one, of which on a GPU one stands for all."""
    gpu = data.device.type == "cuda"
    array = TrainingArray(trainings(name, width, members, data))
    alone = trainings(name, width, 1 if gpu else members, data)
    times = members / len(alone)
    fused, single = turn_about(
        [array.run_epoch, lambda: [each.run_epoch() for each in alone]], epochs, gpu
    )
    return Pair(name, width, members, fused, [times * each for each in single])


def five_seeds(epochs: int) -> float:
    """How many times as long five seeds of a GRU take as one."""
    data = DeviceData(made_up())
    config = configuration("gru", 32, data.task)  # type: ignore[arg-type] # it is ours
    runs = [Training(load_family("gru"), config, data, seed=seed, epochs=100) for seed in range(6)]
    together, one = turn_about(
        [TrainingArray(runs[:5]).run_epoch, runs[5].run_epoch], epochs, gpu=False
    )
    return statistics.median(a / b for a, b in zip(together, one, strict=True))


def main() -> None:
    """Measure and renew the section."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    given: Any = parser.parse_args()
    # torch goes through the members of such an array one by one, which is part of the figures
    warnings.filterwarnings("ignore", "There is a performance drop .*attention_for_cpu")
    if given.device == "cuda":
        on_a_gpu(given)
        return
    torch.set_num_threads(1)
    pairs = []
    for name in given.families:
        pairs.append(compare(name, 32, given.members, given.epochs, DeviceData(made_up())))
        print(*pairs[-1].row(), file=sys.stderr, flush=True)
    publish("arrays", "Arrays of trials against trials one by one", text(pairs, given), given)


HEADINGS = [
    "family",
    "width",
    "members",
    "one by one, each",
    "as one, each",
    "trials per hour, times",
]


def text(pairs: Sequence[Pair], given: Any) -> str:
    """The section."""
    five = five_seeds(given.epochs)
    said = [
        judged(
            f"`{pair.name}`: {pair.times:.2f} times; promised {WANTED[pair.name]:g}",
            pair.times >= WANTED[pair.name],
        )
        for pair in pairs
        if pair.name in WANTED
    ]
    said.append(
        judged(
            f"five seeds of a GRU: {five:.2f} times one; promised {MOST_OF_FIVE:g}",
            five <= MOST_OF_FIVE,
        )
    )
    return f"""
An epoch of {EXAMPLES} sequences of {STEPS} frames of {LABELS} labels in batches of {BATCH}, with
validation, of an array and of the same trials one after another, turn about on one core; processor
seconds of each trial, medians of {given.epochs} epochs. Where an array brings less than 1.1 times
the trials, `array_size = "auto"` leaves trials by themselves.

{table(HEADINGS, [pair.row() for pair in pairs])}

{chr(10).join(said)}
"""


def on_a_gpu(given: Any, device: str = "cuda") -> None:
    """Print the table of a GPU, and how near its best comes to what is aimed at."""
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("perf.arrays --device cuda needs an NVIDIA GPU that torch sees, and sees none")
    data = DeviceData(made_up(**CHORALES), device)
    rows: list[Sequence[object]] = []
    best = dict.fromkeys(AIMS, 0.0)
    for name, width in ON_A_GPU:
        if name not in given.families:
            continue
        for way, pair in arrays(name, width, given.epochs, data):
            each = statistics.median(pair.fused) / pair.members
            rows.append([f"`{name}`", width, way, pair.members, *told(each, pair.times)])
            best[way] = max(best.get(way, 0.0), pair.times)
            print(*rows[-1], file=sys.stderr, flush=True)
            if pair.members == 1:
                alone = statistics.median(pair.alone)
        for processes in PROCESSES:
            each = shared(name, width, processes, given.epochs, device)
            rows.append([f"`{name}`", width, "processes", processes, *told(each, alone / each)])
            print(*rows[-1], file=sys.stderr, flush=True)
    print(table(GPU_HEADINGS, rows))
    for way, aim in AIMS.items():
        print(judged(f"{way}: at best {best[way]:.1f} times; aimed at {aim:g}", best[way] >= aim))
    print(stamp("arrays"))


GPU_HEADINGS = [
    "family",
    "width",
    "trained as",
    "trials at once",
    "an epoch of each",
    "trials per hour, times one process",
]


def told(seconds: float, times: float) -> list[str]:
    """As cells of the table."""
    return [f"{1000 * seconds:.2f} ms", f"{times:.2f}"]


def arrays(name: str, width: int, epochs: int, data: DeviceData) -> Iterator[tuple[str, Pair]]:
    """Arrays of all sizes, by each way to compute them that there is for this width."""
    yield "one process", compare(name, width, 1, epochs, data)
    for way in ("loop", *WAYS) if name in RECURRENT else ("array",):
        if way in WAYS and not serves(way, name, width, data.device):
            continue
        with recurrences_by(way):
            for members in SIZES[1:]:
                yield way, compare(name, width, members, epochs, data)


def serves(way: str, cell: str, width: int, device: torch.device) -> bool:
    """Whether a way to compute recurrences is one for this width."""
    if device.type != "cuda":
        return False
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return WAYS[way](Use(cell, width, dtype, torch.device("cuda", 0))) is not None


@contextmanager
def recurrences_by(way: str) -> Iterator[None]:
    """Arrays inside compute their recurrences in one way, though another may be faster."""

    def chosen(cell: str, state: torch.Tensor) -> Recurrence:
        use = Use(cell, state.shape[-1], state.dtype, state.device)
        return (WAYS[way](use) if way in WAYS else None) or LOOPS[cell]

    with mock.patch.object(operations, "fastest", chosen):
        yield


def shared(name: str, width: int, processes: int, epochs: int, device: str) -> float:
    """Seconds of an epoch of each training, where so many processes share a GPU."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(processes) as pool:
        barrier = manager.Barrier(processes)
        given = [(name, width, epochs, device, barrier)] * processes
        seconds = pool.starmap(_sharing, given, chunksize=1)
    return statistics.fmean(seconds) / processes


def _sharing(name: str, width: int, epochs: int, device: str, barrier: Any) -> float:
    (training,) = trainings(name, width, 1, DeviceData(made_up(**CHORALES), device))
    training.run_epoch()
    barrier.wait()
    start = time.perf_counter()
    for _ in range(epochs):
        training.run_epoch()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / epochs


if __name__ == "__main__":
    main()
