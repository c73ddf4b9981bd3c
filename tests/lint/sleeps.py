#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests wait for conditions, never for time: a sleep in each helper that polls, and no other."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELPERS = {"tests/integration/lib/wait.py": 2, "tests/demo/demo.sh": 1, "tests/bench/membership/clock.py": 1}
C_SLEEP = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep)\s*\(")
PY_SLEEP = re.compile(r"\btime\.sleep\(|from time import .*\bsleep\b|\basyncio\.sleep\(")
SH_SLEEP = re.compile(r"^\s*(sleep|usleep)\s+[\d.$]", re.M)


def main():
    errors = []
    for path in sorted((ROOT / "tests").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        pattern = {".c": C_SLEEP, ".h": C_SLEEP, ".py": PY_SLEEP, ".sh": SH_SLEEP}.get(path.suffix)
        if not pattern or "lint/" in name or not path.is_file():
            continue
        allowed = HELPERS.get(name, 0)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if not pattern.search(line):
                continue
            allowed -= 1
            if allowed < 0:
                errors.append(f"{name}:{number}: waits for time, not for a condition: {line.strip()}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
