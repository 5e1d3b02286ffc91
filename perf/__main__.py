"""Every speed script, one after another; each renews its own section of docs/performance.md.

    python -m perf                    # all of them; more than an hour on two idle cores
    python -m perf start overhead     # some of them, as they are without options

A script that fails, or that needs something which is not there, leaves its section as it was.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = {
    "rival": "the same forecasting work by neuralforecast on Ray",
    "executors": "the same trials by a plain Ray Tune, and by Optuna in one process",
    "loop": "our training loop against a bare one",
    "overhead": "what a trial costs above its training",
    "scale": "what the driver does and holds for 100 to 10,000 trials",
    "many_machines": "10,000 trials by Ray Tune over eight raylets on this machine",
    "reading": "leaderboards of 10,000 trials and of 200 studies",
    "use": "the share of worker time that trains",
    "start": "how long one waits for a first step",
    "memory": "what driver and workers hold",
    "gpu": "trials per hour on one GPU, by trials at a time",
    "arrays": "arrays of trials against trials one by one",
    "array_searches": "whole searches with arrays and without",
}


def main() -> None:
    """Run them, each in a process of its own; the exit code counts those that failed."""
    listed = "\n".join(f"  {name:14} {what}" for name, what in SCRIPTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=listed, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT", help="all without any")
    asked = parser.parse_args().scripts or [*SCRIPTS]
    if wrong := sorted({*asked} - {*SCRIPTS}):
        parser.error(f"a script must be one of {', '.join(SCRIPTS)}, got {', '.join(wrong)}")
    failed = 0
    for name in asked:
        begin = time.monotonic()
        print(f"\n=== {name}: {SCRIPTS[name]}", flush=True)
        command = [sys.executable, "-m", f"perf.{name}"]
        # S603: our own scripts
        done = subprocess.run(command, cwd=Path(__file__).parents[1], check=False)  # noqa: S603
        failed += done.returncode != 0
        print(
            f"=== {name}: {time.monotonic() - begin:.0f} s, exit code {done.returncode}", flush=True
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
