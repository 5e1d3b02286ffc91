import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainers.data.batching import DeviceData, DeviceSplit, epoch_order, evaluation_order
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.tasks import Classification, MultilabelFrames, Regression, Tagging, Task

CPU = torch.device("cpu")


def ragged(lengths: list[int], size: int = 2) -> Sequences:
    rng = np.random.default_rng(0)
    return Sequences.from_list(
        [rng.standard_normal((length, size), dtype=np.float32) for length in lengths]
    )


def labels(count: int) -> Sequences:
    return Sequences.from_array((np.arange(count, dtype=np.int64) % 3)[:, None])


def device_split(inputs: Sequences, targets: Sequences | None = None, task: Task | None = None):
    targets = targets or labels(len(inputs))
    return DeviceSplit(Split(inputs, targets), task or Classification(input_size=2, classes=3), CPU)


def check_batch(split: DeviceSplit, inputs: Sequences, indices: list[int]) -> None:
    batch = split.batch(torch.tensor(indices))
    longest = max(int(inputs.lengths[index]) for index in indices)
    assert batch.inputs.shape == (len(indices), longest, 2)
    assert batch.mask.shape == (len(indices), longest)
    assert batch.indices.tolist() == indices
    for row, index in enumerate(indices):
        example = torch.tensor(inputs.example(index))
        assert torch.equal(batch.inputs[row, : len(example)], example)
        assert not batch.inputs[row, len(example) :].any()
        assert batch.mask[row].tolist() == [step < len(example) for step in range(longest)]
        assert batch.targets[row].tolist() == [index % 3]
        assert batch.target_mask[row].tolist() == [True]


@given(st.data())
def test_a_batch_holds_its_examples_and_zeros(data):
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=9))
    places = st.integers(0, len(lengths) - 1)
    indices = data.draw(st.lists(places, min_size=1, max_size=12))
    inputs = ragged(lengths)
    check_batch(device_split(inputs), inputs, indices)


def test_examples_of_one_length_are_rows():
    whole = Sequences.from_array(ragged([30]).values.reshape(10, 3, 2))
    chosen = whole.select(np.array([7, 1, 4, 9]))
    for inputs in (whole, chosen):
        check_batch(device_split(inputs), inputs, [3, 0, 0])


def test_windows_may_overlap():
    series = ragged([20]).values
    windows = Sequences(series, np.arange(15, dtype=np.int64), np.full(15, 6, dtype=np.int64))
    check_batch(device_split(windows), windows, [14, 0, 7, 7])


def test_types_are_those_of_the_task():
    frames = Sequences.from_list([np.ones((4, 5), np.uint8), np.ones((2, 5), np.uint8)])
    task = MultilabelFrames(input_size=5, labels=5)
    batch = device_split(frames, frames, task).batch(torch.tensor([0, 1]))
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert batch.targets.sum().item() == 30
    assert torch.equal(batch.target_mask, batch.mask)

    tokens = Sequences.from_list([np.array([1, 2, 3], np.uint8), np.array([4], np.uint8)])
    batch = device_split(tokens, tokens, Tagging(classes=5, vocabulary=5)).batch(
        torch.tensor([1, 0])
    )
    assert batch.inputs.tolist() == [[4, 0, 0], [1, 2, 3]]
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64


def test_a_single_feature_needs_no_axis_of_its_own():
    values = Sequences.from_array(np.arange(12, dtype=np.float32).reshape(4, 3))
    targets = Sequences.from_array(np.arange(4, dtype=np.float32)[:, None])
    batch = device_split(values, targets, Regression(input_size=1)).batch(torch.tensor([2]))
    assert batch.inputs.tolist() == [[[6.0], [7.0], [8.0]]]
    assert batch.targets.tolist() == [[2.0]]


