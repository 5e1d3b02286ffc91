"""Language modelling of a user's own text: words or characters, with the ends of files held out."""

from array import array
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np

from trainers.benchmarks.vocabulary import UNKNOWN, UNKNOWN_CAPITALISED, Vocabulary
from trainers.data.dataset import Dataset, Split
from trainers.data.streams import PASSAGE, passages_of
from trainers.own_data.account import KEY, Account
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import NAMES
from trainers.own_data.files import read_lines
from trainers.own_data.leakage import warn_of_duplicates
from trainers.own_data.table import DATA, TEST, VALID, Source, sources_of
from trainers.tasks import LanguageModelling

END_OF_LINE: Final = "<eos>"
FEWEST: Final = 16
"""Tokens without which a part of a file is no text."""
MOST_WORDS: Final = 50_000
"""Words that are known; with more of them a model would be little else than their table."""
MINIMUM_COUNT: Final = 2
MANY_UNKNOWN: Final = 0.1

Parts = list[tuple[Source, int, np.ndarray]]
"""File, split and tokens, (tokens,) int32 each; one stream each."""


def text_data(own: OwnData) -> Dataset:
    """The next word or character; every file is a stream of its own.

    Raises:
        ValueError: A file is not UTF-8, or too short to be divided.
        OSError: A file cannot be read.
    """
    own.refuse(("target",), "in language modelling")
    level = own.level or "word"
    account = Account()
    names: dict[str, int] = {}
    sources = sources_of(own)
    texts = [read_tokens(source.path, level, names) for source in sources]
    for source, text in zip(sources, texts, strict=True):
        account.say(f"{source.path}: {len(text):,} tokens")
    account.say(f"level: {level}{'' if own.level else ' (inferred)'}; {_ENDS[level]}")
    parts = [
        part
        for source, text in zip(sources, texts, strict=True)
        for part in _held(own, source, text)
    ]
    account.say(f"split: {_rule(own)}")
    vocabulary = _vocabulary(parts, list(names))
    codes = vocabulary.encode(list(names))
    streams = [[codes[text] for _, split, text in parts if split == asked] for asked in range(3)]
    _say_what_is_known(streams, vocabulary, account)
    train, valid, test = (passages_of(each) for each in streams)
    _warn_of_repeats((train, valid, test), account)
    sizes = " / ".join(f"{split.inputs.lengths.sum():,}" for split in (train, valid, test))
    account.say(f"sizes: {sizes} tokens to foretell in train / valid / test")
    return Dataset(
        name=own.name,
        task=LanguageModelling(vocabulary=len(vocabulary), level=level),
        train=train,
        valid=valid,
        test=test,
        preprocessing={"vocabulary": vocabulary.to_json(), KEY: account.to_json()},
    )


_ENDS: Final = {
    "word": f"words stand between blanks, and {END_OF_LINE} at the end of every line",
    "character": "the end of a line is a character, too",
}


def read_tokens(path: Path, level: str, names: dict[str, int]) -> np.ndarray:
    """(tokens,) int32: the place in `names` of each token; new ones are added.

    Raises:
        ValueError: The file is not UTF-8, or holds nothing but blanks.
        OSError: It cannot be read.
    """
    lines = (line for _, line in read_lines(path))
    if level == "character":
        text = "".join(f"{line}\n" for line in lines)
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        kinds, places = np.unique(codes, return_inverse=True)
        mine = [names.setdefault(chr(code), len(names)) for code in kinds.tolist()]
        tokens = np.array(mine, dtype=np.int32)[places]
    else:
        words = chain.from_iterable((*line.split(), END_OF_LINE) for line in lines)
        tokens = np.array(
            array("i", (names.setdefault(word, len(names)) for word in words)), dtype=np.int32
        )
    blank = {names.get(token) for token in (END_OF_LINE, " ", "\t", "\n")}
    if set(np.unique(tokens).tolist()) <= blank:
        raise ValueError(f"{path} must hold text, got blank lines")
    return tokens


def _shares(own: OwnData) -> dict[int, float]:
    """What is held out of the files in `data`, by split."""
    if own.valid:
        return {}
    return {VALID: own.valid_share} | ({} if own.test else {TEST: own.test_share})


def _held(own: OwnData, source: Source, text: np.ndarray) -> Parts:
    """A file, divided where parts of it are held out."""
    shares = _shares(own) if source.part == DATA else {}
    sizes = [int(share * len(text) + 0.5) for share in shares.values()]
    borders = np.cumsum([len(text) - sum(sizes), *sizes])[:-1]
    splits = [source.part, *shares]
    parts = [
        (source, split, tokens)
        for split, tokens in zip(splits, np.split(text, borders), strict=True)
    ]
    for _, split, tokens in parts:
        if len(tokens) < FEWEST:
            raise ValueError(
                f"{source.path} must be longer: its part for {NAMES[split]} must have at least "
                f"{FEWEST} tokens, got {len(tokens)} of {len(text)}"
            )
    return parts


def _rule(own: OwnData) -> str:
    shares = _shares(own)
    if not shares:
        return "train, valid and test are files of their own"
    held = " and then ".join(f"{share:.0%} as {NAMES[part]}" for part, share in shares.items())
    rule = f"the end of every file is held out, {held}"
    return rule + ("; test is a file of its own" if own.test else "")


def _vocabulary(parts: Parts, names: Sequence[str]) -> Vocabulary:
    """The tokens that train has twice or more, the most frequent first."""
    trained = np.concatenate([tokens for _, split, tokens in parts if split == DATA])
    counts = np.bincount(trained, minlength=len(names))
    often = np.flatnonzero(counts >= MINIMUM_COUNT).tolist()
    known = sorted(often, key=lambda place: (-counts[place], names[place]))
    words = [names[place] for place in known if names[place] not in (UNKNOWN, UNKNOWN_CAPITALISED)]
    return Vocabulary((UNKNOWN, UNKNOWN_CAPITALISED, *words[:MOST_WORDS]))


def _say_what_is_known(
    streams: list[list[np.ndarray]], vocabulary: Vocabulary, account: Account
) -> None:
    account.say(
        f"vocabulary: {len(vocabulary):,} tokens, those that train has at least {MINIMUM_COUNT} "
        f"times (the {MOST_WORDS:,} most frequent at most) and two for all others"
    )
    for name, split in zip(NAMES, streams, strict=True):
        tokens = np.concatenate(split)
        share = float((tokens < 2).mean())
        account.say(f"unknown in {name}: {share:.1%} of the tokens")
        if name != NAMES[DATA] and share > MANY_UNKNOWN:
            account.warn(
                f"{share:.0%} of the tokens of {name} are unknown, and all of them count as one: "
                f"that is easily foretold, and no language"
            )


def _warn_of_repeats(splits: tuple[Split, ...], account: Account) -> None:
    """Passages of held-out text that train has, too, as long as they are whole."""
    whole = [
        (split.inputs.example(place).tobytes(), part)
        for part, split in enumerate(splits)
        for place in np.flatnonzero(split.inputs.lengths == PASSAGE).tolist()
    ]
    if whole:
        passages, parts = zip(*whole, strict=True)
        warn_of_duplicates(passages, np.array(parts), account)
