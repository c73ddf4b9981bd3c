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
mend: it waits for the wrong thing. Where more than AGAIN_MAX of a step have failed, no neighbour did that; but
one that failed may have broken all that came behind it in its file. So where all are of one command, that runs
once more as a whole. So does what a fixture says at its end, which is about all tests before it; and cmocka, and boots.
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
# The last line of pytest, and nothing of what its tests have shown.
SUMMARY = re.compile(r"^((?:\d+ (?:failed|passed|skipped|deselected|xfailed|xpassed|warnings?|errors?)(?:, )?)+) in [\d.]+s", re.M)
FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.M)
# Of cmocka, and of the steps of a boot.
FAILED_PART = re.compile(r"^\[  FAILED  \] (?!\d+ test)(\w+)|^FAILED  (.+) \(exit \d+, \d+ ms\)", re.M)
TEARDOWN = re.compile(r"^_+ ERROR at teardown of ", re.M)
AGAIN_MAX = 3
SKIPS = re.compile(r"(\d+) skipped|^\[  SKIPPED \] (\d+) test", re.M)


def count(output, code):
    """(passed, failed) of one command; what was skipped was not tested, so it has failed."""
    output = QUOTED.sub("", output)
    if summaries := SUMMARY.findall(output):
        output = re.sub(r"errors?\b", "failed", summaries[-1])
    for passed, failed in FORMATS:
        if passed.search(output) or failed.search(output):
            good = sum(map(int, passed.findall(output)))
            bad = sum(map(int, failed.findall(output))) + sum(int(a or b) for a, b in SKIPS.findall(output))
            return good, bad if code == 0 else max(bad, 1)
    return (1, 0) if code == 0 else (0, 1)


def run(command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    output = result.stdout.decode(errors="replace")
    return (*count(output, result.returncode), output, command)


def failed_tests(output, command):
    """The name of each test that failed, as often as it did: in its body and at its end is twice."""
    parts = dict.fromkeys(unit or step for unit, step in FAILED_PART.findall(output))
    return FAILED_TEST.findall(output) or [f"{command[0]}: {name}" for name in parts]


def may_run_again(failures):
    """Whether these are few, or of one command; and tests, all of them."""
    return (len(failures) == 1 or sum(bad for _, bad, _, _ in failures) <= AGAIN_MAX) and \
        all(len(failed_tests(output, command)) == bad for _, bad, output, command in failures)


def run_again(good, bad, output, command):
    """(passed, failed, the names that passed only now) of one command."""
    tests = failed_tests(output, command)
    names = list(dict.fromkeys(tests))
    is_whole = bad > AGAIN_MAX or TEARDOWN.search(output) or not FAILED_TEST.search(output)
    left = set()
    for ran in [command] if is_whole else [[word for word in command if not word.endswith(".py")] + [name] for name in names]:
        now_good, now_bad, said, _ = run(ran)
        if now_bad or not now_good:
            print(f"--- once more, alone: {' '.join(ran)}\n{NOISE.sub('', said).strip()}")
            left |= set(failed_tests(said, command)) if is_whole else {ran[-1]}
        if is_whole:
            # What died before it named any tells of none that it passed.
            return now_good, now_bad, [name for name in names if name not in left] if left or not now_bad else []
    passed = [name for name in names if name not in left]
    return good + len(passed), bad - sum(name in passed for name in tests), passed


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
    again = []
    for failure in failures if may_run_again(failures) else []:
        now_good, now_bad, names = run_again(*failure)
        passed += now_good - failure[0]
        failed += now_bad - failure[1]
        again += names
    if not passed + failed:
        failed = 1
    with open(arguments.file, "a", encoding="utf-8") as tally:
        tally.write(json.dumps([arguments.name, passed, failed, again]) + "\n")
    print(f"{arguments.name}: {passed} passed, {failed} failed ({time.monotonic() - start:.1f} s)",
          *(f"\n  passed only when it ran again, alone: {name}" for name in again), sep="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
