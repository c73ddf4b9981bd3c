#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs one step of the tests and counts what passed and failed.

  tally.py [--jobs N] [--file FILE] NAME COMMAND [ARGUMENT...]     one command
  tally.py [...] NAME --each [COMMAND...] -- ITEM...               COMMAND ITEM for every item
  tally.py [...] --total                                           the sum of all steps so far

Understands what cmocka, pytest and the simulator print; a command that prints none of these is one test.
A command that fails without a failed test counts as one. Output is shown only of what failed.
"""
import argparse
import concurrent.futures
import re
import subprocess
import sys
import time

FORMATS = (
    (re.compile(r"^\[  PASSED  \] (\d+) test", re.M), re.compile(r"^\[  FAILED  \] (\d+) test", re.M)),
    (re.compile(r"(\d+) passed"), re.compile(r"(\d+) failed")),
)
# What a step of a boot test printed, quoted: its numbers are not ours.
QUOTED = re.compile(r"^ +\| .*$", re.M)
NOISE = re.compile(r"^\[ +(RUN|OK) +\].*\n", re.M)
ERRORS = re.compile(r"(\d+) errors? in \d")
SKIPS = re.compile(r"(\d+) skipped|^\[  SKIPPED \] (\d+) test", re.M)


def count(output, code):
    """(passed, failed) of one command; what was skipped was not tested, so it has failed."""
    output = QUOTED.sub("", output)
    for passed, failed in FORMATS:
        if passed.search(output) or failed.search(output):
            good = sum(map(int, passed.findall(output)))
            bad = sum(map(int, failed.findall(output))) + sum(map(int, ERRORS.findall(output)))
            bad += sum(int(a or b) for a, b in SKIPS.findall(output))
            return good, bad if code == 0 else max(bad, 1)
    return (1, 0) if code == 0 else (0, 1)


def run(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    output = result.stdout.decode(errors="replace")
    return (*count(output, result.returncode), output, command)


def total(path):
    passed = failed = 0
    try:
        with open(path, encoding="utf-8") as tally:
            for line in tally:
                passed += int(line.split()[1])
                failed += int(line.split()[2])
    except FileNotFoundError:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--file", default="build/tally")
    parser.add_argument("--total", action="store_true")
    parser.add_argument("name", nargs="?")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    if arguments.total:
        return total(arguments.file)
    command = arguments.command
    commands = [command]
    if command[:1] == ["--each"]:
        split = command.index("--")
        commands = [command[1:split] + [item] for item in command[split + 1:]]
    start = time.monotonic()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for good, bad, output, ran in pool.map(run, commands):
            passed += good
            failed += bad
            if bad:
                print(f"--- {' '.join(ran)}\n{NOISE.sub('', output).strip()}")
            elif "node-hours" in output:
                print(output, end="")
    if not passed + failed:
        failed = 1
    with open(arguments.file, "a", encoding="utf-8") as tally:
        tally.write(f"{arguments.name} {passed} {failed}\n")
    print(f"{arguments.name}: {passed} passed, {failed} failed ({time.monotonic() - start:.1f} s)",
          flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
