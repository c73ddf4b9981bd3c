#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
for header in daemon/*.h daemon/*/*.h daemon/*/*/*.h ctl/*.h ctl/*/*.h tests/sim/*.h; do
    [ -e "$header" ] || continue
    printf '#include "%s"\n' "$header" |
        ${CC:-gcc} -std=gnu11 -D_GNU_SOURCE -I. -Idaemon -Ictl -Itests/sim -Wall -Wextra -Werror \
            -fsyntax-only -xc - || { echo "$header does not compile alone"; failed=1; }
    sed -n '1p' "$header" | grep -q 'SPDX-License-Identifier: MIT' || { echo "$header: no SPDX line"; failed=1; }
    grep -q '^#pragma once$' "$header" || { echo "$header: no #pragma once"; failed=1; }
done
exit $failed
