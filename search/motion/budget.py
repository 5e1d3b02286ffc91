"""What every family may spend, and what it has spent so far."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from search.study import Budget
from search.trial import State


@dataclass(slots=True)
class Account:
    """What one family has spent in the search; the confirmation is not in it.

    Args:
        proposed: Trials begun.
        trained_epochs: Epochs reported, also those trained again after an interruption.
        reserved_epochs: Epochs that the leases in flight have still to train.
        device_seconds: Seconds of training, and of leases that failed or were lost.
        trials_by_fate: Trials that have ended.
        seconds_by_fate: Device seconds of the trials that have ended.
    """

    proposed: int = 0
    trained_epochs: int = 0
    reserved_epochs: int = 0
    device_seconds: float = 0.0
    trials_by_fate: Counter[State] = field(default_factory=Counter)
    seconds_by_fate: dict[State, float] = field(default_factory=dict)

    def book_end(self, state: State, device_seconds: float) -> None:
        """A trial that took so long has ended."""
        self.trials_by_fate[state] += 1
        self.seconds_by_fate[state] = self.seconds_by_fate.get(state, 0.0) + device_seconds


class Ledger:
    """The budget, in equal shares, and an account for each family.

    The unit of sharing is the trial where the budget sets `trials_per_family`, so that no decision
    depends on the clock, and the device second elsewhere. Every limit that is set holds.
    """

    def __init__(self, budget: Budget, families: Iterable[str]) -> None:
        self.budget = budget
        self.accounts = {family: Account() for family in families}

    def order(self) -> list[str]:
        """The families, the one that has spent and reserved least first; ties as in the study."""
        if self.budget.trials_per_family is None:
            return sorted(self.accounts, key=self._spent_seconds)
        return sorted(self.accounts, key=self._spent_trials)

    def may_propose(self, family: str, *, held_back_epochs: int) -> bool:
        """Whether one more trial fits into the family's share; its first always does.

        Args:
            held_back_epochs: What the family needs to train its best trial to the end. A share of
                device seconds keeps as much in hand.
        """
        account, share = self.accounts[family], self.device_seconds_per_family
        most = self.budget.trials_per_family
        if account.proposed == 0:
            return True
        if most is not None and account.proposed >= most:
            return False
        if share is None:
            return True
        if account.reserved_epochs and not account.trained_epochs:
            return False  # what an epoch of this family takes is known in a moment
        held_back = held_back_epochs * self._epoch_seconds(family)
        return self._spent_seconds(family) + held_back < share

    def may_train(self, family: str) -> bool:
        """Whether the family's share of the device seconds has not been spent and reserved yet."""
        share = self.device_seconds_per_family
        return share is None or self._spent_seconds(family) < share

    def idle(self, family: str) -> float:
        """What the family left of its share, in trials or else in device seconds."""
        account, share = self.accounts[family], self.device_seconds_per_family
        if self.budget.trials_per_family is not None:
            return max(self.budget.trials_per_family - account.proposed, 0)
        return 0.0 if share is None else max(share - account.device_seconds, 0.0)

    @property
    def device_seconds_per_family(self) -> float | None:
        """The share of one family; None if device seconds are not limited."""
        total = self.budget.device_seconds
        return None if total is None else total / len(self.accounts)

    def _spent_trials(self, family: str) -> tuple[int, int]:
        account = self.accounts[family]
        return account.proposed, account.trained_epochs + account.reserved_epochs

    def _spent_seconds(self, family: str) -> float:
        account = self.accounts[family]
        return account.device_seconds + account.reserved_epochs * self._epoch_seconds(family)

    def _epoch_seconds(self, family: str) -> float:
        """Seconds of an epoch: the family's mean, else the mean of all; 1 while there is none."""
        of_family = [self.accounts[family]]
        for accounts in (of_family, self.accounts.values()):
            epochs = sum(account.trained_epochs for account in accounts)
            if epochs:
                return sum(account.device_seconds for account in accounts) / epochs
        return 1.0
