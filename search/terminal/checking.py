"""What would go wrong on a cluster, as a table, before anything is spent."""

import time
from contextlib import ExitStack
from pathlib import Path

from cluster.bucket import Bucket, url_of
from cluster.connect import connect
from cluster.findings import Row, judge, mends
from cluster.preflight import ask_nodes, wait_for_nodes
from search.results.tables import Block, to_terminal
from search.runner.packages import ROOT

LOOK_SECONDS = 0.5
DEVICES = "import json; from trainers.device import device_sizes; print(json.dumps(device_sizes()))"


def check_cluster(
    address: str | None, out: Path, nodes: int | None, wait_seconds: float
) -> tuple[str, bool]:
    """The table with what to mend, and whether all is right.

    Args:
        address: Of the cluster's head; without it, as for `connect`.
        out: Where results will go.
        nodes: How many machines there must be, if that is known.
        wait_seconds: How long to wait for them.

    Raises:
        ValueError: The address is not one of a cluster's head.
        OSError: No Ray answers, or `out` cannot be made or reached from here.
    """
    url = url_of(out)
    if url is not None:
        Bucket(url).check()  # before Ray is started for it
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as stack:
        _join(stack, address, deadline)
        there = wait_for_nodes(nodes or 1, deadline - time.monotonic())
        rows = judge(ask_nodes(out, device_question=DEVICES))
    wrong = [f"Mend {words}" for words in mends(rows)]
    if nodes is not None and there != nodes:
        wrong.append(f"Mend the cluster: it must have {nodes} machines, and has {there}")
    return to_terminal([_block(rows, wrong)]), not wrong


def _join(stack: ExitStack, address: str | None, deadline: float) -> None:
    """Connect for as long as the stack lives; a head that is still starting is tried again.

    Raises:
        ValueError: The address is not one of a cluster's head.
        ConnectionError: No Ray answers when the time is over.
    """
    while True:
        try:
            stack.enter_context(connect(address, code=ROOT))
        except ConnectionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return


def _block(rows: list[Row], notes: list[str]) -> Block:
    headings = list(dict.fromkeys(cell.column for row in rows for cell in row.cells))
    cells = []
    for row in rows:
        texts = {cell.column: f"{'! ' if cell.mend else ''}{cell.text}" for cell in row.cells}
        cells.append([row.name, *(texts.get(heading, "") for heading in headings)])
    words = frozenset(("machine", *headings))
    return Block("", ["machine", *headings], words, cells, notes or ["All is right."])
