"""Nothing is left of a laboratory, also where the process that made it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import keeper
from tests.processes import command_of, living, pids, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("machines")]

NAME = "sqkeep"
MAKER = """
import os, subprocess, sys, time
from pathlib import Path
from tests.chaos.disk import small_disk
from tests.chaos.keeper import MARK, kept

name, folder = sys.argv[1:]
with kept(name, Path(folder)), small_disk(Path(folder, "disk"), name=name):
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    subprocess.run(["ip", "netns", "add", f"{name}-1"], check=True)
    peer = ["type", "veth", "peer", "name", "eth0", "netns", f"{name}-1"]
    subprocess.run(["ip", "link", "add", f"{name}-1", *peer], check=True)
    into = ["nsenter", f"--net=/run/netns/{name}-1", "unshare", "--fork", "--pid", "--kill-child"]
    asleep = subprocess.Popen(
        [*into, "sleep", "600"], env=os.environ | {MARK: name}, start_new_session=True
    )
    print("made", flush=True)
    sys.stdin.read()
    asleep.kill()
    asleep.wait()
"""


def make(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, NAME, folder],
        cwd=keeper.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def left(folder: Path) -> list[object]:
    here = [folder] if folder.exists() else []
    made = keeper.links(NAME) + keeper.namespaces(NAME) + keeper.mounts(NAME)
    return [*made, *living(keeper.MARK, NAME), *here]


@pytest.mark.parametrize("killed", [True, False])
def test_nothing_is_left_however_its_maker_ends(tmp_path: Path, killed: bool) -> None:
    folder = tmp_path / "lab"
    with make(folder) as maker:
        assert maker.stdout.readline() == "made\n"
        assert set(keeper.links(NAME)) == {NAME, f"{NAME}-1"}
        assert (keeper.namespaces(NAME), keeper.mounts(NAME)) == ([f"{NAME}-1"], [f"{folder}/disk"])
        wait_until(lambda: living(keeper.MARK, NAME, "sleep 600"), 30)
        if killed:
            maker.kill()
        else:
            maker.stdin.close()
            assert maker.wait(30) == 0
            assert left(folder) == []
    wait_until(lambda: not left(folder), 30, words=lambda: str(left(folder)))


def test_a_second_laboratory_of_the_name_waits_for_the_first(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with make(one) as first:
        assert first.stdout.readline() == "made\n"
        with make(two) as second:
            wait_until(lambda: keepers(two), 30)
            first.kill()
            assert second.stdout.readline() == "made\n"
            assert (one.exists(), two.exists()) == (False, True)
            assert keeper.mounts(NAME) == [f"{two}/disk"]
    wait_until(lambda: not left(two), 30, words=lambda: str(left(two)))


def keepers(folder: Path) -> list[int]:
    """Who keeps a laboratory with that folder, or waits to."""
    return [
        pid for pid in pids() if command_of(pid).endswith(f"tests.chaos.keeper {NAME} {folder}")
    ]
