"""The same trials by `seqtune run`, by a plain `tune.Tuner`, and by Optuna in one process.

All train the same configurations, drawn at random beforehand, by our own training function on the
data of `perf.rival`, so that what differs is what carries the trials. Each is a process of its own,
turn about, and each must come to the same losses.

    python -m perf.executors                           # 24 trials, twice
    python -m perf.executors --trials 12 60 --repeats 3

The Tuner runs a function trainable, its loggers off; the data lie in the object store. Optuna
trains one trial after the other, with one thread: half of what the others have on two cores.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perf.ett_windows import SLOTS, Done, run_ours, study_text
from perf.report import arguments, publish, ratio, run, spread, table
from search.problem import Problem
from search.samplers import SAMPLERS
from search.study import Study
from spaces import Config
from trainers.catalog import load_family
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.device import use_threads
from trainers.training.loop import Training

SIDES = {
    "ours": "`seqtune run`",
    "tune": "plain `tune.Tuner`",
    "optuna": "Optuna, one process, one thread",
}
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Work:
    """Trials that are known beforehand.

    Attributes:
        configs: Of each trial.
        seed: Of every trial.
    """

    dataset: Dataset
    configs: list[Config]
    seed: int

    @classmethod
    def of(cls, trials: int, seed: int) -> "Work":
        """What `seqtune run` will propose with the sampler `random`."""
        study = Study.from_mapping(tomllib.loads(study_text(trials, seed, "random")))
        problem = Problem.of(study)
        sampler = SAMPLERS["random"](problem.spaces["lstm"], seed=seed, family="lstm")
        configs = [sampler.propose(number) for number in range(trials)]
        return cls(problem.dataset, [config for config in configs if config is not None], seed)

    def trainer(self) -> Callable[[int], float]:
        """What trains a trial by its number, and gives its validation loss."""
        data = DeviceData(self.dataset)

        def train(number: int) -> float:
            config = self.configs[number]
            training = Training(load_family("lstm"), config, data, seed=self.seed, epochs=1)
            return training.run_epoch().valid["mse"]

        return train


def by_optuna(work: Work) -> list[float]:
    """One process, one trial after the other."""
    import optuna  # noqa: PLC0415 - only this process needs it

    use_threads(1)
    train = work.trainer()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=work.seed))
    search.optimize(lambda trial: train(trial.number), n_trials=len(work.configs))
    return [float(trial.value or 0) for trial in search.trials]


def by_tune(work: Work, folder: Path) -> list[float]:
    """A process for each trial, `SLOTS` at a time."""
    import ray  # noqa: PLC0415 - only this process needs it
    from ray import tune  # noqa: PLC0415

    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "PYTHONPATH": str(ROOT)}
    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
    description, arrays = work.dataset.to_parts()

    def trainable(
        config: dict[str, Any], arrays: dict[str, np.ndarray], configs: list[Config]
    ) -> None:
        use_threads(1)
        mapped = Work(Dataset.from_parts(description, arrays), configs, work.seed)
        tune.report({"loss": mapped.trainer()(config["number"])})

    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(trainable, arrays=arrays, configs=work.configs), {"cpu": 1}
        ),
        param_space={"number": tune.grid_search(list(range(len(work.configs))))},
        tune_config=tune.TuneConfig(metric="loss", mode="min"),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    results = tuner.fit()
    if results.num_errors:
        raise RuntimeError(str(results.errors[0]))
    losses = {result.config["number"]: result.metrics["loss"] for result in results}
    ray.shutdown()
    return [losses[number] for number in sorted(losses)]


def carry(side: str, trials: int, seed: int, folder: Path) -> Done:
    """All trials by one side, in a process of its own."""
    if side == "ours":
        return run_ours(study_text(trials, seed, "random"), folder)
    words = ["--side", side, "--trials", str(trials), "--seed", str(seed)]
    begin = time.time()
    answer = run([sys.executable, "-m", "perf.executors", *words, str(folder)], ROOT)
    seconds = time.time() - begin
    return Done(seconds, json.loads(answer.stdout.splitlines()[-1]), 0.0)


def compare(trials: int, repeats: int) -> dict[str, list[Done]]:
    """All sides, turn about, and their losses compared.

    Raises:
        RuntimeError: One side came to other losses.
    """
    found: dict[str, list[Done]] = {side: [] for side in SIDES}
    for seed in range(repeats):
        for side in list(SIDES)[:: 1 - seed % 2 * 2]:
            with tempfile.TemporaryDirectory() as home:
                found[side].append(carry(side, trials, seed, Path(home)))
            print(f"{trials} trials, {side}: {found[side][-1].seconds:.1f} s", file=sys.stderr)
        losses = [found[side][-1].losses for side in SIDES]
        if not all(np.allclose(each, losses[0], rtol=1e-3) for each in losses):
            raise RuntimeError(f"losses must be the same everywhere, got {losses}")
    return found


def rows(trials: int, found: dict[str, list[Done]]) -> list[list[object]]:
    """One for each side."""
    ours = [done.seconds for done in found["ours"]]
    return [
        [
            trials,
            SIDES[side],
            spread([3600 * trials / done.seconds for done in runs], "", 0),
            spread([done.seconds for done in runs], digits=1),
            f"{1 / ratio(ours, [done.seconds for done in runs]):.2f}",
        ]
        for side, runs in found.items()
    ]


def main() -> None:
    """Measure at each size and renew the section; or be one of the sides."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.set_defaults(repeats=2)
    parser.add_argument("--trials", type=int, nargs="+", default=[24])
    parser.add_argument("--side", choices=[*SIDES], help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, nargs="?", help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    if given.side:
        work = Work.of(given.trials[0], given.seed)
        losses = by_tune(work, given.folder) if given.side == "tune" else by_optuna(work)
        print(json.dumps(losses))
        return
    publish("executors", "Against a plain Ray Tune, and Optuna in one process", text(given), given)


def text(given: Any) -> str:
    """The section."""
    lines: list[Sequence[object]] = []
    for trials in given.trials:
        lines += rows(trials, compare(trials, given.repeats))
    headings = ["trials", "by", "trials per hour", "whole", "ours is so many times as fast"]
    return f"""
The work of the section above, with our training function on all sides and configurations drawn
beforehand: what differs is what carries the trials. Ray Tune has a function trainable, {SLOTS}
at a time with one thread each, no loggers, the data in the object store, a new process for each
trial; Optuna trains one trial after the other with one thread, without any process to
start but its own. Time is that of the whole command, from its imports on. Every trial came to
the same loss on all sides (to a thousandth).

{table(headings, lines)}
"""


if __name__ == "__main__":
    main()
