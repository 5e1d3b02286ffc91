"""A small file system of its own, which can be full and can be read-only; for root on Linux."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BALLAST = ".ballast"
BLOCK_BYTES = 1 << 16


class Disk:
    """The disk mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / BALLAST).open("ab", buffering=0) as ballast:
            for size in (BLOCK_BYTES, 1):
                with suppress(OSError):
                    while ballast.write(b"\0" * size):
                        pass

    def free(self) -> None:
        """Give back what `fill` took."""
        (self.folder / BALLAST).unlink(missing_ok=True)

    def protect(self) -> None:
        """Make it read-only, as soon as no file is open for writing."""
        deadline = time.monotonic() + 30
        while subprocess.run(["mount", "-o", "remount,ro", self.folder], check=False).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def unprotect(self) -> None:
        """Make it writable again."""
        subprocess.run(["mount", "-o", "remount,rw", self.folder], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int = 4) -> Iterator[Disk]:
    """A disk at `folder`, which is made."""
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "seqtune-test", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
