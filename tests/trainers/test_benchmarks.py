"""What holds for every benchmark of the table, and how one is found by name and options."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from trainers.benchmarks import BENCHMARKS, find_benchmark, load_benchmark
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.spelling import FEATURES
from trainers.tasks import TASKS, Transduction
from trainers.trivial.baselines import baseline

CacheOf = Callable[[str], Path]


@pytest.fixture(params=BENCHMARKS)
def dataset(request: pytest.FixtureRequest, load_once: Callable[[str], Dataset]) -> Dataset:
    return load_once(request.param)


def splits(dataset: Dataset) -> list[Split]:
    return [dataset.train, dataset.valid, dataset.test]


def covered(sequences: Sequences) -> np.ndarray:
    """(steps,) bool: the steps that some example holds."""
    size = len(sequences.values) + 1
    begun = np.bincount(sequences.starts, minlength=size)
    ended = np.bincount(sequences.starts + sequences.lengths, minlength=size)
    return (np.cumsum(begun - ended) > 0)[:-1]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_it_states_all_about_itself_without_data(name: str) -> None:
    benchmark = BENCHMARKS[name]
    assert benchmark.name == name
    assert benchmark.__doc__
    for words in (benchmark.summary, benchmark.splits, benchmark.licence, benchmark.published):
        assert len(words) > 10
        assert "\n" not in words
        assert "  " not in words
    assert benchmark.task in TASKS
    assert benchmark.metric in {metric.name for metric in TASKS[benchmark.task].metrics}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_its_files_are_pinned(name: str, tmp_path: Path) -> None:
    benchmark = BENCHMARKS[name]
    assert len({file.path for file in benchmark.files}) == len(benchmark.files)
    for file in benchmark.files:
        assert file.url.startswith("https://")
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size_bytes > 0
    assert benchmark.size_bytes() == sum(file.size_bytes for file in benchmark.files)
    assert benchmark.is_present(tmp_path) == (not benchmark.files)


def test_task_and_splits_fit(dataset: Dataset) -> None:
    task, kind = dataset.task, BENCHMARKS[dataset.name].task
    assert task.name == kind
    for split in splits(dataset):
        inputs, targets = split.inputs.values, split.targets.values
        if task.vocabulary is None:
            assert inputs.shape[1:] == (task.input_size,)
            assert inputs.dtype in (np.float32, np.float16, np.uint8)
        else:
            assert inputs.shape[1:] == ((1 + FEATURES,) if task.reads_spelling else ())
            assert inputs.dtype.kind in "ui"
            assert inputs.min() >= 0
            assert inputs.reshape(len(inputs), -1)[:, 0].max() < task.vocabulary
        if "classes" in task.to_json():
            assert set(np.unique(targets)) <= set(range(task.to_json()["classes"]))
        if kind in ("classification", "regression"):
            assert set(split.targets.lengths.tolist()) == {1}
        elif kind == "forecasting":
            assert set(split.targets.lengths.tolist()) == {task.to_json()["horizon"]}
        elif not isinstance(task, Transduction):
            assert (split.targets.lengths == split.inputs.lengths).all()


def test_its_sizes_are_as_it_says(dataset: Dataset) -> None:
    sizes = " / ".join(f"{len(split):,}" for split in splits(dataset))
    assert sizes in BENCHMARKS[dataset.name].splits


def test_every_class_is_in_the_train_split(dataset: Dataset) -> None:
    if "classes" in dataset.task.to_json():
        targets = dataset.train.targets
        assert set(np.unique(targets.values[covered(targets)])) == set(
            range(dataset.task.to_json()["classes"])
        )


def test_splits_share_no_step(dataset: Dataset) -> None:
    """Neither as input nor as target, where splits are parts of one array.

    In forecasting the look-back of a later split is the past that an earlier one had as targets.
    """
    looks_back = dataset.task.name == "forecasting"
    sides = [
        [split.targets] if looks_back else [split.inputs, split.targets]
        for split in splits(dataset)
    ]
    for ours, theirs in combinations(sides, 2):
        for one in ours:
            for other in theirs:
                if one.values is other.values:
                    assert not (covered(one) & covered(other)).any()
                else:
                    assert not np.shares_memory(one.values, other.values)


def test_inputs_are_on_a_scale_of_one(dataset: Dataset) -> None:
    if dataset.task.vocabulary is not None:
        return
    train = dataset.train.inputs
    if "scaler" not in dataset.preprocessing:
        assert train.values.min() >= 0
        assert train.values.max() <= 1
        return
    some = range(0, len(train), 1 + len(train) // 1_000)
    steps = np.concatenate([train.example(index) for index in some])
    assert abs(steps.mean(dtype=np.float64)) < 0.03
    assert steps.std(dtype=np.float64) == pytest.approx(1, abs=0.03)


def test_it_travels_as_json_and_arrays(dataset: Dataset) -> None:
    description, arrays = dataset.to_parts()
    again = Dataset.from_parts(json.loads(json.dumps(description)), arrays)
    assert again.task == dataset.task
    assert again.preprocessing == dataset.preprocessing
    assert len(again.test) == len(dataset.test)


def test_it_is_the_same_every_time(dataset: Dataset, benchmark_cache: CacheOf) -> None:
    if BENCHMARKS[dataset.name].size_bytes() > 2_000_000:
        return  # seconds each, and no randomness but what the small ones have, too
    again = load_benchmark(dataset.name, cache=benchmark_cache(dataset.name))
    for split, twin in zip(splits(dataset), splits(again), strict=True):
        assert (split.inputs.values == twin.inputs.values).all()
        assert (split.inputs.starts == twin.inputs.starts).all()
        assert (split.targets.values == twin.targets.values).all()


def test_it_has_a_trivial_baseline(dataset: Dataset) -> None:
    row = baseline(dataset)
    names = {metric.name for metric in dataset.task.metrics}
    assert set(row.valid) == set(row.test) == names
    assert np.isfinite([*row.valid.values(), *row.test.values()]).all()


def test_names_and_options_are_looked_up_with_a_hint() -> None:
    with pytest.raises(ValueError, match="benchmark 'jsb_choral'; did you mean 'jsb_chorales'"):
        find_benchmark("jsb_choral")
    with pytest.raises(ValueError, match="'adding' has no option 'lenght'; did you mean 'length'"):
        find_benchmark("adding", {"lenght": 3})
    with pytest.raises(ValueError, match="option 'length' of 'adding' must be int, got '100'"):
        find_benchmark("adding", {"length": "100"})
    with pytest.raises(ValueError, match="option 'length' of 'adding' must be int, got True"):
        find_benchmark("adding", {"length": True})
    with pytest.raises(ValueError, match="'test_speaker' of 'spoken_digits' must be str"):
        find_benchmark("spoken_digits", {"test_speaker": 3})
    with pytest.raises(ValueError, match="no option 'length'; it has none"):
        find_benchmark("digits_rows", {"length": 3})


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("adding", {"length": 1}, "`length` must be at least 2, got 1"),
        ("copy_memory", {"test_examples": 0}, "`test_examples` must be at least 1, got 0"),
        ("parity", {"length": 0}, "`length` must be at least 1, got 0"),
        ("rotten_tomatoes", {"fold": 10}, "`fold` must be from 0 to 9, got 10"),
        ("mackey_glass", {"horizon": 1_500}, "`horizon` must be from 1 to 1000, got 1500"),
        ("spoken_digits", {"test_speaker": "bob"}, "`test_speaker` must be one of george, .*'bob'"),
    ],
)
def test_options_out_of_range_are_refused(
    name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        find_benchmark(name, options)


def test_finding_a_benchmark_touches_no_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEQTUNE_DATA", str(tmp_path / "nowhere"))
    for name in BENCHMARKS:
        assert find_benchmark(name).name == name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_ci", [False, True])
def test_missing_files_skip_here_and_fail_in_ci(
    in_ci: bool, benchmark_cache: CacheOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", "true" if in_ci else "")
    monkeypatch.setenv("SEQTUNE_DATA", str(tmp_path))
    expected = pytest.fail.Exception if in_ci else pytest.skip.Exception
    with pytest.raises(expected, match="benchmarks fetch jsb_chorales"):
        benchmark_cache("jsb_chorales")
    assert benchmark_cache("adding") == tmp_path
