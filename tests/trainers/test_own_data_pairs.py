"""A user's own pairs of texts: tables, parallel files, and what is wrong with spoiled ones."""

import re
from pathlib import Path
from typing import Any

import pytest

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset
from trainers.models import MODELS
from trainers.own_data import OwnData, describe, load_own_data
from trainers.training.loop import Training

NUMBERS = ["eins", "zwei", "drei", "vier", "fünf"]
ENGLISH = ["one", "two", "three", "four", "five"]
COUNTED = [[(row + place) % 5 for place in range(1 + row % 4)] for row in range(40)]
GERMAN = [" ".join(NUMBERS[n] for n in row) + "." for row in COUNTED]
TRANSLATED = [" ".join(ENGLISH[n] for n in row) + "!" for row in COUNTED]
ROWS = [f"{one}\t{other}" for one, other in zip(GERMAN, TRANSLATED, strict=True)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File names stand in sentences as they were given."""
    monkeypatch.chdir(tmp_path)


def write(name: str, lines: list[str]) -> str:
    Path(name).write_text("\n".join(lines) + "\n", "utf-8")
    return name


def load(*files: str, **fields: Any) -> Dataset:
    own = {"data": list(files), "task": "translation", **fields}
    return load_own_data(OwnData.from_mapping(own))


def words_of(dataset: Dataset, split: str) -> set[tuple[str, str]]:
    """The pairs, as words with blanks between them."""
    found, source, target = (
        getattr(dataset, split),
        *(dataset.preprocessing[f"{side}vocabulary"] for side in ("", "target_")),
    )
    return {
        (
            " ".join(source[word] for word in found.inputs.example(row)),
            " ".join(target[word] for word in found.targets.example(row)),
        )
        for row in range(len(found))
    }


def test_a_table_of_two_languages() -> None:
    dataset = load(write("pairs.tsv", ["de\ten", *ROWS]))
    assert dataset.name == "pairs"
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [28, 6, 6]
    expected = {
        (f"{one[:-1]} .", f"{other[:-1]} ! <end>")
        for one, other in zip(GERMAN, TRANSLATED, strict=True)
    }
    assert words_of(dataset, "train") <= expected
    assert set(dataset.preprocessing["target_vocabulary"]) == {*ENGLISH, "!", "<unknown>", "<end>"}
    assert dataset.task.to_json()["longest"] == 6
    lines = describe(dataset)
    for words in (
        "pairs.tsv: 40 rows",
        "text: de (inferred)",
        "target: en (inferred)",
        "split: 15% as valid and 15% as test held out, at random, with seed 0",
        "sizes: 28 train / 6 valid / 6 test",
        "vocabularies: 8 and 8 words, those at least 2 times in train; others are unknown",
    ):
        assert words in lines
    assert any(re.match(r"40 pairs of 2 to 5 words and 2 to 5 words; every sign", x) for x in lines)
    assert any(line.startswith("warning: ") and "value for value" in line for line in lines)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("source\ttarget", {}),
        ("input\tOutput", {}),
        ("a\tb", {"text": "a", "target": "b"}),
        ("number\tde\ten", {"text": "de", "target": "en"}),
        ("en\tde", {"text": "en", "target": "de"}),
    ],
)
def test_columns_are_found_by_name_or_given(header: str, fields: dict[str, Any]) -> None:
    before = "7\t" if header.startswith("number") else ""
    dataset = load(write("pairs.tsv", [header, *(f"{before}{row}" for row in ROWS)]), **fields)
    (first, *_) = words_of(dataset, "train")
    assert first[0].split()[0] in NUMBERS
    assert first[1].split()[-1] == "<end>"


@pytest.mark.parametrize("names", [("one.txt", "other.txt"), ("train.de", "train.en")])
def test_two_files_line_by_line(names: tuple[str, str]) -> None:
    dataset = load(write(names[0], GERMAN), write(names[1], TRANSLATED))
    table = load(write("pairs.tsv", ["de\ten", *ROWS]))
    for split in ("train", "valid", "test"):
        assert words_of(dataset, split) == words_of(table, split)
    assert f"{names[0]}: 40 lines" in describe(dataset)
    assert f"{names[1]}: as many, their translations" in describe(dataset)


def test_splits_may_be_files_of_their_own() -> None:
    sides = [("de", GERMAN), ("en", TRANSLATED)]
    given = {
        split: [write(f"{split}.{side}", lines[part]) for side, lines in sides]
        for split, part in (
            ("train", slice(0, 30)),
            ("valid", slice(30, 36)),
            ("test", slice(36, 40)),
        )
    }
    dataset = load(*given["train"], valid=given["valid"], test=given["test"])
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [30, 6, 4]
    assert any("files of their own" in line for line in describe(dataset))


def test_one_endless_text_does_not_let_all_answers_be_endless() -> None:
    table = write("pairs.tsv", ["de\ten", *ROWS * 4, f"eins.\t{'one ' * 500}"])
    dataset = load(table, seed=1)
    assert dataset.train.targets.lengths.max() == 501
    assert dataset.task.to_json()["longest"] == 12


def test_a_model_trains_on_them() -> None:
    dataset = load(write("pairs.tsv", ["de\ten", *ROWS]))
    config = default(family_space(MODELS["gru"], dataset.task, len(dataset.train)))
    training = Training(MODELS["gru"], config, DeviceData(dataset), seed=0, epochs=1)
    assert set(training.run_epoch().valid) == {"bleu", "nats_per_token"}


def sentence_for(*files: str, **fields: Any) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        load(*files, **fields)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 260
    return sentence


def test_parallel_files_of_different_length() -> None:
    sentence = sentence_for(write("a.de", GERMAN), write("a.en", TRANSLATED[:-3]))
    assert "a.en must have as many lines as a.de, which has 40, got 37" in sentence


def test_an_empty_side() -> None:
    blank = [*GERMAN[:6], "  ", *GERMAN[7:]]
    sentence = sentence_for(write("a.de", blank), write("a.en", TRANSLATED))
    assert "a.de, row 7 must hold a text, got a blank line" in sentence
    rows = ["de\ten", *ROWS[:6], "sieben\t", *ROWS[7:]]
    sentence = sentence_for(write("pairs.tsv", rows))
    assert "pairs.tsv, row 7: column 'en' must have a value in every row, got nothing" in sentence


def test_a_wrong_encoding() -> None:
    Path("a.de").write_bytes("\n".join(GERMAN).encode("latin-1"))
    sentence = sentence_for("a.de", write("a.en", TRANSLATED))
    assert re.search(r"a.de, line \d+ must be UTF-8 text, got the byte 0xfc", sentence)


def test_columns_that_nobody_named() -> None:
    sentence = sentence_for(write("pairs.tsv", ROWS))
    assert (
        "`text` and `target` must name the columns of the two languages; pairs.tsv has: eins., "
        in (sentence)
    )
    assert "put a line with the names before it" in sentence
    sentence = sentence_for(write("pairs.tsv", ["de\ten", *ROWS]), target="fr")
    assert "has no column 'fr' to be the target" in sentence
    sentence = sentence_for("pairs.tsv", target=["de", "en"])
    assert "`target` must be one column in translation, got 2" in sentence


def test_one_file_where_two_are_needed() -> None:
    de, en = write("a.de", GERMAN), write("a.en", TRANSLATED)
    assert "`data` must name two files for translation" in sentence_for(de)
    assert "`test` must name two files for translation" in sentence_for(de, en, test=[en])
    assert "`text` has no meaning where each line is one text" in sentence_for(de, en, text="x")
    assert "all files must be of one kind" in sentence_for(de, write("b.tsv", ["de\ten", *ROWS]))
    assert "must end in one of" in sentence_for(write("a.xyz", GERMAN), en)


def test_too_few_pairs() -> None:
    sentence = sentence_for(write("a.de", GERMAN[:2]), write("a.en", TRANSLATED[:2]))
    assert "there must be at least 3 examples, one for each split, got 2" in sentence
