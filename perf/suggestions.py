"""What a suggestion costs, sampler by sampler, in a family that has many trials already.

The table gives the median of processor milliseconds (other processes' share is not in them), on the
search space of a real family, with results as ASHA leaves them.

    python -m perf.suggestions --trials 1000
"""

import argparse
import statistics
import time
from random import Random

from search.samplers import SAMPLERS, Sampler
from search.trial import State
from spaces import SearchSpace, sample, searched
from trainers.benchmarks import load_benchmark
from trainers.catalog import family_space, load_family

IN_FLIGHT = 8


def tell_many(sampler: Sampler, space: SearchSpace, trials: int) -> None:
    """Results of random configurations: one in nine trained to the end; the last are in flight."""
    rng = Random(0)
    for number in range(trials):
        config, loss = sample(space, rng), rng.random()
        sampler.tell(number, config, [], State.running)
        if number >= trials - IN_FLIGHT:
            continue
        sampler.tell(number, config, [(1, loss + 1)], State.paused)
        if number % 9 == 0:
            sampler.tell(number, config, [(1, loss + 1), (27, loss)], State.complete)


def milliseconds(name: str, space: SearchSpace, trials: int, repeats: int) -> float:
    """Of one suggestion."""
    sampler = SAMPLERS[name](space, seed=0, family="family")
    tell_many(sampler, space, trials)
    spent = []
    for number in range(trials, trials + repeats):
        begun = time.thread_time()
        sampler.propose(number)
        spent.append(time.thread_time() - begun)
    return 1000 * statistics.median(spent)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--families", nargs="+", default=["lstm", "stack"])
    options = parser.parse_args()
    task = load_benchmark("digits_pixels", {}).task
    print(f"| sampler | {' | '.join(options.families)} |\n|---|{'---|' * len(options.families)}")
    for name in SAMPLERS:
        cells = []
        for family in options.families:
            space = searched(family_space(load_family(family), task, 1000))
            cost = milliseconds(name, space, options.trials, options.repeats)
            cells.append(f"{cost:.1f} ms")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
