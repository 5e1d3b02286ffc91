"""Functions recorded as graphs, with a stand-in that computes again what was recorded."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers.cuda_graphs import Graph, Graphs
from trainers.device import free_memory
from trainers.models.recurrence.choice import Use, deviation, example
from trainers.models.recurrence.graphs import graphed, pieces
from trainers.models.recurrence.loops import GATES, LOOPS


class Again:
    """Computes from and to the memory that it was recorded with, as a CUDA graph does."""

    def __init__(self, run: Callable[[], Any], found: Any) -> None:
        self._run, self._found = run, found

    def replay(self) -> None:
        with torch.no_grad():
            copied(self._found, self._run())


def copied(into: Any, found: Any) -> None:
    if isinstance(into, Tensor):
        into.copy_(found)
        return
    for one, other in zip(into, found, strict=True):
        copied(one, other)


def spoilt(found: Any) -> None:
    if isinstance(found, Tensor):
        found.fill_(torch.nan)
        return
    for each in found:
        spoilt(each)


class Recorder:
    """Records in the way of `trainers.cuda_graphs.record`, and counts.

    What is recorded is not computed, so that nothing is there before the first replay.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, run: Callable[[], Any]) -> tuple[Graph, Any]:
        self.count += 1
        found = run()
        spoilt(found)
        return Again(run, found), found


def doubled(given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(2 * each for each in given)


def test_a_function_is_recorded_once_for_each_set_of_shapes() -> None:
    recorder = Recorder()
    graphs = Graphs(record=recorder)
    for scale in (1.0, 2.0, 3.0):
        (found,) = graphs.run(doubled, (scale * torch.ones(3),))
        assert torch.equal(found, 2 * scale * torch.ones(3))
    assert recorder.count == 1
    graphs.run(doubled, (torch.ones(4),))
    graphs.run(doubled, (torch.ones(3, dtype=torch.float64),))
    graphs.run(doubled, (torch.ones(3), torch.ones(3)))
    assert recorder.count == 4


def test_what_is_given_is_copied_and_views_are_read_right() -> None:
    graphs = Graphs(record=Recorder())
    rows = torch.arange(6.0).view(2, 3)
    for given in (rows.mT, rows.mT + 1, rows[:1].expand(3, 3)[:, :2]):
        (found,) = graphs.run(doubled, (given,))
        assert torch.equal(found, 2 * given)
    assert torch.equal(rows, torch.arange(6.0).view(2, 3))


def test_only_so_many_graphs_are_kept() -> None:
    recorder = Recorder()
    graphs = Graphs(most=2, record=recorder)
    for size in (1, 2, 1, 3, 1):  # 2 gives way to 3
        graphs.run(doubled, (torch.ones(size),))
    assert recorder.count == 3
    graphs.run(doubled, (torch.ones(2),))
    assert recorder.count == 4
    graphs.forget()
    graphs.run(doubled, (torch.ones(2),))
    assert recorder.count == 5


def test_what_cannot_be_recorded_is_computed_with_one_warning() -> None:
    tried = []

    def refuse(run: Callable[[], Any]) -> tuple[Graph, Any]:
        tried.append(run)
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = Graphs(record=refuse)
    with pytest.warns(RuntimeWarning, match="CUDA graphs are not used.*when stream is cap"):
        (found,) = graphs.run(doubled, (torch.ones(2),))
    assert torch.equal(found, 2 * torch.ones(2))
    assert not graphs.usable
    graphs.run(doubled, (torch.ones(3),))
    assert len(tried) == 1


def test_nothing_is_recorded_inside_of_another_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    (found,) = Graphs(record=recorder).run(doubled, (torch.ones(2),))
    assert torch.equal(found, 2 * torch.ones(2))
    assert recorder.count == 0


def test_the_memory_of_graphs_is_given_back_with_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = Graphs(record=Recorder())
    graphs.run(doubled, (torch.ones(2),))
    monkeypatch.setattr("trainers.device.GRAPHS", graphs)
    free_memory()
    assert not graphs._recorded


# recurrences


def test_pieces_are_powers_of_two_and_all_of_it() -> None:
    for time in range(1, 80):
        steps = [range(time)[each] for each in pieces(time)]
        assert [step for each in steps for step in each] == list(range(time))
        assert {len(each) for each in steps} <= {16, 8, 4, 2, 1}
        assert len(steps) <= time // 16 + 4


@pytest.mark.parametrize("cell", GATES)
def test_values_and_gradients_are_those_of_the_loop(cell: str) -> None:
    use = Use(cell, 5, torch.float64, torch.device("cpu"))
    recorder = Recorder()
    found = graphed(LOOPS[cell], Graphs(record=recorder))
    for time in (39, 7, 39):  # of which the third has all that it needs
        assert deviation(found, use, example(use, time=time)) < 1e-13
        assert recorder.count <= 10


@pytest.mark.parametrize("cell", GATES)
def test_what_is_given_out_stays_when_more_is_computed(cell: str) -> None:
    use = Use(cell, 5, torch.float64, torch.device("cpu"))
    (gates,), first, weights, (of_states,), of_last = example(use, time=16)
    found = graphed(LOOPS[cell], Graphs(record=Recorder()))
    kept = found.forward(gates, first, weights)
    of_gates, of_first = found.backward(of_states, of_last, kept, first, weights)
    before = [each.clone() for each in (*kept, of_gates, *of_first)]
    again = found.forward(gates + 1, first, weights)
    found.backward(of_states + 1, of_last, again, first, weights)
    assert all(map(torch.equal, before, (*kept, of_gates, *of_first)))
