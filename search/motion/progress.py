"""How far one trial of a study has come."""

import math
from dataclasses import dataclass, field

from search.trial import State, Trial


@dataclass(slots=True)
class TrialProgress:
    """What is known of one trial.

    Args:
        proposal: Which proposal of its family it is; None for a finalist or a copy.
        attempt: Of the latest lease; 0 before the first.
        epoch: The furthest that was reported; at first, where a copy begins.
        from_epoch: Where the latest lease began.
        to_epoch: Where it ends.
        history: Each epoch with its loss (the objective, smaller is better); finite ones only.
        early: Complete before its last epoch, as it had ceased to improve.
        alone: Needs a GPU of its own.
        test_loss: On the test split, likewise.
        losses: Leases lost in a row without coming further than `lost_at`.
        device_seconds: Seconds of its epochs, and of leases that failed or were lost.
    """

    trial: Trial
    proposal: int | None
    state: State = State.interrupted
    attempt: int = 0
    epoch: int = 0
    from_epoch: int = -1
    to_epoch: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    diverged: bool = False
    tested: bool = False
    test_loss: float | None = None
    stop_requested: bool = False
    early: bool = False
    alone: bool = False
    losses: int = 0
    lost_at: int = -1
    device_seconds: float = 0.0
    cause: str = ""
    lease_seconds: float = 0.0
    leased_at: float = 0.0
    attempt_epoch: int = 0

    @property
    def in_search(self) -> bool:
        """Whether the trial belongs to the search, not to the confirmation."""
        return self.trial.finalist_of is None

    @property
    def losses_with_next(self) -> int:
        """What `losses` will be if the worker is lost now."""
        return 1 if self.epoch > self.lost_at else self.losses + 1

    def add(self, epoch: int, loss: float | None) -> None:
        """An epoch beyond all before; a loss of None was not finite."""
        self.epoch = epoch
        if loss is None:
            self.diverged = True
            return
        self.history.append((epoch, loss))
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch
