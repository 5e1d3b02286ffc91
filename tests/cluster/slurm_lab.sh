#!/bin/bash
# A real Slurm of several machines on one: each a network and process namespace with an address of
# its own, all on one file system. For root on Debian, with:
#   apt-get install --no-install-recommends slurm-wlm munge iproute2
# Usage:  slurm_lab.sh up FOLDER [MACHINES]    then: export SLURM_CONF=FOLDER/slurm.conf
#         slurm_lab.sh down FOLDER
set -eu
action=$1 folder=$(realpath -m -- "$2") machines=${3:-2}
bridge=slurmlab net=10.78.0
pid_files="$folder/run"

start_machine() {  # its first process keeps the namespaces, and takes everything with it
    local name=$1 number=$2
    ip netns add "slurmlab-$name"
    ip link add "slurmlab$number" type veth peer name eth0 netns "slurmlab-$name"
    ip link set "slurmlab$number" master "$bridge" up
    ip -n "slurmlab-$name" address add "$net.1$number/24" dev eth0
    ip -n "slurmlab-$name" link set eth0 up
    ip -n "slurmlab-$name" link set lo up
    # not `ip netns exec`, which takes /sys/fs/cgroup away, without which slurmd does not start
    setsid nsenter --net="/run/netns/slurmlab-$name" unshare --fork --pid --kill-child --mount-proc \
        --uts --mount --ipc bash -c "hostname $name; mount --bind '$folder/hosts' /etc/hosts
            mount -t tmpfs tmpfs /dev/shm; mkdir -p '$folder/spool.$name'
            slurmd -f '$folder/slurm.conf' -N $name; while :; do sleep 60; done" \
        < /dev/null > "$folder/$name.log" 2>&1 &
    echo $! > "$pid_files/machine.$name.pid"
}

up() {
    mkdir -p "$folder/state" "$pid_files"
    ip link add "$bridge" type bridge
    ip address add "$net.1/24" dev "$bridge"
    ip link set "$bridge" up
    { echo "127.0.0.1 localhost"; echo "$net.1 $(hostname -s)"; } > "$folder/hosts"
    for i in $(seq "$machines"); do echo "$net.1$i n$i"; done >> "$folder/hosts"
    cat > "$folder/slurm.conf" <<CONF
ClusterName=lab
SlurmctldHost=$(hostname -s)($net.1)
SlurmctldPort=16917
SlurmdPort=16918
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.sock
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$pid_files/slurmctld.pid
SlurmdPidFile=$pid_files/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
KillWait=15
$(for i in $(seq "$machines"); do
    echo "NodeName=n$i NodeAddr=$net.1$i CPUs=2 RealMemory=4000 State=UNKNOWN"
done)
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    (umask 077; head -c 128 /dev/urandom > "$folder/munge.key")
    munged --force --socket="$folder/munge.sock" --key-file="$folder/munge.key" \
        --pid-file="$pid_files/munged.pid" --log-file="$folder/munged.log" \
        --seed-file="$folder/munged.seed"
    slurmctld -f "$folder/slurm.conf"
    for i in $(seq "$machines"); do start_machine "n$i" "$i"; done
}

down() {
    for file in "$pid_files"/machine.*.pid; do kill -KILL "$(pgrep -P "$(cat "$file")")" || :; done
    for file in "$pid_files"/{slurmctld,munged}.pid; do kill "$(cat "$file")" || :; done
    for file in "$pid_files"/machine.*.pid; do
        name=${file##*/machine.} name=${name%.pid}
        ip netns del "slurmlab-$name"
    done
    ip link del "$bridge"
    rm -rf -- "$folder"
}

"$action"
