#!/bin/bash
# SPDX-License-Identifier: MIT
# lint.sh DEB RPM WORK: what can be said of the packages without installing them.
set -uo pipefail
deb=$1 rpm=$2 work=$3
here=$(dirname "$(readlink -f "$0")")
top=$here/../..
. "$here/../boot/steps.sh"

silent() { "$@" > "$work/said" 2>&1; local status=$?; cat "$work/said"; [ $status = 0 ] && [ ! -s "$work/said" ]; }
# What both packages have to bring, wherever the distribution wants completions.
contents() { sed 's|^\./|/|; s|\.gz$||; s|/zsh/[a-z-]*/|/zsh/|; s|^/lib/|/usr/lib/|' | grep -v '/$' | sort; }
deb_contents() { dpkg-deb --fsys-tarfile "$deb" | tar -t | contents; }
rpm_contents() { rpm -qlp "$rpm" | contents; }
# Nothing but what belongs to one of the two alone.
have_the_same() {
    diff <(deb_contents | grep -v -e '^/etc/ufw/' -e '/apparmor/' -e /doc/p2pnode/ -e /doc-base/) \
        <(rpm_contents | grep -v -e '/licenses/' -e '/doc/p2pnode' -e '/.build-id' -e '^/etc/p2pnode$' -e '/libexec/p2pnode$')
}
requires() { rpm -qp --requires "$rpm" | show | has "$1"; }
scripts() { rpm -qp --scripts "$rpm" | show | has "$1"; }
versions() {
    local version
    version=$(sed -n 's/^VERSION := //p' "$top/Makefile")
    has "^p2pnode ($version)" "$top/packaging/debian/changelog" && has "^Version: *$version\$" "$top/packaging/rpm/p2pnode.spec" &&
        has "$version-1" <<< "$(rpm -qp "$rpm")" && [ "$(dpkg-deb -f "$deb" Version)" = "$version" ]
}

names_program() { has "^profile p2pnode-exec $1 " "$top/packaging/apparmor/p2pnode-exec" && deb_contents | has "^$1\$"; }

mkdir -p "$work"
step 'lintian has nothing to say' silent lintian --fail-on error,warning,info --allow-root "$deb"
step 'rpmlint has nothing to say' rpmlint --strict --config "$top/packaging/rpm/rpmlint.toml" "$rpm"
step 'both packages have the same in them' have_the_same
step 'and are of the same version' versions
step 'the rpm requires the libraries that it is linked to' requires 'libsqlite3.so.0'
step 'it makes its users first' scripts 'systemd-sysusers --replace'
step 'it restarts what runs' scripts "try-restart 'p2pnode@\*.service'"
step 'firewalld and ufw take their files, which open the port' "$here/firewalls.py" "$top"
step "AppArmor's profile names the program of the package" names_program /usr/libexec/p2pnode/p2pnode-exec
finish
