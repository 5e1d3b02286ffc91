"""Tables with one row per step and a name for each sequence, for classification and regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from trainers.data.dataset import Dataset
from trainers.own_data.account import Account
from trainers.own_data.columns import Column, Numbers, Words
from trainers.own_data.description import OwnData
from trainers.own_data.examples import SeriesExamples
from trainers.own_data.labelled import Labelled, answer_columns, answers_of
from trainers.own_data.roles import IDS, TIMES, Roles
from trainers.own_data.runs import Runs, make_runs
from trainers.own_data.table import Rows, read_rows, sources_of
from trainers.own_data.times import Times


@dataclass(frozen=True, slots=True)
class SequenceColumns:
    """The columns that inputs are read from; those of answers are apart."""

    ids: Words
    times: list[Times]
    features: list[Numbers]

    @classmethod
    def named(cls, ids: str, time: str | None, features: Sequence[str]) -> Self:
        """Collectors of these columns, empty as yet."""
        times = [] if time is None else [Times(time)]
        return cls(Words(ids), times, [Numbers(name) for name in features])

    @property
    def everything(self) -> list[Column]:
        """All of them."""
        return [self.ids, *self.times, *self.features]

    def series(self, rows: Rows) -> tuple[Runs, SeriesExamples]:
        """The sequences, once the rows are read.

        Raises:
            ValueError: Times of a sequence do not grow.
        """
        runs = make_runs(rows, self.ids)
        for one in self.times:
            runs.check_growth(one)
        stacked = np.stack([feature.values for feature in self.features], axis=1)[runs.order]
        return runs, SeriesExamples(stacked, runs.lengths)


def sequence_data(
    own: OwnData, roles: Roles, targets: tuple[str, ...], account: Account
) -> Dataset:
    """Rows of one name are a sequence, whose features are columns of numbers.

    Raises:
        ValueError: A row is not what it should be, or a sequence has two answers.
        OSError: A file cannot be read.
    """
    found = own.id or roles.named("id", IDS)
    meaning = "the column that tells sequences apart (or `text` that of one text per row)"
    ids = roles.needed("id", found, meaning)
    time = own.time or roles.only("time", "time") or roles.named("time", TIMES)
    features = own.covariates or roles.rest("features", "number")
    if not features:
        raise ValueError("`covariates` must name columns of numbers, the features; got none")
    inputs = SequenceColumns.named(ids, time, features)
    answers = answer_columns(own, targets)
    group = [] if own.group is None else [Words(own.group)]
    columns: list[Column] = [*inputs.everything, *answers, *group]
    rows = read_rows(sources_of(own), columns)
    account.say(
        *rows.counts(), *roles.words(), *(f"{column.name}: {column.summary}" for column in columns)
    )
    runs, series = inputs.series(rows)
    runs.check_several_rows()
    for column in (*answers, *group):
        runs.check_same(column)
    first = runs.first_rows
    return Labelled(
        series,
        answers_of(answers, first),
        rows.parts[first],
        lambda example: rows.place(int(first[example])),
        group[0].codes[first] if group else None,
        columns={
            "id": ids,
            "time": time,
            "covariates": list(features),
            "target": list(targets),
        },
    ).dataset(own, account)
