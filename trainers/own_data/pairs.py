"""Pairs of texts, in two columns of a table or in two files line by line, for translation."""

import re
from typing import Any, Final

import numpy as np

from trainers.benchmarks.parallel import MINIMUM_COUNT, Pairs, translation_data
from trainers.data.dataset import SPLITS, Dataset
from trainers.own_data.account import KEY, Account
from trainers.own_data.columns import Texts
from trainers.own_data.description import OwnData
from trainers.own_data.dividing import divide
from trainers.own_data.examples import TOKEN, span, words_of
from trainers.own_data.leakage import warn_of_duplicates
from trainers.own_data.roles import Roles, given_roles
from trainers.own_data.table import Rows, Source, read_rows, sources_of, survey
from trainers.own_data.texts import read_texts

SOURCES: Final = ("source", "src", "from", "input", "text")
TARGETS: Final = ("target", "tgt", "to", "output", "translation")
LANGUAGE: Final = re.compile(r"[a-z]{2}([-_][A-Za-z]{2})?")


def pair_data(own: OwnData) -> Dataset:
    """Two columns of a table: `text` in the one language, `target` in the other.

    Raises:
        ValueError: It is not clear which columns these are, or a row lacks a text.
        OSError: A file cannot be read.
    """
    account = Account()
    sources = sources_of(own)
    roles = given_roles(own, sources[0].path, survey(sources[0].path))
    source, target = _columns(roles)
    texts, translations = Texts(source), Texts(target)
    rows = read_rows(sources, [texts, translations])
    account.say(
        *rows.counts(),
        *roles.words(),
        *(f"{column.name}: {column.summary}" for column in (texts, translations)),
    )
    columns = {"columns": {"text": source, "target": [target]}}
    return _dataset(own, rows, (texts.texts, translations.texts), account, columns)


def _columns(roles: Roles) -> tuple[str, str]:
    """As the user says; else by their names, or two languages in their order."""
    given = {role: column for column, role in roles.taken.items()}
    source = given.get("text") or roles.named("text", SOURCES)
    target = given.get("target") or roles.named("target", TARGETS)
    left = roles.left()
    if source is None and target is None and len(left) == 2 and all(map(_is_language, left)):
        source, target = (
            roles.named(role, (column.lower(),))
            for role, column in zip(("text", "target"), left, strict=True)
        )
    if source is None or target is None:
        raise ValueError(
            f"`text` and `target` must name the columns of the two languages; {roles.path} has: "
            f"{', '.join(roles.kinds)} (its first line; where that is a pair already, put a line "
            f"with the names before it)"
        )
    return source, target


def _is_language(name: str) -> bool:
    return LANGUAGE.fullmatch(name) is not None


def line_pair_data(own: OwnData) -> Dataset:
    """Two files, a text and its translation in the same line of each.

    Raises:
        ValueError: There are not two files, they differ in their lines, or a line is blank.
        OSError: A file cannot be read.
    """
    own.refuse(("text", "target"), "where each line is one text")
    for name in ("data", "valid", "test"):
        given = getattr(own, name)
        if len(given) not in ((2,) if name == "data" else (0, 2)):
            raise ValueError(
                f"`{name}` must name two files for translation, one for each language (or a table "
                f"of two columns), got {len(given)}"
            )
    sources = sources_of(own)
    sides: tuple[list[str], list[str]] = ([], [])
    ends: list[int] = []
    for first, second in zip(sources[::2], sources[1::2], strict=True):
        for side, lines in zip(sides, _parallel(first, second), strict=True):
            side.extend(lines)
        ends.append(len(sides[0]))
    account = Account()
    rows = Rows(tuple(sources[::2]), np.array(ends))
    account.say(*rows.counts("lines"))
    account.say(*(f"{two.path}: as many, their translations" for two in sources[1::2]))
    return _dataset(own, rows, sides, account, {})


def _parallel(first: Source, second: Source) -> tuple[list[str], list[str]]:
    one, other = read_texts(first.path), read_texts(second.path)
    if len(one) != len(other):
        raise ValueError(
            f"{second.path} must have as many lines as {first.path}, which has {len(one):,}, "
            f"got {len(other):,}; line n of the one must be the translation of line n of the other"
        )
    return one, other


def _dataset(
    own: OwnData,
    rows: Rows,
    texts: tuple[list[str], list[str]],
    account: Account,
    columns: dict[str, Any],
) -> Dataset:
    words = tuple(words_of(side, TOKEN.pattern) for side in texts)
    lengths = [np.array([len(sentence) for sentence in side]) for side in words]
    division = divide(own, rows.parts)
    pairs = list(zip(*texts, strict=True))
    account.say(
        f"{len(pairs):,} pairs of {span(lengths[0])} words and {span(lengths[1])} words; every "
        f"sign that is neither letter nor digit is a word; BLEU is over these words",
        f"split: {division.rule}",
    )
    warn_of_duplicates(pairs, division.splits, account)
    splits = {}
    for part, name in enumerate(SPLITS):
        members = np.flatnonzero(division.splits == part).tolist()
        splits[name] = Pairs(*([side[place] for place in members] for side in words))
    sizes = [f"{len(splits[name].sources):,} {name}" for name in SPLITS]
    account.say(f"sizes: {' / '.join(sizes)}")
    dataset = translation_data(own.name, splits, {"words": TOKEN.pattern, **columns})
    known = [len(dataset.preprocessing[f"{side}vocabulary"]) for side in ("", "target_")]
    account.say(
        f"vocabularies: {known[0]:,} and {known[1]:,} words, those at least {MINIMUM_COUNT} times "
        f"in train; others are unknown"
    )
    dataset.preprocessing[KEY] = account.to_json()
    return dataset
