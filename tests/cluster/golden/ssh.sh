#!/bin/bash
# A seqtune study on machines reached over SSH: one connection to each keeps Ray alive there, and ends
# it. Needs key authentication, the same Python and seqtune on all machines, and a results folder that
# all of them see, or a URL of results (--out s3://...) that all may write to.
#
# By hand
#   bash THIS_FILE              run it; Ctrl-C ends it with everything saved
#   nohup bash THIS_FILE &      run it without a terminal, on a machine that stays up
#   run it again                goes on with the study
#   ssh HEAD, then: seqtune status DIRECTORY; seqtune stop DIRECTORY
#
# When this script ends, or is killed, Ray ends on all machines: at once, or within half a minute
# where a link was cut. A machine that was lost and is back joins again.

machines=(ada@one ada@two three)
commands=(
    'exec bash -c '"'"'folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup='"'"'"'"'"'"'"'"''"'"'"'"'"'"'"'"'
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
exec "$python" -P -m cluster.node head --connected --address 10.0.0.1:6379 --cpus 8'"'"''
    'exec bash -c '"'"'folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup='"'"'"'"'"'"'"'"''"'"'"'"'"'"'"'"'
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
exec "$python" -P -m cluster.node worker --connected --address 10.0.0.1:6379 --cpus 8'"'"''
    'exec bash -c '"'"'folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup='"'"'"'"'"'"'"'"''"'"'"'"'"'"'"'"'
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
exec "$python" -P -m cluster.node worker --connected --address 10.0.0.1:6379 --cpus 8'"'"''
)
driver='exec bash -c '"'"'folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup='"'"'"'"'"'"'"'"''"'"'"'"'"'"'"'"'
cd -- "$folder" || exit 2
if [ -n "$setup" ]; then . "$setup"; fi
exec "$python" -P -m cluster.node driver --connected -- bash -c '"'"'"'"'"'"'"'"'folder=/home/ada/music
study=chorales.toml
out=results
directory=results/chorales
python=/opt/venv/bin/python
setup='"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"''"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'"'
address=10.0.0.1:6379
count=3
seconds_to_join=600
# Whether the study is there already, in a folder or in an object store.
begun() {
    case "$out" in
        *://*) "$python" -P -m search status "$directory" > /dev/null 2>&1 ;;
        *) [ -e "$directory/study.toml" ] ;;
    esac
}

"$python" -P -m search cluster check --address "$address" --out "$out" \
    --nodes "$count" --wait-seconds "$seconds_to_join" || exit
if begun; then
    exec "$python" -P -m search resume "$directory" --address "$address"
fi
exec "$python" -P -m search run "$study" --out "$out" --address "$address"'"'"'"'"'"'"'"'"''"'"''

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
