"""A study over three machines goes through faults drawn at random, and must end as without them.

    python -m tests.chaos --seed 0 --faults 30
    python -m tests.chaos --faults 10 --only "network cut"

For root on Linux. Prints each fault as it happens, after how long the study was alive again, and
what the check says; exit code 1 if anything is wrong.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.check import Budget, problems_of
from tests.chaos.driver import EPOCHS, FAMILIES, SEEDS, TOP
from tests.chaos.faults import FAULTS, draw
from tests.chaos.laboratory import laboratory
from tests.chaos.rights import no_machines

TRIALS_PER_FAULT = 5  # of each family: so that the study is not over before its faults are
REPORTS_BETWEEN = 6  # epochs told between two faults: the study has come back to life


def soak(folder: Path, names: list[str], rng: random.Random) -> list[str]:
    """Play these faults one after another; what is wrong afterwards, in words."""
    trials = TRIALS_PER_FAULT * len(names) + 4
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {words}", flush=True)

    with laboratory(folder, trials=trials) as lab:
        try:
            lab.wait_for_reports(REPORTS_BETWEEN)
            for number, name in enumerate(names, 1):
                workers, ended = len(lab.workers()), lab.count("ended")
                say(f"{number:3d}  {name}; {workers} workers are up, {ended} trials have ended")
                FAULTS[name](lab, rng)
                mended = time.monotonic()
                lab.wait_for_reports(REPORTS_BETWEEN)
                say(f"     alive again {time.monotonic() - mended:.1f} s after it was mended")
                if lab.over:
                    return [f"the study was over after {number} faults", lab.last_words()]
                # neither over before the last fault nor far from its end after it
                lab.pace(0.1 if lab.progress() < 0.8 * number / len(names) else 0.6)
            say("all faults were played")
            lab.finish(300.0)
        except TimeoutError as error:
            return [str(error), *lab.endings, lab.last_words()]
        say("the study has ended")
        budget = Budget(len(FAMILIES) * trials, len(FAMILIES) * TOP * SEEDS, EPOCHS)
        heads = names.count("head killed")
        return [*lab.endings[heads:], *problems_of(lab.results, budget, lab.causes())]


def main() -> int:
    """Play the faults that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--only", choices=FAULTS, action="append", help="this kind of fault")
    asked = parser.parse_args()
    if why := no_machines():
        print(why)
        return 2
    rng = random.Random(asked.seed)
    print(f"seed {asked.seed}, {asked.faults} faults", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/tmp") as folder:
        problems = soak(Path(folder), draw(asked.faults, rng, asked.only), rng)
    print("\n".join(problems) or "the check finds nothing wrong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
