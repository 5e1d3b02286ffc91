"""Language modelling of one's own text: what is read, how it is divided, what is refused."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from trainers.data.batching import DeviceData
from trainers.data.dataset import Dataset, Split
from trainers.own_data import OwnData, describe, load_own_data
from trainers.trivial.baselines import baseline

TEXT = "".join(f"The {word} of line {n}\n" for n in range(60) for word in ("Käse", "end"))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File names stand in sentences as they were given."""
    monkeypatch.chdir(tmp_path)


def load(text: str | bytes, name: str = "corpus.txt", **fields: object) -> Dataset:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    given = {"data": name, "task": "language_modelling", **fields}
    return load_own_data(OwnData.from_mapping(given))


def tokens(dataset: Dataset, split: Split) -> list[str]:
    """All tokens of a split with one stream."""
    names = dataset.preprocessing["vocabulary"]
    return [names[number] for number in split.inputs.values]


def test_characters_come_back_as_they_were() -> None:
    dataset = load(TEXT, level="character")
    splits = (dataset.train, dataset.valid, dataset.test)
    assert "".join("".join(tokens(dataset, split)) for split in splits) == TEXT
    held = [round(0.15 * len(TEXT))] * 2
    assert [len(split.inputs.values) for split in splits] == [len(TEXT) - sum(held), *held]
    assert dataset.task.metric().name == "bits_per_character"
    assert baseline(dataset).test["bits_per_character"] < 3


def test_words_end_in_lines_and_rare_ones_are_unknown() -> None:
    dataset = load(TEXT)
    assert dataset.task.metric().name == "perplexity"
    train = tokens(dataset, dataset.train)
    assert " ".join(train[:12]) == "The Käse of line 0 <eos> The end of line 0 <eos>"
    assert {"The", "of", "Käse"} <= set(train)
    assert tokens(dataset, dataset.test)[-2] == "<unknown>"  # 59 is not in train
    assert set(dataset.preprocessing["vocabulary"]) == {"<unknown>", "<Unknown>", *train}


def test_the_account_says_what_was_done() -> None:
    lines = describe(load(TEXT, level="character"))
    assert lines[:3] == [
        f"corpus.txt: {len(TEXT):,} tokens",
        "level: character; the end of a line is a character, too",
        "split: the end of every file is held out, 15% as valid and then 15% as test",
    ]
    assert "level: word (inferred)" in describe(load(TEXT))[1]


def test_every_file_is_a_stream_of_its_own() -> None:
    Path("more.txt").write_text(TEXT)
    dataset = load(TEXT, data=["corpus.txt", "more.txt"])
    once = load(TEXT)
    assert len(dataset.train) == 2 * len(once.train)
    assert len(list(DeviceData(dataset).test.order(5))) == len(once.test)
    assert dataset.test.inputs.lengths.sum() == 2 * once.test.inputs.lengths.sum()


def test_files_of_their_own_are_taken_whole() -> None:
    for name in ("valid.txt", "test.txt"):
        Path(name).write_text(TEXT[: len(TEXT) // 2])
    dataset = load(TEXT, valid="valid.txt", test="test.txt", level="character")
    assert len(dataset.train.inputs.values) == len(TEXT)
    lines = describe(dataset)
    assert any("files of their own" in line for line in lines)
    warnings = [line for line in lines if line.startswith("warning")]
    assert [line.partition(" examples are in ")[2][:14] for line in warnings] == [
        "train, too, va",
        "train or valid",
    ]
    only = load(TEXT, test="test.txt", level="character")
    assert any(line.endswith("15% as valid; test is a file of its own") for line in describe(only))


def test_unknown_words_are_counted() -> None:
    words = " ".join(f"word{n}" for n in range(400)) + "\n"
    lines = describe(load("again and again\n" * 50 + words))
    assert any(line.startswith("unknown in test: 98.9%") for line in lines)
    assert any("99% of the tokens of test are unknown" in line for line in lines)


def test_zipped_text_and_other_line_ends_are_the_same_text() -> None:
    plain = load(TEXT)
    for name, content in (
        ("a.txt.gz", gzip.compress(TEXT.encode())),
        ("b.txt", TEXT.replace("\n", "\r\n").encode()),
        ("c.txt", b"\xef\xbb\xbf" + TEXT.encode()),
    ):
        again = load(content, name)
        assert np.array_equal(again.train.inputs.values, plain.train.inputs.values)


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        (TEXT.encode("latin-1"), {}, r"corpus.txt, line 1 must be UTF-8 .* 0xe4 in 'The K"),
        (TEXT.encode("utf-16"), {}, "must be UTF-8 text, got UTF-16; save it as UTF-8"),
        ("", {}, "corpus.txt must hold data, got an empty file of 0 bytes"),
        ("\n \n\n" * 40, {}, "corpus.txt must hold text, got blank lines"),
        ("\n \n\n" * 40, {"level": "character"}, "corpus.txt must hold text, got blank lines"),
        ("one two three\n" * 9, {}, "must be longer: its part for valid .* 16 tokens, got 5 of 36"),
        ("a\n", {"valid_share": 0.9, "test_share": 0.05}, "its part for train .* 16 tokens, got 0"),
        (TEXT, {"level": "letter"}, "`level` must be word or character, got 'letter'"),
        (TEXT, {"level": "words"}, "got 'words'; did you mean 'word'"),
        (TEXT, {"level": 3}, "`level` must be text, got 3"),
        (TEXT, {"target": "y"}, "`target` has no meaning in language modelling; leave it out"),
        (TEXT, {"time": "t"}, "`time` has no meaning in language_modelling; leave it out"),
        (TEXT, {"task": "tagging", "level": "word"}, "`level` has no meaning in tagging"),
        (TEXT, {"test": "corpus.csv"}, "there is no file corpus.csv; did you mean 'corpus.txt'"),
        (TEXT, {"data": "."}, r"\. must be a file, got a folder; name the files in it"),
    ],
)
def test_spoiled_texts(text: str | bytes, fields: dict[str, object], words: str) -> None:
    with pytest.raises((ValueError, OSError)) as caught:
        load(text, **fields)
    sentence = str(caught.value)
    assert re.search(words, sentence), sentence
    assert "\n" not in sentence
    assert len(sentence) < 260


@pytest.mark.parametrize("level", ["word", "character"])
def test_a_zipped_nothing_holds_no_text(level: str) -> None:
    with pytest.raises(ValueError, match=r"nothing\.txt\.gz must hold text"):
        load(gzip.compress(b""), "nothing.txt.gz", level=level)


def test_a_text_in_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be from files that end in \.txt, got corpus.csv"):
        load(TEXT, "corpus.csv")
