"""Which way a recurrence is computed, and that a way is used only if it is right."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers.cuda_graphs import Graphs
from trainers.models.recurrence import choice, operations
from trainers.models.recurrence.choice import (
    TOLERANCE,
    WAYS,
    Use,
    deviation,
    example,
    fastest,
    trusted,
)
from trainers.models.recurrence.loops import GATES, LOOPS, Recurrence, Tensors

CPU = torch.device("cpu")


def on_a_gpu(dtype: torch.dtype = torch.float32) -> Any:
    """As much of a state on a GPU as is looked at."""
    device = torch.device("cuda", 0)
    return SimpleNamespace(is_cuda=True, dtype=dtype, device=device, shape=(2, 3, 20))


def turned(gates: Tensor, first: Tensors, weights: Tensors) -> Tensors:
    return LOOPS["gru"].forward(gates, first, (weights[0].flip(1), *weights[1:]))


def without_update_gate(*given: Any) -> tuple[Tensor, Tensors]:
    of_gates, of_first = LOOPS["gru"].backward(*given)
    of_gates[..., 40:60] = 0
    return of_gates, of_first


def nan(*given: Any) -> Tensors:
    return tuple(each * torch.nan for each in LOOPS["gru"].forward(*given))


def off_by_rounding(*given: Any) -> Tensors:
    return tuple(each * (1 + 1e-5) for each in LOOPS["gru"].forward(*given))


def refused(*_: Any) -> Tensors:
    raise RuntimeError("out of resource: shared memory, required 262144")


GRU = Use("gru", 20, torch.float32, CPU)
BACKWARD = LOOPS["gru"].backward


@pytest.mark.parametrize(
    ("recurrence", "words"),
    [
        (Recurrence(turned, BACKWARD), "for gru of 20 units in torch.float32, which only costs"),
        (Recurrence(LOOPS["gru"].forward, without_update_gate), "gives results that are off by"),
        (Recurrence(nan, BACKWARD), "gives results that are off by nan"),
        (Recurrence(refused, BACKWARD), "fails: RuntimeError: out of resource: shared memory"),
    ],
    ids=["wrong forward", "wrong backward", "nan", "does not compile"],
)
def test_what_is_wrong_is_left_alone_with_one_warning(recurrence: Recurrence, words: str) -> None:
    with pytest.warns(RuntimeWarning, match=words) as seen:
        assert trusted("it", lambda: recurrence, GRU) is None
    assert len(seen) == 1


def test_what_is_right_up_to_rounding_is_trusted() -> None:
    near = Recurrence(off_by_rounding, BACKWARD)
    assert trusted("it", lambda: near, GRU) is near
    assert trusted("it", lambda: None, GRU) is None


def test_that_there_is_no_memory_to_find_out_is_no_verdict() -> None:
    def full() -> Recurrence:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        trusted("it", full, GRU)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("cell", GATES)
def test_the_loop_itself_is_within_rounding(cell: str, dtype: torch.dtype) -> None:
    for size in (1, 20, 128):
        use = Use(cell, size, dtype, CPU)
        assert deviation(LOOPS[cell], use, example(use)) < TOLERANCE[dtype] / 2


def test_finding_out_leaves_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    example(GRU)
    assert torch.equal(before, torch.get_rng_state())


def test_the_first_way_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Use] = []

    def none(use: Use) -> None:
        asked.append(use)

    def some(use: Use) -> Recurrence:
        return LOOPS["tanh"]

    assert list(WAYS) == ["persistent kernel", "CUDA graphs"]
    monkeypatch.setattr(choice, "WAYS", {"a": none, "b": some})
    assert fastest("gru", on_a_gpu()) is LOOPS["tanh"]
    assert asked == [Use("gru", 20, torch.float32, torch.device("cuda", 0))]
    monkeypatch.setattr(choice, "WAYS", {"a": none})
    assert fastest("gru", on_a_gpu()) is LOOPS["gru"]
    assert len(asked) == 2
    assert fastest("gru", on_a_gpu(torch.float16)) is LOOPS["gru"]
    assert fastest("gru", torch.zeros(2, 3, 20)) is LOOPS["gru"]
    assert len(asked) == 2


GPU = SimpleNamespace(major=9, shared_memory_per_multiprocessor=233_472)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nothing is computed on."""
    properties = {"cuda:0": GPU, "cuda:1": SimpleNamespace(major=7)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties[str(device)])


def kernels_that(fits: Callable[..., bool]) -> SimpleNamespace:
    return SimpleNamespace(fits=fits, KERNELS=LOOPS)


@pytest.mark.usefixtures("gpu")
def test_the_kernel_is_for_sizes_that_fit_and_where_triton_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loaded(name: str) -> SimpleNamespace:
        assert name == "trainers.models.recurrence.persistent"
        return kernels_that(lambda cell, size, dtype, memory: (size, memory) == (20, 233_472))

    persistent = choice._persistent
    use = GRU._replace(device=torch.device("cuda", 0))
    monkeypatch.setattr(choice, "import_module", loaded)
    monkeypatch.setattr(choice, "find_spec", lambda name: object())
    assert persistent(use) is LOOPS["gru"]
    assert persistent(use._replace(hidden_size=21)) is None
    assert persistent(use._replace(device=torch.device("cuda", 1))) is None
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    monkeypatch.setattr(choice, "import_module", refused)
    assert persistent(use) is None


def test_graphs_are_left_alone_once_they_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs()
    monkeypatch.setattr(choice, "GRAPHS", graphs)
    monkeypatch.setattr(choice, "_graphed", lambda use: LOOPS["tanh"])
    assert WAYS["CUDA graphs"](GRU) is LOOPS["tanh"]
    graphs.usable = False
    assert WAYS["CUDA graphs"](GRU) is None


def test_on_a_processor_no_kernel_is_imported() -> None:
    gates, h, weight = torch.zeros(1, 2, 3, 4), torch.zeros(1, 3, 4), torch.zeros(1, 4, 4)
    operations.plain(gates, h.requires_grad_(), weight, False).sum().backward()
    assert choice.KERNELS not in sys.modules
