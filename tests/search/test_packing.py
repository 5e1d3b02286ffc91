"""How many trials share a GPU."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.machine import Machine, room
from search.runner.packing import HEADROOM, Gpu, Need, Packing, fits, pack, share

GB = 10**9
GPU = Gpu("H200", 80 * GB, process_bytes=GB)

needs = st.lists(
    st.builds(
        Need,
        memory_bytes=st.one_of(st.floats(1e6, 2e11), st.just(math.inf)),
        epoch_seconds=st.floats(1e-3, 1e3),
        busy=st.floats(0.0, 1.0),
    ),
    min_size=1,
    max_size=12,
)
machines = st.lists(
    st.builds(
        Machine,
        cpus=st.integers(0, 40).map(float),
        gpus=st.integers(0, 8).map(float),
    ),
    min_size=1,
    max_size=4,
)
gpus = st.builds(
    Gpu,
    name=st.just("GPU"),
    memory_bytes=st.integers(10**9, 2 * 10**11),
    process_bytes=st.integers(0, 9 * 10**8),
    overlaps=st.booleans(),
)


def packed(
    needs: list[Need], *machines: Machine, gpu: Gpu = GPU, most: int | None = None
) -> Packing:
    return pack(needs, gpu, machines, cpus=1, most=most)


@given(needs, gpus, machines, st.integers(1, 4), st.one_of(st.none(), st.integers(1, 30)))
def test_no_gpu_is_promised_more_than_it_has_and_no_slot_is_left(
    needs: list[Need], gpu: Gpu, machines: list[Machine], cpus: int, most: int | None
) -> None:
    if not any(machine.cpus >= cpus and machine.gpus for machine in machines):
        with pytest.raises(ValueError, match="a trial must find"):
            pack(needs, gpu, machines, cpus=cpus, most=most)
        return
    found = pack(needs, gpu, machines, cpus=cpus, most=most)
    if found.tensor_bytes is not None:
        assert found.per_gpu > 1
        assert found.per_gpu * (found.tensor_bytes + gpu.process_bytes) <= gpu.memory_bytes
        for need in needs:
            within = need.memory_bytes * HEADROOM <= found.tensor_bytes
            assert fits(need, gpu, found.per_gpu) == within
    assert found.per_gpu * share(found.per_gpu) <= 1
    held = 0
    for machine in machines:  # one worker after another, as long as there is room
        cores, free = machine.cpus, [found.per_gpu] * int(machine.gpus)
        while cores >= cpus and any(free):
            cores, free[free.index(max(free))] = cores - cpus, max(free) - 1
            held += 1
    assert found.slots == min(held, most or held)


@given(needs, gpus, st.integers(1, 4), st.integers(1, 20))
def test_packing_is_never_slower_than_a_gpu_each(
    needs: list[Need], gpu: Gpu, count: int, cpus: int
) -> None:
    found = pack(needs, gpu, [Machine(count * cpus, count)], cpus=1, most=None)
    spent = sum(
        need.epoch_seconds
        * (
            max(1 / found.per_gpu, 0.0 if gpu.overlaps else need.busy)
            if fits(need, gpu, found.per_gpu)
            else 1.0
        )
        for need in needs
    )
    assert spent <= sum(need.epoch_seconds for need in needs) * (1 + 1e-9)


def test_small_models_are_packed_until_the_cpus_are_spent() -> None:
    found = packed([Need(2 * GB, 1.0, busy=0.05)], Machine(16, 1))
    assert (found.per_gpu, found.slots, found.tensor_bytes) == (16, 16, 4 * GB)
    assert "1 of the 1 models tried fit into 4 GB each; there are CPUs for no more" in found.reason
    four = packed([Need(2 * GB, 1.0)], Machine(8, 2))
    assert (four.per_gpu, four.slots) == (4, 8)


def test_models_that_keep_a_gpu_busy_gain_nothing_beside_each_other() -> None:
    assert packed([Need(GB, 1.0, busy=0.97)], Machine(16, 1)).per_gpu == 1
    half = packed([Need(GB, 1.0, busy=0.5)], Machine(16, 1))
    assert half.per_gpu == 2
    assert "each keeps the GPU busy 50% of its time" in half.reason
    mps = Gpu("H200", 80 * GB, process_bytes=GB, overlaps=True)
    together = packed([Need(GB, 1.0, busy=0.5)], Machine(16, 1), gpu=mps)
    assert together.per_gpu == 16
    assert "CUDA MPS is on" in together.reason


def test_a_few_large_models_do_not_hold_back_many_small_ones() -> None:
    small, large = Need(GB, 1.0), Need(60 * GB, 1.0)
    mostly = packed([small] * 9 + [large], Machine(16, 1))
    assert mostly.per_gpu >= 14
    assert "9 of the 10 models tried fit into 4." in mostly.reason
    assert "GB each, the others get a GPU of their own" in mostly.reason
    assert packed([large] * 9, Machine(16, 1)).per_gpu == 1
    # halves hold all of these, and sixteenths only the quick one
    assert packed([Need(GB, 1.0), Need(30 * GB, 100.0)], Machine(16, 1)).per_gpu == 2


def test_no_more_share_a_gpu_than_may_run_at_a_time() -> None:
    found = packed([Need(GB, 1.0)], Machine(64, 4), most=4)
    assert (found.per_gpu, found.slots) == (1, 4)
    assert packed([Need(GB, 1.0)], Machine(64, 4), most=6).slots == 6


def test_machines_count_one_by_one() -> None:
    halves = [Machine(1), Machine(1), Machine(1)]
    assert room(halves, 2) == 0  # three CPUs in all, and two of them nowhere
    assert room(halves, 1) == 3
    assert room([Machine(8, 2)], 1, 0.5) == 1  # a worker with two GPUs
    assert Machine(1, labels={"a": "b", "c": "d"}).has({"a": "b"})
    assert not Machine(1, labels={"a": "b"}).has({"a": "x"})
