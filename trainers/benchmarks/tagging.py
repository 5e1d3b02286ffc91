"""Parts of speech, one for every word of a sentence."""

from pathlib import Path

import numpy as np

from trainers.benchmarks.benchmark import Benchmark
from trainers.benchmarks.conllu_files import TaggedSentence, read_conllu
from trainers.benchmarks.download import RemoteFile
from trainers.benchmarks.vocabulary import Vocabulary
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.spelling import spelt
from trainers.tasks import Tagging

ORIGIN = (
    "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/"
    "15d613d8447b3478787d4c278730a1e48a945efb"
)


def _remote(part: str, size_bytes: int, sha256: str) -> RemoteFile:
    name = f"en_ewt-ud-{part}.conllu"
    return RemoteFile(f"ud_english_ewt/{name}", f"{ORIGIN}/{name}", size_bytes, sha256)


class UDEnglishEWT(Benchmark):
    """17 universal parts of speech; words as they are written, those seen once in train unknown.

    Every word comes with how it is spelt (beginnings, ends and shape), which unknown words have as
    well. Not causal: a word's part of speech may show only in the words after it.

    Reference:
        Silveira et al., "A gold standard dependency corpus for English", LREC 2014.
    """

    name = "ud_english_ewt"
    summary = "the part of speech of every word of English web texts (UD 2.16, UPOS)"
    task = "tagging"
    metric = "accuracy"
    splits = "as published: 12,544 / 2,001 / 2,077 sentences, 204,577 / 25,147 / 25,094 words"
    licence = "CC BY-SA 4.0 (Universal Dependencies English EWT)"
    published = (
        "accuracy 0.9548, a BiLSTM that also reads characters (jPTDP v2 on UD 2.2); 0.944, "
        "UDPipe 1 on UD 2.5 with gold words; the treebank changes with every release"
    )
    files = (
        _remote(
            "train",
            14_203_025,
            "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
        ),
        _remote(
            "dev", 1_805_545, "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6"
        ),
        _remote(
            "test", 1_804_515, "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"
        ),
    )

    def prepare(self, folder: Path) -> Dataset:
        """Words of the vocabulary of the train split, as they are spelt, and their classes."""
        train, valid, test = (read_conllu(folder / file.path) for file in self.files)
        vocabulary = Vocabulary.build(sentence.words for sentence in train)
        classes = sorted({tag for sentence in train for tag in sentence.tags})
        numbers = {tag: number for number, tag in enumerate(classes)}

        def split(sentences: list[TaggedSentence]) -> Split:
            tags = [
                np.array([numbers[tag] for tag in sentence.tags], dtype=np.uint8)
                for sentence in sentences
            ]
            words = [
                spelt(vocabulary.encode(sentence.words), sentence.words) for sentence in sentences
            ]
            return Split(Sequences.from_list(words), Sequences.from_list(tags))

        return Dataset(
            name=self.name,
            task=Tagging(vocabulary=len(vocabulary), reads_spelling=True, classes=len(classes)),
            train=split(train),
            valid=split(valid),
            test=split(test),
            preprocessing={"vocabulary": vocabulary.to_json(), "classes": classes},
        )
