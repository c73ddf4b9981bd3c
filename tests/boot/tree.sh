#!/bin/bash
# SPDX-License-Identifier: MIT
# tree.sh TREE: a minimal Debian 12 in the directory TREE that boots systemd, runs /job/job.sh as its only task, and
# ends with its status. What the packages depend on is in it, so that installing them needs no network; and a kernel.
set -euo pipefail

tree=$1
here=$(dirname "$(readlink -f "$0")")
packages=systemd,systemd-sysv,dbus,procps,rpm,libcjson1,libconfig9,libseccomp2,libsmartcols1,libsqlite3-0,libssl3,python3

# Made anew where what it is made of has changed.
made_of=$(cat "$here/tree.sh" "$here/kernel.sh" "$here/job.service" | sha256sum)
[ ! -e "$tree.done" ] || [ "$(cat "$tree.done")" != "$made_of" ] || exit 0
rm -rf "$tree" "$tree.done"
mkdir -p "$(dirname "$tree")"
mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
    --include="$packages" --customize-hook="$here/kernel.sh" bookworm "$tree"

install -m 644 "$here/job.service" "$tree/etc/systemd/system/job.service"
mkdir -p "$tree/job" "$tree/etc/systemd/system/multi-user.target.wants"
ln -s ../job.service "$tree/etc/systemd/system/multi-user.target.wants/"
# No console to log in at, no network to wait for, no timers that wake up in the middle of a test.
for unit in console-getty.service getty.target systemd-logind.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-update-utmp.service \
    systemd-networkd-wait-online.service systemd-remount-fs.service; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
: > "$tree/etc/fstab"
: > "$tree/etc/machine-id"
echo lab-boot > "$tree/etc/hostname"
echo "$made_of" > "$tree.done"
