"""Tables with one row per step and a name for each sequence, for classification and regression."""

import numpy as np

from trainers.dataset import Dataset
from trainers.own_data.account import Account
from trainers.own_data.columns import Column, Numbers, Words
from trainers.own_data.description import OwnData
from trainers.own_data.examples import SeriesExamples
from trainers.own_data.labelled import Labelled, answer_columns, answers_of
from trainers.own_data.roles import IDS, TIMES, Roles
from trainers.own_data.runs import make_runs
from trainers.own_data.table import read_rows, sources_of
from trainers.own_data.times import Times


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
    ids = Words(roles.needed("id", found, meaning))
    time = own.time or roles.only("time", "time") or roles.named("time", TIMES)
    times = [] if time is None else [Times(time)]
    features = [Numbers(name) for name in own.covariates or roles.rest("features", "number")]
    if not features:
        raise ValueError("`covariates` must name columns of numbers, the features; got none")
    answers = answer_columns(own, targets)
    group = [] if own.group is None else [Words(own.group)]
    columns: list[Column] = [ids, *times, *features, *answers, *group]
    rows = read_rows(sources_of(own), columns)
    account.say(
        *rows.counts(), *roles.words(), *(f"{column.name}: {column.summary}" for column in columns)
    )
    runs = make_runs(rows, ids)
    for one in times:
        runs.check_growth(one)
    for column in (*answers, *group):
        runs.check_same(column)
    stacked = np.stack([feature.values for feature in features], axis=1)[runs.order]
    first = runs.first_rows
    return Labelled(
        SeriesExamples(stacked, runs.lengths),
        answers_of(answers, first),
        rows.parts[first],
        lambda example: rows.place(int(first[example])),
        group[0].codes[first] if group else None,
        columns={
            "id": ids.name,
            "time": time,
            "covariates": [feature.name for feature in features],
            "target": list(targets),
        },
    ).dataset(own, account)
