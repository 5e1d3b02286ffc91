"""What the driver, the workers and the log share: trials, leases, outcomes, and their JSON."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, Self

from spaces import Config

Phase = dict[str, Any]


class State(StrEnum):
    """Where a trial stands.

    `running`: leased, in a worker. `paused`: waits at a rung for a promotion. `interrupted`: has
    work left to do and no worker (not handed out yet, worker lost, driver ended); goes first. The
    others are final; `infeasible`: a device's whole memory does not suffice.
    """

    running = "running"
    paused = "paused"
    interrupted = "interrupted"
    complete = "complete"
    pruned = "pruned"
    stopped = "stopped"
    failed = "failed"
    infeasible = "infeasible"

    @property
    def final(self) -> bool:
        """Whether a trial in this state is over."""
        return self in _FINAL


_FINAL = frozenset({State.complete, State.pruned, State.stopped, State.failed, State.infeasible})
USELESS = frozenset({State.failed, State.infeasible})
"""Where a trial says nothing of how good its configuration is."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration trained with one seed.

    Args:
        number: Ours, consecutive from 0 over the whole study.
        finalist_of: Number of the search trial whose configuration this run confirms; None in the
            search itself.
        earlier: Training settings that hold before those of `config`, as phases of JSON, see
            `trainers.training.phases`; those of a copy were the settings of its ancestors.
        copied_from: The trial whose weights a copy begins with, and the epoch they are of.
    """

    number: int
    family: str
    config: Config
    seed: int
    finalist_of: int | None = None
    earlier: list[Phase] = field(default_factory=list)
    copied_from: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Self:
        """The trial that `to_json` wrote."""
        copied = tree.get("copied_from")
        return cls(**{**tree, "copied_from": copied and (copied[0], copied[1])})


@dataclass(frozen=True, slots=True)
class Finalist:
    """A configuration that is to be trained again: that of search trial `trial`, with this seed."""

    family: str
    trial: int
    seed: int


@dataclass(frozen=True, slots=True)
class Lease:
    """One piece of work for one worker: this trial, from its last checkpoint, to that epoch.

    Args:
        number: Ours, consecutive over the whole study; never used twice.
        attempt: 1 at first, one more each time the trial goes on after an interruption; no two
            leases of a trial have both this and `from_epoch` in common.
        from_epoch: The last epoch that the log knows; 0 means from scratch. The worker goes on from
            the trial's newest checkpoint; an older one makes it report those epochs again.
        to_epoch: The lease is over when this epoch is reached; equal to `from_epoch` when only the
            end of an earlier lease was lost.
        test: Whether to measure the test split once at the end, with the weights of the best
            validation epoch (finalists only).
        alone: Whether its worker must have a GPU of its own; a share did not suffice before.
        array: Number of the first lease of its array, where trials of one shape train as one.
    """

    number: int
    trial: Trial
    attempt: int
    from_epoch: int
    to_epoch: int
    test: bool = False
    alone: bool = False
    array: int | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Self:
        """The lease that `to_json` wrote."""
        return cls(**{**tree, "trial": Trial.from_json(tree["trial"])})


@dataclass(frozen=True, slots=True)
class Refit:
    """A second training, on train and validation together: how long it was."""

    epochs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a lease ended; made by `reached`, `failed`, `infeasible`, `crowded` or `lost`.

    Args:
        kind: `reached`: the worker did what it was asked. `failed`: the trial itself raised or
            diverged, and would again. `infeasible`: the device has too little memory for it.
            `crowded`: the worker's share of it has. `lost`: its worker died; it goes on.
        epoch: Epoch at which the worker stands (`reached` only).
        early: The trial is over there: the study's patience with it has run out (`reached` only).
        cause: One line for people; equal causes are counted together.
        test: Metrics on the test split, of a lease that asked for them.
        test_epoch: Epoch of the weights that `test` measured.
        streaming: What a step of a stream costs such a model, where it streams; see
            `trainers.size.streaming_costs`.
        begun: Whether the worker had begun with the lease; else the trial has no part in its death
            (`lost` only).
        refit: The training on train and validation that made the weights that `test` measured.
    """

    kind: Literal["reached", "failed", "infeasible", "crowded", "lost"]
    epoch: int | None = None
    cause: str = ""
    traceback: str = ""
    test: dict[str, float] | None = None
    test_epoch: int | None = None
    early: bool = False
    streaming: dict[str, float] | None = None
    begun: bool = True
    refit: Refit | None = None

    @classmethod
    def reached(
        cls,
        epoch: int,
        *,
        test: dict[str, float] | None = None,
        test_epoch: int | None = None,
        early: bool = False,
        streaming: dict[str, float] | None = None,
        refit: Refit | None = None,
    ) -> Self:
        """The worker stands at `epoch`: the lease's last, or earlier if not wanted longer."""
        return cls(
            "reached",
            epoch=epoch,
            test=test,
            test_epoch=test_epoch,
            early=early,
            streaming=streaming,
            refit=refit,
        )

    @classmethod
    def failed(cls, cause: str, traceback: str = "") -> Self:
        """The trial cannot go on."""
        return cls("failed", cause=cause, traceback=traceback)

    @classmethod
    def infeasible(cls, cause: str, traceback: str = "") -> Self:
        """The trial does not fit into the whole memory of a device."""
        return cls("infeasible", cause=cause, traceback=traceback)

    @classmethod
    def crowded(cls, cause: str) -> Self:
        """The trial did not fit into its worker's share of a GPU; it may fit into a whole one."""
        return cls("crowded", cause=cause)

    @classmethod
    def lost(cls, cause: str, *, begun: bool = True) -> Self:
        """The worker is gone; the trial's last checkpoint is not."""
        return cls("lost", cause=cause, begun=begun)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Self:
        """The outcome that `to_json` wrote."""
        refit = tree.get("refit")
        return cls(**{**tree, "refit": refit and Refit(**refit)})
