"""What people ask of a running study, done by its driver."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from search.extension import Extension
from search.motion.conductor import Conductor
from search.runner.interruption import Interruption
from search.store.requests import ExtendRequest, take_requests

LOOK_SECONDS = 1.0


class Attendant:
    """Does what people ask of a running study, looking once a second.

    What was asked before, of a driver that is gone, is forgotten.

    Attributes:
        conductor: Of the study as it is now.
        check: Called at each look; what it raises ends the run.
    """

    def __init__(self, directory: Path, conductor: Conductor, interruption: Interruption) -> None:
        self._directory = directory
        self.conductor = conductor
        self.check: Callable[[], None] = lambda: None
        self._interruption = interruption
        self._next_look = 0.0
        self._extensions: list[Extension] = []
        take_requests(directory)

    def __call__(self) -> None:
        """Look, if a second has gone by.

        Raises:
            Exception: What the check raised.
        """
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        self.check()
        for request in take_requests(self._directory):
            if isinstance(request, ExtendRequest):
                self._extend(request)
            elif request.trial is None:
                self._interruption.ask("`seqtune stop`")
            elif request.trial < len(self.conductor.state.trials):
                self.conductor.stop_trial(request.trial)

    def take_extensions(self) -> list[Extension]:
        """The extensions that were asked for since the last call."""
        taken, self._extensions = self._extensions, []
        return taken

    def _extend(self, request: ExtendRequest) -> None:
        with suppress(TypeError, KeyError):  # some other program's
            self._extensions.append(Extension.from_json(request.extension))
            self._interruption.pause()
