"""Facts of generated benchmarks: their rule, closed forms, and the floors of trivial answers."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import OdeSolution, solve_ivp

from trainers.benchmarks import load_benchmark
from trainers.benchmarks.chaos import mackey_glass
from trainers.benchmarks.grammar import END, REBER, SYMBOLS
from trainers.data.dataset import Dataset, Sequences
from trainers.trivial.baselines import baseline, baselines


def counts(dataset: Dataset) -> list[int]:
    return [len(split) for split in (dataset.train, dataset.valid, dataset.test)]


def stacked(sequences: Sequences) -> np.ndarray:
    return np.stack([sequences.example(index) for index in range(len(sequences))])


# adding


def test_adding_sums_the_two_marked_numbers(tmp_path: Path) -> None:
    dataset = load_benchmark("adding", {"length": 30, "train_examples": 3_000}, cache=tmp_path)
    assert counts(dataset) == [3_000, 5_000, 5_000]
    inputs, targets = stacked(dataset.train.inputs), stacked(dataset.train.targets)
    assert inputs.shape == (3_000, 30, 2)
    assert (inputs[:, :, 1].sum(axis=1) == 2).all()
    assert set(np.unique(inputs[:, :, 1])) == {0.0, 1.0}
    sums = (inputs[:, :, 0] * inputs[:, :, 1]).sum(axis=1)
    assert np.abs(sums - targets[:, 0]).max() < 1e-6
    # every place is marked about equally often: 200 expected, standard deviation 14
    places = inputs[:, :, 1].sum(axis=0)
    assert np.abs(places - 200).max() < 70
    assert 0 <= inputs.min() <= inputs.max() < 1.0 + 1e-6


def test_the_floor_of_adding_is_the_variance_of_a_sum(tmp_path: Path) -> None:
    dataset = load_benchmark(
        "adding", {"length": 10, "train_examples": 50_000, "test_examples": 50_000}, cache=tmp_path
    )
    # the mean square of 50,000 sums has a standard deviation of 0.0009
    assert baseline(dataset).test["mse"] == pytest.approx(1 / 6, abs=0.004)
    assert baseline(dataset).test["mae"] == pytest.approx(1 / 3, abs=0.005)


def test_splits_and_lengths_of_generated_data_are_drawn_apart(tmp_path: Path) -> None:
    small = {"train_examples": 100, "valid_examples": 100, "test_examples": 100}
    dataset = load_benchmark("adding", small, cache=tmp_path)
    splits = [dataset.train, dataset.valid, dataset.test]
    values = np.concatenate([stacked(split.inputs)[:, :, 0].ravel() for split in splits])
    assert len(np.unique(values)) > 0.99 * len(values)  # float32 has 2**24 numbers here


# copy memory


@pytest.mark.parametrize("length", [1, 100, 1000])
def test_copy_memory_repeats_after_the_pause(length: int, tmp_path: Path) -> None:
    small = {"train_examples": 200, "valid_examples": 5, "test_examples": 5}
    dataset = load_benchmark("copy_memory", {"length": length, **small}, cache=tmp_path)
    inputs, targets = stacked(dataset.train.inputs), stacked(dataset.train.targets)
    assert inputs.shape == targets.shape == (200, length + 20)
    assert set(np.unique(inputs[:, :10])) == set(range(1, 9))
    assert (inputs[:, 10 : length + 9] == 0).all()
    assert (inputs[:, length + 9 :] == 9).all()
    assert (targets[:, : length + 10] == 0).all()
    assert (targets[:, -10:] == inputs[:, :10]).all()


@pytest.mark.parametrize(("length", "floor"), [(100, 0.1733), (1000, 0.0204)])
def test_the_floor_of_copy_memory_is_a_guess_of_ten_symbols(
    length: int, floor: float, tmp_path: Path
) -> None:
    options = {"length": length, "train_examples": 2_000, "test_examples": 200}
    row = baseline(load_benchmark("copy_memory", options, cache=tmp_path))
    assert row.name == "class frequencies of the step"
    assert row.test["log_loss"] == pytest.approx(10 * math.log(8) / (length + 20), rel=0.01)
    assert row.test["log_loss"] == pytest.approx(floor, rel=0.01)


# parity


def test_parity_counts_ones_and_tests_on_longer_strings(tmp_path: Path) -> None:
    dataset = load_benchmark("parity", cache=tmp_path)
    for split, shortest, longest in (
        (dataset.train, 1, 40),
        (dataset.valid, 41, 80),
        (dataset.test, 41, 80),
    ):
        assert (split.inputs.lengths.min(), split.inputs.lengths.max()) == (shortest, longest)
        for index in range(0, len(split), 97):
            assert split.targets.example(index)[0] == split.inputs.example(index).sum() % 2
    # 1,000 fair coins: standard deviation 0.016
    assert baseline(dataset).test["accuracy"] == pytest.approx(0.5, abs=0.06)


# embedded Reber grammar


def test_reber_strings_are_of_the_grammar(tmp_path: Path) -> None:
    dataset = load_benchmark("embedded_reber", cache=tmp_path)
    for index in range(500):
        inputs, targets = dataset.train.inputs.example(index), dataset.train.targets.example(index)
        assert (inputs[1:] == targets[:-1]).all()
        text = "".join(SYMBOLS[token] for token in [*inputs, targets[-1]])
        assert text[0] == "B"
        assert text[1] == text[-2]
        assert text[-1] == "E"
        assert is_reber(text[2:-2])


def is_reber(text: str) -> bool:
    """By the diagram of Cleeremans et al. 1989, written down again."""
    moves = {
        (0, "B"): 1, (1, "T"): 2, (1, "P"): 3, (2, "S"): 2, (2, "X"): 4, (3, "T"): 3,
        (3, "V"): 5, (4, "X"): 3, (4, "S"): 6, (5, "P"): 4, (5, "V"): 6, (6, "E"): 7,
    }  # fmt: skip
    state: int | None = 0
    for symbol in text:
        state = moves.get((state, symbol)) if state is not None else None
    return state == 7


def test_the_best_possible_on_reber_strings_is_as_stated(tmp_path: Path) -> None:
    """Choices and symbols to expect from each state follow from two linear systems."""
    leads = np.eye(END)
    choices = np.array([math.log(len(moves)) for moves in REBER])
    for state, moves in enumerate(REBER):
        for _, to in moves:
            if to != END:
                leads[state, to] -= 1 / len(moves)
    surprise = np.linalg.solve(leads, choices)[0] + math.log(2)  # and the choice of the frame
    steps = np.linalg.solve(leads, np.ones(END))[0] + 4 - 1
    assert surprise / steps == pytest.approx(7 * math.log(2) / 11)
    dataset = load_benchmark("embedded_reber", cache=tmp_path)
    # strings of 11 targets on average with a standard deviation near 4: 0.04 for 10,000
    assert dataset.train.targets.lengths.mean() == pytest.approx(steps, abs=0.15)
    # knowing the symbol alone is better than nothing and worse than knowing the state
    by_class, by_token = baselines(dataset)
    assert surprise / steps < by_token.test["log_loss"] < by_class.test["log_loss"]


# Mackey-Glass


def test_mackey_glass_follows_its_closed_form_at_first() -> None:
    """While the delayed value is still 1.2, x' = a - 0.1 x has a solution to write down."""
    a = 0.2 * 1.2 / (1 + 1.2**10)
    t = np.arange(1, 18)
    exact = a / 0.1 + (1.2 - a / 0.1) * np.exp(-0.1 * t)
    assert np.abs(mackey_glass(17) - exact).max() < 1e-9


