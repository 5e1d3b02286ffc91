"""Whether this process may make machines and disks; root in a container often may not."""

import os
import shutil
import subprocess
import sys
from functools import cache

TOOLS = ("ip", "mount", "nsenter", "ps", "unshare")
DISK = "mount -t tmpfs seqtune-try /tmp"
MACHINE = """
name=$1
trap 'ip link del "$name"; ip netns del "$name"' EXIT
ip netns add "$name" && ip link add "$name" type bridge && nsenter --net="/run/netns/$name" \
unshare --fork --pid --kill-child --mount-proc --uts --mount --ipc --propagation slave \
sh -c "hostname $name && mount -t tmpfs $name /dev/shm && ip link set lo up"
"""


@cache
def no_disks() -> str:
    """Why none can be made, in a line; empty if they can."""
    if (why := _not_root()) or (why := _missing(("mount", "unshare"))):
        return why
    return _refused(["unshare", "--mount", "sh", "-c", DISK], "mount disks")


@cache
def no_machines() -> str:
    """Why none can be made, in a line; empty if they can."""
    if (why := _not_root()) or (why := _missing(TOOLS)):
        return why
    name = f"sqtry{os.getpid()}"  # a link's name has at most 15 letters
    return no_disks() or _refused(["sh", "-c", MACHINE, "sh", name], "make network namespaces")


def _not_root() -> str:
    if sys.platform == "linux" and os.geteuid() == 0:
        return ""
    return "machines and disks are made by root on Linux"


def _missing(tools: tuple[str, ...]) -> str:
    missing = [tool for tool in tools if not shutil.which(tool)]
    return f"machines and disks need {', '.join(missing)}, not found here" if missing else ""


def _refused(command: list[str], what: str) -> str:
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    said = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[0]
    return f"this process may not {what}: {said}"
