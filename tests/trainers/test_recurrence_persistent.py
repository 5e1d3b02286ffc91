"""The kernels in Triton: in its interpreter against the loop and against torch's own recurrences.

The interpreter computes on a processor what the kernels say: that proves their algebra, and where
they read and write. It knows no products in bfloat16, and cuts off where a GPU rounds; so products
are of numbers cut to bfloat16, in float32. The compiler needs no GPU, either; what it compiles is
run in `test_gpu`.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainers.models.recurrence.choice import KERNELS, TOLERANCE, Use, deviation, example
from trainers.models.recurrence.loops import GATES, Recurrence

triton = pytest.importorskip("triton", reason="Triton is for Linux")
tl = pytest.importorskip("triton.language")
compiler = pytest.importorskip("triton.backends.compiler")
FLOAT32_OFF = 2e-6
"""Rounding; observed are 5e-7."""


def kernels() -> ModuleType:
    """Of this file alone, as they are for the interpreter or for the compiler, but not for both."""
    assert KERNELS not in sys.modules
    found = import_module(KERNELS)
    del sys.modules[KERNELS]
    return found


@pytest.fixture(scope="module")
def interpreted() -> Iterator[ModuleType]:
    """Made for the interpreter; no other test sees Triton told so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield kernels()


def use(cell: str, size: int, dtype: torch.dtype = torch.float32) -> Use:
    return Use(cell, size, dtype, torch.device("cpu"))


# hidden sizes below, at and above a power of two; a batch below, at and above a tile
@pytest.mark.parametrize(
    ("members", "time", "batch", "size"), [(2, 3, 21, 20), (1, 1, 1, 7), (2, 3, 16, 16)]
)
@pytest.mark.parametrize("cell", GATES)
def test_values_and_gradients_are_those_of_the_loop(
    cell: str, members: int, time: int, batch: int, size: int, interpreted: ModuleType
) -> None:
    given = example(use(cell, size), members, time, batch)
    off = deviation(interpreted.KERNELS[cell], use(cell, size), given)
    assert off < FLOAT32_OFF


