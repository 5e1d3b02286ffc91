"""The faults that a laboratory knows, each with all that makes it good again."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.chaos.disk import Disk
from tests.chaos.laboratory import Laboratory
from tests.chaos.machines import wait
from tests.chaos.standin import ERROR, HANG, MEMORY


def kill_worker(lab: Laboratory, rng: random.Random) -> None:
    """The process that trains is gone."""
    workers = lab.workers()
    if workers:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(workers), signal.SIGKILL)


def kill_machine(lab: Laboratory, rng: random.Random) -> None:
    """The power is cut, and comes back."""
    number = _machine(lab, rng)
    lab.machines.kill(number)
    time.sleep(rng.uniform(0.0, 4.0))
    lab.machines.boot(number)


def flicker(lab: Laboratory, rng: random.Random) -> None:
    """The network is cut, too briefly to be noticed."""
    _cut(lab, rng, 0.8)


def partition(lab: Laboratory, rng: random.Random) -> None:
    """The network is cut until the machine is given up, and comes back."""
    _cut(lab, rng, rng.uniform(4.0, 8.0))


def kill_driver(lab: Laboratory, rng: random.Random) -> None:
    """The driver is gone, and another goes on."""
    lab.kill_driver()
    time.sleep(rng.uniform(0.0, 2.0))
    lab.revive()


def kill_head(lab: Laboratory, rng: random.Random) -> None:
    """Ray's head is gone with all it knew; all of it comes up anew, and another driver goes on."""
    lab.machines.kill_head()
    wait(lambda: lab.ended, "the driver does not end without a head")
    lab.machines.start_head()
    lab.revive()


def fill_disk(lab: Laboratory, rng: random.Random) -> None:
    """The log and the checkpoints find no space for a while."""
    _spoil(lab.disks, rng, Disk.fill, Disk.free)


def protect_disk(lab: Laboratory, rng: random.Random) -> None:
    """The checkpoints are read-only for a while."""
    _spoil(lab.disks[1:], rng, Disk.protect, Disk.unprotect)


def hang(lab: Laboratory, rng: random.Random) -> None:
    """An epoch never ends."""
    lab.order(HANG)


def exhaust_memory(lab: Laboratory, rng: random.Random) -> None:
    """A trial wants more memory than its process may have."""
    lab.order(MEMORY)


def raise_unserialisable(lab: Laboratory, rng: random.Random) -> None:
    """A trial raises what cannot leave its process."""
    lab.order(ERROR)


Fault = Callable[[Laboratory, random.Random], None]
FAULTS: dict[str, Fault] = {
    "worker killed": kill_worker,
    "machine killed": kill_machine,
    "network flickers": flicker,
    "network cut": partition,
    "driver killed": kill_driver,
    "head killed": kill_head,
    "disk full": fill_disk,
    "disk read-only": protect_disk,
    "trial hangs": hang,
    "out of memory": exhaust_memory,
    "unserialisable error": raise_unserialisable,
}


def draw(count: int, rng: random.Random, kinds: Sequence[str] | None = None) -> list[str]:
    """That many faults in random order, each kind as often as the others, within one.

    Args:
        kinds: From which to draw; all, if None.
    """
    kinds, names = kinds or list(FAULTS), list[str]()
    while len(names) < count:
        names += rng.sample(kinds, len(kinds))
    return names[:count]


def _machine(lab: Laboratory, rng: random.Random) -> int:
    return rng.randint(1, lab.machines.count)


def _cut(lab: Laboratory, rng: random.Random, seconds: float) -> None:
    number = _machine(lab, rng)
    lab.machines.cut(number)
    try:
        time.sleep(seconds)
    finally:
        lab.machines.heal(number)


def _spoil(
    disks: list[Disk],
    rng: random.Random,
    spoil: Callable[[Disk], None],
    mend: Callable[[Disk], None],
) -> None:
    for disk in disks:
        spoil(disk)
    try:
        time.sleep(rng.uniform(1.0, 4.0))
    finally:
        for disk in disks:
            mend(disk)
