#!/bin/bash
# Several machines on one, reached over real SSH: each a network and process namespace with an
# address, a home and an sshd of its own, all on one file system. For root on Debian, with:
#   apt-get install --no-install-recommends openssh-server iproute2
# (Another network than 10.83.0.0/24: SSH_LAB_NET=10.90.0)
# Usage:  ssh_lab.sh up FOLDER [MACHINES]      then: PATH=FOLDER/bin:$PATH ssh n1 hostname
#         ssh_lab.sh cut|heal FOLDER MACHINE   take its cable away, and put it back
#         ssh_lab.sh processes FOLDER MACHINE  the command lines of what runs there
#         ssh_lab.sh down FOLDER
set -eu
action=$1 folder=$(realpath -m -- "$2") third=${3:-2}
bridge=sshlab net=${SSH_LAB_NET:-10.83.0}

first_process() {  # of a machine; its end is that of everything there
    pgrep -P "$(cat "$folder/$1/machine.pid")"
}

start_machine() {
    local name=$1 number=$2 home=$folder/$1/home
    mkdir -p "$home"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/$name/host_key"
    sed "s#^root:x:0:0:root:[^:]*:#root:x:0:0:root:$home:#" /etc/passwd > "$folder/$name/passwd"
    cat > "$folder/$name/sshd_config" <<CONF
HostKey $folder/$name/host_key
AuthorizedKeysFile $folder/key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile $folder/$name/sshd.pid
CONF
    echo "$net.1$number $(command cut -d' ' -f1,2 "$folder/$name/host_key.pub")" >> "$folder/known_hosts"
    printf 'Host %s\n  HostName %s\n' "$name" "$net.1$number" >> "$folder/ssh_config"
    ip netns add "sshlab-$name"
    ip link add "sshlab$number" type veth peer name eth0 netns "sshlab-$name"
    ip link set "sshlab$number" master "$bridge" up
    ip -n "sshlab-$name" address add "$net.1$number/24" dev eth0
    ip -n "sshlab-$name" link set eth0 up
    ip -n "sshlab-$name" link set lo up
    setsid nsenter --net="/run/netns/sshlab-$name" unshare --fork --pid --kill-child --mount-proc \
        --uts --mount --ipc bash -c "hostname $name; mount --bind '$folder/hosts' /etc/hosts
            mount --bind '$folder/$name/passwd' /etc/passwd; mount -t tmpfs tmpfs /dev/shm
            mkdir -p /run/sshd; /usr/sbin/sshd -f '$folder/$name/sshd_config' -E '$folder/$name/sshd.log'
            while :; do sleep 60; done" \
        < /dev/null > "$folder/$name/machine.log" 2>&1 &
    echo $! > "$folder/$name/machine.pid"
}

up() {
    sweep
    mkdir -p "$folder/bin"
    ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
    cat > "$folder/ssh_config" <<CONF
IdentityFile $folder/key
UserKnownHostsFile $folder/known_hosts
CONF
    printf '#!/bin/bash\nexec /usr/bin/ssh -F %q "$@"\n' "$folder/ssh_config" > "$folder/bin/ssh"
    chmod +x "$folder/bin/ssh"
    ip link add "$bridge" type bridge
    ip address add "$net.1/24" dev "$bridge"
    ip link set "$bridge" up
    { echo "127.0.0.1 localhost"; echo "$net.1 $(hostname -s)"; } > "$folder/hosts"
    for i in $(seq "$third"); do echo "$net.1$i n$i"; done >> "$folder/hosts"
    for i in $(seq "$third"); do start_machine "n$i" "$i"; done
}

cut() { ip link set "sshlab${third#n}" down; }
heal() { ip link set "sshlab${third#n}" up; }

processes() { nsenter -t "$(first_process "$third")" -p -m ps -eo args --no-headers; }

sweep() {  # whatever there is of this lab, also of one that was not taken down
    for name in $(ip netns list | grep -o '^sshlab-[^ ]*'); do
        ip netns pids "$name" | xargs --no-run-if-empty kill -KILL || :
        ip netns del "$name" || :
    done
    for link in $(ip -o link | grep -o 'sshlab[0-9]*@' | tr -d @); do ip link del "$link" || :; done
    ip link del "$bridge" 2> /dev/null || :
}

down() {
    sweep
    rm -rf -- "$folder"
}

"$action"