def test_mackey_glass_is_of_fourth_order() -> None:
    """Half the step, a sixteenth of the error."""
    coarse, fine, finest = (mackey_glass(100, steps_per_unit=steps) for steps in (5, 10, 40))
    ratio = np.abs(coarse - finest).max() / np.abs(fine - finest).max()
    assert 12 < ratio < 20


def test_mackey_glass_agrees_with_scipy() -> None:
    """The method of steps: over one delay after another, an ordinary equation."""
    delay = 17
    solutions: list[OdeSolution] = []

    def x(t: float) -> float:
        if t <= 0:
            return 1.2
        return float(solutions[min(int(t // delay), len(solutions) - 1)](t)[0])

    def slope(t: float, value: np.ndarray) -> np.ndarray:
        return 0.2 * x(t - delay) / (1 + x(t - delay) ** 10) - 0.1 * value

    for part in range(6):
        span = (delay * part, delay * (part + 1))
        begin = [1.2] if part == 0 else [x(span[0])]
        solved = solve_ivp(slope, span, begin, rtol=1e-10, atol=1e-12, dense_output=True)
        solutions.append(solved.sol)
    exact = np.array([x(t) for t in range(1, 101)])
    assert np.abs(mackey_glass(100) - exact).max() < 1e-7


def test_mackey_glass_settles_at_one_with_a_short_delay_and_never_with_a_long_one() -> None:
    # 0.2 x / (1 + x^10) = 0.1 x at x = 1
    assert np.abs(mackey_glass(400, delay=2)[-50:] - 1).max() < 1e-3
    assert mackey_glass(400, delay=17)[-100:].std() > 0.1


def test_mackey_glass_is_the_same_to_the_last_bit() -> None:
    """Chaos would turn a difference in the last bit into another series."""
    assert mackey_glass(3_000)[-1].hex() == "0x1.f18cc3eddd9c7p-1"


def test_windows_of_mackey_glass_ask_for_the_value_at_the_horizon(tmp_path: Path) -> None:
    options = {"length": 20, "horizon": 7}
    dataset = load_benchmark("mackey_glass", options, cache=tmp_path)
    assert counts(dataset) == [6_000 - 26, 2_000 - 26, 2_000 - 26]
    split = dataset.valid
    assert split.inputs.starts[0] == 6_000
    assert split.targets.starts[-1] == 7_999
    assert (split.targets.starts - split.inputs.starts == 20 + 7 - 1).all()
    assert split.inputs.values is split.targets.values is dataset.train.inputs.values
    assert split.inputs.values[:6_000].std(dtype=np.float64) == pytest.approx(1, abs=1e-5)
