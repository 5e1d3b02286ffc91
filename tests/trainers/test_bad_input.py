"""What no model can be made of, or be given, is refused in words that say what must hold."""

import tracemalloc

import numpy as np
import pytest
import torch

from spaces import default
from trainers.catalog import family_space
from trainers.data.batching import DeviceData, epoch_order
from trainers.data.dataset import Dataset, Sequences, Split
from trainers.model import check_inputs
from trainers.models import MODELS
from trainers.models.self_attention import SelfAttention
from trainers.tasks import Regression
from trainers.training.loop import Training

ONE = Sequences.from_array(np.zeros((1, 1, 1), dtype=np.float32))


def make(name: str, *, causal: bool = True, **settings: object) -> torch.nn.Module:
    family = MODELS[name]
    return family(3, causal=causal, **default(family.space(causal)) | settings)


def test_a_width_that_the_heads_do_not_divide():
    with pytest.raises(ValueError, match="`num_heads` must divide `hidden_size`, got 6 and 64"):
        SelfAttention(64, causal=True, num_heads=6, attention_window=8)
    with pytest.raises(ValueError, match=r"size of a head must be even.* got 4 heads .* of 12"):
        SelfAttention(12, causal=True, num_heads=4, attention_window=8)
    layers = [{"name": "attention", "num_heads": 8, "attention_window": 64}]
    with pytest.raises(ValueError, match="`num_heads` must divide `hidden_size`, got 8 and 20"):
        make("stack", hidden_size=20, layers=layers)


@pytest.mark.parametrize("name", MODELS)
def test_zero_layers_and_other_counts_of_nothing(name):
    for causal in (True, False):
        settings = default(MODELS[name].space(causal))
        counts = [key for key, value in settings.items() if type(value) is int]
        for key in counts:
            for bad in (0, -1):
                with pytest.raises(ValueError, match=f"`{key}` must be .*, got {bad}$"):
                    make(name, causal=causal, **{key: bad})
    if "layers" in settings:
        with pytest.raises(ValueError, match="`layers` must name at least one layer, got none"):
            make(name, layers=[])


@pytest.mark.parametrize("causal", [True, False])
def test_a_kernel_longer_than_the_sequence_sees_nothing_beyond_it(causal):
    """It is no fault: sequences differ in length, and one may be shorter than what was tuned."""
    settings = {"num_layers": 1, "dropout": 0.0, "weight_norm": False}
    long = make("tcn", causal=causal, kernel_size=31, **settings).double()
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(2, 3, dtype=torch.bool)
    y = long(x, mask)
    padded = torch.cat([x, torch.zeros(2, 40, 3, dtype=torch.float64)], dim=1)
    longer = torch.cat([mask, torch.zeros(2, 40, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(long(padded, longer)[:, :3], y)
    y.square().sum().backward()
    taps = long.blocks[0].conv1.weight.grad.abs().sum((0, 1))
    assert ((taps > 0).sum(), taps.isfinite().all()) == ((3 if causal else 5), True)


@pytest.mark.parametrize("name", MODELS)
def test_every_family_takes_a_single_step(name):
    model = make(name).eval()
    assert model(torch.ones(2, 1, 3), torch.ones(2, 1, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite(value, dtype):
    values = np.array([1.0, 2.0, value, 3.0], dtype=dtype)
    Sequences.from_array(values[None, :2])
    words = r"every value must be finite and at most 3\.4e\+38, got -?(nan|inf) at step 2"
    with pytest.raises(ValueError, match=words):
        Sequences.from_array(values[None])
    with pytest.raises(ValueError, match="inputs must be finite, got NaN or infinity"):
        check_inputs(torch.from_numpy(values)[None, :, None], torch.ones(1, 4, dtype=torch.bool))


def test_large_values_are_looked_at_without_a_copy():
    values = np.ones((1000, 1000, 2), dtype=np.float32)
    tracemalloc.start()
    try:
        Sequences.from_array(values)
        assert tracemalloc.get_traced_memory()[1] < values.nbytes / 20
    finally:
        tracemalloc.stop()


def test_a_number_that_only_wide_types_hold():
    """It is finite until a batch makes it a float32."""
    with pytest.raises(ValueError, match=r"at most 3\.4e\+38, got 1e\+200 at step 1"):
        Sequences.from_array(np.array([[0.0, 1e200]]))
    largest = np.array([[0.0, float(np.finfo(np.float32).max)]])
    assert np.isfinite(Sequences.from_array(largest).values.astype(np.float32)).all()


def test_an_empty_sequence():
    steps, starts = np.zeros((3, 1), dtype=np.float32), np.array([0, 3])
    words = (
        "every example must hold at least one of the 3 steps, got example 1 from 3 with length 0"
    )
    with pytest.raises(ValueError, match=words):
        Sequences(steps, starts, np.array([3, 0]))
    with pytest.raises(ValueError, match="there must be at least one example, got none"):
        Sequences(steps, starts[:0], starts[:0])
    with pytest.raises(ValueError, match="at least one sequence and one step"):
        check_inputs(torch.zeros(2, 0, 1), torch.ones(2, 0, dtype=torch.bool))


def test_a_batch_of_only_padding():
    mask = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ValueError, match="every sequence must have a real step, got 1 of only"):
        check_inputs(torch.zeros(2, 2, 1), mask)
    # and none can come out of data, however short
    rng = np.random.default_rng(0)
    inputs = Sequences.from_list([rng.random((n, 1), dtype=np.float32) for n in (1, 1, 5, 2, 1)])
    split = Split(inputs, Sequences.from_array(np.zeros((5, 1), dtype=np.float32)))
    data = DeviceData(Dataset("made up", Regression(), split, split, split, {}))
    for indices in epoch_order(data.train, 2, seed=0, epoch=0):
        batch = data.train.batch(indices)
        check_inputs(batch.inputs, batch.mask)


def test_a_data_set_that_is_not_of_its_task():
    split = Split(ONE, ONE)
    words = "`input_size` of the task must be the number of features of made up, got 2 and 1"
    with pytest.raises(ValueError, match=words):
        DeviceData(Dataset("made up", Regression(input_size=2), split, split, split, {}))


def test_one_example_of_one_step_is_enough_to_train_on():
    split = Split(ONE, ONE)
    data = DeviceData(Dataset("made up", Regression(), split, split, split, {}))
    for name, family in MODELS.items():
        config = default(family_space(family, data.task, 1))
        measured = Training(family, config, data, seed=0, epochs=1).run_epoch()
        assert np.isfinite(measured.train_loss), name
