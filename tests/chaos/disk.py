"""A small file system of its own, which can be full and can be read-only; for root on Linux."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """The disk mounted at `folder`."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._bytes = size

    def fill(self) -> None:
        """Leave no byte free."""
        deadline = time.monotonic() + 30
        while self._remount(f"size={self._used_bytes()}"):  # it may just have grown
            assert time.monotonic() < deadline

    def free(self) -> None:
        """Give the space back."""
        assert self._remount(f"size={self._bytes}") == 0

    def protect(self) -> None:
        """Make it read-only, as soon as no file is open for writing."""
        deadline = time.monotonic() + 30
        while self._remount("ro"):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def unprotect(self) -> None:
        """Make it writable again."""
        assert self._remount("rw") == 0

    def _used_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return max(found.f_blocks - found.f_bfree, 1) * found.f_bsize

    def _remount(self, option: str) -> int:
        command = ["mount", "-o", f"remount,{option}", self.folder]
        return subprocess.run(command, check=False, capture_output=True).returncode


@contextmanager
def small_disk(folder: Path, size: int = 4 << 20, *, name: str = "seqtune-test") -> Iterator[Disk]:
    """A disk of so many bytes at `folder`, which is made if need be.

    Args:
        name: What `mount` calls it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", name, folder]
    subprocess.run(command, check=True)
    subprocess.run(["mount", "--make-shared", folder], check=True)  # with other namespaces
    try:
        yield Disk(folder, size)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
