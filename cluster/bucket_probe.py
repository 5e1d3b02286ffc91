"""What `probe` says of a results folder, said of one in an object store.

Workers get this module and `bucket` by value: a machine that lacks pyarrow or the keys says so.
"""

import time

from cluster import bucket, probe


def write(url: str, name: str, size: int) -> probe.Answer:
    """Write an object for the other machines; what went wrong, or how fast it was."""
    content = probe.content_of(name, size)
    try:
        began = time.perf_counter()
        bucket.Bucket(url).write(name, content)
        return {"write_bytes_per_second": size / (time.perf_counter() - began)}
    except OSError as error:
        return {"write_error": str(error)}


def read(url: str, names: list[str], size: int) -> probe.Answer:
    """Read the objects of all machines; those that are not there or differ, and how fast it was."""
    seconds, unread = 1e-9, []
    for name in names:
        began = time.perf_counter()
        try:
            content = bucket.Bucket(url).read(name)
        except OSError:
            content = b""
        seconds += time.perf_counter() - began
        if content != probe.content_of(name, size):
            unread.append(name)
    return {"unread": unread, "read_bytes_per_second": size * len(names) / seconds}
