"""What people ask of a running study, done by its driver."""

import time
from collections.abc import Callable
from pathlib import Path

from search.motion.conductor import Conductor
from search.runner.interruption import Interruption
from search.store.requests import take_requests

LOOK_SECONDS = 1.0


class Attendant:
    """Does what people ask of a running study, looking once a second.

    What was asked before, of a driver that is gone, is forgotten.

    Args:
        check: Called at each look; what it raises ends the run.
    """

    def __init__(
        self,
        directory: Path,
        conductor: Conductor,
        interruption: Interruption,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._conductor = conductor
        self._interruption = interruption
        self._check = check
        self._next_look = 0.0
        take_requests(directory)

    def __call__(self) -> None:
        """Look, if a second has gone by.

        Raises:
            Exception: What the check raised.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._check()
        for request in take_requests(self._directory):
            if request.trial is None:
                self._interruption.ask("`seqtune stop`")
            elif request.trial < len(self._conductor.state.trials):
                self._conductor.stop_trial(request.trial)
