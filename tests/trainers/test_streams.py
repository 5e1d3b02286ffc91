"""Long streams: cut into windows, and read with the state carried from each to the next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spaces import Config, default
from trainers.backbone import Backbone
from trainers.catalog import family_space
from trainers.data.batching import DeviceData, StreamSplit, epoch_order, training_examples
from trainers.data.dataset import Dataset, Split
from trainers.data.streams import cut, passages_of, stream_bounds
from trainers.model import SequenceModel, build_model
from trainers.models import MODELS
from trainers.models.recurrent import GRU
from trainers.tasks import LanguageModelling
from trainers.training.carrying import going_on, joined, read
from trainers.training.evaluation import measure_split
from trainers.training.gradients import Goal, Gradients
from trainers.training.loop import Training
from trainers.training.members import Members
from trainers.training.weights import Weights

TOKENS = 7
TASK = LanguageModelling(vocabulary=TOKENS, level="character")
CPU = torch.device("cpu")


def text(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, TOKENS, length).astype(np.uint8)


def asked(split: Split) -> list[tuple[int, int]]:
    """Where every input and its target stand."""
    return [
        (int(at) + step, int(to) + step)
        for at, to, length in zip(
            split.inputs.starts, split.targets.starts, split.inputs.lengths, strict=True
        )
        for step in range(length)
    ]


streams_of_any_length = st.lists(st.integers(2, 40), min_size=1, max_size=6)


@given(streams_of_any_length, st.integers(1, 12))
def test_passages_ask_for_every_token_but_the_first_of_a_stream(lengths, longest):
    split = passages_of([text(length) for length in lengths], longest)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    expected = [
        (place, place + 1)
        for start, end in zip(starts, ends, strict=True)
        for place in range(start, end - 1)
    ]
    assert asked(split) == expected
    assert split.inputs.lengths.max() <= longest
    assert split.inputs.starts[stream_bounds(split)[:-1]].tolist() == starts.tolist()


@given(streams_of_any_length, st.integers(1, 12), st.integers(1, 9), st.integers(1, 9))
def test_windows_ask_for_the_same_in_even_lanes(lengths, longest, lanes, steps):
    split = passages_of([text(length) for length in lengths], longest)
    windows, first = cut(split, lanes, steps)
    assert asked(windows) == asked(split)
    assert windows.inputs.lengths.max() <= steps
    assert first[0] == 0
    shares = np.add.reduceat(windows.inputs.lengths, first)
    assert len(shares) <= lanes
    assert len(set(shares[:-1].tolist())) <= 1
    assert shares[-1] <= shares[0]


@given(streams_of_any_length, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_a_row_goes_on_from_the_same_row_of_the_batch_before(lengths, lanes, steps, most):
    split = StreamSplit(passages_of([text(n) for n in lengths]), TASK, CPU).cut(lanes, steps)
    windows, before = [], None
    for indices in split.order(most):
        batch = split.batch(indices)
        for row, goes_on in enumerate(batch.continues.tolist()):
            if goes_on:
                assert batch.inputs[row, 0] == before.targets[row][before.mask[row]][-1]
                assert indices[row] == before.indices[row] + 1
        windows += indices.tolist()
        before = batch
    assert sorted(windows) == list(range(split.examples))
    starts = [0, *(np.cumsum(lengths) - lengths)[1:]]
    assert sum(~split._continues).item() <= len(starts) + lanes


def configuration(family: str, **training: float) -> Config:
    config = default(family_space(MODELS[family], TASK, 1000))
    settings = {"batch_size": 4, "bptt_steps": 8, **training}
    return config | {"training": config["training"] | settings}


def model_of(family: str) -> SequenceModel:
    return build_model(MODELS[family], configuration(family), TASK, seed=0)


@pytest.mark.parametrize("family", MODELS)
def test_windows_with_their_state_equal_one_full_pass(family):
    """Over more steps than any default window of attention."""
    model = model_of(family).double().eval()
    split = StreamSplit(passages_of([text(301), text(40), text(301)]), TASK, CPU)
    windows = split.cut(2, 37)
    whole = split.cut(1, 1000)
    carried, outputs = {}, torch.empty(639, TOKENS, dtype=torch.float64)
    with torch.no_grad():
        for indices in windows.order(2):
            batch = going_on(model, windows.batch(indices), carried)
            said, state = read(model, batch)
            carried = joined([state])
            for row, window in enumerate(indices.tolist()):
                before = int(windows.lengths[:window].sum())
                length = int(windows.lengths[window])
                outputs[before : before + length] = said[row, :length]
        lane = -(-639 // 2)  # the second lane begins afresh within the second stream
        batches = [whole.batch(torch.tensor([number])) for number in range(3)]
        full = [model(batch.inputs, batch.mask)[0] for batch in batches]
        rest = batches[1].inputs[:, lane - 300 :]
        again = model(rest, torch.ones_like(rest, dtype=torch.bool))[0]
    expected = torch.cat([full[0], full[1][: lane - 300], again, full[2]])
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-10)


def gradient_of(model: SequenceModel, weights: Weights, loss: torch.Tensor) -> torch.Tensor:
    return Members([model], [weights]).gradient(loss)[0]


def test_a_window_is_learnt_from_alone_but_read_with_its_past():
    model = model_of("gru")
    weights = Weights(model)
    split = StreamSplit(passages_of([text(200)]), TASK, CPU).cut(4, 8)
    gradients = Gradients(Members([model], [weights]), [Goal(TASK, 0)])
    first, second = (split.batch(indices) for indices in list(split.order(4))[:2])
    model.eval()  # no dropout
    gradients.of(first, [0])
    (loss,), (gradient,) = gradients.of(second, [1])
    with torch.no_grad():
        _, state = model.advance(first.inputs, model.initial_state(4))
    said, _ = model.advance(second.inputs, state)
    expected = TASK.loss(said, second)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, gradient_of(model, weights, expected))
    _, state = model.advance(first.inputs, model.initial_state(4))
    through = gradient_of(model, weights, TASK.loss(model.advance(second.inputs, state)[0], second))
    assert (through - gradient).norm() > 1e-4 * gradient.norm()


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_of_a_batch_carry_their_lanes_on(parts):
    found = []
    for count in (1, parts):
        model = model_of("lstm")
        model.eval()
        split = StreamSplit(passages_of([text(90), text(70), text(23)]), TASK, CPU).cut(4, 8)
        gradients = Gradients(Members([model], [Weights(model)]), [Goal(TASK, 0)])
        gradients.parts = count
        steps = [gradients.of(split.batch(i), [n]) for n, i in enumerate(split.order(4))]
        found.append(torch.stack([gradient for _, gradient in steps]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-7)


class Cramped(GRU):
    """A GRU that has room for two rows only."""

    def advance(self, x, state):
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory (not really)")
        return super().advance(x, state)


def test_lanes_that_do_not_fit_in_memory_are_parted():
    roomy, cramped = (training_of(family, batch_size=7, dropout=0.0) for family in (GRU, Cramped))
    for _ in range(2):
        expected, found = roomy.run_epoch(), cramped.run_epoch()
        assert found.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
        assert found.valid == pytest.approx(expected.valid, rel=1e-3)
    assert cramped.parts == 4


class Fresh(GRU):
    """A GRU that does not say how to go on."""

    advance = Backbone.advance


def dataset(copies: int = 3) -> Dataset:
    """One stream in which the fourth token from here is the next, nine times in ten."""

    def split(length: int, seed: int) -> Split:
        random = np.random.default_rng(seed)
        tokens = random.integers(0, 2, length).astype(np.uint8)
        kept = random.random(length) < 0.9
        for place in range(4, length):
            if kept[place]:
                tokens[place] = tokens[place - 4]
        return passages_of([tokens] * copies)

    return Dataset("made up", TASK, split(700, 0), split(300, 1), split(300, 2), {})


def training_of(family: type[Backbone], *, dropout: float = 0.1, **settings: float) -> Training:
    config = configuration("gru", **settings)
    config["model"]["dropout"] = dropout
    return Training(family, config, DeviceData(dataset()), seed=0, epochs=6)


def test_only_a_carried_state_knows_what_was_before_the_window():
    """Windows of two steps, and what decides is four steps back."""
    values = {}
    for family in (GRU, Fresh):
        training = training_of(family, bptt_steps=2, batch_size=16)
        for _ in range(6):
            training.run_epoch()
        values[family] = training.best_value
    assert values[Fresh] > 0.9  # bits: hardly better than a coin
    assert values[GRU] < 0.6


def test_passages_are_measured_with_their_past_where_there_is_a_state():
    training = training_of(GRU)
    model, split = training.model, DeviceData(dataset(copies=1)).valid
    found = measure_split(model, split, TASK)
    tokens = dataset(copies=1).valid.inputs.values[:-1].astype(np.int64)
    inputs = torch.from_numpy(tokens)[None]
    with torch.no_grad():
        logits = model(inputs, torch.ones_like(inputs, dtype=torch.bool))[0]
    targets = torch.from_numpy(dataset(copies=1).valid.targets.values[1:].astype(np.int64))
    nats = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    expected = [part.sum().item() for part in nats.split(128)]
    assert found["nats_per_token"] == pytest.approx(expected, rel=1e-4)
    assert found["count"].tolist() == [128, 128, 43]


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path):
    whole, first, second = (training_of(GRU, dropout=0.3) for _ in range(3))
    expected = [whole.run_epoch() for _ in range(4)]
    found = [first.run_epoch() for _ in range(2)]
    first.save(tmp_path / "state")
    second.restore(tmp_path / "state")
    found += [second.run_epoch() for _ in range(2)]
    assert [replace(m, seconds=0.0) for m in found] == [replace(m, seconds=0.0) for m in expected]
    assert torch.equal(whole.weights.vector, second.weights.vector)
    assert found[0].diagnostics["saturated_share"] is not None


def test_an_epoch_reads_every_window_once_in_the_order_of_its_stream():
    data = DeviceData(dataset())
    windows = training_examples(data, {"batch_size": 5, "bptt_steps": 16})
    orders = [epoch_order(windows, 5, seed=seed, epoch=seed) for seed in (0, 1)]
    assert [order.tolist() for order in orders[0]] == [order.tolist() for order in orders[1]]
    assert sorted(torch.cat(orders[0]).tolist()) == list(range(windows.examples))


def test_a_stream_without_a_next_token_is_refused():
    with pytest.raises(ValueError, match="at least 2 steps, got 1 in stream 1"):
        passages_of([text(5), text(1)])
