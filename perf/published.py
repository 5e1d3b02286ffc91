"""Published settings on the real data: does our training reach the published results?

Every experiment is a point of its family's search space, written as a study file would write it;
what it does not name stays at the family's default. The weights of the best validation epoch are
measured on test, once. A finished run is a line of the output file, so that an interrupted list
goes on where it was.

    python -m perf.published
    python -m perf.published jsb_tcn jsb_gru --seeds 0 1 2
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from search.store.environment import describe_environment
from spaces import Config, default, narrow
from trainers.benchmarks import find_benchmark, load_benchmark
from trainers.catalog import family_space, load_family
from trainers.data.batching import DeviceData
from trainers.device import describe_devices, use_threads
from trainers.tasks import TASKS, Metric
from trainers.training.loop import Training

Line = dict[str, Any]
"""A finished run, as JSON."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One setting, and what it should reach.

    Attributes:
        model: What it fixes of the family's settings.
        training: What it fixes of the training section.
        target: What the metric of the benchmark must reach on test.
        published: The published value and whose it is.
        options: Those of the benchmark.
        head: What it fixes of the head.
        selection: The metric that tells the best epoch on validation; that of the benchmark
            without one.
    """

    benchmark: str
    family: str
    model: Config
    training: Config
    epochs: int
    target: float
    published: str
    options: dict[str, Any] = field(default_factory=dict)
    head: Config = field(default_factory=dict)
    selection: str | None = None

    @property
    def metric(self) -> Metric:
        """What is measured on test."""
        benchmark = find_benchmark(self.benchmark)
        return next(m for m in TASKS[benchmark.task].metrics if m.name == benchmark.metric)

    def config(self, data: DeviceData) -> Config:
        """The whole configuration."""
        settings = {"model": self.model, "head": self.head, "training": self.training}
        space = family_space(load_family(self.family), data.task, data.train.examples)
        config: Config = default(narrow(space, settings))
        return config


def adam(learning_rate: float, **others: Any) -> Config:
    """A training section with Adam, next to no weight decay, and a cosine down to 0."""
    optimizer = {"name": "adam", "learning_rate": learning_rate, "weight_decay": 1e-7}
    return {"optimizer": optimizer, "schedule": {"name": "cosine", "warmup": 0.0}, **others}


def tcn(kernel_size: int, num_layers: int, hidden_size: int, dropout: float) -> Config:
    """Settings of a TCN in the order of the paper's table: k, n, hidden, d."""
    return {
        "kernel_size": kernel_size,
        "num_layers": num_layers,
        "hidden_size": hidden_size,
        "dropout": dropout,
        "weight_norm": True,
    }


VOWELS = {"hidden_size": 128, "num_layers": 1, "dropout": 0.5, "bidirectional": True}
MUSIC_RECURRENT = {"num_layers": 1, "dropout": 0.5, "recurrent_dropout": 0.3}
ADDING = {"length": 200, "train_examples": 10_000}

EXPERIMENTS: dict[str, Experiment] = {
    "vowels_lstm": Experiment(
        benchmark="japanese_vowels",
        family="lstm",
        model=VOWELS,
        head={"pooling": "mean"},
        training=adam(4e-3, batch_size=16, clip_norm=1.0),
        epochs=60,
        target=0.97,
        published="LSTM 0.797 (Zerveas et al. 2021)",
        selection="log_loss",  # accuracy has too many ties on 72 sequences
    ),
    "vowels_gru": Experiment(
        benchmark="japanese_vowels",
        family="gru",
        model={**VOWELS, "input_dropout": 0.1},
        head={"pooling": "mean"},
        training=adam(4e-3, batch_size=16, clip_norm=1.0),
        epochs=60,
        target=0.97,
        published="LSTM 0.797 (Zerveas et al. 2021)",
        selection="log_loss",  # accuracy has too many ties on 72 sequences
    ),
    "jsb_tcn": Experiment(
        benchmark="jsb_chorales",
        family="tcn",
        model=tcn(kernel_size=3, num_layers=2, hidden_size=150, dropout=0.5),
        training=adam(2e-3, batch_size=8, clip_norm=0.4),
        epochs=100,
        target=8.25,
        published="8.10",
    ),
    "jsb_gru": Experiment(
        benchmark="jsb_chorales",
        family="gru",
        model={"hidden_size": 260, **MUSIC_RECURRENT},
        training=adam(4e-3, batch_size=8, clip_norm=1.0),
        epochs=60,
        target=8.60,
        published="8.43",
    ),
    "jsb_lstm": Experiment(
        benchmark="jsb_chorales",
        family="lstm",
        model={"hidden_size": 220, **MUSIC_RECURRENT},
        training=adam(4e-3, batch_size=8, clip_norm=1.0),
        epochs=60,
        target=8.60,
        published="8.45",
    ),
    "copy_tcn": Experiment(
        benchmark="copy_memory",
        family="tcn",
        model=tcn(kernel_size=8, num_layers=5, hidden_size=10, dropout=0.05),
        training={
            "optimizer": {"name": "rmsprop", "learning_rate": 5e-4},
            "schedule": "constant",
            "batch_size": 32,
            "clip_norm": 1.0,
        },
        epochs=20,
        target=0.0945 / 10,  # of 10 ln 8 / (200 + 20), the floor of guessing
        published="3.5e-5 (pause 1000)",
        options={"length": 200},
    ),
    "adding_tcn": Experiment(
        benchmark="adding",
        family="tcn",
        model=tcn(kernel_size=8, num_layers=5, hidden_size=24, dropout=0.0),
        training=adam(2e-3, batch_size=32, clip_norm=10.0),
        epochs=10,
        target=0.005,
        published="5.8e-5 (length 600)",
        options=ADDING,
    ),
    "adding_gru": Experiment(
        benchmark="adding",
        family="gru",
        model={"hidden_size": 100, "num_layers": 1, "dropout": 0.0},
        training=adam(4e-3, batch_size=32, clip_norm=1.0),
        epochs=15,
        target=0.005,
        published="5.3e-5 (length 600)",
        options=ADDING,
    ),
    "nottingham_tcn": Experiment(
        benchmark="nottingham",
        family="tcn",
        model=tcn(kernel_size=6, num_layers=4, hidden_size=150, dropout=0.2),
        training=adam(2e-3, batch_size=4, clip_norm=0.4),
        epochs=25,
        target=3.25,
        published="3.07",
    ),
}
"""What Bai et al. published, unless it says otherwise; sizes as theirs, about."""


