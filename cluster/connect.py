"""A Ray session as a context manager: on this machine, or on a cluster by its address."""

import logging
import math
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray._private.worker as ray_worker
from ray._raylet import (  # type: ignore[attr-defined]  # Cython
    AuthenticationTokenLoader,
    Config,
)
from ray.job_config import JobConfig

from cluster.encryption import check_encryption
from cluster.machine import Machine
from cluster.processes import end_processes, workers_below
from cluster.watch import watch_head

TOKEN_FILE = Path(".ray", "auth_token")  # below the home directory; Ray's own choice

logger = logging.getLogger(__name__)

LOCAL = "local"  # Ray's word for a cluster of its own on this machine
TOO_SLOW = "timed out during startup"  # as Ray says it
PROBE_SECONDS = 5.0
PATIENCE_SECONDS = 5.0  # workers end when they find that Ray is gone

PRELOAD = "RAY_preload_python_modules"  # a setting of Ray's own

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # without it, Ray warns about its future treatment of workers that were given no GPU
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # Tune would move its workers to folders of its own
}


@dataclass(frozen=True, slots=True)
class Session:
    """What the connected cluster has in all.

    Args:
        local: Whether Ray was started for this session and ends with it.
        object_store_bytes: The smallest store of a node; what trials share must fit into each.
        check_head: Raises a ConnectionError where the cluster's head answers no more.
    """

    cpus: float
    gpus: float
    local: bool
    object_store_bytes: float
    machines: tuple[Machine, ...]
    check_head: Callable[[], None] = lambda: None


class CodePath(JobConfig):  # type: ignore[misc]  # Ray has no types
    """Lets workers import from one folder, instead of from wherever the driver was started.

    Ray puts the driver's working directory and the folder of its script in front of every worker's
    `sys.path`: a user's own `search/` there would replace ours. It leaves that out for jobs that
    bring a working directory. Both names are private to Ray; `tests/cluster` fails when they move.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(_py_driver_sys_path=[str(folder)])

    def _runtime_env_has_working_dir(self) -> bool:
        return True


@contextmanager
def connect(
    address: str | None = None,
    *,
    code: Path,
    cpus: int | None = None,
    preload: Sequence[str] = (),
) -> Iterator[Session]:
    """Join the cluster at `address`, or start Ray on this machine and end it afterwards.

    Args:
        address: `host:port` of the cluster's head; without it, what `RAY_ADDRESS` says, else this
            machine.
        code: The folder that holds our packages; workers import from it first.
        cpus: CPUs that this machine declares; None: as many as it has.
        preload: Modules that processes of a Ray started here import as soon as they are there,
            while the driver is still busy with other things.

    Raises:
        ValueError: The address is not one of a cluster's head.
        ConnectionError: Ray did not come up, or nothing answers at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    local = address == LOCAL
    if not local:
        probe(address)
    mode = {"RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}
    ahead = {PRELOAD: ",".join(preload)} if preload else {}
    with environment(mode | ENVIRONMENT | ahead), quiet_ray(), ExitStack() as until_shut_down:
        if os.environ["RAY_AUTH_MODE"] == "token":
            guard_token()
        Config.initialize("")  # Ray read its environment when it was imported
        AuthenticationTokenLoader.instance().reset_cache()
        try:
            _start(address, code, {"num_cpus": cpus, "include_dashboard": False} if local else {})
            resources = ray.cluster_resources()
            head = ray.get_runtime_context().gcs_address
            yield Session(
                cpus=resources.get("CPU", 0.0),
                gpus=resources.get("GPU", 0.0),
                local=local,
                object_store_bytes=_smallest_store(),
                machines=_machines(),
                check_head=until_shut_down.enter_context(watch_head(head)).check,
            )
        finally:
            workers = workers_below(os.getpid())
            ray.shutdown()
            end_processes(workers, PATIENCE_SECONDS)


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while; processes started meanwhile inherit them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Log what Ray prints on standard output when a worker dies, whatever its log level."""
    original = ray_worker.print_to_stdstream

    def log(data: dict[str, Any], **_: Any) -> None:
        logger.info("%s: %s", data.get("pid"), " ".join(data.get("lines", ())))

    ray_worker.print_to_stdstream = log
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = original


def probe(address: str) -> None:
    """See to it that something listens at `address`, with TLS or without, as we would have it.

    Ray itself would try for minutes.

    Raises:
        ValueError: It is not host:port, or TLS is asked for without its files.
        ConnectionError: Nothing listens there, or not as we would have it.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not port.isdigit():
        raise ValueError(f"an address must be host:port of the cluster's head, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nothing answers at {address}: {error}") from None
    check_encryption(host, int(port))


def guard_token() -> None:
    """See to it that Ray finds a secret token, and that its file is readable by its owner alone.

    Ray's daemons listen on all interfaces, and whoever may speak to them runs code as this user;
    Ray itself writes its token file readable by everyone.
    """
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / TOKEN_FILE)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        file.hardlink_to(draft)  # in full or not at all
    except FileExistsError:
        file.chmod(0o600)
    finally:
        draft.unlink(missing_ok=True)


def _smallest_store() -> float:
    """In bytes; Ray states it node by node."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    stores = (float(node.get("object_store_memory", math.inf)) for node in nodes)
    return min(stores, default=math.inf)


def _machines() -> tuple[Machine, ...]:
    living = (node for node in ray.nodes() if node["Alive"])
    return tuple(
        Machine(
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
            node.get("Labels") or {},
        )
        for node in living
    )


def _start(address: str, code: Path, local_options: dict[str, Any]) -> None:
    """`ray.init`, quietly, with one sentence when it fails, and without Ray's signal handler."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _init(address, code, local_options)
    except SystemExit:  # Ray's handler, when SIGTERM arrives while it starts
        signal.signal(signal.SIGTERM, handler)
        signal.raise_signal(signal.SIGTERM)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        if local_options:
            raise ConnectionError(f"Ray did not come up on this machine: {reason}") from error
        raise ConnectionError(
            f"no Ray cluster answers at {address} (is it up, and is the token the same as there?): "
            f"{reason}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)


def _init(address: str, code: Path, local_options: dict[str, Any]) -> None:
    """Start or join; Ray gives itself 30 s to start, which a busy machine may need twice."""
    for last in (False, True):
        try:
            ray.init(
                address,
                job_config=CodePath(code),
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **local_options,
            )
        except Exception as error:
            if last or not local_options or TOO_SLOW not in str(error):
                raise
            ray.shutdown()
        else:
            return
