"""Facts of benchmarks of real data: published counts, and the floors of trivial answers."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.svm import SVC

from trainers.benchmarks import load_benchmark
from trainers.benchmarks.conllu_files import read_conllu
from trainers.benchmarks.images import read_idx
from trainers.benchmarks.speech import read_wave
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.trivial.baselines import baseline, baselines

CacheOf = Callable[[str], Path]
LoadOnce = Callable[[str], Dataset]


def counts(dataset: Dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.valid, dataset.test)]


def stacked(sequences: Sequences) -> np.ndarray:
    return np.stack([sequences.example(index) for index in range(len(sequences))])


# digits


def test_digits_are_split_by_class_and_scaled_on_train(tmp_path: Path) -> None:
    dataset = load_benchmark("digits_rows", cache=tmp_path)
    assert counts(dataset) == [1076, 362, 359]
    for split in (dataset.valid, dataset.test):
        per_class = np.bincount(stacked(split.targets)[:, 0])
        assert per_class.max() - per_class.min() <= 2
    train = stacked(dataset.train.inputs)
    assert train.shape == (1076, 8, 8)
    assert abs(train.mean(dtype=np.float64)) < 1e-6
    assert abs(train.std(dtype=np.float64) - 1) < 1e-6
    scaler = dataset.preprocessing["scaler"]
    grey = train * scaler["std"][0] + scaler["mean"][0]
    assert np.abs(grey - grey.round()).max() < 1e-4
    assert (grey.round().min(), grey.round().max()) == (0, 16)


def test_digits_by_rows_and_by_pixels_are_the_same_images(tmp_path: Path) -> None:
    rows = load_benchmark("digits_rows", cache=tmp_path)
    pixels = load_benchmark("digits_pixels", cache=tmp_path)
    assert stacked(pixels.test.inputs).shape == (359, 64, 1)
    assert (stacked(rows.test.inputs).ravel() == stacked(pixels.test.inputs).ravel()).all()


def test_the_support_vector_machine_quoted_for_digits(tmp_path: Path) -> None:
    dataset = load_benchmark("digits_rows", cache=tmp_path)

    def flat(split: Split) -> tuple[np.ndarray, np.ndarray]:
        return stacked(split.inputs).reshape(len(split), -1), stacked(split.targets)[:, 0]

    machine = SVC().fit(*flat(dataset.train))
    assert machine.score(*flat(dataset.test)) == pytest.approx(0.989, abs=0.002)


# music


@pytest.mark.parametrize(
    ("name", "sequences", "frames", "shortest", "longest"),
    [
        ("jsb_chorales", [229, 76, 77], [13_807, 4_602, 4_725], 25, 160),
        ("nottingham", [694, 173, 170], [176_561, 45_513, 44_463], 40, 1_793),
    ],
)
def test_counts_of_the_music(
    name: str,
    sequences: list[int],
    frames: list[int],
    shortest: int,
    longest: int,
    load_once: LoadOnce,
) -> None:
    dataset = load_once(name)
    assert counts(dataset) == sequences
    splits = (dataset.train, dataset.valid, dataset.test)
    assert [len(split.inputs.values) for split in splits] == frames
    lengths = np.concatenate([split.inputs.lengths for split in splits])
    assert (lengths.min() + 1, lengths.max() + 1) == (shortest, longest)
    assert int(lengths.sum()) == sum(frames) - sum(sequences)


def test_targets_of_music_are_the_next_frames_without_a_copy(load_once: LoadOnce) -> None:
    dataset = load_once("jsb_chorales")
    assert dataset.train.inputs.values is dataset.train.targets.values
    assert dataset.train.inputs.values.dtype == np.uint8
    for index in (0, 17, 228):
        inputs, targets = dataset.train.inputs.example(index), dataset.train.targets.example(index)
        assert (inputs[1:] == targets[:-1]).all()
    _, arrays = dataset.to_parts()
    assert sum(array.nbytes for name, array in arrays.items() if "values" in name) == 88 * (
        13_807 + 4_602 + 4_725
    )


@pytest.mark.parametrize(
    ("name", "frequency", "markov"),
    [("jsb_chorales", 11.09, 10.49), ("nottingham", 10.26, 5.15)],
)
def test_floors_of_the_music(
    name: str, frequency: float, markov: float, load_once: LoadOnce
) -> None:
    rows = baselines(load_once(name))
    assert [row.name for row in rows] == [
        "label frequencies",
        "label frequencies after on and after off",
    ]
    assert rows[0].test["nats_per_frame"] == pytest.approx(frequency, abs=0.005)
    assert rows[1].test["nats_per_frame"] == pytest.approx(markov, abs=0.005)


# MNIST


def test_mnist_holds_out_the_last_train_images(
    load_once: LoadOnce, benchmark_cache: CacheOf
) -> None:
    folder = benchmark_cache("mnist_pixels")
    labels = read_idx(folder / "mnist" / "train-labels-idx1-ubyte.gz")
    images = read_idx(folder / "mnist" / "train-images-idx3-ubyte.gz")
    dataset = load_once("mnist_pixels")
    assert (dataset.train.targets.values == labels[:55_000]).all()
    assert (dataset.valid.targets.values == labels[55_000:]).all()
    scaler = dataset.preprocessing["scaler"]
    assert scaler["mean"][0] / 255 == pytest.approx(0.1307, abs=5e-4)
    assert scaler["std"][0] / 255 == pytest.approx(0.3081, abs=5e-4)
    grey = dataset.valid.inputs.example(77)[:, 0] * scaler["std"][0] + scaler["mean"][0]
    assert (np.rint(grey) == images[55_077].ravel()).all()
    assert len(np.unique(dataset.train.inputs.values[:1_000_000])) == 256


def test_permuted_mnist_is_the_same_in_another_order(load_once: LoadOnce) -> None:
    plain = load_once("mnist_pixels")
    permuted = load_once("mnist_permuted")
    order = permuted.preprocessing["order"]
    assert sorted(order) == plain.preprocessing["order"] == list(range(784))
    assert order[:5] == [52, 757, 10, 713, 337]
    for index in (0, 9_999):
        assert (
            permuted.test.inputs.example(index) == plain.test.inputs.example(index)[order]
        ).all()


def test_the_majority_of_mnist(load_once: LoadOnce) -> None:
    dataset = load_once("mnist_pixels")
    assert baseline(dataset).test["accuracy"] == 0.1135  # the ones


# archives of time series


@pytest.mark.parametrize(
    ("name", "classes", "channels", "lengths", "majority"),
    [
        ("japanese_vowels", 9, 12, (7, 29), 0.238),
        ("basic_motions", 4, 6, (100, 100), 0.250),
        ("italy_power_demand", 2, 1, (24, 24), 0.501),
    ],
)
def test_archives_are_as_published(
    name: str,
    classes: int,
    channels: int,
    lengths: tuple[int, int],
    majority: float,
    load_once: LoadOnce,
) -> None:
    dataset = load_once(name)
    assert dataset.task.to_json()["classes"] == len(dataset.preprocessing["classes"]) == classes
    assert dataset.task.input_size == channels
    everything = np.concatenate(
        [split.inputs.lengths for split in (dataset.train, dataset.valid, dataset.test)]
    )
    assert (everything.min(), everything.max()) == lengths
    largest = np.bincount(dataset.test.targets.values).max() / len(dataset.test)
    assert largest == pytest.approx(majority, abs=0.0006)
    steps = np.concatenate([dataset.train.inputs.example(i) for i in range(len(dataset.train))])
    assert np.abs(steps.mean(axis=0, dtype=np.float64)).max() < 1e-5
    assert np.abs(steps.std(axis=0, dtype=np.float64) - 1).max() < 1e-5


# spoken digits


def test_spoken_digits_on_the_official_split(load_once: LoadOnce) -> None:
    dataset = load_once("spoken_digits")
    assert counts(dataset) == [2_400, 300, 300]
    for split, each in ((dataset.train, 240), (dataset.valid, 30), (dataset.test, 30)):
        assert np.bincount(split.targets.values).tolist() == [each] * 10
    lengths = np.concatenate(
        [split.inputs.lengths for split in (dataset.train, dataset.valid, dataset.test)]
    )
    # the shortest and the longest recording have 1,148 and 18,262 samples
    assert (lengths.min(), lengths.max()) == (1 + (1_148 - 200) // 80, 1 + (18_262 - 200) // 80)


def test_spoken_digits_without_one_speaker(benchmark_cache: CacheOf) -> None:
    folder = benchmark_cache("spoken_digits")
    dataset = load_benchmark("spoken_digits", {"test_speaker": "yweweler"}, cache=folder)
    assert counts(dataset) == [2_000, 500, 500]
    for split, speaker in ((dataset.test, "yweweler"), (dataset.valid, "george")):
        samples = read_wave(folder / "fsdd" / "recordings" / f"0_{speaker}_0.wav")
        assert split.inputs.lengths[0] == 1 + (len(samples) - 200) // 80
        assert np.bincount(split.targets.values).tolist() == [50] * 10


# sentences


def test_rotten_tomatoes_in_ten_folds(load_once: LoadOnce, benchmark_cache: CacheOf) -> None:
    folder = benchmark_cache("rotten_tomatoes")
    first = load_once("rotten_tomatoes")
    last = load_benchmark("rotten_tomatoes", {"fold": 9}, cache=folder)
    assert sum(counts(first)) == sum(counts(last)) == 2 * 5_331
    for dataset in (first, last):
        for split in (dataset.train, dataset.valid, dataset.test):
            labels = [int(split.targets.example(i)[0]) for i in range(len(split))]
            assert sum(labels) * 2 == len(labels)
        assert baseline(dataset).test["accuracy"] == 0.5
    words = first.preprocessing["vocabulary"]
    assert first.task.vocabulary == len(words)
    assert words[:4] == ["<unknown>", "<Unknown>", ".", "the"]


def test_the_vocabulary_of_rotten_tomatoes_knows_only_train(load_once: LoadOnce) -> None:
    dataset = load_once("rotten_tomatoes")
    train = dataset.train.inputs
    tokens = np.concatenate([train.example(i) for i in range(len(train))])
    times = np.bincount(tokens, minlength=dataset.task.vocabulary)
    assert times[2:].min() >= 2
    assert 0 < times[0] < 0.1 * len(tokens)


# parts of speech


def test_counts_of_the_treebank(load_once: LoadOnce) -> None:
    dataset = load_once("ud_english_ewt")
    assert counts(dataset) == [12_544, 2_001, 2_077]
    splits = (dataset.train, dataset.valid, dataset.test)
    assert [len(split.inputs.values) for split in splits] == [204_577, 25_147, 25_094]
    assert len(dataset.preprocessing["classes"]) == 17


def test_the_floor_of_the_treebank_is_the_usual_tag_of_each_word(benchmark_cache: CacheOf) -> None:
    folder = benchmark_cache("ud_english_ewt") / "ud_english_ewt"
    as_written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    in_small: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in tagged_words(folder / "en_ewt-ud-train.conllu"):
        as_written[word][tag] += 1
        in_small[word.lower()][tag] += 1

    def guess(word: str) -> str:
        if word in as_written or word.lower() in in_small:
            tags = as_written.get(word) or in_small[word.lower()]
            return tags.most_common(1)[0][0]
        return "PROPN" if word[0].isupper() else "NOUN"

    test = tagged_words(folder / "en_ewt-ud-test.conllu")
    hits = sum(guess(word) == tag for word, tag in test)
    assert hits / len(test) == pytest.approx(0.887, abs=0.0006)
    unseen = sum(word not in as_written for word, _ in test)
    assert unseen / len(test) == pytest.approx(0.091, abs=0.0006)


def tagged_words(path: Path) -> list[tuple[str, str]]:
    return [
        pair
        for sentence in read_conllu(path)
        for pair in zip(sentence.words, sentence.tags, strict=True)
    ]


def test_the_baseline_of_the_treebank_is_close_to_that_floor(load_once: LoadOnce) -> None:
    """A little lower: words seen once in train are unknown, too."""
    row = baseline(load_once("ud_english_ewt"))
    assert row.name == "class frequencies of the token"
    assert row.test["accuracy"] == pytest.approx(0.871, abs=0.001)
