"""What one machine says of itself: versions, devices, disk, and the results folder as it sees it.

Workers get this module by value, so it imports the standard library only, and answers in JSON.
"""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

OURS = ("cluster", "search", "spaces", "trainers")
TORCH_SECONDS = 120.0

Answer = dict[str, Any]


def describe(device_question: str | None) -> Answer:
    """Versions, memory and devices of the machine that runs this.

    Args:
        device_question: Python that prints, as JSON, a list of names and bytes of the devices; it
            runs in a process of its own, as torch is large. None: it is not asked.
    """
    said: Answer = {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "ray": _version("ray"),
        "torch": _version("torch"),
        "seqtune": _our_version(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "authentication": os.environ.get("RAY_AUTH_MODE") == "token",
    }
    if device_question is not None:
        said |= _devices(device_question)
    return said


def write(folder: str, name: str, size: int) -> Answer:
    """Write a file for the other machines, to the disk; what went wrong, or how fast it was."""
    content = content_of(name, size)
    try:
        began = time.perf_counter()
        with Path(folder, name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        seconds = time.perf_counter() - began
        return {
            "write_bytes_per_second": size / seconds,
            "free_bytes": shutil.disk_usage(folder).free,
        }
    except OSError as error:
        return {"write_error": f"{error.strerror or error}"}


def read(folder: str, names: list[str], size: int) -> Answer:
    """Read the files of all machines; those that are not there or differ, and how fast it was."""
    seconds, unread = 1e-9, []
    for name in names:
        began = time.perf_counter()
        try:
            content = Path(folder, name).read_bytes()
        except OSError:
            content = b""
        seconds += time.perf_counter() - began
        if content != content_of(name, size):
            unread.append(name)
    return {"unread": unread, "read_bytes_per_second": size * len(names) / seconds}


def clock() -> float:
    """Unix time."""
    return time.time()


def content_of(name: str, size: int) -> bytes:
    """Bytes that only the file of that name has, and that no disk can compress away."""
    return hashlib.shake_128(name.encode()).digest(size)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _our_version() -> str | None:
    """The version of seqtune, and a digest of its text: a checkout changes without a version."""
    found = importlib.util.find_spec("search")
    if found is None or found.origin is None:
        return None
    root, state = Path(found.origin).parents[1], hashlib.sha256()
    for package in OURS:
        for file in sorted((root / package).rglob("*.py")):
            state.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{_version('seqtune') or 'unpacked'}+{state.hexdigest()[:8]}"


def _devices(question: str) -> Answer:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    if environ.get("CUDA_VISIBLE_DEVICES") == "":  # Ray hides devices from who asked for none
        del environ["CUDA_VISIBLE_DEVICES"]
    try:
        # S603: this Python, and a constant of the caller's
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", question],
            env=environ,
            capture_output=True,
            text=True,
            timeout=TORCH_SECONDS,
            check=True,
        )
        return {"devices": json.loads(done.stdout)}
    except subprocess.CalledProcessError as error:
        return {"device_error": (error.stderr.strip().splitlines() or ["no reason given"])[-1]}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"device_error": str(error)}
