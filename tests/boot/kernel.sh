#!/bin/bash
# SPDX-License-Identifier: MIT
# kernel.sh TREE: puts the kernel that Debian has for machines that are not real into TREE/boot/vmlinuz, without its
# modules: what a machine needs to start is built in, as long as its disks are NVMe. Called by mmdebstrap, whose lists
# of packages are as new as the tree.
set -euo pipefail

export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
boot=$1/boot
image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
cd "$boot"
apt-get -qq -o APT::Sandbox::User=root download "$image"
dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x -O --wildcards './boot/vmlinuz-*' > vmlinuz
rm "$image"_*.deb