def run(name: str, seed: int) -> Line:
    """Train to the end, and measure the best weights on test."""
    experiment = EXPERIMENTS[name]
    data = DeviceData(load_benchmark(experiment.benchmark, experiment.options))
    wall, processor = time.perf_counter(), time.process_time()
    training = Training(
        load_family(experiment.family),
        experiment.config(data),
        data,
        seed=seed,
        epochs=experiment.epochs,
        metric=experiment.selection,
    )
    valid = [one_epoch(training, name) for _ in range(experiment.epochs)]
    return {
        "name": name,
        "seed": seed,
        "experiment": asdict(experiment),
        "config": training.config,
        "parameters": training.parameters,
        "best_epoch": training.best_epoch,
        "valid": valid[training.best_epoch - 1],
        "test": training.evaluate("test").metrics,
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
    }


def one_epoch(training: Training, name: str) -> dict[str, float]:
    """The validation metrics of one more epoch."""
    measured = training.run_epoch()
    values = ", ".join(f"{metric} {value:.5g}" for metric, value in measured.valid.items())
    start = f"{name}, seed {training.seed}, epoch {measured.epoch}"
    print(f"{start}: train {measured.train_loss:.5g}, {values}", file=sys.stderr, flush=True)
    return measured.valid


def finished(output: Path) -> dict[tuple[str, int], Line]:
    """The runs of a file by name and seed, but for those whose experiment has changed since."""
    if not output.exists():
        return {}
    lines = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    return {
        (line["name"], line["seed"]): line
        for line in lines
        if line["name"] in EXPERIMENTS and line["experiment"] == asdict(EXPERIMENTS[line["name"]])
    }


HEADER = (
    "| experiment | parameters | best epoch | metric | valid | test | target | reached "
    "| published | minutes (processor) |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def table(lines: Iterable[Line]) -> str:
    """A row of Markdown for every experiment: means over its seeds, and the range."""
    runs: dict[str, list[Line]] = {}
    for line in lines:
        runs.setdefault(line["name"], []).append(line)
    return "\n".join([HEADER, *(row(name, runs[name]) for name in EXPERIMENTS if name in runs)])


def row(name: str, lines: Sequence[Line]) -> str:
    """One experiment in Markdown."""
    experiment = EXPERIMENTS[name]
    metric = experiment.metric
    valid = [line["valid"][metric.name] for line in lines]
    test = [line["test"][metric.name] for line in lines]
    missed = metric.loss(fmean(test)) - metric.loss(experiment.target)
    epochs = ", ".join(str(line["best_epoch"]) for line in lines)
    minutes = [fmean(line[key] for line in lines) / 60 for key in ("seconds", "processor_seconds")]
    cells = (
        name,
        f"{lines[0]['parameters']:,}",
        f"{epochs} of {experiment.epochs}",
        metric.name,
        several(valid),
        several(test),
        f"{experiment.target:.4g}",
        "yes" if missed <= 0 else f"no, by {missed:.2g}",
        experiment.published,
        f"{minutes[0]:.1f} ({minutes[1]:.1f})",
    )
    return f"| {' | '.join(cells)} |"


def several(values: Sequence[float]) -> str:
    """The mean, and from where to where it goes."""
    mean = f"{fmean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4g} to {max(values):.4g})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not in the file yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("results/published.jsonl"))
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in EXPERIMENTS:
            parser.error(f"there is no experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    use_threads(options.threads)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    environment = describe_environment(describe_devices()) | {"threads": options.threads}
    wanted = [(n, s) for n in options.names or EXPERIMENTS for s in options.seeds]
    for name, seed in wanted:
        if (name, seed) not in finished(options.output):
            line = run(name, seed) | {"environment": environment}
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    print(table(finished(options.output).values()))


if __name__ == "__main__":
    main()
