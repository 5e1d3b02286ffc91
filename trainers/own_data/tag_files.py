"""Read words with a tag each from columns, sentences parted by blank lines: CoNLL and CoNLL-U."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spaces import did_you_mean
from trainers.own_data.files import read_lines, suffix_of

CONLLU: Final = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
MANY_WORDS: Final = 1_000
"""In a longer sentence blank lines are missing."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and the tag of each.

    Attributes:
        line: Where it begins in its file.
    """

    path: Path
    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def place(self) -> str:
        """Such as `train.conll, line 17`."""
        return f"{self.path}, line {self.line}"


def read_sentences(path: Path, word: str | None, tag: str | None) -> list[Sentence]:
    """All sentences of a file.

    Of CoNLL-U, multiword tokens and empty nodes are left out.

    Args:
        word: The column of words: by name in CoNLL-U (`form` if None), else its number from 1 (the
            first if None).
        tag: The column of tags: by name in CoNLL-U (`upos` if None), else its number (the last).

    Raises:
        ValueError: A line is not as the others are, or sentences are not parted by blank lines.
        OSError: The file cannot be read.
    """
    sentences = []
    for rows in _read_rows(path, needed=2):
        columns = len(rows[0][1])
        chosen = (_number(path, word, columns, 1), _number(path, tag, columns, columns))
        words, tags = (tuple(cells[place] for _, cells in rows) for place in chosen)
        sentences.append(Sentence(path, rows[0][0], words, tags))
    _check_sentences(path, sentences)
    return sentences


def read_words(path: Path, word: str | None) -> list[tuple[str, ...]]:
    """The words of all sentences of a file, which may lack tags.

    Args:
        word: See `read_sentences`.

    Raises:
        ValueError: A line is not as the others are.
        OSError: The file cannot be read.
    """
    sentences = []
    for rows in _read_rows(path, needed=1):
        place = _number(path, word, len(rows[0][1]), 1)
        sentences.append(tuple(cells[place] for _, cells in rows))
    if not sentences:
        raise ValueError(f"{path} must hold sentences, got blank lines")
    return sentences


def _read_rows(path: Path, *, needed: int) -> Iterator[list[tuple[int, list[str]]]]:
    """For each sentence its lines, by number, as cells.

    Args:
        needed: The fewest columns.
    """
    is_conllu = suffix_of(path) == ".conllu"
    rows: list[tuple[int, list[str]]] = []
    columns = len(CONLLU) if is_conllu else 0
    for number, line in [*read_lines(path), (0, "")]:
        if (is_conllu and line.startswith("#")) or line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            cells = line.split("\t") if is_conllu or "\t" in line else line.split()
            columns = columns or len(cells)
            _check_cells(path, number, cells, columns, needed)
            if not is_conllu or cells[0].isdecimal():  # "3-4" is a multiword token, "3.1" empty
                rows.append((number, cells))
        elif rows:
            yield rows
            rows = []


def _check_cells(path: Path, number: int, cells: list[str], columns: int, needed: int) -> None:
    if columns < needed:
        raise ValueError(
            f"{path}, line {number} must have a word and its tag, parted by a tab or a blank, "
            f"got {cells[0][:40]!r}"
        )
    if len(cells) != columns or not all(cells):
        got = len(cells) if all(cells) else "an empty one"
        raise ValueError(
            f"{path}, line {number} must have {columns} columns, as others have, got {got}"
        )


def _number(path: Path, column: str | None, columns: int, default: int) -> int:
    """The place of a column, from 0."""
    if suffix_of(path) == ".conllu":
        name = (column or ("form" if default == 1 else "upos")).lower()
        if name not in CONLLU:
            raise ValueError(f"{path} has no column {name!r}{did_you_mean(name, set(CONLLU))}")
        return CONLLU.index(name)
    if column is None:
        return default - 1
    if not column.isdecimal() or not 1 <= int(column) <= columns:
        raise ValueError(
            f"{path}: columns have no names, only numbers from 1 to {columns}, got {column!r}"
        )
    return int(column) - 1


def _check_sentences(path: Path, sentences: list[Sentence]) -> None:
    if not sentences:
        raise ValueError(f"{path} must hold sentences, got blank lines")
    longest = max(sentences, key=lambda sentence: len(sentence.words))
    if len(sentences) == 1 or len(longest.words) > MANY_WORDS:
        raise ValueError(
            f"{longest.place}: sentences must be parted by blank lines, got one of "
            f"{len(longest.words):,} words{', and no other' if len(sentences) == 1 else ''}"
        )
