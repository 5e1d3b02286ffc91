"""The parts benchmarks are made of: splits, draws, scaling, vocabulary and readers of files."""

import gzip
import hashlib
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from trainers.benchmarks import scaling
from trainers.benchmarks.conllu_files import read_conllu
from trainers.benchmarks.draws import Draws
from trainers.benchmarks.images import read_idx
from trainers.benchmarks.music import JSBChorales
from trainers.benchmarks.scaling import Scaler
from trainers.benchmarks.speech import read_wave
from trainers.benchmarks.splitting import deal_folds, hold_out
from trainers.benchmarks.text import read_sentences
from trainers.benchmarks.vocabulary import Vocabulary

# draws


def test_draws_are_the_same_for_ever() -> None:
    assert Draws(1).below(10, 5).tolist() == [7, 6, 5, 8, 9]
    assert Draws(1).permutation(6).tolist() == [2, 4, 5, 0, 3, 1]
    digest = hashlib.sha256(Draws(1, 2).uniform(1000).tobytes()).hexdigest()
    assert digest == "18ba464c681720ff935d47fe1f337dce60bf7682a29cb787851917fcf803046d"


def test_draws_are_even_and_differ_by_key() -> None:
    # 80,000 draws of 8 faces: 10,000 each with a standard deviation of 94
    assert np.abs(np.bincount(Draws(3).below(8, 80_000)) - 10_000).max() < 500
    uniform = Draws(3).uniform(200, 100)
    assert uniform.shape == (200, 100)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.012)
    assert (Draws(3, 0).uniform(50) != Draws(3, 1).uniform(50)).all()


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_a_permutation_has_every_number_once(key: int, count: int) -> None:
    assert sorted(Draws(key).permutation(count).tolist()) == list(range(count))


# splitting

labels = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(
    lambda extra: np.array([*extra, *[0, 1, 2, 3] * 4])
)


@given(labels, st.floats(0.2, 0.8))
def test_hold_out_takes_the_same_share_of_every_class(classes: np.ndarray, share: float) -> None:
    kept, held = hold_out(classes, share)
    assert sorted([*kept, *held]) == list(range(len(classes)))
    assert (np.diff(kept) > 0).all()
    for label in range(4):
        members = (classes == label).sum()
        assert abs((classes[held] == label).sum() - share * members) <= 0.5 + 1e-9
    again = hold_out(classes, share)
    assert (again[0] == kept).all()


def test_hold_out_refuses_to_empty_a_class() -> None:
    with pytest.raises(ValueError, match="20% of the 2 of class 7 are 0"):
        hold_out(np.array([7, 7, 8, 8, 8, 8]), 0.2)
    with pytest.raises(ValueError, match="90% of the 2 of class 7 are 2"):
        hold_out(np.array([7, 7]), 0.9)


@given(labels, st.integers(2, 10))
def test_folds_are_even_within_every_class(classes: np.ndarray, count: int) -> None:
    folds = deal_folds(classes, count)
    for label in range(4):
        sizes = np.bincount(folds[classes == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1
    assert folds.max() < count


# scaling


def test_a_scaler_is_fitted_once_and_applied_to_others() -> None:
    train = np.array([[1.0, 5.0], [3.0, 5.0]])
    scaler = Scaler.fit(train)
    assert scaler.to_json() == {"mean": [2.0, 5.0], "std": [1.0, 1.0]}
    assert scaler.apply(np.array([[4.0, 6.0]])).tolist() == [[2.0, 1.0]]
    assert scaler.apply(train).dtype == np.float32


def test_a_scaler_of_many_steps_is_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "PART_STEPS", 64)
    steps = np.random.default_rng(0).normal(3, 2, (1_000, 4)).astype(np.float32)
    scaler = Scaler.fit(steps)
    assert np.abs(scaler.mean - steps.mean(axis=0, dtype=np.float64)).max() < 1e-12
    assert np.abs(scaler.std - steps.std(axis=0, dtype=np.float64)).max() < 1e-12


# vocabulary


def test_a_vocabulary_counts_train_words_and_knows_two_unknowns() -> None:
    sentences = [["the", "cat", "saw", "the", "Cat"], ["cat", "the", "a", "saw"]]
    vocabulary = Vocabulary.build(sentences)
    assert vocabulary.to_json() == ["<unknown>", "<Unknown>", "the", "cat", "saw"]
    assert vocabulary.encode(["saw", "Cat", "a", "dog", "the"]).tolist() == [4, 1, 0, 0, 2]
    assert len(Vocabulary.build(sentences, minimum_count=1)) == 7


# readers of files


def test_sentences_are_read_as_latin_1_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"caf\xe9 ,\x85 yes \nno\n")
    assert read_sentences(path) == [["café", ",", "yes"], ["no"]]
    path.write_bytes(b"yes\n \nno\n")
    with pytest.raises(ValueError, match="text, line 2: a sentence must have words"):
        read_sentences(path)


