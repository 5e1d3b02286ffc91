"""Tables of series in long format: a row for each time of each series."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.own_data.columns import Column, Numbers, Words
from trainers.own_data.times import Times


@dataclass(frozen=True, slots=True)
class LongColumns:
    """The columns that are read.

    Attributes:
        past: Covariates known up to a step.
        known: Covariates known ahead.
    """

    time: Times
    series: Words | None
    targets: list[Numbers]
    past: list[Numbers]
    known: list[Numbers]

    @property
    def everything(self) -> list[Column]:
        """All of them."""
        series = [] if self.series is None else [self.series]
        return [self.time, *series, *self.targets, *self.past, *self.known]

    def to_json(self) -> dict[str, Any]:
        """Their names, by the words in which a user gives them."""
        return {
            "time": self.time.name,
            "id": self.series and self.series.name,
            "target": [column.name for column in self.targets],
            "covariates": [column.name for column in self.past],
            "future_covariates": [column.name for column in self.known],
        }


def stacked(columns: Sequence[Numbers], order: np.ndarray) -> np.ndarray:
    """(rows, columns) in that order."""
    values = np.empty((len(order), len(columns)))
    for place, column in enumerate(columns):
        values[:, place] = column.values[order]
    return values
