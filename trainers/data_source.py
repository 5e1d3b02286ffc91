"""Where a study's data come from: a benchmark by its name, or a user's own files."""

from collections.abc import Mapping
from typing import Any, Final

from trainers.benchmarks import find_benchmark, load_benchmark
from trainers.data.dataset import Dataset
from trainers.own_data import OwnData, describe, load_own_data

OWN_DATA: Final = "own_data"
"""The benchmark's name where the data are a user's own; its options are the fields of `OwnData`."""


def load_data(name: str, options: Mapping[str, Any], source: str | None = None) -> Dataset:
    """The data set of that name.

    Args:
        source: The text of a benchmark of one's own, where it is already known.

    Raises:
        ValueError: There is no such benchmark or option, or the data are not what they should be.
        OSError: A file cannot be had.
    """
    if name == OWN_DATA:
        return load_own_data(OwnData.from_mapping(options))
    return load_benchmark(name, options, source=source)


def usual_metric(name: str, options: Mapping[str, Any], source: str | None = None) -> str | None:
    """What judges a model there by default; None leaves it to the task.

    Raises:
        ValueError: There is no such benchmark or option.
    """
    return None if name == OWN_DATA else find_benchmark(name, options, source).metric


def account(name: str, dataset: Dataset) -> list[str]:
    """What was found in a user's own data and made of it, in lines; none for a benchmark."""
    return describe(dataset) if name == OWN_DATA else []
