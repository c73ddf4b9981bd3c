#!/bin/bash
# SPDX-License-Identifier: MIT
# apparmor.sh WORK: does AppArmor take the profile? Debian 12's parser is older than the rule that the profile is for,
# so one of Debian 13 is put into WORK and kept.
set -uo pipefail
work=$1
here=$(dirname "$(readlink -f "$0")")
. "$here/../boot/steps.sh"

get_parser() {
    [ -e "$work/apparmor.done" ] && return
    rm -rf "$work/apparmor"
    mmdebstrap --quiet --variant=extract --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
        --include=apparmor trixie "$work/apparmor" && ln -sf usr/lib64 usr/lib usr/bin usr/sbin "$work/apparmor/" && touch "$work/apparmor.done"
}
parse_profile() {
    cp "$here/../../packaging/apparmor/p2pnode-exec" "$work/apparmor/etc/apparmor.d/"
    chroot "$work/apparmor" /usr/sbin/apparmor_parser -QK --warn=all /etc/apparmor.d/p2pnode-exec
}

mkdir -p "$work"
step 'there is a parser of AppArmor 4' get_parser
step 'which takes the profile' parse_profile
finish
