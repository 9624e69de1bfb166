#!/bin/bash
# A sandbox: a copy of this machine, to run commands in. Requires root. Writes go to memory.
#
#   sandbox.sh LAYER DIRECTORY [PATH...]   make it: LAYER is overlaid on /, DIRECTORY is an empty directory,
#                                          each PATH is mounted read-only, being on another file system or in /tmp.
#                                          Prints "up PID" and keeps the sandbox until standard input ends.
#   sandbox.sh enter PID USER COMMAND...   run a command in it
#
# The sandbox has namespaces for mounts, processes, network, host name and IPC. Its network is a loopback
# interface: fixed ports conflict with nothing, and nothing outside can be reached.
set -euo pipefail

if [ "$1" = enter ]; then
    pid=$2 user=$3
    shift 3
    IFS=: read -r _ _ uid gid _ home _ <<<"$(grep "^$user:" "/proc/$pid/root/etc/passwd")"
    variables=(HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 TERM=dumb SHELL=/bin/bash)
    [ "$uid" = 0 ] || variables+=(XDG_RUNTIME_DIR="/run/user/$uid")
    exec nsenter -t "$pid" -p -m -n -u -i -r -w env -i "${variables[@]}" PATH="$SANDBOX_PATH" \
        setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
fi

layer=$1 top=$2
shift 2
paths=("$@")

enter_sandbox() {
    # the process id outside, read before /proc of the new namespace is mounted
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
    # not exec: bash, as process 1, reaps orphans
    cat >/dev/null
}
export -f enter_sandbox
export layer top
unshare --mount --net --uts --ipc --pid --fork --kill-child bash -euc "paths=(${paths[*]@Q}); enter_sandbox"
