#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Files have about 500 lines at most, functions about 70; there is no goto."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_MAX, FUNCTION_MAX = 550, 75
# Tables are long because the world is, not because somebody could not stop.
TABLES = {"daemon/config/table.c", "daemon/config/events.c"}


def functions(lines):
    """(first line, length) of whatever starts with a brace in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield start, number - start + 1
            start = None


def main():
    errors = []
    for folder in ("daemon", "ctl", "tests"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            name = path.relative_to(ROOT).as_posix()
            lines = path.read_text().splitlines()
            if len(lines) > FILE_MAX and name not in TABLES and folder != "tests":
                errors.append(f"{name}: {len(lines)} lines: two concepts; find their names")
            for number, length in functions(lines):
                if length > FUNCTION_MAX:
                    errors.append(f"{name}:{number}: a function of {length} lines")
            for number, line in enumerate(lines, 1):
                if re.match(r"\s*goto\s+\w+;", line):
                    errors.append(f"{name}:{number}: goto")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
