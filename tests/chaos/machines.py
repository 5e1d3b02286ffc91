"""Several machines on one: each a network, process and mount namespace with an address of its own.

For root on Linux. Each runs `cluster.node`, which keeps Ray up, as the launchers have it; the head
is on the machine itself. They share the file system, as the machines of a cluster share one.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cluster.node import own_address
from cluster.watch import VARIABLE
from tests.chaos.keeper import MARK, ROOT
from tests.processes import command_of, environment_of, living, wait_until

PATIENCE_SECONDS = 240.0
MACHINE = "SEQTUNE_MACHINE"
NAME = "sq79"  # what all that a laboratory makes is called; a link's name has at most 15 letters
NETWORK = "10.79.0"
TOKEN = "0f" * 32

JOINED = f"""
import sys
from pathlib import Path
from cluster.connect import connect
from cluster.preflight import wait_for_nodes
with connect(sys.argv[1], code=Path({str(ROOT)!r})):
    sys.exit(wait_for_nodes(int(sys.argv[2]), {PATIENCE_SECONDS}) < int(sys.argv[2]))
"""

# A lost machine is noticed within five seconds, so that a test need not wait for a quarter of a
# minute; all else is what the launchers start.
NODE = """
import sys
from cluster import node
node.HEALTH |= {"RAY_health_check_initial_delay_ms": "1000", "RAY_health_check_period_ms": "500",
                "RAY_health_check_timeout_ms": "1000", "RAY_health_check_failure_threshold": "3"}
node.RETRY_SECONDS = 0.5
node.PATIENCE_SECONDS = 3.0
sys.exit(node.main())
"""


class Machines:
    """A head and some workers; the laboratory's keeper ends them, and all that belongs to them.

    Args:
        folder: For logs, homes and what is temporary.
        count: Workers.
        cpus: That each of them declares.

    Attributes:
        address: `host:port` of the head, once they are up.
    """

    def __init__(self, folder: Path, count: int, *, cpus: int = 1) -> None:
        self.folder = folder
        self.count = count
        self.cpus = cpus
        self.address = ""
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._head: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For every process of the laboratory."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),  # where Ray leaves much when it is killed
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": "80000000",
            "RAY_USAGE_STATS_ENABLED": "0",
            VARIABLE: "10",  # a head that is gone is given up by drivers and workers
            # who fetches data from a machine that is cut off asks another after so long, then after
            # twice as long, and so on; Ray's 10 s become minutes where cuts come every few seconds
            "RAY_object_manager_pull_timeout_ms": "2000",
            MARK: NAME,
        }

    def up(self) -> None:
        """Make the network, and start the head and the workers."""
        _ip("link", "add", NAME, "type", "bridge")
        _ip("address", "add", f"{NETWORK}.1/24", "dev", NAME)
        _ip("link", "set", NAME, "up")
        for number in range(1, self.count + 1):
            name = f"{NAME}-{number}"
            _ip("netns", "add", name)
            _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", name, "master", NAME, "up")
            _ip("-n", name, "address", "add", f"{NETWORK}.{10 + number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        self.address = own_address(f"{NETWORK}.1")
        self.start_head()
        for number in range(1, self.count + 1):
            self.boot(number)

    def start_head(self) -> None:
        """Start Ray's head, and wait until it is up; on a busy machine it may give up at first."""
        host, _, port = self.address.rpartition(":")

        def up() -> bool:
            if self._head is None or self._head.poll() is not None:
                self._head = self._start([], "head", ["--cpus", "0"])
            return _answers(host, int(port)) and bool(self.processes("raylet/raylet"))

        self._head = None
        wait(up, "the head does not come up")

    def wait_for_all(self) -> None:
        """Wait until all machines are part of the cluster."""
        command = [sys.executable, "-P", "-c", JOINED, self.address, str(self.count + 1)]
        subprocess.run(command, env=self.environment, check=True)

    def boot(self, number: int) -> None:
        """Start a worker, or start it again after a power cut."""
        # the mount namespace gives it a /dev/shm of its own, where Ray keeps its objects
        inside = (
            f"hostname n{number}; mount -t tmpfs -o size=1g tmpfs /dev/shm; "
            f'exec env {MACHINE}=n{number} "$@"'
        )
        into = ["nsenter", f"--net=/run/netns/{NAME}-{number}", "unshare", "--fork"]
        into += ["--pid", "--kill-child", "--mount-proc", "--uts", "--mount", "--ipc"]
        into += ["--propagation", "slave"]  # disks that are mounted later are seen there, too
        into += ["bash", "-c", inside, "bash"]
        self._workers[number] = self._start(into, "worker", ["--cpus", str(self.cpus)])

    def kill(self, number: int) -> None:
        """A power cut."""
        _end(self._workers.pop(number))

    def kill_head(self) -> None:
        """Ray's head is gone, with what it knew."""
        assert self._head is not None
        _end(self._head)
        for pid in self.processes("ray"):
            if MACHINE not in environment_of(pid) and "driver" not in command_of(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def bury(self) -> None:
        """Take note that all of it has been ended."""
        for process in (*self._workers.values(), self._head):
            if process is not None:
                process.wait()

    def dismiss(self) -> None:
        """End all machines' part, as launchers do."""
        for pid in self.processes("sys.exit(node.main())"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def cut(self, number: int) -> None:
        """Pull the network cable."""
        _ip("link", "set", f"{NAME}-{number}", "down")

    def heal(self, number: int) -> None:
        """Put it back."""
        _ip("link", "set", f"{NAME}-{number}", "up")

    def processes(self, name: str, machine: int | None = None) -> list[int]:
        """Living processes of the laboratory, or of a machine, whose command line has `name`."""
        found = living(MARK, NAME, name)
        if machine is None:
            return found
        return [pid for pid in found if environment_of(pid).get(MACHINE) == f"n{machine}"]

    def _start(self, into: list[str], role: str, options: list[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-c", NODE, role, "--address", self.address, *options]
        with (self.folder / "machines.log").open("ab") as log:
            return subprocess.Popen(
                [*into, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def wait(holds: Callable[[], bool], otherwise: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Until it holds.

    Raises:
        TimeoutError: It does not in time.
    """
    wait_until(holds, seconds, words=lambda: otherwise)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """With everything that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