MODULES = {
    "tanh": nn.RNN,
    "relu": lambda *sizes, **how: nn.RNN(*sizes, nonlinearity="relu", **how),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


@pytest.mark.parametrize("cell", GATES)
def test_they_compute_what_layers_of_torch_do(
    cell: str, interpreted: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []

    def kernels(name: str, state: Tensor) -> Recurrence:
        chosen.append(name)
        return interpreted.KERNELS[name]

    monkeypatch.setattr("trainers.models.recurrence.operations.fastest", kernels)
    torch.manual_seed(0)
    layers = [MODULES[cell](5, 18, batch_first=True) for _ in range(2)]
    x = torch.randn(2, 19, 4, 5)
    names = [name for name, _ in layers[0].named_parameters()]
    stacked = {
        name: torch.stack([dict(layer.named_parameters())[name].detach() for layer in layers])
        for name in names
    }
    leaves = [each.requires_grad_() for each in stacked.values()]

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return total(*torch.func.functional_call(layers[0], weights, (x,)))

    losses = torch.func.vmap(one)(stacked, x)
    together = torch.autograd.grad(losses.sum(), leaves)
    assert chosen == [cell, cell]  # forward and backward
    for member, layer in enumerate(layers):
        loss = total(*layer(x[member]))
        torch.testing.assert_close(losses[member], loss, rtol=1e-5, atol=1e-5)
        alone = torch.autograd.grad(loss, list(layer.parameters()))
        for mine, other in zip(together, alone, strict=True):
            torch.testing.assert_close(mine[member], other, rtol=1e-4, atol=1e-5)


def total(y: Tensor, states: Any) -> Tensor:
    """A number in which every output counts differently, the last states too."""
    parts = [y, *(states if isinstance(states, tuple) else (states,))]
    return sum((part * torch.arange(part.numel()).view_as(part).cos()).sum() for part in parts)


def product_of_cut(x: Any, matrix: Any) -> Any:
    return tl.dot(x.to(matrix.dtype).to(tl.float32), matrix.to(tl.float32), input_precision="ieee")


@pytest.mark.parametrize("cell", GATES)
def test_in_bfloat16_only_rounding_is_lost(
    cell: str, interpreted: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreted, "_product", product_of_cut)
    rounded = use(cell, 24, torch.bfloat16)
    given = example(rounded, 1, 8, 17)
    assert 1e-3 < deviation(interpreted.KERNELS[cell], rounded, given) < TOLERANCE[torch.bfloat16]


@pytest.mark.parametrize("cell", GATES)
def test_a_member_that_is_nan_leaves_the_others(cell: str, interpreted: ModuleType) -> None:
    (gates,), first, weights, _, _ = example(use(cell, 20), 3, 3, 5)
    kernel = interpreted.KERNELS[cell]
    well = kernel.forward(gates, first, weights)
    gates[1, 1] = torch.nan
    ill = kernel.forward(gates, first, weights)
    assert ill[0][1, 1:].isnan().all()
    for one, other in zip(well, ill, strict=True):
        assert torch.equal(one[[0, 2]], other[[0, 2]])
        # nor does the number of members change anything
    fewer = kernel.forward(gates[:1], [each[:1] for each in first], [each[:1] for each in weights])
    assert all(torch.equal(one[:1], other) for one, other in zip(well, fewer, strict=True))


def test_what_fits_a_multiprocessor(interpreted: ModuleType) -> None:
    memory = 233_472  # of an H200
    held = {
        (cell, dtype): max(
            size for size in range(1, 600) if interpreted.fits(cell, size, dtype, memory)
        )
        for cell in GATES
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert held == {
        ("tanh", torch.float32): 64,
        ("tanh", torch.bfloat16): 256,
        ("relu", torch.float32): 64,
        ("relu", torch.bfloat16): 256,
        ("gru", torch.float32): 64,
        ("gru", torch.bfloat16): 128,
        ("lstm", torch.float32): 64,
        ("lstm", torch.bfloat16): 128,
    }
    assert not interpreted.fits("tanh", 16, torch.float64, memory)


POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}


def compiled(kernel: Any, width: int, dtype: torch.dtype) -> Any:
    """For an H200, as `_launch` would have it compiled."""
    constants: dict[str, int] = {"width": width, "rows": 16}
    if "relu" in kernel.arg_names:
        constants["relu"] = False
    types = dict.fromkeys(constants, "constexpr") | dict.fromkeys(("time", "batch", "size"), "i32")
    signature = {name: types.get(name, POINTERS[dtype]) for name in kernel.arg_names}
    by_16 = [["tt.divisibility", 16]]
    known = {
        (place,): by_16
        for place, name in enumerate(kernel.arg_names)
        if name == "size" or signature[name] in POINTERS.values()
    }
    source = triton.compiler.ASTSource(kernel, signature, constexprs=constants, attrs=known)
    target = compiler.GPUTarget("cuda", 90, 32)
    return triton.compile(source, target=target, options={"num_warps": 8})


# the widest of each
@pytest.mark.parametrize(
    ("cell", "size", "dtype"),
    [
        ("tanh", 256, torch.bfloat16),
        ("gru", 128, torch.bfloat16),
        ("lstm", 128, torch.bfloat16),
        ("lstm", 64, torch.float32),
    ],
)
def test_they_compile_and_take_the_memory_that_is_counted(
    cell: str, size: int, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = kernels()
    name = {"tanh": "_plain"}.get(cell, f"_{cell}")
    for kernel in (getattr(module, name), getattr(module, f"{name}_backward")):
        program = compiled(kernel, size, dtype)
        assert program.metadata.shared <= module.shared_bytes(cell, size, dtype)
    assert program.metadata.shared > 0.85 * module.shared_bytes(cell, size, dtype)
    assert ("mma.sync" in program.asm["ptx"]) == (dtype == torch.bfloat16)
    assert "cp.async" in program.asm["ptx"]  # what the next step reads
