"""Files of the kinds that models are trained on, read for their inputs alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.ts_files import read_ts_series
from trainers.benchmarks.vocabulary import Vocabulary
from trainers.data.dataset import Sequences
from trainers.own_data.batches import column_names
from trainers.own_data.columns import Column, Texts
from trainers.own_data.examples import SeriesExamples, encoded, words_of
from trainers.own_data.files import check_text, open_text
from trainers.own_data.plain_text import read_tokens
from trainers.own_data.sequences import SequenceColumns
from trainers.own_data.table import DATA, Rows, Source, read_rows
from trainers.own_data.tag_files import read_words
from trainers.own_data.texts import read_texts
from trainers.prediction.asked import Asked, Kept, numbered


def read_columns(path: Path, columns: Sequence[Column]) -> Rows:
    """Read a table into columns that were trained on.

    Raises:
        ValueError: Some are not there, or a row holds something else than it should.
        OSError: The file cannot be read.
    """
    names = column_names(path)
    lacking = [column.name for column in columns if column.name not in names]
    if lacking:
        raise ValueError(
            f"{path} must have the columns that the model was trained on, it lacks "
            f"{', '.join(map(repr, lacking))}; it has {', '.join(map(repr, names))}"
        )
    return read_rows([Source(path, DATA)], columns)


def read_table(path: Path, kept: Kept) -> Asked:
    """One text per row, or one row per step of a sequence, as it was in training.

    Raises:
        ValueError: Something is wrong with a column or a row.
        OSError: The file cannot be read.
    """
    columns = kept["columns"]
    if "text" in columns:
        texts = Texts(columns["text"])
        read_columns(path, [texts])
        return of_texts(texts.texts, kept)
    inputs = SequenceColumns.named(columns["id"], columns["time"], columns["covariates"])
    runs, series = inputs.series(read_columns(path, inputs.everything))
    words, codes = inputs.ids.words, inputs.ids.codes[runs.first_rows]
    return Asked(
        sequences=series.scaled(Scaler.from_json(kept["scaler"])),
        keys={inputs.ids.name: [words[code] for code in codes.tolist()]},
    )


def read_lines(path: Path, kept: Kept) -> Asked:
    """One text per line.

    Raises:
        ValueError: A line is blank or not UTF-8.
        OSError: The file cannot be read.
    """
    return of_texts(read_texts(path), kept)


def read_archive(path: Path, kept: Kept) -> Asked:
    """The series of a `.ts` file, with or without labels.

    Raises:
        ValueError: A line is not as the format wants it, or there are other channels.
        OSError: The file cannot be read.
    """
    check_text(path)
    cases = read_ts_series(path)
    channels, expected = cases[0].shape[1], kept["task"]["input_size"]
    if channels != expected:
        raise ValueError(
            f"{path} must have {expected} channels, as the model was trained on, got {channels}"
        )
    series = SeriesExamples(np.concatenate(cases), np.array([len(case) for case in cases]))
    return Asked(
        sequences=series.scaled(Scaler.from_json(kept["scaler"])), keys=numbered(len(cases))
    )


def read_sentences(path: Path, kept: Kept) -> Asked:
    """Words in columns, with or without tags.

    Raises:
        ValueError: A line is not as the others are.
        OSError: The file cannot be read.
    """
    return of_sentences(read_words(path, kept.get("columns", {}).get("text")), kept, "sentence")


def read_text(path: Path, kept: Kept) -> Asked:
    """The whole file as one text, in the tokens that a language model was trained on.

    Raises:
        ValueError: The file is not UTF-8, or holds nothing but blanks.
        OSError: It cannot be read.
    """
    names: dict[str, int] = {}
    tokens = read_tokens(path, kept["task"]["level"], names)
    with open_text(path) as file:
        ends_its_line = file.read().endswith(b"\n")
    tokens = tokens if ends_its_line else tokens[:-1]  # it may go on in the line
    known = Vocabulary(tuple(kept["vocabulary"]))
    unknown = np.array([known.count_unknown([[name]]) for name in names])
    return Asked(
        sequences=Sequences.from_list([known.encode(list(names))[tokens]]),
        keys=numbered(1),
        unknown=int(unknown[tokens].sum()),
        words=len(tokens),
    )


def of_texts(texts: Sequence[str], kept: Kept) -> Asked:
    """Texts, in the words that the model was trained on."""
    return of_sentences(words_of(texts, kept["words"]), kept, "row")


def of_sentences(sentences: Sequence[Sequence[str]], kept: Kept, key: str) -> Asked:
    """Sentences as numbers of the vocabulary."""
    known = Vocabulary(tuple(kept["vocabulary"]))
    return Asked(
        sequences=encoded(
            sentences, known, with_spelling=kept["task"].get("reads_spelling", False)
        ),
        keys=numbered(len(sentences), key),
        steps={
            "position": [range(1, len(sentence) + 1) for sentence in sentences],
            "word": sentences,
        },
        unknown=known.count_unknown(sentences),
        words=sum(len(sentence) for sentence in sentences),
    )
