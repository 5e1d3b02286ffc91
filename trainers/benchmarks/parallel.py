"""Pairs of sentences as numbers of two vocabularies, for translation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from trainers.benchmarks.vocabulary import END, Vocabulary
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Translation

MINIMUM_COUNT: Final = 2

Sentences = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sentences as lists of words, and what they are in the other language."""

    sources: Sentences
    targets: Sentences


def translation_data(
    name: str,
    splits: Mapping[str, Pairs],
    preprocessing: Mapping[str, Any],
    minimum_count: int = MINIMUM_COUNT,
) -> Dataset:
    """The data set of `train`, `valid` and `test`; vocabularies are those of train.

    Every target ends with a class of its own, the last; the first stands for unknown words. Answers
    may be as long as the longest target of train, but not twice as long as 99 of 100 are.

    Args:
        preprocessing: What else a later prediction needs.
        minimum_count: Words that are rarer in train are unknown.
    """
    train = splits["train"]
    source = Vocabulary.build(train.sources, minimum_count=minimum_count)
    target = Vocabulary.build(train.targets, minimum_count=minimum_count, cased=False)
    end = len(target)
    lengths = np.array([len(sentence) + 1 for sentence in train.targets])
    usual = int(np.quantile(lengths, 0.99, method="lower"))

    def split(pairs: Pairs) -> Split:
        inputs = [source.encode(sentence) for sentence in pairs.sources]
        targets = [np.append(target.encode(one), end).astype(np.int32) for one in pairs.targets]
        return Split(Sequences.from_list(inputs), Sequences.from_list(targets))

    return Dataset(
        name=name,
        task=Translation(
            vocabulary=len(source),
            classes=end + 1,
            unknown=1,
            longest=min(int(lengths.max()), 2 * usual),
        ),
        preprocessing={
            "vocabulary": source.to_json(),
            "target_vocabulary": [*target.to_json(), END],
            **preprocessing,
        },
        **{name: split(pairs) for name, pairs in splits.items()},
    )
