"""Read CoNLL-U files, the text format of Universal Dependencies."""

from dataclasses import dataclass
from pathlib import Path

COLUMNS = 10


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """The words of a sentence and the universal part of speech of each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(path: Path) -> list[TaggedSentence]:
    """The syntactic words of every sentence, without multiword tokens and empty nodes.

    Raises:
        ValueError: The file is not such a file; the message names the line.
    """
    sentences: list[TaggedSentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*path.read_text("utf-8").split("\n"), ""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(tuple(words), tuple(tags)))
                words, tags = [], []
            continue
        columns = line.split("\t")
        if len(columns) != COLUMNS:
            raise ValueError(
                f"{path}, line {number}: a word must have {COLUMNS} columns parted by tabs, "
                f"got {len(columns)}"
            )
        if columns[0].isdecimal():  # "3-4" is a multiword token, "3.1" an empty node
            words.append(columns[1])
            tags.append(columns[3])
    if not sentences:
        raise ValueError(f"{path}: there must be at least one sentence, got none")
    return sentences
