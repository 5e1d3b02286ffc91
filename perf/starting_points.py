"""Learn where searches start: random configurations of every family, tried on small benchmarks.

The same draws of a family are trained on every benchmark, with one seed, for a few epochs on a few
examples. What they reached goes into `perf/starting_points.json`, and from there, by
`search.insight.portfolio`, into the table that searches start from, which lies beside
`search/motion/starting_points.py`.

    python -m perf.starting_points --work FOLDER

FOLDER keeps what was trained, so that a run that was broken off goes on, and several processes can
share the work, each with benchmarks of its own (`--only`). Without `--work`, only the table is made
again. At last it prints how the first point does on benchmarks that it was not learnt from.
"""

import argparse
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np

from search.insight.portfolio import Evaluations
from search.motion.randomness import key
from search.motion.starting_points import TABLE
from search.store.environment import installed_version
from spaces import (
    Choice,
    Config,
    Parameter,
    SearchSpace,
    Value,
    flatten,
    narrow,
    parameters,
    project,
    sample,
    searched,
)
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.device import use_threads
from trainers.models import MODELS
from trainers.size import count_parameters
from trainers.training.loop import Diverged, Training

EVALUATIONS = Path(__file__).with_name("starting_points.json")
DRAWS = 40
SEED = 0
BATCH_SIZE = (
    16  # it goes with the size of the data, which are small here; the table is silent on it
)
MOST_PARAMETERS = 100_000  # of a draw's model, so that a training takes about a second
DIGITS = 4  # significant ones of a drawn number
POINTS = 5  # of each family and task in the table


@dataclass(frozen=True)
class Small:
    """A benchmark made small.

    Args:
        metric: What ranks configurations; smaller is better.
        train: Training examples, evenly from all of them; of a stream, the first passages.
        valid: Validation examples, likewise.
        epochs: 0 trains nothing: the benchmark only adds its settings to what is drawn.
    """

    name: str
    metric: str
    train: int
    valid: int
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Dataset:
        """Its data."""
        whole = load_benchmark(self.name, self.options)
        evenly = not whole.task.streams
        train, valid = (
            _some(whole.train, self.train, evenly),
            _some(whole.valid, self.valid, evenly),
        )
        return Dataset(whole.name, whole.task, train, valid, valid, whole.preprocessing)


BENCHMARKS = (
    Small("digits_rows", "log_loss", 256, 200, 5),
    Small("japanese_vowels", "log_loss", 160, 72, 6),
    Small("adding", "mse", 256, 200, 6, {"length": 10}),
    Small("mackey_glass", "mse", 192, 150, 6, {"length": 20, "horizon": 20}),
    Small("embedded_reber", "log_loss", 192, 150, 6),
    Small("copy_memory", "log_loss", 192, 80, 0, {"length": 5}),
    Small("jsb_chorales", "nats_per_frame", 48, 20, 6),
    Small("ptb_char", "bits_per_character", 30, 12, 0),
    Small("ett_h1", "mse", 192, 150, 0, {"look_back": 24, "horizon": 24}),
)
TRAINED = tuple(place for place, small in enumerate(BENCHMARKS) if small.epochs)


def _some(split: Split, number: int, evenly: bool) -> Split:
    last = len(split) - 1 if evenly else number - 1
    return split.select(np.linspace(0, last, min(number, len(split))).astype(np.int64))


@cache
def data(place: int) -> DeviceData:
    """The data of a benchmark, by its place in `BENCHMARKS`."""
    return DeviceData(BENCHMARKS[place].load())


@cache
def space(family: str, place: int) -> SearchSpace:
    """What is searched of a family on a benchmark."""
    whole = family_space(MODELS[family], data(place).task, BATCH_SIZE)
    return searched(narrow(whole, {"training": {"batch_size": BATCH_SIZE}}))


def union(family: str) -> SearchSpace:
    """All that is searched of a family on any of the benchmarks."""
    sections: dict[str, dict[str, Any]] = {}
    for place in range(len(BENCHMARKS)):
        for section, part in space(family, place).children.items():
            assert isinstance(part, SearchSpace)
            for name, child in part.children.items():
                sections.setdefault(section, {}).setdefault(name, child)
    return SearchSpace({name: SearchSpace(children) for name, children in sections.items()})


@cache
def points(family: str) -> Sequence[dict[str, Value]]:
    """What is tried of a family, by path; the first is empty, and so the default everywhere."""
    drawn = union(family)
    found: list[dict[str, Value]] = [{}]
    for number in count():
        config = sample(drawn, Random(key(SEED, "start", family, number)))
        leaves, values = parameters(drawn, config), flatten(drawn, config)
        short = {path: _short(values[path]) for path, leaf in leaves.items() if not _fixed(leaf)}
        size = count_parameters(MODELS[family], project(space(family, 0), short), data(0).task)
        if size <= MOST_PARAMETERS:
            found.append(short)
        if len(found) > DRAWS:
            return found
    raise AssertionError


