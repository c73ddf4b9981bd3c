#!/bin/bash
# SPDX-License-Identifier: MIT
# qemu.sh DEB HOSTILE WORK: boots a whole machine with a kernel of its own, which has every controller of version 2 of
# the control groups, and lets vm_job.sh use the package there. Emulated: nothing is needed of the processor. WORK keeps
# the tree, its image and the kernel.
set -euo pipefail

deb=$1
hostile=$2
work=$3
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" = 0 ] || { echo 'boot tests need root'; exit 1; }
mkdir -p "$work"
run=$(mktemp -d "$work/run.XXXXXX")
trap 'rm -rf "$run"' EXIT

# The kernel as Debian has it for machines that are not real, without its modules: what a machine needs to start is
# built in, as long as its disks are NVMe.
kernel() {
    local package
    [ ! -e "$work/vmlinuz" ] || return 0
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
    (cd "$run" && apt-get -qq download "$package" && dpkg-deb -x "$package"_*.deb kernel)
    mv "$run"/kernel/boot/vmlinuz-* "$work/vmlinuz"
}

# The tree as a disk, once; each run writes to a copy.
image() {
    if [ ! "$work/disk.img" -nt "$work/bookworm.done" ]; then
        rm -f "$work/disk.img"
        truncate -s 2G "$run/new.img"
        mkfs.ext4 -q -F -d "$work/bookworm" -O ^has_journal -E lazy_itable_init=1 "$run/new.img"
        mv "$run/new.img" "$work/disk.img"
    fi
    cp --sparse=always "$work/disk.img" "$run/disk.img"
    debugfs -w -f - "$run/disk.img" > "$run/debugfs.log" 2>&1 << END
write $here/vm_job.sh /job/job.sh
write $deb /job/p2pnode.deb
write $hostile /job/hostile
END
}

"$here/tree.sh" "$work/bookworm"
kernel
image
timeout 900 qemu-system-x86_64 -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 1024 \
    -display none -monitor none -serial "file:$run/console" -no-reboot -nic none -kernel "$work/vmlinuz" \
    -append "console=ttyS0 root=/dev/nvme0n1 rootfstype=ext4 rw quiet panic=-1 mitigations=off audit=0 nokaslr \
        tsc=reliable systemd.show_status=0 systemd.log_level=warning" \
    -drive "file=$run/disk.img,if=none,id=disk,format=raw,cache=unsafe" -device nvme,drive=disk,serial=disk < /dev/null ||
    echo "qemu ended with $?"
tr -d '\r' < "$run/console"
# The last line is the job's: what tests/tally.py counts. Without one, nobody came that far.
tr -d '\r' < "$run/console" | tail -1 | grep -q '^[1-9][0-9]* passed, 0 failed$'
