"""What a worker and the driver say to each other about a lease. Needs neither Ray nor torch."""

import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from search.trial import Lease, Outcome

CAUSE_WIDTH = 200  # characters of an error that name it


@dataclass(frozen=True, slots=True)
class Message:
    """What a worker says: the epochs since it last spoke, and how the lease ended if it did.

    Args:
        mates: The same of the other leases of an array, in their order.
    """

    measurements: list[dict[str, Any]]
    outcome: Outcome | None = None
    mates: "tuple[Message, ...]" = ()

    def to_text(self) -> str:
        """JSON that `from_text` reads back."""
        return json.dumps(self._to_json())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The message that `to_text` wrote."""
        return cls._from_json(json.loads(text))

    def _to_json(self) -> dict[str, Any]:
        return {
            "measurements": self.measurements,
            "outcome": self.outcome and self.outcome.to_json(),
            "mates": [mate._to_json() for mate in self.mates],
        }

    @classmethod
    def _from_json(cls, tree: dict[str, Any]) -> Self:
        outcome = tree["outcome"] and Outcome.from_json(tree["outcome"])
        return cls(tree["measurements"], outcome, tuple(map(cls._from_json, tree["mates"])))


class LeaseWorker(Protocol):
    """What a process must do to carry leases, one after another."""

    def take(self, lease: Lease, checkpoint: Path, *mates: tuple[Lease, Path]) -> None:
        """Make `lease` the work to do.

        Args:
            checkpoint: Where the checkpoint of the lease's trial lies or goes.
            mates: Other leases, of trials of the same shape, to be trained with it as one.
        """

    def work(self) -> Message:
        """Go on for a short while, at least for one epoch; what goes wrong is an outcome.

        Of a lease that is over already there is nothing more to say.
        """

    def put_down(self) -> None:
        """Save what has been done; the process may end now."""


def failure(error: BaseException, kind: str = "") -> Outcome:
    """The outcome of a lease that ended in `error`.

    Args:
        kind: What happened, where a word says it better than the type of the error.
    """
    message = one_line(str(error))
    cause = f"{kind or type(error).__name__}: {message}" if message else kind or repr(error)
    return Outcome.failed(cause, "".join(traceback.format_exception(error)))


def one_line(text: str) -> str:
    """`text` on one line, cut where it gets too long to name anything."""
    line = " ".join(text.split())
    return line if len(line) <= CAUSE_WIDTH else f"{line[: CAUSE_WIDTH - 3]}..."
