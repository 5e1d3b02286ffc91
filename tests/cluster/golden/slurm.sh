#!/bin/bash
# A seqtune study on Slurm: Ray's head and workers in one job, the driver beside the head.
#
# By hand
#   sbatch THIS_FILE            start; the lines with SBATCH below can be edited first
#   squeue --me                 where the job stands; its output is in seqtune-JOB.log
#   seqtune status DIRECTORY    where the study stands, from any machine that sees the results
#   seqtune stop DIRECTORY      end it with everything saved; no follow-up job comes
#   scancel --batch --signal=USR1 JOB    save everything now and go on in a follow-up job
#
# A while before its time limit the job saves everything and submits this file again; the follow-up
# job resumes the study, until it is finished. A job in which no trial trained an epoch submits none.
# Submitted again by hand, it resumes too. Options given to sbatch itself are not handed on: edit the
# lines below instead.

#SBATCH --requeue
#SBATCH --job-name=seqtune-chorales
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=2
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --partition=gpu
#SBATCH --signal=B:USR1@120
#SBATCH --output=seqtune-%j.log
#SBATCH --open-mode=append

folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup=''
gpus=2
seconds_to_join=600

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
