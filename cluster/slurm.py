"""A study as one Slurm job: head and workers in one allocation, going on in follow-up jobs."""

import re
from dataclasses import dataclass

from cluster.bucket import url_of
from cluster.work import Work, check_plain, comment

TIME = re.compile(r"\d+(:\d\d){0,2}|\d+-\d+(:\d\d){0,2}")

HEADER = """
A seqtune study on Slurm: Ray's head and workers in one job, the driver beside the head.

By hand
  sbatch THIS_FILE            start; the lines with SBATCH below can be edited first
  squeue --me                 where the job stands; its output is in seqtune-JOB.log
  seqtune status DIRECTORY    where the study stands, from any machine that sees the results
  seqtune stop DIRECTORY      end it with everything saved; no follow-up job comes
  scancel --batch --signal=USR1 JOB    save everything now and go on in a follow-up job

A while before its time limit the job saves everything and submits this file again; the follow-up
job resumes the study, until it is finished. A job in which no trial trained an epoch submits none.
Submitted again by hand, it resumes too. Options given to sbatch itself are not handed on: edit the
lines below instead.
"""

BODY = r"""
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi

# Whoever has the token can run code as you: it is drawn for this job, and kept in its memory only.
RAY_AUTH_TOKEN=$("$python" -c 'import secrets; print(secrets.token_hex(32))') || exit 2
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

epochs_trained() { { cat -- "$directory/events.jsonl" 2>/dev/null || :; } | grep -c '"reported"'; }
before=$(epochs_trained)

# The time is nearly over: first the follow-up job, then the driver is asked to save everything.
child= next=
time_is_nearly_over() {
    cut=1
    if [ -z "$next" ] && [ "$(epochs_trained)" -gt "$before" ]; then
        next=$(env -u RAY_AUTH_TOKEN sbatch --parsable --dependency="afterany:$SLURM_JOB_ID" "$0")
        echo "the follow-up job is ${next:-not there: sbatch failed}"
    fi
    if [ -n "$child" ]; then kill -USR1 "$child"; fi
}
trap time_is_nearly_over USR1

# Run a command, and let signals be handled meanwhile.
follow() {
    "$@" &
    child=$!
    while :; do
        cut=
        wait "$child"
        code=$?
        [ -n "$cut" ] || break
    done
    child=
}

# The steps of this job are numbered from 0, in whatever order they begin. A signal to srun itself
# would have them killed at once, and their folders would stay.
nodes=()
end_nodes() {
    for step in "${!nodes[@]}"; do
        scancel --signal=TERM "$SLURM_JOB_ID.$step" 2>/dev/null
    done
    wait "${nodes[@]}"
}
trap end_nodes EXIT
trap 'if [ -n "$child" ]; then kill -TERM "$child"; wait "$child"; fi; exit 143' TERM

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$SLURMD_NODENAME
peer=127.0.0.1
for host in "${hosts[@]}"; do if [ "$host" != "$head" ]; then peer=$host; fi; done
address=$("$python" -P -m cluster.node address "$peer") || exit 2
count=${#hosts[@]}
resources=(--cpus "$SLURM_CPUS_PER_TASK" --gpus "$gpus")
srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --nodelist="$head" \
    "$python" -P -m cluster.node head --address "$address" "${resources[@]}" &
nodes+=($!)
if [ "$count" -gt 1 ]; then
    srun --nodes=$((count - 1)) --ntasks=$((count - 1)) --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        --exclude="$head" \
        "$python" -P -m cluster.node worker --address "$address" "${resources[@]}" &
    nodes+=($!)
fi

follow "$python" -P -m search cluster check --address "$address" --out "$out" \
    --nodes "$count" --wait-seconds "$seconds_to_join"
if [ "$code" -ne 0 ]; then exit "$code"; fi
if [ -e "$directory/study.toml" ]; then
    follow "$python" -P -m search resume "$directory" --address "$address"
else
    follow "$python" -P -m search run "$study" --out "$out" --address "$address"
fi

if [ "$code" -eq 138 ] && [ -n "$next" ]; then exit 0; fi
if [ "$code" -eq 138 ]; then echo "this job trained no epoch in its time: no follow-up job"; fi
if [ -n "$next" ]; then scancel "$next"; fi
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What is asked of Slurm.

    Args:
        nodes: Machines.
        cpus: CPUs on each.
        gpus: GPUs on each.
        time: The time limit of one job, as Slurm writes it: `24:00:00`, `2-12`.
        memory: Memory of each machine, such as `64G`; without it, Slurm's default.
        notice_seconds: How long before the time limit the job begins to save everything.
    """

    nodes: int = 2
    cpus: int = 8
    gpus: int = 0
    time: str = "24:00:00"
    memory: str | None = None
    partition: str | None = None
    account: str | None = None
    notice_seconds: int = 120

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("cpus", 1), ("gpus", 0), ("notice_seconds", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}")
        if not TIME.fullmatch(self.time):
            raise ValueError(
                f"`time` must be a time as Slurm writes it (24:00:00), got {self.time!r}"
            )

    def directives(self, name: str) -> str:
        """The `#SBATCH` lines, where Slurm knows no quotes that could be relied on.

        Raises:
            ValueError: A value has characters that might mean something there.
        """
        values = {
            "job-name": f"seqtune-{name}",
            "nodes": str(self.nodes),
            "ntasks-per-node": "1",
            "cpus-per-task": str(self.cpus),
            "gpus-per-node": str(self.gpus) if self.gpus else None,
            "mem": self.memory,
            "time": self.time,
            "partition": self.partition,
            "account": self.account,
            "signal": f"B:USR1@{self.notice_seconds}",
            "output": "seqtune-%j.log",
            "open-mode": "append",
        }
        return "#SBATCH --requeue\n" + "".join(
            f"#SBATCH --{option}={check_plain(option, value)}\n"
            for option, value in values.items()
            if value is not None
        )


def render(work: Work, allocation: Allocation) -> str:
    """The batch script.

    Raises:
        ValueError: A value cannot stand in an `#SBATCH` line, or results would go to a URL.
    """
    if url_of(work.out) is not None:  # a job looks into the log for what it has trained
        raise ValueError(
            f"a Slurm job needs `--out` on a file system that its machines share, got {work.out}"
        )
    values = work.assignments(gpus=allocation.gpus, seconds_to_join=work.seconds_to_join)
    return (
        f"#!/bin/bash\n{comment(HEADER)}\n{allocation.directives(work.name)}\n{values}"
        f"{BODY.rstrip()}\n"
    )
