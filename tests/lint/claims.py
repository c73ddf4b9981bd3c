#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every claim of the papers in PROTOCOL.md names a test that exists, and no test of the papers is left out."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT = ROOT / "tests/unit"
OF_PAPERS = ["test_swim_paper.c", "test_swim_lifeguard.c"]


def tests_of(path):
    return set(re.findall(r"cmocka_unit_test\((\w+)\)", path.read_text()))


def main():
    text = (ROOT / "daemon/PROTOCOL.md").read_text()
    section = text[text.index("## 10. The papers"):]
    rows = re.findall(r"^\| .+? \| .+? \| `(\w+)` \|", section, re.M)
    everywhere = set().union(*(tests_of(path) for path in UNIT.glob("test_swim_*.c")))
    papers = set().union(*(tests_of(UNIT / name) for name in OF_PAPERS))
    errors = [f"daemon/PROTOCOL.md: there is no test {name}" for name in rows if name not in everywhere]
    errors += [f"daemon/PROTOCOL.md: no claim has the test {name}" for name in sorted(papers - set(rows))]
    errors += [f"daemon/PROTOCOL.md: {name} is there twice" for name in sorted(set(rows)) if rows.count(name) > 1]
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors or not rows else 0


sys.exit(main())
