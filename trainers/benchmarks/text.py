"""Sentences of film reviews, for or against."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark, check_range
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.splitting import deal_folds, hold_out
from trainers.benchmarks.vocabulary import Vocabulary
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification

ORIGIN = (
    "https://raw.githubusercontent.com/yoonkim/CNN_sentence/"
    "23e0e1f7355705bb083043fda05c031b15acb38c"
)
FOLDS = 10


@dataclass(frozen=True, kw_only=True)
class RottenTomatoes(Benchmark):
    """Sentences as lists of words, as the files part them; words seen once in train are unknown.

    Attributes:
        fold: Which tenth is test. The published figures are means over all ten, 0 to 9.

    Reference:
        Pang & Lee, "Seeing stars", ACL 2005, for the data; Kim, "Convolutional neural networks for
        sentence classification", EMNLP 2014, for the protocol.
    """

    name = "rotten_tomatoes"
    summary = "whether a sentence of a film review is for or against the film"
    task = "classification"
    metric = "accuracy"
    splits = (
        "no published split: ten folds, even in both classes, dealt with seed 0; of the folds that "
        "are not test a tenth of every class is valid: 8,634 / 960 / 1,068 in fold 0"
    )
    licence = "not stated at the origin, which asks to cite Pang & Lee 2005; research only"
    published = (
        "accuracy 0.761 without pretrained vectors, CNN-rand (Kim 2014, mean of 10 folds; 0.759 in "
        "the re-run of harvardnlp)"
    )
    files = (
        RemoteFile(
            "rt_polarity/rt-polarity.neg",
            f"{ORIGIN}/rt-polarity.neg",
            612_256,
            "4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca",
        ),
        RemoteFile(
            "rt_polarity/rt-polarity.pos",
            f"{ORIGIN}/rt-polarity.pos",
            626_139,
            "2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0",
        ),
    )

    fold: int = 0

    def __post_init__(self) -> None:
        check_range("fold", self.fold, 0, FOLDS - 1)

    def prepare(self, folder: Path) -> Dataset:
        """Tokens of the vocabulary of the train split; class 1 is for the film."""
        against, for_it = (read_sentences(folder / file.path) for file in self.files)
        sentences = against + for_it
        labels = np.repeat(np.arange(2), [len(against), len(for_it)])
        in_test = deal_folds(labels, FOLDS) == self.fold
        rest, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
        kept, held = hold_out(labels[rest], 1 / 10)
        train, valid = rest[kept], rest[held]
        vocabulary = Vocabulary.build([sentences[place] for place in train])
        everything = Split(
            Sequences.from_list([vocabulary.encode(sentence) for sentence in sentences]),
            Sequences.from_array(labels[:, None]),
        )
        return Dataset(
            name=self.name,
            task=Classification(vocabulary=len(vocabulary), classes=2),
            train=everything.select(train),
            valid=everything.select(valid),
            test=everything.select(test),
            preprocessing={
                "vocabulary": vocabulary.to_json(),
                "words": r"\S+",
                "classes": ["against", "for"],
            },
        )


def read_sentences(path: Path) -> list[list[str]]:
    """The words of every line of a Latin-1 file; words stand between blanks.

    Raises:
        ValueError: A line has no words.
    """
    # not `splitlines`: the files hold bytes that it takes for line ends
    lines = path.read_text("latin-1").removesuffix("\n").split("\n")
    sentences = [line.split() for line in lines]
    for number, sentence in enumerate(sentences, 1):
        if not sentence:
            raise ValueError(f"{path}, line {number}: a sentence must have words, got none")
    return sentences
