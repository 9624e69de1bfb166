#!/bin/bash
# A copy of this machine, to try commands in. Needs root. Writes go to memory and are lost at the end.
#
#   stage.sh LAYER DIRECTORY [PATH...]   make it: LAYER is laid over /, DIRECTORY is an empty directory,
#                                        each PATH is shown read-only: it is on another file system, or in /tmp.
#                                        Prints "up PID" and keeps the stage until standard input ends.
#   stage.sh enter PID USER COMMAND...   run a command in it
#
# The stage has namespaces for mounts, processes, network, host name and IPC: its network is a loopback
# interface, so fixed ports collide with nothing and nothing outside is reached.
set -euo pipefail

if [ "$1" = enter ]; then
    pid=$2 user=$3
    shift 3
    IFS=: read -r _ _ uid gid _ home _ <<<"$(grep "^$user:" "/proc/$pid/root/etc/passwd")"
    variables=(HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 TERM=dumb SHELL=/bin/bash)
    [ "$uid" = 0 ] || variables+=(XDG_RUNTIME_DIR="/run/user/$uid")
    exec nsenter -t "$pid" -p -m -n -u -i -r -w env -i "${variables[@]}" PATH="$STAGE_PATH" \
        setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
fi

layer=$1 top=$2
shift 2
paths=("$@")

enter_stage() {
    # before /proc is this namespace's: the number by which others know this process
    read -r outside _ </proc/self/stat
    mount -t tmpfs -o mode=0755 tmpfs "$top"
    mkdir "$top/work" "$top/root"
    cp -a "$layer" "$top/upper"
    root=$top/root
    mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$root"
    mount -t proc proc "$root/proc"
    mount --bind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=0755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    for path in ${paths[@]+"${paths[@]}"}; do
        mkdir -p "$root$path"
        mount --bind "$path" "$root$path"
        mount -o remount,bind,ro "$root$path"
    done
    cp -a "$layer/run/." "$root/run/"
    rm -rf "$root/etc/tcpd" "$root/var/lib/tcpd"
    ip link set lo up
    hostname "$(cat "$root/etc/hostname")"
    cd "$root"
    pivot_root . mnt
    umount -l /mnt
    cd /
    echo "up $outside"
    # not exec: bash, as process 1, reaps what daemons leave behind
    cat >/dev/null
}
export -f enter_stage
export layer top
unshare --mount --net --uts --ipc --pid --fork --kill-child bash -euc "paths=(${paths[*]@Q}); enter_stage"
