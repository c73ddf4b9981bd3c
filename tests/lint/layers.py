#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A file includes only from its own folder and from lower floors; programs are islands."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOORS = {"base": 0, "swim": 1, "sched": 1, "seal": 1, "net": 2, "store": 2, "varlink": 2, "transfer": 3, "exec": 3,
          "control": 4, "control/cluster": 4, "control/data": 4, "control/service": 4, "control/task": 4,
          "tasks": 4, "config": 4, "": 4}
# What p2pctl shares with the daemon beside base/.
CTL = {"varlink/varlink.h", "varlink/error.h", "config/config.h", "config/events.h", "seal/keyring.h"}
# What both programs share knows nothing of the daemon.
LOW = {"config": {"base"}, "varlink": {"base"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def may_include(source, folder, included):
    target = included.rpartition("/")[0]
    if target == folder:
        return True
    if target not in FLOORS:
        return False
    for low, allowed in LOW.items():
        if source == low or source.startswith(low + ".") or source.startswith(low + "/"):
            return target in allowed
    if folder and FLOORS[folder] == 4:
        return True
    return FLOORS[target] < FLOORS[folder] or (folder == "" and FLOORS[target] == 4)


def main():
    errors = []
    for path in sorted((ROOT / "daemon").rglob("*.[ch]")):
        source = path.relative_to(ROOT / "daemon").as_posix()
        folder = source.rpartition("/")[0]
        if folder not in FLOORS:
            errors.append(f"daemon/{folder}: a room without a floor")
            continue
        for included in INCLUDE.findall(path.read_text()):
            if not may_include(source, folder, included):
                errors.append(f"daemon/{source}: may not include {included}")
            elif not (ROOT / "daemon" / included).is_file():
                errors.append(f"daemon/{source}: {included} is not written from daemon/")
    for path in sorted((ROOT / "ctl").rglob("*.[ch]")):
        for included in INCLUDE.findall(path.read_text()):
            if not ((ROOT / "ctl" / included).is_file() or included.startswith("base/") or included in CTL):
                errors.append(f"{path.relative_to(ROOT)}: may not include {included}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
