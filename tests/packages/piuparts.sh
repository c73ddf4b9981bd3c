#!/bin/bash
# SPDX-License-Identifier: MIT
# piuparts.sh DEB WORK: whether the package comes, replaces its previous version and goes without a trace, in the tree of
# the boot tests. The previous version is in an archive of its own.
set -euo pipefail
deb=$1
work=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")
run=$(mktemp -d "$work/piuparts.XXXXXX")
trap 'rm -rf --one-file-system "$run"' EXIT
chmod 755 "$run"

mkdir "$run/archive"
"$here/../boot/repack.sh" "$deb" "$run/archive/p2pnode_0.0.9.deb" 0.0.9
(cd "$run/archive" && dpkg-scanpackages . > Packages 2> /dev/null)
piuparts --existing-chroot="$work/bookworm" --distribution=bookworm --no-eatmydata --tmpdir="$run" \
    --bindmount="$run/archive" --extra-repo="deb [trusted=yes] file:$run/archive ./" "$deb" > "$run/log" 2>&1 || {
    cat "$run/log"
    exit 1
}
# It passes also where it finds nothing to upgrade from.
grep -q 'PASS: Installation, upgrade and purging tests' "$run/log" || {
    cat "$run/log"
    exit 1
}
