#!/bin/bash
# SPDX-License-Identifier: MIT
# repack.sh DEB TO VERSION: the same package under another version, to upgrade from.
set -euo pipefail
run=$(mktemp -d "$(dirname "$2")/repack.XXXXXX")
trap 'rm -rf "$run"' EXIT
dpkg-deb -R "$1" "$run/tree"
sed -i "s/^Version: .*/Version: $3/" "$run/tree/DEBIAN/control"
dpkg-deb --root-owner-group -b "$run/tree" "$2" > /dev/null
