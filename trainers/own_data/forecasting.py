"""Forecasting of a user's own series: long format, split by time, the same for all series."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.windows import Series, Yardstick, cut_windows
from trainers.data.dataset import Dataset
from trainers.own_data.account import KEY, Account
from trainers.own_data.by_time import split_by_time
from trainers.own_data.columns import Numbers, Words
from trainers.own_data.description import OwnData
from trainers.own_data.leakage import warn_of_known_targets, warn_of_overlap
from trainers.own_data.long_tables import LongColumns, stacked
from trainers.own_data.panel import Panel, make_panel
from trainers.own_data.roles import IDS, TARGETS, TIMES, given_roles
from trainers.own_data.table import DATA, TEST, VALID, read_rows, sources_of, survey
from trainers.own_data.times import Times
from trainers.tasks import Forecasting


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `horizon` steps from `look_back` steps, of series with a `season`."""

    horizon: int
    look_back: int
    season: int


def forecasting_data(own: OwnData) -> Dataset:
    """Windows of all series.

    Raises:
        ValueError: Something is wrong with a column or a row, or a series is too short.
        OSError: A file cannot be read.
    """
    account = Account()
    sources = sources_of(own)
    columns = _columns(own, sources[0].path, account)
    rows = read_rows(sources, columns.everything)
    panel = make_panel(rows, columns.time, columns.series)
    account.say(
        *rows.counts(), *(f"{column.name}: {column.summary}" for column in columns.everything)
    )
    assert own.horizon is not None
    splits = split_by_time(own, panel, account, least=own.horizon)
    question = _question(own, panel, splits, account)
    warn_of_overlap(panel, account)
    return _dataset(own, panel, splits, question, columns, account)


def _columns(own: OwnData, path: Path, account: Account) -> LongColumns:
    roles = given_roles(own, path, survey(path))
    time = own.time or roles.only("time", "time") or roles.named("time", TIMES)
    time = roles.needed("time", time, "the column of times")
    series = own.id or roles.named("id", IDS)
    targets = own.target
    if not targets:
        found = roles.named("target", TARGETS) or roles.only("target", "number")
        targets = (roles.needed("target", found, "the column to forecast"),)
    account.say(*roles.words())
    return LongColumns(
        Times(time),
        None if series is None else Words(series),
        *(
            [Numbers(name) for name in part]
            for part in (targets, own.covariates, own.future_covariates)
        ),
    )


def _question(own: OwnData, panel: Panel, splits: np.ndarray, account: Account) -> Question:
    """The user's question; the look-back is twice the horizon, or a season, where it fits."""
    assert own.horizon is not None
    season = own.season or panel.step.season
    train = np.bincount(panel.codes[splits == DATA], minlength=len(panel.names))
    lowest = own.horizon if own.future_covariates else 1
    look_back = own.look_back
    if look_back is None:
        fits = int(train.min()) - own.horizon
        look_back = max(min(max(2 * own.horizon, season), fits), lowest)
    if look_back < lowest:
        raise ValueError(
            f"`look_back` must be at least `horizon` where there are future covariates, "
            f"got {look_back} and {own.horizon}"
        )
    short = np.flatnonzero(train < look_back + own.horizon)
    if len(short):
        code = int(short[0])
        row = int(np.flatnonzero(panel.codes == code)[0])
        raise ValueError(
            f"{panel.place(row)}: the series{panel.series(row).removeprefix(' of series')} must "
            f"have at least look_back + horizon = {look_back + own.horizon} steps in train, got "
            f"{train[code]}; leave it out, or lower `look_back` or the shares held out"
        )
    inferred = "" if own.look_back else " (inferred)"
    account.say(
        f"question: the next {own.horizon} steps from the {look_back} before{inferred}; "
        f"season of {season}{'' if own.season else ' (inferred)'}"
    )
    return Question(own.horizon, look_back, season)


def _dataset(
    own: OwnData,
    panel: Panel,
    splits: np.ndarray,
    question: Question,
    columns: LongColumns,
    account: Account,
) -> Dataset:
    targets, past, known = (
        stacked(part, panel.order) for part in (columns.targets, columns.past, columns.known)
    )
    warn_of_known_targets(
        columns.targets, columns.known, (targets, known), panel.codes, question.horizon, account
    )
    scalers = [Scaler.fit(part[splits == DATA]) for part in (past, known)]
    yardsticks = _yardsticks(panel, targets, splits, question.season)
    begins = np.flatnonzero(~panel.follows)
    series = [
        Series(
            targets[rows],
            scalers[0].apply(past[rows]),
            scalers[1].apply(known[rows]),
            valid_from=int((splits[rows] < VALID).sum()),
            test_from=int((splits[rows] < TEST).sum()),
            yardstick=yardsticks[panel.codes[rows.start]],
        )
        for rows in map(slice, begins, [*begins[1:], len(splits)])
    ]
    train, valid, test = cut_windows(series, look_back=question.look_back, horizon=question.horizon)
    account.say(
        "scaling: every series by the mean and deviation of its train part, covariates by those of "
        "all series",
        f"windows: {len(train):,} train / {len(valid):,} valid / {len(test):,} test; the look-back "
        f"of valid and test reaches into the part before",
    )
    return Dataset(
        name=own.name,
        task=Forecasting(
            input_size=train.inputs.values.shape[1],
            channels=len(columns.targets),
            known=len(columns.known),
            horizon=question.horizon,
            season=question.season,
        ),
        train=train,
        valid=valid,
        test=test,
        preprocessing={
            "columns": columns.to_json(),
            "look_back": question.look_back,
            "step": asdict(panel.step),
            "series": {
                name: yardstick.scaler.to_json() | {"naive_error": yardstick.naive_error.tolist()}
                for name, yardstick in zip(panel.names, yardsticks, strict=True)
            },
            "covariate_scaler": scalers[0].to_json(),
            "future_covariate_scaler": scalers[1].to_json(),
            KEY: account.to_json(),
        },
    )


def _yardsticks(
    panel: Panel, targets: np.ndarray, splits: np.ndarray, season: int
) -> list[Yardstick]:
    ends = np.cumsum(np.bincount(panel.codes, minlength=len(panel.names)))
    pieces = zip(np.split(targets, ends[:-1]), np.split(splits, ends[:-1]), strict=True)
    return [Yardstick.fit(values[part == DATA], season) for values, part in pieces]
