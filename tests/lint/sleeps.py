#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tests wait for conditions, never for time: no bare sleep but in the one helper that polls."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALLOWED = {"tests/integration/lib/wait.py"}
C_SLEEP = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|thrd_sleep)\s*\(")
PY_SLEEP = re.compile(r"\btime\.sleep\b|from time import .*\bsleep\b|\basyncio\.sleep\b")
SH_SLEEP = re.compile(r"^\s*(sleep|usleep)\s+[\d.$]", re.M)


def main():
    errors = []
    for path in sorted((ROOT / "tests").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        pattern = {".c": C_SLEEP, ".h": C_SLEEP, ".py": PY_SLEEP, ".sh": SH_SLEEP}.get(path.suffix)
        if not pattern or name in ALLOWED or "lint/" in name or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                errors.append(f"{name}:{number}: waits for time, not for a condition: {line.strip()}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
