"""A study on machines that are reached over SSH: one connection to each keeps Ray alive there."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.work import BEGUN, Work, comment

HEADER = """
A seqtune study on machines reached over SSH: one connection to each keeps Ray alive there, and ends
it. Needs key authentication, the same Python and seqtune on all machines, and a results folder that
all of them see, or a URL of results (--out s3://...) that all may write to.

By hand
  bash THIS_FILE              run it; Ctrl-C ends it with everything saved
  nohup bash THIS_FILE &      run it without a terminal, on a machine that stays up
  run it again                goes on with the study
  ssh HEAD, then: seqtune status DIRECTORY; seqtune stop DIRECTORY

When this script ends, or is killed, Ray ends on all machines: at once, or within half a minute
where a link was cut. A machine that was lost and is back joins again.
"""

BODY = r"""
set -m  # a process group for each connection, to be ended by

ssh=(ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3)

# Whoever has the token can run code as you: it is drawn for this run, and goes nowhere but through
# the connections.
token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
state=$(mktemp -d) || exit 2

# What a machine reads: the token, then a line each second, until there is the file $1.
signs_of_life() {
    printf '%s\n' "$token"
    until [ -e "$1" ] || ! kill -0 "$$" 2>/dev/null; do
        sleep 1
        printf '\n' || exit
    done
}

# Keep a command running on a machine; a connection that is lost is made again.
keep() {
    while :; do
        "${ssh[@]}" "$1" "$2" < <(signs_of_life "$state/end")
        if [ -e "$state/end" ] || ! kill -0 "$$" 2>/dev/null; then exit; fi
        echo "the connection to $1 has ended; trying again" >&2
        sleep 5
    done
}

connections=()
end_all() {
    touch "$state/drive" "$state/end"
    if [ "${#connections[@]}" -gt 0 ]; then
        for _ in {1..15}; do
            [ -n "$(jobs -pr)" ] || break
            sleep 1
        done
        for connection in "${connections[@]}"; do kill -TERM -- "-$connection" 2>/dev/null; done
    fi
    rm -rf -- "$state"
}
trap end_all EXIT
ended=
trap 'ended=130; touch "$state/drive"' INT
trap 'ended=143; touch "$state/drive"' TERM HUP

for index in "${!machines[@]}"; do
    keep "${machines[$index]}" "${commands[$index]}" &
    connections+=($!)
done

while :; do
    "${ssh[@]}" "${machines[0]}" "$driver" < <(signs_of_life "$state/drive") &
    connection=$!
    while :; do
        cut=$ended
        wait "$connection"
        code=$?
        [ "$cut" != "$ended" ] || break
    done
    # 255 is ssh's own: the link to the head was lost; the study goes on where it was
    if [ -n "$ended" ] || [ "$code" -ne 255 ]; then break; fi
    echo "the connection to ${machines[0]} was lost; trying again" >&2
    sleep 5
done
exit "$code"
"""

DRIVER = (
    f"""
{BEGUN}"""
    + r"""
"$python" -P -m search cluster check --address "$address" --out "$out" \
    --nodes "$count" --wait-seconds "$seconds_to_join" || exit
if begun; then
    exec "$python" -P -m search resume "$directory" --address "$address"
fi
exec "$python" -P -m search run "$study" --out "$out" --address "$address"
"""
)

PREPARE = r"""
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
"""


@dataclass(frozen=True, slots=True)
class Machines:
    """Where to run.

    Args:
        hosts: As `ssh` takes them, such as `user@host`; the first is the head, and drives.
        head: The name or IP address under which the machines reach the head; without it, as in
            `hosts`.
        port: A free port of the head.
        cpus: CPUs that each declares; None: as many as it has.
        gpus: GPUs that each declares; None: as many as it has.
    """

    hosts: Sequence[str]
    head: str | None = None
    port: int = 6379
    cpus: int | None = None
    gpus: int | None = None

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not host or host.startswith("-"):
                raise ValueError(f"a machine must be a host or user@host, got {host!r}")
        if not self.hosts:
            raise ValueError("`hosts` must name at least one machine")

    @property
    def address(self) -> str:
        """Where the head listens."""
        return f"{self.head or self.hosts[0].rpartition('@')[2]}:{self.port}"

    @property
    def counts(self) -> list[str]:
        """The options that declare resources."""
        given = {"--cpus": self.cpus, "--gpus": self.gpus}
        return [word for name, n in given.items() if n is not None for word in (name, str(n))]


def render(work: Work, machines: Machines) -> str:
    """The script, to be run on any machine that reaches the others."""
    lines = [
        f"machines=({shlex.join(machines.hosts)})",
        "commands=(",
        *(f"    {shlex.quote(_node(work, machines, i == 0))}" for i in range(len(machines.hosts))),
        ")",
        f"driver={shlex.quote(_driver(work, machines))}",
    ]
    return f"#!/bin/bash\n{comment(HEADER)}\n" + "\n".join(lines) + f"\n{BODY.rstrip()}\n"


def _node(work: Work, machines: Machines, head: bool) -> str:
    role = "head" if head else "worker"
    words = [role, "--connected", "--address", machines.address, *machines.counts]
    return _remote(work, f'exec "$python" -P -m cluster.node {shlex.join(words)}')


def _driver(work: Work, machines: Machines) -> str:
    more = {"address": machines.address, "count": len(machines.hosts)}
    values = work.assignments(**more, seconds_to_join=work.seconds_to_join)
    inner = shlex.join(["bash", "-c", f"{values}{DRIVER.strip()}"])
    return _remote(work, f'exec "$python" -P -m cluster.node driver --connected -- {inner}')


def _remote(work: Work, command: str) -> str:
    """A command line for whatever login shell the machine has."""
    script = f"{work.assignments()}{PREPARE.strip()}\n{command}"
    return shlex.join(["exec", "bash", "-c", script])
