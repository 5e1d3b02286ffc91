"""Which checkpoints a study keeps."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from search.motion.confirm import best_trials
from search.motion.events import Event
from search.motion.state import StudyState
from search.trial import USELESS

KEPT_PER_FAMILY = 3  # of the search, for later exports and warm starts
SWEEP_SECONDS = 10.0


class Retention:
    """Deletes the checkpoints that nothing will need again.

    Needed are those of trials that may go on, of finalists, and of the best of each family.

    Args:
        folder: Where the checkpoints lie, each file named after the number of its trial.
        elsewhere: Told the numbers of the trials whose checkpoints may go, where others lie.
    """

    def __init__(
        self,
        folder: Path,
        state: StudyState,
        elsewhere: Callable[[set[int]], None] = lambda trials: None,
    ) -> None:
        self._folder = folder
        self._state = state
        self._elsewhere = elsewhere
        self._swept_at = time.monotonic()

    def see(self, event: Event) -> None:
        """Sweep now and then, when trials have ended."""
        if event["event"] == "ended" and time.monotonic() - self._swept_at >= SWEEP_SECONDS:
            self.sweep()

    def sweep(self) -> None:
        """Delete what is not needed; what cannot be deleted stays."""
        needed = needed_checkpoints(self._state)
        for file in self._folder.iterdir():
            number = file.name.lstrip(".").partition(".")[0]
            if number.isdigit() and int(number) not in needed:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        self._elsewhere({trial.trial.number for trial in self._state.trials} - needed)
        self._swept_at = time.monotonic()


def needed_checkpoints(state: StudyState) -> set[int]:
    """Numbers of the trials whose checkpoints are needed."""
    needed = set()
    for trial in state.trials:
        confirms = not trial.in_search and trial.state not in USELESS
        if confirms or not trial.state.final:
            needed.add(trial.trial.number)
    for family in state.families.values():
        best = best_trials((state.trials[number] for number in family.trials), KEPT_PER_FAMILY)
        needed |= {trial.trial.number for trial in best}
    return needed
