"""Tagging of a user's own sentences."""

import numpy as np

from trainers.benchmarks.vocabulary import Vocabulary
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.own_data.account import KEY, Account
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import NAMES, Division, divide
from trainers.own_data.examples import encoded, span
from trainers.own_data.leakage import warn_of_duplicates
from trainers.own_data.table import DATA, Rows, sources_of
from trainers.own_data.tag_files import Sentence, read_sentences
from trainers.tasks import EntityTagging, Tagging
from trainers.tasks.entities import are_bio


def tagging_data(own: OwnData) -> Dataset:
    """Words as numbers of a vocabulary, and their tags; not causal.

    Raises:
        ValueError: A line is not as the others are, or a tag is not in train.
        OSError: A file cannot be read.
    """
    account = Account()
    sources = sources_of(own)
    tag = own.target[0] if own.target else None
    files = [read_sentences(source.path, own.text, tag) for source in sources]
    sentences = [sentence for file in files for sentence in file]
    rows = Rows(tuple(sources), np.cumsum([len(file) for file in files]))
    account.say(*rows.counts("sentences"))
    _say_what_was_read(own, sentences, account)
    parts = rows.parts
    division = _with_rare_tags_in_train(divide(own, parts), sentences, parts)
    account.say(f"split: {division.rule}")
    classes, codes = _codes(sentences, division)
    account.say(f"classes: {', '.join(classes)}")
    known = Vocabulary.build(
        sentence.words
        for sentence, in_train in zip(sentences, division.is_train, strict=True)
        if in_train
    )
    warn_of_duplicates([sentence.words for sentence in sentences], division.splits, account)
    everything = Split(
        encoded([sentence.words for sentence in sentences], known, with_spelling=True),
        Sequences.from_list(codes),
    )
    train, valid, test = (
        everything.select(np.flatnonzero(division.splits == part)) for part in range(3)
    )
    account.say(f"sizes: {len(train):,} train / {len(valid):,} valid / {len(test):,} test")
    return Dataset(
        name=own.name,
        task=_task(len(known), classes, account),
        train=train,
        valid=valid,
        test=test,
        preprocessing={
            "vocabulary": known.to_json(),
            "classes": classes,
            "columns": {"text": own.text, "target": tag},
            KEY: account.to_json(),
        },
    )


def _task(vocabulary: int, classes: list[str], account: Account) -> Tagging:
    """Entities are judged where the tags mark any."""
    account.say("words are read with their spelling: how they begin and end, and their shape")
    count = len(classes)
    if not are_bio(classes):
        return Tagging(vocabulary=vocabulary, reads_spelling=True, classes=count)
    account.say("the tags mark entities, which `entity_f1` counts")
    return EntityTagging(
        vocabulary=vocabulary, reads_spelling=True, classes=count, tags=tuple(classes)
    )


def _say_what_was_read(own: OwnData, sentences: list[Sentence], account: Account) -> None:
    lengths = np.array([len(sentence.words) for sentence in sentences])
    word = own.text or "form in CoNLL-U, else the first column (inferred)"
    tag = own.target[0] if own.target else "upos in CoNLL-U, else the last column (inferred)"
    account.say(
        f"words: {word}",
        f"tags: {tag}",
        f"{len(sentences):,} sentences of {span(lengths)} words, {lengths.sum():,} words in all",
    )


def _with_rare_tags_in_train(
    division: Division, sentences: list[Sentence], parts: np.ndarray
) -> Division:
    """The first sentence of `data` with a tag that train would lack stays in train."""
    splits = division.splits.copy()
    trained = np.flatnonzero(division.is_train).tolist()
    met = {tag for place in trained for tag in sentences[place].tags}
    held = np.flatnonzero((parts == DATA) & ~division.is_train).tolist()
    for place in held:
        if not met.issuperset(sentences[place].tags):
            met.update(sentences[place].tags)
            splits[place] = DATA
    moved = int((splits != division.splits).sum())
    words = f"; {moved:,} sentences with rare tags stay in train" if moved else ""
    return Division(splits, division.rule + words)


def _codes(sentences: list[Sentence], division: Division) -> tuple[list[str], list[np.ndarray]]:
    """The tags of train in alphabetical order, and those of every sentence by number."""
    met = zip(sentences, division.splits.tolist(), strict=True)
    classes = sorted({tag for sentence, split in met if split == 0 for tag in sentence.tags})
    if len(classes) < 2:
        raise ValueError(
            f"{sentences[0].path} must hold at least two different tags, got only {classes[0]!r}"
        )
    numbers = {tag: number for number, tag in enumerate(classes)}
    for sentence, split in zip(sentences, division.splits.tolist(), strict=True):
        for tag in sentence.tags:
            if tag not in numbers:
                raise ValueError(
                    f"{sentence.place}: every tag must be in train, got {tag!r}, which is in "
                    f"{NAMES[split]} only; correct it, or divide otherwise (another `seed`)"
                )
    return classes, [
        np.array([numbers[tag] for tag in sentence.tags], dtype=np.int64) for sentence in sentences
    ]
