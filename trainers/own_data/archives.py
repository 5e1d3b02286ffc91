"""`.ts` files of the UCR and UEA archives, for classification and regression."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trainers.benchmarks.ts_files import read_ts, read_ts_numbers
from trainers.data.dataset import Dataset
from trainers.own_data.account import Account
from trainers.own_data.description import OwnData
from trainers.own_data.examples import SeriesExamples
from trainers.own_data.files import check_text
from trainers.own_data.labelled import Answers, Labelled
from trainers.own_data.table import Rows, Source, sources_of


def archive_data(own: OwnData) -> Dataset:
    """Series with a class or a number each; NAME_TEST.ts is the test where NAME_TRAIN.ts is given.

    Raises:
        ValueError: A line is not as the format wants it, or files differ in their channels.
        OSError: A file cannot be read.
    """
    own.refuse(("time", "id", "target", "covariates", "text", "group"), "in .ts files")
    account = Account()
    own = _with_test(own, account)
    sources = sources_of(own)
    for source in sources:
        check_text(source.path)
    read = _read_classes if own.task == "classification" else _read_numbers
    cases, answers = read(sources)
    counts = [len(of_file) for of_file in cases]
    series = [case for of_file in cases for case in of_file]
    channels = [of_file[0].shape[1] for of_file in cases]
    for source, size in zip(sources, channels, strict=True):
        if size != channels[0]:
            raise ValueError(
                f"{source.path} must have {channels[0]} channels, as {sources[0].path} has, "
                f"got {size}"
            )
    rows = Rows(tuple(sources), np.cumsum(counts))
    account.say(*rows.counts("series"))
    return Labelled(
        SeriesExamples(np.concatenate(series), np.array([len(case) for case in series])),
        answers,
        rows.parts,
        rows.place,
    ).dataset(own, account)


def _with_test(own: OwnData, account: Account) -> OwnData:
    first = Path(own.data[0])
    beside = first.with_name(first.name.replace("_TRAIN.ts", "_TEST.ts"))
    if own.test or len(own.data) > 1 or beside == first or not beside.is_file():
        return own
    account.say(f"test: {beside} (inferred)")
    return replace(own, test=(str(beside),))


def _read_classes(sources: list[Source]) -> tuple[list[list[np.ndarray]], Answers]:
    files = [read_ts(source.path) for source in sources]
    names = list(dict.fromkeys(name for file in files for name in file.classes))
    codes = [np.array([names.index(name) for name in file.classes])[file.labels] for file in files]
    joined = np.concatenate(codes)
    present = np.unique(joined)  # a header may name classes that no case has
    met = [names[code] for code in present]
    answers = Answers.of_classes("@classLabel", np.searchsorted(present, joined), met)
    return [file.cases for file in files], answers


def _read_numbers(sources: list[Source]) -> tuple[list[list[np.ndarray]], Answers]:
    files = [read_ts_numbers(source.path) for source in sources]
    numbers = np.concatenate([numbers for _, numbers in files])
    return [cases for cases, _ in files], Answers("@targetLabel", numbers[:, None])
