#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs one step of the tests and counts what passed and failed.

  tally.py [--jobs N] [--file FILE] NAME COMMAND [ARGUMENT...]     one command
  tally.py [...] NAME --each [COMMAND...] -- ITEM...               COMMAND ITEM for every item
  tally.py [...] --total                                           the sum of all steps so far

Understands what cmocka, pytest and the simulator print; a command that prints none of these is one test.
A command that fails without a failed test counts as one. Output is shown only of what failed.

These tests run on real clocks, beside neighbours that nobody sees. So a test of pytest that failed runs once
more, alone, after the rest of its step; what passes then has passed, and is named at the end, for somebody to
mend: it waits for the wrong thing. Where more than AGAIN_MAX of a step have failed, no neighbour did that.
"""
import argparse
import concurrent.futures
import json
import re
import subprocess
import sys
import time

FORMATS = (
    (re.compile(r"^\[  PASSED  \] (\d+) test", re.M), re.compile(r"^\[  FAILED  \] (\d+) test", re.M)),
    # Not "task 7@lab-01 failed on lab-02", as in the logs of a failed test.
    (re.compile(r"(?<![\w-])(\d+) passed"), re.compile(r"(?<![\w-])(\d+) failed")),
)
# What a step of a boot test printed, quoted: its numbers are not ours.
QUOTED = re.compile(r"^ +\| .*$", re.M)
NOISE = re.compile(r"^\[ +(RUN|OK) +\].*\n", re.M)
ERRORS = re.compile(r"(\d+) errors? in \d")
FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.M)
AGAIN_MAX = 3
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


def run_again(failures):
    """The tests among @failures that pass alone; none where too much has failed, or what is no test."""
    tests = [sorted(set(FAILED_TEST.findall(output))) for _, _, output, _ in failures]
    if sum(bad for _, bad, _, _ in failures) > AGAIN_MAX or \
            any(len(names) != bad for names, (_, bad, _, _) in zip(tests, failures)):
        return []
    passed = []
    for names, (_, _, _, command) in zip(tests, failures):
        for name in names:
            good, bad, output, ran = run([word for word in command if not word.endswith(".py")] + [name])
            if good == 1 and not bad:
                passed.append(name)
            else:
                print(f"--- once more, alone: {' '.join(ran)}\n{output.strip()}")
    return passed


def total(path):
    passed = failed = 0
    again = []
    try:
        with open(path, encoding="utf-8") as tally:
            for line in tally:
                _, good, bad, names = json.loads(line)
                passed += good
                failed += bad
                again += names
    except FileNotFoundError:
        failed = 1
    for name in again:
        print(f"passed only when it ran again, alone: {name}")
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
    failures = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for good, bad, output, ran in pool.map(run, commands):
            passed += good
            failed += bad
            if bad:
                failures.append((good, bad, output, ran))
                print(f"--- {' '.join(ran)}\n{NOISE.sub('', output).strip()}")
            elif "node-hours" in output:
                print(output, end="")
    again = run_again(failures)
    passed += len(again)
    failed -= len(again)
    if not passed + failed:
        failed = 1
    with open(arguments.file, "a", encoding="utf-8") as tally:
        tally.write(json.dumps([arguments.name, passed, failed, again]) + "\n")
    print(f"{arguments.name}: {passed} passed, {failed} failed ({time.monotonic() - start:.1f} s)",
          *(f"\n  passed only when it ran again, alone: {name}" for name in again), sep="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
