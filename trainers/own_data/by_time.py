"""Rows of series divided by time into train, valid and test, at once for all series."""

import numpy as np

from trainers.own_data.account import Account
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import NAMES
from trainers.own_data.examples import span
from trainers.own_data.panel import Panel
from trainers.own_data.table import DATA, TEST, VALID


def split_by_time(own: OwnData, panel: Panel, account: Account, *, least: int) -> np.ndarray:
    """(rows,) the split of every row; the last shares of the time that `data` spans are held out.

    Args:
        least: The fewest steps of valid and of test.
    """
    lengths = np.bincount(panel.codes)
    account.say(f"{len(lengths):,} series of {span(lengths)} steps, {panel.step.words} apart")
    if own.valid:
        account.say("split: train, valid and test are files of their own")
        return panel.parts
    inside = panel.parts == DATA
    places = panel.step.places(panel.times, int(panel.times[inside].min()))
    count = int(places[inside].max()) + 1
    held = [
        max(least, int(share * count + 0.5)) if share else 0
        for share in (own.valid_share, 0 if own.test else own.test_share)
    ]
    begins = (count - sum(held), count - held[1])
    splits = panel.parts.copy()
    words = []
    for part, begin, length in zip((VALID, TEST), begins, held, strict=True):
        if length:
            rows = inside & (places >= begin)
            splits[rows] = part
            words.append(f"{NAMES[part]} from {panel.column.show(int(panel.times[rows].min()))}")
    apart = "; test is a file of its own" if own.test else ""
    account.say(f"split: by time, at once for all series: {', '.join(words)}{apart}")
    return splits
