"""One text per row of a table, or per line of a file, for classification and regression."""

from pathlib import Path

import numpy as np

from trainers.data.dataset import Dataset
from trainers.own_data.account import Account
from trainers.own_data.columns import Column, Texts, Words
from trainers.own_data.description import OwnData
from trainers.own_data.examples import TextExamples
from trainers.own_data.files import read_lines
from trainers.own_data.labelled import Answers, Labelled, answer_columns, answers_of
from trainers.own_data.roles import IDS, TARGETS, TEXTS, TIMES, Roles, given_roles
from trainers.own_data.sequences import sequence_data
from trainers.own_data.table import Rows, read_rows, sources_of, survey


def table_data(own: OwnData) -> Dataset:
    """One text per row, or one row per step of a sequence, whichever the columns are.

    Raises:
        ValueError: Something is wrong with a column or a row.
        OSError: A file cannot be read.
    """
    account = Account()
    path = Path(own.data[0])
    roles = given_roles(own, path, survey(path))
    targets = own.target
    if not targets:
        found = roles.named("target", TARGETS)
        targets = (roles.needed("target", found, "the column to be told from the others"),)
    text = own.text or (None if own.id else _text_column(roles))
    if text is None:
        return sequence_data(own, roles, targets, account)
    return _text_data(own, roles, targets, text, account)


def _text_column(roles: Roles) -> str | None:
    """By its name; or the only one of words, where no column may tell sequences apart."""
    found = roles.named("text", TEXTS)
    if found or any(name.lower() in IDS for name in roles.left()):
        return found
    return roles.only("text", "word", but=TIMES)


def _text_data(
    own: OwnData, roles: Roles, targets: tuple[str, ...], text: str, account: Account
) -> Dataset:
    own.refuse(("time", "id", "covariates"), "where each row is one text")
    texts, answers = Texts(text), answer_columns(own, targets)
    group = [] if own.group is None else [Words(own.group)]
    columns: list[Column] = [texts, *answers, *group]
    rows = read_rows(sources_of(own), columns)
    account.say(
        *rows.counts(), *roles.words(), *(f"{column.name}: {column.summary}" for column in columns)
    )
    return Labelled(
        TextExamples(texts.texts),
        answers_of(answers, np.arange(len(rows))),
        rows.parts,
        rows.place,
        group[0].codes if group else None,
        columns={"text": text, "target": list(targets)},
    ).dataset(own, account)


def line_data(own: OwnData) -> Dataset:
    """One text per line, and one file for each class, which is called as the file is.

    Raises:
        ValueError: A line is blank or not UTF-8, or there is but one class.
        OSError: A file cannot be read.
    """
    unknown = ("time", "id", "target", "covariates", "text", "group")
    own.refuse(unknown, "where each line is one text")
    sources = sources_of(own)
    names = [source.path.name.partition(".")[0] for source in sources]
    classes = list(dict.fromkeys(names))
    if len(classes) < 2:
        raise ValueError(
            f"`data` must name a text file for each class, two at least, got only {own.data[0]}"
        )
    read = [read_texts(source.path) for source in sources]
    counts = [len(lines) for lines in read]
    rows = Rows(tuple(sources), np.cumsum(counts))
    codes = np.repeat([classes.index(name) for name in names], counts)
    account = Account()
    account.say(*rows.counts("lines"), "one text per line; the class is the name of the file")
    return Labelled(
        TextExamples([line for lines in read for line in lines]),
        Answers.of_classes("the name of the file", codes, classes),
        rows.parts,
        rows.place,
    ).dataset(own, account)


def read_texts(path: Path) -> list[str]:
    """The lines of a file, each of them a text; blank ones at its end are left out.

    Raises:
        ValueError: A line is blank or not UTF-8.
        OSError: The file cannot be read.
    """
    lines = [line.strip() for _, line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if not all(lines):
        number = lines.index("") + 1
        raise ValueError(f"{path}, row {number} must hold a text, got a blank line")
    if not lines:
        raise ValueError(f"{path} must hold one text per line, got blank lines")
    return lines
