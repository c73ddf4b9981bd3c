#!/bin/bash
# SPDX-License-Identifier: MIT
# qemu.sh DEB HOSTILE WORK: boots a whole machine with a kernel of its own, which has every controller of version 2 of
# the control groups, and lets vm_job.sh use the package there. Its power is cut in the middle, so it is started twice.
# Emulated: nothing is needed of the processor. WORK keeps the tree, its disk and the transcript, qemu.log.
set -euo pipefail

deb=$1 hostile=$2 work=$3
here=$(dirname "$(readlink -f "$0")")
[ "$(id -u)" = 0 ] || { echo 'boot tests need root'; exit 1; }
mkdir -p "$work"
run=$(mktemp -d "$work/run.XXXXXX")
trap 'rm -rf "$run"' EXIT

# The tree as a disk, once; each run writes to a copy.
image() {
    if [ ! "$work/disk.img" -nt "$work/bookworm.done" ]; then
        rm -f "$work/disk.img"
        truncate -s 2G "$run/new.img"
        mkfs.ext4 -q -F -d "$work/bookworm" -E lazy_itable_init=1,lazy_journal_init=1 "$run/new.img"
        mv "$run/new.img" "$work/disk.img"
    fi
    cp --sparse=always "$work/disk.img" "$run/disk.img"
    # What the job says goes to a line of its own: the kernel writes to the console.
    printf '[Service]\nTTYPath=/dev/ttyS1\n' > "$run/tty.conf"
    debugfs -w -f - "$run/disk.img" > "$run/debugfs.log" 2>&1 << END
mkdir /etc/systemd/system/job.service.d
write $run/tty.conf /etc/systemd/system/job.service.d/tty.conf
write $here/vm_job.sh /job/job.sh
write $here/steps.sh /job/steps.sh
write $deb /job/p2pnode.deb
write $hostile /job/hostile
END
}

# machine SECONDS: until it is switched off or has no power any more.
machine() {
    timeout -k 10 "$1" qemu-system-x86_64 -machine q35 -accel tcg,thread=multi,tb-size=512 -cpu max -smp 2 -m 1024 \
        -display none -monitor none -serial "file:$run/console" -serial "file:$run/said" -no-reboot -nic none \
        -kernel "$work/bookworm/boot/vmlinuz" \
        -append "console=ttyS0 root=/dev/nvme0n1 rootfstype=ext4 rw quiet panic=-1 mitigations=off audit=0 nokaslr \
            tsc=reliable systemd.show_status=0 systemd.log_level=warning" \
        -drive "file=$run/disk.img,if=none,id=disk,format=raw,cache=unsafe" -device nvme,drive=disk,serial=disk \
        < /dev/null || echo "qemu ended with $?" >> "$run/said"
    tr -d '\r' < "$run/said" > "$run/part"
    # Without the closing line of a job without a failure it is of interest what the kernel had to say.
    tail -n 1 "$run/part" | grep -q '^[1-9][0-9]* passed, 0 failed$' || { cat "$run/part" "$run/console"; return 1; }
    cat "$run/part"
}

"$here/tree.sh" "$work/bookworm"
image
begin=$SECONDS
{ machine 900 && machine 300; } | tee "$work/qemu.log"
echo "figure  emulated machine: $((SECONDS - begin)) s" | tee -a "$work/qemu.log"
