"""Where and with what a study was run."""

import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "ray", "optuna", "numpy", "scipy", "scikit-learn", "pyarrow")
ON_FINISH = "--on-finish"
ROOT = Path(__file__).resolve().parents[2]


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, without importing it."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of seqtune's own checkout, `-dirty` if changed; None for an installed wheel."""
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        # S603: a constant command; the only variable part is where this file lies
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):  # no git here, or nothing committed yet
        return None
    return answer.stdout.strip()


def describe_environment(devices: Sequence[str] = ()) -> dict[str, Any]:
    """What a result depends on besides the study: versions, machine, devices.

    Args:
        devices: The accelerators, in words; whoever has torch knows them.
    """
    return {
        "seqtune": installed_version("seqtune"),
        "commit": commit(),
        "python": platform.python_version(),
        "libraries": {name: installed_version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "devices": list(devices),
        "command": _without_secrets(sys.argv),
    }


def _without_secrets(words: Sequence[str]) -> list[str]:
    """A command line without the command to be run at the end: that may hold a key."""
    told = [re.sub(f"^{ON_FINISH}=.*", f"{ON_FINISH}=...", word, flags=re.DOTALL) for word in words]
    for before, place in zip(words, range(1, len(words)), strict=False):
        if before == ON_FINISH:
            told[place] = "..."
    return told