@pytest.mark.parametrize("lengths", [[4] * 8, [4, 2, 7, 1, 3, 3, 5, 6]])
def test_read_only_arrays_are_never_written_to(lengths):
    inputs = ragged(lengths)
    for array in (inputs.values, inputs.starts, inputs.lengths):
        array.flags.writeable = False
    before = hashlib.sha256(inputs.values).hexdigest()
    batch = device_split(inputs).batch(torch.arange(8))
    batch.inputs.fill_(9.0)
    batch.targets.fill_(9)
    assert hashlib.sha256(inputs.values).hexdigest() == before
    check_batch(device_split(inputs), inputs, [0, 3, 7])


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 3),
)
def test_an_epoch_takes_every_example_once(lengths, batch_size, seed):
    split = device_split(ragged(lengths, size=1), task=Classification(classes=3))
    order = epoch_order(split, batch_size, seed=seed, epoch=2)
    assert sorted(torch.cat(order).tolist()) == list(range(len(lengths)))
    assert len(order) == -(-len(lengths) // batch_size)
    assert sorted(len(batch) for batch in order)[1:] == [batch_size] * (len(order) - 1)
    again = epoch_order(split, batch_size, seed=seed, epoch=2)
    assert all(torch.equal(one, other) for one, other in zip(order, again, strict=True))


@pytest.mark.parametrize("lengths", [[5] * 200, list(range(1, 201))])
def test_the_order_depends_on_seed_and_epoch_alone(lengths):
    split = device_split(ragged(lengths))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    orders = {
        tuple(torch.cat(epoch_order(split, 8, seed=seed, epoch=epoch)).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9
    assert torch.equal(torch.get_rng_state(), state)


def test_buckets_save_most_of_the_padding():
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 100, 4000).tolist()
    split = device_split(ragged(lengths, size=1), task=Classification(classes=3))
    taken = split.lengths.sum().item()

    def padding(batches: list[torch.Tensor]) -> float:
        steps = sum(split.lengths[batch].max().item() * len(batch) for batch in batches)
        return steps / taken - 1

    order = epoch_order(split, 16, seed=0, epoch=0)
    assert padding(order) < 0.03
    assert padding(list(torch.cat(order)[torch.randperm(4000)].split(16))) > 0.8


def test_buckets_leave_the_order_random():
    """Mean length of the first tenth of an epoch's batches, over 200 epochs, within 5 sigma."""
    lengths = np.random.default_rng(1).integers(1, 100, 1000)
    split = device_split(ragged(lengths.tolist(), size=1), task=Classification(classes=3))
    first = [
        split.lengths[torch.cat(epoch_order(split, 10, seed=0, epoch=epoch)[:10])].float().mean()
        for epoch in range(200)
    ]
    # batches of nearly one length: the mean of ten of them has their spread over sqrt(10)
    sigma = lengths.std() / np.sqrt(10 * 200)
    assert abs(float(torch.stack(first).mean()) - lengths.mean()) < 5 * sigma


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60), elements=st.integers(1, 2000))
def test_evaluation_takes_every_example_once_in_batches_as_large_as_allowed(lengths, elements):
    split = device_split(ragged(lengths))
    order = list(evaluation_order(split, size=4, elements=elements))
    assert sorted(torch.cat(order).tolist()) == list(range(len(lengths)))
    longest = [split.lengths[batch].max().item() for batch in order]
    assert longest == sorted(longest, reverse=True)
    for steps, batch in zip(longest, order, strict=True):
        assert len(batch) == 1 or steps * len(batch) * 4 <= elements
    for steps, batch in zip(longest[:-1], order[:-1], strict=True):
        assert steps * (len(batch) + 1) * 4 > elements


def test_splits_go_by_name_and_features_must_fit():
    split = Split(ragged([3, 4]), labels(2))
    data = DeviceData(
        Dataset("toy", Classification(input_size=2, classes=3), split, split, split, {})
    )
    assert data.split("valid") is data.valid
    with pytest.raises(ValueError, match="must be one of train, valid, test, got 'dev'"):
        data.split("dev")
    with pytest.raises(ValueError, match="the number of features of toy, got 5 and 2"):
        DeviceData(Dataset("toy", Classification(input_size=5, classes=3), split, split, split, {}))
