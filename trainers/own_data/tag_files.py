"""Read words with a tag each from columns, sentences parted by blank lines: CoNLL and CoNLL-U."""

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
    is_conllu = suffix_of(path) == ".conllu"
    sentences: list[Sentence] = []
    rows: list[tuple[int, list[str]]] = []
    columns = len(CONLLU) if is_conllu else 0
    for number, line in [*read_lines(path), (0, "")]:
        if (is_conllu and line.startswith("#")) or line.startswith("-DOCSTART-"):
            continue
        if line.strip():
            cells = line.split("\t") if is_conllu or "\t" in line else line.split()
            columns = columns or len(cells)
            _check_cells(path, number, cells, columns)
            if not is_conllu or cells[0].isdecimal():  # "3-4" is a multiword token, "3.1" empty
                rows.append((number, cells))
        elif rows:
            chosen = (_number(path, word, columns, 1), _number(path, tag, columns, columns))
            sentences.append(_sentence(path, rows, chosen))
            rows = []
    _check_sentences(path, sentences)
    return sentences


def _check_cells(path: Path, number: int, cells: list[str], columns: int) -> None:
    if columns < 2:
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


def _sentence(path: Path, rows: list[tuple[int, list[str]]], chosen: tuple[int, int]) -> Sentence:
    words, tags = (tuple(cells[place] for _, cells in rows) for place in chosen)
    return Sentence(path, rows[0][0], words, tags)


def _check_sentences(path: Path, sentences: list[Sentence]) -> None:
    if not sentences:
        raise ValueError(f"{path} must hold sentences, got blank lines")
    longest = max(sentences, key=lambda sentence: len(sentence.words))
    if len(sentences) == 1 or len(longest.words) > MANY_WORDS:
        raise ValueError(
            f"{longest.place}: sentences must be parted by blank lines, got one of "
            f"{len(longest.words):,} words{', and no other' if len(sentences) == 1 else ''}"
        )
