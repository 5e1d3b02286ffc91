"""What may make results on a user's data look better than they are."""

from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np

from trainers.own_data.account import Account
from trainers.own_data.columns import Numbers
from trainers.own_data.dividing import NAMES
from trainers.own_data.panel import Panel
from trainers.own_data.table import DATA, TEST, VALID

FEW: Final = 64
"""Rows that are compared before all of them are."""


def warn_of_duplicates(examples: Sequence[Hashable], splits: np.ndarray, account: Account) -> None:
    """Examples of valid and test that are in an earlier split, too."""
    seen = {example for example, split in zip(examples, splits, strict=True) if split == DATA}
    for part in (VALID, TEST):
        members = [examples[place] for place in np.flatnonzero(splits == part).tolist()]
        twice = sum(example in seen for example in members)
        if twice:
            earlier = " or ".join(NAMES[:part])
            account.warn(
                f"{twice:,} of {len(members):,} {NAMES[part]} examples are in {earlier}, too, "
                f"value for value: what is remembered may look as if it were understood"
            )
        seen.update(members)


def warn_of_overlap(panel: Panel, account: Account) -> None:
    """Files of valid or test that begin before those to train on end."""
    for part in (VALID, TEST):
        inside, earlier = panel.parts == part, panel.parts < part
        if not inside.any():
            continue
        first, last = panel.times[inside].min(), panel.times[earlier].max()
        if first <= last:
            show = panel.column.show
            account.warn(
                f"{NAMES[part]} begins at {show(int(first))}, before {' and '.join(NAMES[:part])} "
                f"end at {show(int(last))}: what is foretold is not later than what is learnt from"
            )


def warn_of_known_targets(
    targets: Sequence[Numbers],
    known: Sequence[Numbers],
    values: tuple[np.ndarray, np.ndarray],
    codes: np.ndarray,
    horizon: int,
    account: Account,
) -> None:
    """Covariates known ahead that are the target itself, be it shifted or in another unit.

    Args:
        values: Of the targets and of the covariates, (rows, columns) each.
        codes: (rows,) the series of each row.
    """
    asked, ahead = (_standard(part) for part in values)
    for column, covariate in zip(known, ahead.T, strict=True):
        for target, series in zip(targets, asked.T, strict=True):
            for lag in sorted(range(-horizon, horizon), key=abs):
                if series.any() and _is_shifted(covariate, series, lag, codes):
                    when = (
                        "" if not lag else f" {abs(lag)} steps {'before' if lag > 0 else 'later'}"
                    )
                    account.warn(
                        f"future covariate {column.name!r} equals the target {target.name!r}{when}"
                        f": it is not known ahead, or there is nothing to forecast"
                    )
                    break


def _is_shifted(covariate: np.ndarray, target: np.ndarray, lag: int, codes: np.ndarray) -> bool:
    """Whether the covariate of every row is the target of `lag` rows before, in each series."""
    steps = slice(max(lag, 0), len(codes) + min(lag, 0))
    others = slice(max(-lag, 0), len(codes) - max(lag, 0))
    for rows in (slice(FEW), slice(None)):
        same = codes[steps][rows] == codes[others][rows]
        close = np.isclose(covariate[steps][rows], target[others][rows], atol=1e-6)
        if not same.any() or not close[same].all():
            return False
    return True


def _standard(values: np.ndarray) -> np.ndarray:
    """Every column with mean 0 and deviation 1; 0 where it never changes."""
    std = values.std(axis=0)
    standard: np.ndarray = (values - values.mean(axis=0)) / np.where(std > 0, std, 1.0)
    return standard