ROW = "{}\t{}\tx\t{}\tX\t_\t0\troot\t_\t_\n"


def test_treebanks_are_read_without_multiword_tokens_and_empty_nodes(tmp_path: Path) -> None:
    path = tmp_path / "bank.conllu"
    path.write_text(
        "# text = don't\n"
        + ROW.format("1-2", "don't", "_")
        + ROW.format(1, "do", "AUX")
        + ROW.format(2, "n't", "PART")
        + ROW.format("2.1", "go", "VERB")
        + "\n\n# second\n"
        + ROW.format(1, "Yes", "INTJ"),
        "utf-8",
    )
    first, second = read_conllu(path)
    assert (first.words, first.tags) == (("do", "n't"), ("AUX", "PART"))
    assert (second.words, second.tags) == (("Yes",), ("INTJ",))


def test_a_bad_treebank_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bank.conllu"
    path.write_text("# x\n1\tdo\n", "utf-8")
    with pytest.raises(ValueError, match=r"bank\.conllu, line 2: .* 10 columns .* got 2"):
        read_conllu(path)
    path.write_text("# only words about words\n", "utf-8")
    with pytest.raises(ValueError, match="at least one sentence"):
        read_conllu(path)


def test_idx_files_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    path.write_bytes(gzip.compress(content))
    assert read_idx(path).tolist() == [[1, 2, 3], [4, 5, 6]]
    for wrong in (content[:-1], b"\x00\x00\x0d" + content[3:], b"", b"\x00\x00\x08\x00"):
        path.write_bytes(gzip.compress(wrong))
        with pytest.raises(ValueError, match=r"images\.gz must be a gzipped IDX file of bytes"):
            read_idx(path)


def write_wave(path: Path, samples: np.ndarray, *, rate: int = 8_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def test_recordings_are_read_and_checked(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", np.array([0, 16_384, -32_768]))
    assert read_wave(path).tolist() == [0.0, 0.5, -1.0]
    with pytest.raises(ValueError, match="1 of 2 at 16000 Hz"):
        read_wave(write_wave(path, np.zeros(4), rate=16_000))
    with pytest.raises(ValueError, match="2 of 2 at 8000 Hz"):
        read_wave(write_wave(path, np.zeros(4), channels=2))
    with pytest.raises(ValueError, match="and 0 bytes"):
        read_wave(write_wave(path, np.zeros(0)))
    path.write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"a\.wav must be a wave file"):
        read_wave(path)


@pytest.mark.parametrize("piece", [np.zeros((1, 88)), np.zeros((9, 87)), np.full((9, 88), 2)])
def test_piano_rolls_that_are_none_are_refused(tmp_path: Path, piece: np.ndarray) -> None:
    cells = np.empty(2, dtype=object)
    cells[:] = [np.ones((4, 88)), piece]
    (tmp_path / "jsb_chorales").mkdir()
    savemat(
        tmp_path / JSBChorales.files[0].path,
        {"traindata": cells, "validdata": cells, "testdata": cells},
    )
    with pytest.raises(ValueError, match=r"traindata: a piece must .* in piece 1"):
        JSBChorales().prepare(tmp_path)
