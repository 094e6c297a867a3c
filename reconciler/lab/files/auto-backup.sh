#!/bin/sh
# Stand-in for /sbin/auto-backup.sh on one simulated host, whose / is the folder above the one of this file. It saves
# local.sh and its mode in bootbank/state.tgz, from where a reboot restores it. Without the folder bootbank it fails, as
# on a host that lost its boot device. While .lab/saves-slowly exists, it takes a second more.

root=${VDVS_ROOT:-$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd -P)} || exit 1
bank=$root/bootbank
work=$bank/.saving.$$
saved=etc/rc.local.d/local.sh

if [ ! -d "$bank" ] || [ -h "$bank" ]; then
    echo "/bootbank is not there: the state of this host is not saved" >&2
    exit 1
fi
echo "Saving the state of this host in /bootbank"
trap 'rm -rf -- "$work"' EXIT
mkdir -- "$work" || exit 1
[ ! -e "$root/.lab/saves-slowly" ] || sleep 1
if [ -f "$root/$saved" ]; then
    (cd -- "$root" && tar -czf "$work/local.tgz" "$saved") || exit 1
    (cd -- "$work" && tar -czf state.tgz local.tgz) || exit 1
else
    : >"$work/state.tgz" || exit 1
fi
mv -f -- "$work/state.tgz" "$bank/state.tgz"
