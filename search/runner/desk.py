"""Where Ray Tune's trials meet our leases: handed out under a ticket, taken back, or lost."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from search.runner.message import Message, one_line
from search.trial import Lease, Outcome


class Leases(Protocol):
    """What hands leases out and is told what came of them: the conductor of a study."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""

    def next_lease(self) -> Lease | None:
        """The next piece of work; None if there is none now."""

    def wanted(self, lease: Lease) -> bool:
        """Whether its worker should go on."""

    def report(self, lease: Lease, measurement: Mapping[str, Any]) -> None:
        """One epoch of a lease."""

    def end(self, lease: Lease, outcome: Outcome) -> None:
        """How a lease ended."""

    def stop(self) -> None:
        """Hand out nothing more, and want nothing more."""


@dataclass(slots=True)
class Held:
    """A lease that is out.

    Args:
        heard: When its worker was last heard of.
        epoch: The last that it told.
        begun: Whether a living worker has it.
        over: Whether it has ended, while others of its array go on.
    """

    lease: Lease
    heard: float
    epoch: int
    begun: bool = False
    over: bool = False


class Desk:
    """Gives each of Tune's trials one lease, or an array, and tells the conductor what came of it.

    A ticket is Tune's identifier of a trial: 32 random bits, so that two may be equal. Whatever
    comes under a ticket that holds no lease is old news, and ignored. Nothing here needs Ray.

    Workers either share GPUs, all of them in the same way, or have a GPU each. While they share
    them, a lease that needs one of its own waits here. Once as many wait as there are workers, or
    there is nothing else to do, other workers must come, with a GPU each; when they have carried
    what waited, the former ones come back.

    Args:
        mates: What trains together with a lease that has just been handed out, as one array.
        attend: Does what people have asked of the running study; called several times a second.
        watchdog_seconds: After so long without a word a worker hangs, and ends itself.
        most_unbegun: So many leases in a row lost before a worker began with them mean that none
            ever will. An idle worker may be gone unnoticed, with its machine.

    Attributes:
        handed_out: Leases that ever went out.
        ended: Leases that a worker brought to an end.
        fault: What the conductor itself raised, or its log; Tune hides it in errors of its own.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        mates: Callable[[Lease], list[Lease]] = lambda lease: [],
        attend: Callable[[], None] = lambda: None,
        watchdog_seconds: float = math.inf,
        most_unbegun: int = 10,
    ) -> None:
        self._leases = leases
        self._mates = mates
        self._attend = attend
        self._watchdog_seconds = watchdog_seconds
        self._most_unbegun = most_unbegun
        self._unbegun = 0
        self._tickets: set[str] = set()
        self._held: dict[str, list[Held]] = {}
        self._waiting: deque[Lease] = deque()
        self._most_waiting: float = math.inf
        self._relief = False
        self._shared = False
        self._stopped = False
        self.handed_out = 0
        self.ended = 0
        self.fault: Exception | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self._leases.finished

    @property
    def in_flight(self) -> int:
        """Workers that have a lease, or an array."""
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Whether a lease waits for a worker with a GPU of its own."""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """Whether these workers are to be replaced as soon as they have nothing to do."""
        if self._relief:
            out = (held.lease.alone for array in self._held.values() for held in array)
            return not self._waiting and not any(out)
        return self.waiting and len(self._waiting) >= self._most_waiting

    def change_workers(self, *, shared: bool, workers: int) -> None:
        """Other workers have come.

        Args:
            shared: Whether they share GPUs.
        """
        self._relief = self.waiting and not shared
        self._most_waiting = workers if shared else math.inf
        self._shared = shared

    def hand_out(self, ticket: str) -> Lease | None:
        """The next lease, now held by `ticket`; None if there is none now or the ticket was used.

        Raises:
            RuntimeError: The conductor waits for a result, and no lease is out.
        """
        if ticket in self._tickets or self._stopped:
            return None
        with self._watching():
            lease = None if self.over else self._next()
            if lease is None and not self._held and not self.over:
                self._find_nothing()
        if lease is not None:
            self._tickets.add(ticket)
            with self._watching():
                array = [lease, *self._mates(lease)]
            now = time.monotonic()
            self._held[ticket] = [Held(each, now, each.from_epoch) for each in array]
            self.handed_out += 1
        return lease

    def mates(self, ticket: str) -> list[Lease]:
        """The leases that `ticket` holds beside its first one."""
        return [held.lease for held in self._held.get(ticket, [])[1:]]

    def begin(self, ticket: str) -> None:
        """A living worker has the lease of `ticket`."""
        self._unbegun = 0
        for held in self._held.get(ticket, []):
            held.begun = True

    def _next(self) -> Lease | None:
        """The next lease that these workers can carry; what they cannot waits."""
        if self._waiting and not self._shared:
            return self._waiting.popleft()
        while True:
            lease = self._leases.next_lease()
            if lease is None or not (self._shared and lease.alone):
                return lease
            self._waiting.append(lease)
            if self.over:
                return None

    def _find_nothing(self) -> None:
        """No lease is out, and these workers can carry none."""
        if self._waiting:
            self._most_waiting = 0
        elif not self._leases.finished:
            raise RuntimeError("the study waits for results, and nothing is being trained")

    def wants(self, ticket: str) -> bool:
        """Whether the lease of `ticket` is to go on, or any of its array."""
        array = self._held.get(ticket, [])
        return any(not held.over and self._leases.wanted(held.lease) for held in array)

    def hear(self, ticket: str, message: Message, *, last: bool) -> None:
        """A message from the worker that has the lease of `ticket`.

        Args:
            last: Whether the lease ends with it, be it only because it is not wanted any more.
        """
        array = self._held.get(ticket, [])
        with self._watching():
            for held, told in zip(array, (message, *message.mates), strict=False):
                if not held.over:
                    self._hear(held, told, last=last, alone=len(array) == 1)
        if array and all(held.over for held in array):
            del self._held[ticket]

    def _hear(self, held: Held, message: Message, *, last: bool, alone: bool) -> None:
        """What is said of one lease; of an array, one that is not wanted ends here."""
        held.heard = time.monotonic()
        for measurement in message.measurements:
            self._leases.report(held.lease, measurement)
            held.epoch = measurement["epoch"]
        outcome = message.outcome
        if outcome is None and (last or not (alone or self._leases.wanted(held.lease))):
            outcome = Outcome.reached(held.epoch)
        if outcome is not None:
            held.over = True
            self.ended += 1
            self._leases.end(held.lease, outcome)

    def lose(self, ticket: str, cause: str) -> None:
        """The worker that had the lease of `ticket` is gone.

        Raises:
            RuntimeError: Workers die before they begin, one after another.
        """
        array = [held for held in self._held.pop(ticket, []) if not held.over]
        for held in array:
            if held.begun and time.monotonic() - held.heard >= self._watchdog_seconds:
                cause = f"hung: nothing was reported for {self._watchdog_seconds:g} s"
            with self._watching():
                self._leases.end(held.lease, Outcome.lost(one_line(cause), begun=held.begun))
        if array:
            self._unbegun += not array[0].begun
            with self._watching():
                if self._unbegun >= self._most_unbegun:
                    raise RuntimeError(
                        f"{self._unbegun} workers in a row died before they began: {cause}"
                    )

    def lose_all(self, cause: str) -> None:
        """Every worker is gone."""
        for ticket in list(self._held):
            self.lose(ticket, cause)

    def attend(self) -> None:
        """Do what people have asked of the running study."""
        with self._watching():
            self._attend()

    def stop(self) -> None:
        """Hand out nothing more; what is out is not wanted any more."""
        if not self._stopped:
            self._stopped = True
            self._leases.stop()
            while self._waiting:
                lease = self._waiting.popleft()
                self._leases.end(lease, Outcome.lost("the study was stopped", begun=False))

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Remember what goes wrong on our side."""
        try:
            yield
        except Exception as error:
            self.fault = error
            raise