def _fixed(leaf: Parameter) -> bool:
    return isinstance(leaf, Choice) and len(leaf.options) == 1


def _short(value: Value) -> Value:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def evaluate(family: str, place: int, config: Config) -> float | None:
    """The best validation value over the epochs; None if the training diverged."""
    small = BENCHMARKS[place]
    try:
        training = Training(
            MODELS[family],
            config,
            data(place),
            seed=SEED,
            epochs=small.epochs,
            metric=small.metric,
        )
        for _ in range(small.epochs):
            training.run_epoch()
    except Diverged:
        return None
    return training.best_value


def train(folder: Path, only: Sequence[str]) -> None:
    """Train what `folder` does not hold yet, each benchmark in a file of its own."""
    use_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    done = set(known(folder))
    for number, family in ((number, family) for number in range(DRAWS + 1) for family in MODELS):
        for place in TRAINED:
            name = BENCHMARKS[place].name
            if (only and name not in only) or (name, family, number) in done:
                continue
            start = time.process_time()
            loss = evaluate(family, place, project(space(family, place), points(family)[number]))
            row = {"family": family, "number": number, "loss": loss}
            row["seconds"] = round(time.process_time() - start, 3)
            with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")


def known(folder: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """What was trained, by benchmark, family and number of the configuration."""
    return {
        (file.stem, row["family"], row["number"]): row
        for file in sorted(folder.glob("*.jsonl"))
        for row in map(json.loads, file.read_text("utf-8").splitlines())
    }


def gather(folder: Path) -> None:
    """Write `EVALUATIONS`.

    Raises:
        KeyError: Something was not trained yet.
    """
    rows = known(folder)
    families = {}
    for family in MODELS:
        seen = {path for place in TRAINED for path in _paths(family, place)}
        families[family] = {
            "points": [
                {path: value for path, value in point.items() if path in seen}
                for point in points(family)
            ],
            "losses": [
                [
                    _rounded(rows[BENCHMARKS[place].name, family, number]["loss"])
                    for place in TRAINED
                ]
                for number in range(DRAWS + 1)
            ],
        }
    made = made_of(sum(row["seconds"] for row in rows.values()))
    EVALUATIONS.write_text(_lines({"made": made, "families": families}), encoding="utf-8")


def _paths(family: str, place: int) -> Iterator[str]:
    """All that any of the points has on a benchmark."""
    for point in points(family):
        yield from flatten(space(family, place), project(space(family, place), point))


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else float(f"{loss:.6g}")


def made_of(seconds: float) -> dict[str, Any]:
    """What the figures are of, for whoever reads them later."""
    smalls = [asdict(BENCHMARKS[place]) | {"task": data(place).task.name} for place in TRAINED]
    return {
        "command": "python -m perf.starting_points --work FOLDER",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {"python": platform.python_version(), "torch": installed_version("torch")},
        "processor_seconds": round(seconds),
        "seed": SEED,
        "draws": DRAWS,
        "batch_size": BATCH_SIZE,
        "most_parameters": MOST_PARAMETERS,
        "benchmarks": smalls,
    }


def _lines(tree: Any, depth: int = 4) -> str:
    """JSON with a line for each configuration."""
    if not depth or not isinstance(tree, dict | list) or not tree:
        return json.dumps(tree)
    if isinstance(tree, list):
        return "[\n" + ",\n".join(_lines(each, 0) for each in tree) + "\n]"
    inner = (f"{json.dumps(name)}: {_lines(each, depth - 1)}" for name, each in tree.items())
    return "{\n" + ",\n".join(inner) + "\n}"


def learn() -> None:
    """Write the table, and print how its first points do where they were not learnt."""
    tree = json.loads(EVALUATIONS.read_text("utf-8"))
    evaluations = Evaluations.from_json(tree)
    table = {"made": tree["made"], "families": evaluations.table(POINTS)}
    TABLE.write_text(_lines(table) + "\n", encoding="utf-8")
    families = list(evaluations.points)
    print(f"| left out | {' | '.join(families)} | median | the default's |")
    print(f"|---|{'---|' * len(families)}---|---|")
    for name in evaluations.benchmarks:
        ranks = [evaluations.rank_left_out(family, name) for family in families]
        default = median(evaluations.rank(family, name) for family in families)
        print(f"| {name} | {' | '.join(map(str, ranks))} | {median(ranks):g} | {default:g} |")


def main() -> None:
    """Train, gather, learn."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", default=[], help="benchmarks; then nothing is learnt")
    given = parser.parse_args()
    if given.work:
        train(given.work, given.only)
    if given.only:
        return
    if given.work:
        gather(given.work)
    learn()


if __name__ == "__main__":
    main()
