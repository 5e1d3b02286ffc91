"""TPE with ASHA against random search without a scheduler: the spending for the same value.

The target is what random search has at the end of its spending, in the median over seeds. It is not
saturated where the line "best possible" or "best found by ours" lies clearly below it.

    python -m perf.search_gain generated --seeds 20
    python -m perf.search_gain digits --seeds 20

`digits` trains small GRUs and TCNs on `digits_pixels` (validation log loss) in this process, with
the conductor of real studies and without Ray; it takes about a quarter of an hour on one core.
"""

import argparse
import math
import time
from collections.abc import Mapping

from search.insight.search_gain import GENERATED, OURS, RIVAL, Gain, gain, run
from search.motion.simulation import StandIn
from search.problem import Problem
from search.study import Study
from search.trial import Trial
from spaces import SearchSpace
from trainers.backbone import Backbone
from trainers.data.batching import DeviceData
from trainers.device import use_threads
from trainers.training.loop import Diverged, Training

GENERATED_SIZE = {"spending": 3 * 24 * 27, "epochs": 27}
DIGITS_SIZE = {"spending": 2 * 6 * 9, "epochs": 9}
SMALL = {
    "name": "small",
    "benchmark": "digits_pixels",
    "metric": "log_loss",
    "families": ["gru", "tcn"],
    "budget": {"trials_per_family": 1, "epochs": DIGITS_SIZE["epochs"]},
    "space": {
        "gru": {"hidden_size": {"low": 16, "high": 32}, "num_layers": 1, "bidirectional": False},
        "tcn": {"hidden_size": 16, "num_layers": {"low": 1, "high": 4}},
        "training": {"batch_size": {"low": 64, "high": 128}},
    },
}


class Trained(StandIn):
    """A family that really trains; an epoch counts as one second, whatever it takes."""

    def __init__(
        self, family: type[Backbone], space: SearchSpace, data: DeviceData, epochs: int
    ) -> None:
        self.space = space
        self._family = family
        self._data = data
        self._epochs = epochs
        self._trainings: dict[int, Training] = {}

    def value(self, trial: Trial, epoch: int) -> float:
        """The validation log loss after the next epoch, which is trained here and now."""
        if epoch == 1:
            self._trainings[trial.number] = Training(
                self._family, trial.config, self._data, seed=trial.seed, epochs=self._epochs
            )
        training = self._trainings[trial.number]
        assert training.epoch == epoch - 1
        try:
            return training.run_epoch().valid["log_loss"]
        except Diverged:
            return math.nan

    def seconds(self, trial: Trial) -> float:
        """One."""
        return 1.0

    def test(self, trial: Trial) -> float:
        """Searches without finalists do not ask."""
        raise AssertionError(trial)


def digits() -> dict[str, StandIn]:
    """Families that train on `digits_pixels`."""
    problem = Problem.of(Study.from_mapping(SMALL))
    data = DeviceData(problem.dataset)
    return {
        name: Trained(family, problem.spaces[name], data, DIGITS_SIZE["epochs"])
        for name, family in problem.families.items()
    }


def show(name: str, found: Gain, families: Mapping[str, StandIn], size: dict[str, int]) -> None:
    """Print what came out, and how much better a search can be than the target."""
    reached = sum(spent < math.inf for spent in found.ours)
    whole = run(OURS.study(list(families), seed=0, **size), families)
    print(f"problem: {name}, {len(found.ours)} seeds, {found.spending} epochs a search")
    print(f"target: {found.target:.4f}, the median end of {RIVAL}")
    print(f"{OURS}: reached by {reached}, in the median after {100 * found.share:.0f} % of that")
    print(f"farthest from its share: {found.share_error:.2f} trials")
    print(f"not saturated: {OURS} ends at {whole.best[-1]:.4f} (seed 0, all of the spending)")


def main() -> None:
    """Print one problem's figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=["generated", "digits"])
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    use_threads(1)
    begun = time.process_time()
    families = GENERATED if options.problem == "generated" else digits()
    size = GENERATED_SIZE if options.problem == "generated" else DIGITS_SIZE
    show(options.problem, gain(families, range(options.seeds), **size), families, size)
    print(f"{time.process_time() - begun:.0f} processor seconds")


if __name__ == "__main__":
    main()
