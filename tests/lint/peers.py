#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The README's table of what users of other systems reported is true: each test that it names exists, each
test called peer_* is in it, and each such scenario is shown to fail without its rule by a mutant.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- peers -->", "<!-- /peers -->"
ISSUE = re.compile(r"(?:memberlist|serf|consul)#\d+")


def scenarios():
    return {path.stem for path in (ROOT / "tests/sim/scenarios").glob("*.txt")}


def functions(folder, pattern, glob):
    return {name for path in (ROOT / folder).glob(glob) for name in re.findall(pattern, path.read_text(), re.M)}


def main():
    errors = []
    text = (ROOT / "README.md").read_text()
    if BEGIN not in text or END not in text:
        print(f"README.md: {BEGIN} and {END} are missing")
        return 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("| ")]
    real = functions("tests/integration", r"^def (test_\w+)\(", "test_*.py")
    unit = functions("tests/unit", r"^static void (\w+)\(void \*\*state", "test_*.c")
    named = set()
    for row in rows[1:]:
        if len(row) != 4 or not ISSUE.search(row[0]):
            errors.append(f"README.md: a row with {len(row)} cells: {' | '.join(row)}")
            continue
        tests = re.findall(r"`(\w+)`", row[2])
        if not tests:
            errors.append(f"README.md: {row[0]} names no test")
        errors += [f"README.md: {row[0]}: there is no test {name}" for name in tests
                   if name not in scenarios() | real | unit]
        named |= set(tests)
    peers = {name for name in scenarios() if name.startswith("peer_")}
    peers |= {name for name in real if name.startswith("test_peer_")}
    errors += [f"README.md: {name} is not in the table" for name in sorted(peers - named)]
    mutants = (ROOT / "tests/sim/mutants.txt").read_text()
    broken = {name for line in re.findall(r"^breaks (.+)$", mutants, re.M) for name in line.split()}
    errors += [f"tests/sim/mutants.txt: no mutant breaks {name}"
               for name in sorted(peers & scenarios() - broken)]
    errors += [f"tests/sim/mutants.txt: there is no scenario {name}" for name in sorted(broken - scenarios())]
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
