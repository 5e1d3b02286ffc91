"""One machine's part in a Ray cluster: `ray start --block`, kept alive and ended as a whole.

Launchers run `python -P -m cluster.node` on every machine: `address` tells under which address this
machine can be the head, `head` and `worker` keep Ray up, `driver` runs a command beside them.
"""

import argparse
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.2
RETRY_SECONDS = 2.0  # between two starts of a worker
PATIENCE_SECONDS = 10.0  # from asking Ray to end until it is killed
SILENCE_SECONDS = 30.0  # a launcher that says nothing for so long is gone
LONGEST_FOLDER = 24  # the paths of Ray's sockets may have 107 bytes, and most of them are Ray's own
OUTPUT = "start.log"
MOST_SAID = 4000  # characters of what Ray prints; it has much to say while all is well
TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105  # the variable's name

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else it drains for 30 s, and is killed first
}
HEALTH = {
    # a lost machine is noticed within a quarter of a minute; by Ray's own defaults it takes 65 s
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
}


class Ending:
    """Whether this machine's part is over: a signal came, or whoever launched it is gone."""

    def __init__(self) -> None:
        self._over = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, lambda *_: self._over.set())

    def within(self, seconds: float) -> bool:
        """Whether it is over, at the latest after that time."""
        return self._over.wait(seconds)

    def listen(self) -> None:
        """End with standard input, which is the connection to whoever launched this.

        Its first line is the token; then comes a line each second, as a sign of life.
        """
        os.environ[TOKEN] = _line().strip()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while select.select([0], [], [], SILENCE_SECONDS)[0] and os.read(0, 4096):
            pass
        self._over.set()


def own_address(peer: str) -> str:
    """`ip:port` under which `peer` reaches this machine; the port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect((peer, 9))  # sends nothing
        ip = str(route.getsockname()[0])
    with socket.socket() as free:
        free.bind((ip, 0))
        return f"{ip}:{free.getsockname()[1]}"


def start_command(asked: argparse.Namespace, folder: Path) -> list[str]:
    """`ray start` for the head or a worker, so that several on one machine do not meet."""
    host, _, port = asked.address.rpartition(":")
    if asked.role == "head":
        ip = socket.gethostbyname(host)
        place = ["--head", "--port", port, "--include-dashboard", "false", "--node-ip-address", ip]
        place += ["--ray-client-server-port", own_address(host).rpartition(":")[2]]
    else:
        own = own_address(host).rpartition(":")[0]
        place = ["--address", asked.address, "--node-ip-address", own]
    counts = {"--num-cpus": asked.cpus, "--num-gpus": asked.gpus}
    for option, count in counts.items():
        place += [] if count is None else [option, str(count)]
    ports = ["--min-worker-port", "0", "--max-worker-port", "0"]
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    agent = ["--dashboard-agent-listen-port", "0", "--temp-dir", str(folder)]
    return [*start, "--disable-usage-stats", *place, *ports, *agent]


def keep(asked: argparse.Namespace, ending: Ending) -> int:
    """Keep Ray up until it is over; a worker that lost its head comes back, a head does not."""
    os.environ.update(ENVIRONMENT | (HEALTH if asked.role == "head" else {}))
    while True:
        if asked.role == "head" or _answers(asked.address):
            code = _run(asked, ending)
            if asked.role == "head":
                return 0 if ending.within(0) else code
        if ending.within(RETRY_SECONDS):
            return 0


def drive(command: Sequence[str], ending: Ending) -> int:
    """Run a command; when it is over, ask it to end and wait until it has. Its exit code."""
    os.environ.update(ENVIRONMENT)
    # S603: the command line of whoever launched this
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    while process.poll() is None and not ending.within(LOOK_SECONDS):
        pass
    if process.poll() is None:
        process.terminate()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _run(asked: argparse.Namespace, ending: Ending) -> int:
    """Ray, from its start to its end, in a process group and a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=_short_folder()))
    command = start_command(asked, folder)
    try:
        with (folder / OUTPUT).open("wb") as output:
            # S603: ours, and the counts and address of whoever launched this
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )
        while process.poll() is None and not ending.within(LOOK_SECONDS):
            pass
        if process.poll() is not None:  # by itself, and so it says why
            sys.stderr.write((folder / OUTPUT).read_text("utf-8", "replace")[-MOST_SAID:])
        return _end_group(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_group(process: subprocess.Popen[bytes]) -> int:
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _short_folder() -> str:
    folder = tempfile.gettempdir()
    return folder if len(folder) <= LONGEST_FOLDER else "/tmp"  # noqa: S108  # mkdtemp is safe there


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=RETRY_SECONDS).close()
    except OSError:
        return False
    return True


def _line() -> str:
    """The next line of standard input, read byte by byte, so that nothing waits in a buffer."""
    read = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        read += byte
    return read.decode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks of this machine; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m cluster.node", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    address = roles.add_parser("address", help="print ip:port under which PEER reaches this one")
    address.add_argument("peer")
    for role in ("head", "worker", "driver"):
        options = roles.add_parser(role)
        options.add_argument("--connected", action="store_true", help="token and life from stdin")
        if role == "driver":
            options.add_argument("command", nargs="+")
        else:
            options.add_argument("--address", required=True, metavar="HOST:PORT")
            options.add_argument("--cpus", type=int)
            options.add_argument("--gpus", type=int)
    asked = parser.parse_args(arguments)
    if asked.role == "address":
        sys.stdout.write(own_address(asked.peer) + "\n")
        return 0
    ending = Ending()
    if asked.connected:
        ending.listen()
    return drive(asked.command, ending) if asked.role == "driver" else keep(asked, ending)


if __name__ == "__main__":
    sys.exit(main())
