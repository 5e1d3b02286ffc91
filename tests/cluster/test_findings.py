"""What machines say, judged: each fault is found where it is, with its mend."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import bucket_probe, probe
from cluster.findings import Findings, judge, mends

FOLDER = "/shared/results"
SAID: dict[str, Any] = {
    "name": "one",
    "python": "3.11.7",
    "ray": "2.60.0",
    "torch": "2.13.0",
    "seqtune": "0.1.0+aaaa",
    "memory_bytes": 64_000_000_000,
    "authentication": True,
    "devices": [["H200", 150_000_000_000]],
    "gpus": 1,
    "skew_seconds": 0.0,
    "write_bytes_per_second": 5e8,
    "read_bytes_per_second": 5e8,
    "free_bytes": 10**12,
    "unread": [],
}


def found(thorough: bool = True, unseen: tuple[str, ...] = (), **changes: Any) -> Findings:
    """Two machines of which the second differs from the first."""
    nodes = {"n1": SAID, "n2": SAID | {"name": "two"} | changes}
    return Findings(SAID | {"unread": list(unseen)}, nodes, FOLDER, thorough)


def test_machines_that_are_alike_need_no_mending() -> None:
    rows = judge(found())
    assert [row.name for row in rows] == ["one", "two"]
    assert mends(rows) == []
    texts = {cell.column: cell.text for cell in rows[0].cells}
    assert texts["GPUs"] == "H200 150 GB"
    assert texts["write/read"] == "500/500 MB/s"
    assert texts["results"] == "shared"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unreachable": "no answer within 180 s"}, "it must answer, but no answer within 180 s"),
        ({"torch": "2.12.0"}, "install torch 2.13.0 there, as the driver has it; it has 2.12.0"),
        ({"seqtune": None}, "install seqtune 0.1.0+aaaa there, as the driver has it; it has none"),
        ({"devices": []}, "Ray was told of 1 GPUs and torch sees 0"),
        ({"device_error": "No module named 'torch'"}, "torch must load there, but: No module"),
        ({"skew_seconds": -61.0}, "set its clock by NTP: it is -61.0 s off"),
        ({"authentication": False}, "RAY_AUTH_MODE=token"),
        ({"write_error": "Read-only file system"}, "cannot write to /shared/results (Read-only"),
        (
            {"unread": ["n1", "driver"]},
            "does not see in /shared/results what one, the driver wrote",
        ),
        ({"free_bytes": 10**6}, "make room: 0.00 GB are free"),
        ({"read_bytes_per_second": 1e6}, "faster storage: 500/1 MB/s"),
    ],
)
def test_each_fault_is_found_with_its_mend(changes: dict[str, Any], words: str) -> None:
    (sentence,) = mends(judge(found(**changes)))
    assert sentence.startswith("two: ")
    assert words in sentence


def test_a_driver_that_does_not_see_what_a_machine_wrote() -> None:
    (sentence,) = mends(judge(found(unseen=("n2",))))
    assert sentence.startswith("two: the driver does not see what it wrote: mount one file system")


def test_the_cheap_check_leaves_devices_speed_and_authentication_out() -> None:
    slow = {"devices": [], "authentication": False, "read_bytes_per_second": 1.0}
    assert mends(judge(found(thorough=False, **slow))) == []


def test_a_machine_reads_what_others_wrote_and_only_that(tmp_path: Path) -> None:
    assert probe.write(str(tmp_path), "a", 1000)["write_bytes_per_second"] > 0
    (tmp_path / "b").write_bytes(b"another thing")
    assert probe.read(str(tmp_path), ["a"], 1000)["unread"] == []
    assert probe.read(str(tmp_path), ["a", "b", "c"], 1000)["unread"] == ["b", "c"]
    assert "No such file" in probe.write(str(tmp_path / "absent"), "a", 10)["write_error"]


def test_devices_are_asked_in_a_process_of_their_own() -> None:
    assert probe.describe('print("[[\\"gpu\\", 7]]")')["devices"] == [["gpu", 7]]
    broken = probe.describe("import no_such_torch")
    assert broken["device_error"] == "ModuleNotFoundError: No module named 'no_such_torch'"
    assert "devices" not in probe.describe(None)


def test_an_object_store_that_a_machine_does_not_reach_needs_keys_and_no_mount() -> None:
    store = replace(found(unread=["driver"]), place="s3://bucket/results")
    del store.nodes["n2"]["free_bytes"]  # nobody knows
    (mend,) = mends(judge(store))
    assert "all machines must reach s3://bucket/results, with its keys" in mend
    columns = {cell.column for cell in judge(store)[1].cells}
    assert "free" not in columns
    assert "write/read" in columns


def test_a_bucket_is_asked_as_a_folder_is(bucket_url: str) -> None:
    for name in ("one", "two"):
        assert bucket_probe.write(bucket_url, name, 1000)["write_bytes_per_second"] > 0
    said = bucket_probe.read(bucket_url, ["one", "two", "three"], 1000)
    assert said["unread"] == ["three"]
    assert bucket_probe.read(bucket_url, ["one"], 999)["unread"] == ["one"]
    wrong = bucket_probe.write("s3://no-such-bucket/x", "one", 1)
    assert "there is no bucket" in wrong["write_error"]
