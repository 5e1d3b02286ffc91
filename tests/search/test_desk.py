"""Leases out and back, without Ray."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from search.runner.desk import Desk
from search.runner.message import Message
from search.trial import Lease, Outcome, Trial


class Leases:
    """Hands out `count` leases, and remembers what it is told."""

    def __init__(self, count: int) -> None:
        self.todo = [Lease(n, Trial(n, "lstm", {}, 0), 1, 0, 3) for n in range(count)]
        self.reports: list[tuple[int, int]] = []
        self.ends: list[tuple[int, Outcome]] = []
        self.unwanted: set[int] = set()
        self.stopped = False
        self.finished = False

    def next_lease(self) -> Lease | None:
        return self.todo.pop(0) if self.todo else None

    def wanted(self, lease: Lease) -> bool:
        return lease.number not in self.unwanted

    def report(self, lease: Lease, measurement: Mapping[str, Any]) -> None:
        self.reports.append((lease.number, measurement["epoch"]))

    def end(self, lease: Lease, outcome: Outcome) -> None:
        self.ends.append((lease.number, outcome))

    def stop(self) -> None:
        assert not self.stopped
        self.stopped = True


def told(*epochs: int, outcome: Outcome | None = None) -> Message:
    return Message([{"epoch": epoch} for epoch in epochs], outcome)


def test_a_lease_goes_out_is_heard_of_and_ends() -> None:
    leases = Leases(2)
    desk = Desk(leases)
    assert desk.hand_out("a").number == 0
    assert desk.in_flight == 1
    desk.hear("a", told(1, 2), last=False)
    desk.hear("a", told(3, outcome=Outcome.reached(3)), last=True)
    assert leases.reports == [(0, 1), (0, 2), (0, 3)]
    assert leases.ends == [(0, Outcome.reached(3))]
    assert (desk.in_flight, desk.handed_out, desk.ended) == (0, 1, 1)


def test_a_used_ticket_gets_nothing_even_when_its_lease_is_over() -> None:
    leases = Leases(3)
    desk = Desk(leases)
    desk.hand_out("a")
    assert desk.hand_out("a") is None
    desk.hear("a", told(outcome=Outcome.failed("why")), last=True)
    assert desk.hand_out("a") is None
    assert desk.hand_out("b").number == 1
    assert len(leases.todo) == 1


def test_old_news_are_ignored() -> None:
    leases = Leases(1)
    desk = Desk(leases)
    desk.hand_out("a")
    desk.begin("a")
    desk.lose("a", "it died")
    desk.lose("a", "it died again")
    desk.hear("a", told(1, outcome=Outcome.reached(1)), last=True)
    desk.hear("never", told(1), last=False)
    assert leases.reports == []
    assert leases.ends == [(0, Outcome.lost("it died"))]
    assert desk.ended == 0  # nothing was brought to its end


def test_a_lease_that_is_not_wanted_ends_where_it_stands() -> None:
    leases = Leases(1)
    desk = Desk(leases)
    desk.hand_out("a")
    assert desk.wants("a")
    leases.unwanted.add(0)
    assert not desk.wants("a")
    desk.hear("a", told(1, 2), last=True)
    assert leases.ends == [(0, Outcome.reached(2))]
    assert not desk.wants("a")


def test_a_lease_may_end_unwanted_before_anything_was_told() -> None:
    leases = Leases(1)
    desk = Desk(leases)
    desk.hand_out("a")
    desk.hear("a", told(2), last=False)
    desk.hear("a", told(), last=True)  # its worker waits for the storage
    assert leases.ends == [(0, Outcome.reached(2))]


def test_a_worker_that_died_before_it_began_is_not_held_against_the_trial() -> None:
    leases = Leases(5)
    desk = Desk(leases, watchdog_seconds=0.0, most_unbegun=2)
    desk.hand_out("a")
    desk.lose("a", "it died idle")
    assert leases.ends == [(0, Outcome.lost("it died idle", begun=False))]
    desk.hand_out("b")
    desk.begin("b")
    desk.hand_out("c")
    desk.lose("c", "it died idle")
    desk.hand_out("d")
    with pytest.raises(RuntimeError, match="2 workers in a row died before they began: no memory"):
        desk.lose("d", "no memory")
    assert isinstance(desk.fault, RuntimeError)


def test_all_leases_are_lost_at_once() -> None:
    leases = Leases(2)
    desk = Desk(leases)
    desk.hand_out("a")
    desk.hand_out("b")
    desk.begin("a")
    desk.begin("b")
    desk.lose_all("the cluster\n is gone")
    assert leases.ends == [(n, Outcome.lost("the cluster is gone")) for n in (0, 1)]
    assert desk.in_flight == 0


def test_a_stopped_desk_hands_nothing_out() -> None:
    leases = Leases(2)
    desk = Desk(leases)
    desk.hand_out("a")
    desk.stop()
    desk.stop()
    assert leases.stopped
    assert desk.hand_out("b") is None
    assert desk.in_flight == 1


def test_waiting_for_nothing_is_an_error() -> None:
    desk = Desk(Leases(0))
    with pytest.raises(RuntimeError, match="waits for results, and nothing is being trained") as no:
        desk.hand_out("a")
    assert desk.fault is no.value


def test_a_message_survives_its_journey() -> None:
    message = told(1, 2, outcome=Outcome.reached(2, test={"accuracy": 0.5}, test_epoch=1))
    assert Message.from_text(message.to_text()) == message
    assert Message.from_text(told(3).to_text()) == told(3)


def shared_desk(leases: Leases, *alone: int, workers: int = 2) -> Desk:
    leases.todo = [replace(lease, alone=lease.number in alone) for lease in leases.todo]
    desk = Desk(leases)
    desk.change_workers(shared=True, workers=workers)
    return desk


def test_what_needs_a_gpu_of_its_own_waits_until_as_many_do_as_there_are_workers() -> None:
    desk = shared_desk(Leases(6), 0, 2)
    assert desk.hand_out("a").number == 1
    assert desk.waiting
    assert not desk.over
    assert desk.hand_out("b") is None  # 2 waits as well now
    assert desk.over
    desk.hear("a", told(3, outcome=Outcome.reached(3)), last=True)
    assert desk.hand_out("c") is None
    desk.change_workers(shared=False, workers=1)
    assert desk.hand_out("d").number == 0
    desk.hear("d", told(3, outcome=Outcome.reached(3)), last=True)
    assert desk.hand_out("e").number == 2
    assert not desk.over
    assert desk.hand_out("f").number == 3  # a GPU is free, and an ordinary lease may have it
    desk.hear("e", told(3, outcome=Outcome.reached(3)), last=True)
    assert desk.over
    assert desk.hand_out("g") is None
    desk.hear("f", told(3, outcome=Outcome.reached(3)), last=True)
    desk.change_workers(shared=True, workers=2)
    assert not desk.over
    assert desk.hand_out("h").number == 4


def test_what_waits_goes_out_when_nothing_else_is_left() -> None:
    desk = shared_desk(Leases(2), 1, workers=8)
    assert desk.hand_out("a").number == 0
    assert desk.hand_out("b") is None
    assert not desk.over
    desk.hear("a", told(3, outcome=Outcome.reached(3)), last=True)
    assert desk.hand_out("c") is None
    assert desk.over


def test_a_gpu_each_is_what_leases_alone_need_anyway() -> None:
    leases = Leases(3)
    leases.todo = [replace(lease, alone=True) for lease in leases.todo]
    desk = Desk(leases)
    desk.change_workers(shared=False, workers=3)
    assert [desk.hand_out(name).number for name in "abc"] == [0, 1, 2]
    assert not desk.over


def test_a_study_that_waits_for_nothing_is_told() -> None:
    desk = shared_desk(Leases(0))
    with pytest.raises(RuntimeError, match="waits for results"):
        desk.hand_out("a")


def test_what_waits_when_the_study_stops_is_given_back() -> None:
    leases = Leases(2)
    desk = shared_desk(leases, 1, workers=2)
    desk.hand_out("a")
    desk.hand_out("b")
    desk.stop()
    assert leases.ends == [(1, Outcome.lost("the study was stopped", begun=False))]
