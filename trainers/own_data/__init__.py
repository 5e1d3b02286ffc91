"""A user's own data: from files of many kinds to a data set, read once, and described in words.

One more kind of file or task is a function in a file here and a line in `READERS`.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from trainers.data.dataset import Dataset
from trainers.own_data.account import describe
from trainers.own_data.anomalies import anomaly_data
from trainers.own_data.archives import archive_data
from trainers.own_data.description import OwnData
from trainers.own_data.files import KINDS, kind_of
from trainers.own_data.forecasting import forecasting_data
from trainers.own_data.pairs import line_pair_data, pair_data
from trainers.own_data.plain_text import text_data
from trainers.own_data.tagging import tagging_data
from trainers.own_data.texts import line_data, table_data

__all__ = ["READERS", "OwnData", "describe", "load_own_data"]

READERS: Final[dict[tuple[str, str], Callable[[OwnData], Dataset]]] = {
    ("forecasting", "table"): forecasting_data,
    ("anomaly_detection", "table"): anomaly_data,
    ("classification", "table"): table_data,
    ("regression", "table"): table_data,
    ("classification", "lines"): line_data,
    ("classification", "ts"): archive_data,
    ("regression", "ts"): archive_data,
    ("tagging", "tags"): tagging_data,
    ("tagging", "lines"): tagging_data,
    ("language_modelling", "lines"): text_data,
    ("translation", "table"): pair_data,
    ("translation", "lines"): line_pair_data,
}


def load_own_data(own: OwnData) -> Dataset:
    """The data set made of a user's files; `describe` says what was found in them.

    Files are streamed once, into arrays that grow; only the columns in use are kept.

    Raises:
        ValueError: A file, a column or a row is not what it should be, in one sentence that says
            where, what must hold and what came.
        OSError: A file cannot be read.
    """
    paths = [Path(path) for path in (*own.data, *own.valid, *own.test)]
    kinds = [kind_of(path, of_languages=own.task == "translation") for path in paths]
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            raise ValueError(f"all files must be of one kind, got {paths[0].name} and {path.name}")
    if (own.task, kinds[0]) not in READERS:
        suffixes = [name for name, kind in KINDS.items() if (own.task, kind) in READERS]
        raise ValueError(
            f"{own.task} must be from files that end in {', '.join(suffixes)}, got {paths[0]}"
        )
    dataset = READERS[own.task, kinds[0]](own)
    return replace(dataset, preprocessing={**dataset.preprocessing, "kind": kinds[0]})
