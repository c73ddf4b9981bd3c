#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the simulator's invariants can fire.

Each mutant of mutants.txt is the program with one rule taken out. The changed file is compiled
anew and linked in front of the archive; the scenarios and a few storms must then report one of the
invariants that the mutant names. A mutant whose lines are no longer in the source fails too: the list
moves with the code.

usage: mutants.py BUILD_FOLDER [NAME...]
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-Idaemon", "-O2", "-fPIE", "-pthread"]
LIBS = ["-lcjson", "-lm", "-lcrypto"]
STORMS = [
    ["--storms", "6", "--first", "1", "--nodes", "10", "--minutes", "10"],
    ["--storms", "3", "--first", "1", "--nodes", "8", "--minutes", "10", "--sealed"],
]
TIMEOUT_SECONDS = 120


class Edit:
    """Lines of one file, and what stands there instead."""

    def __init__(self, file):
        self.file = file
        self.before = []
        self.after = []


class Mutant:
    def __init__(self, name):
        self.name = name
        self.edits = []
        self.fires = []
        self.breaks = []


def read_mutants(path):
    mutants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        word, _, rest = line.partition(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if word == "mutant":
            mutants.append(Mutant(rest))
        elif word == "file":
            mutants[-1].edits.append(Edit(rest))
        elif word == "fires":
            mutants[-1].fires = rest.split()
        elif word == "breaks":
            mutants[-1].breaks = rest.split()
        elif line[0] == "-":
            mutants[-1].edits[-1].before.append(line[1:])
        elif line[0] == "+":
            mutants[-1].edits[-1].after.append(line[1:])
        else:
            sys.exit(f"{path}:{number}: what is \"{line}\"?")
    return mutants


def invariants():
    """The names in the essay of check.h."""
    return re.findall(r"^ \*   (\w+)  ", (HERE / "check.h").read_text(), re.M)


def mutate(edits, folder):
    """Writes the changed files. Returns their paths."""
    texts = {}
    for edit in edits:
        text = texts.get(edit.file) or (ROOT / edit.file).read_text()
        before = "".join(line + "\n" for line in edit.before)
        if text.count(before) != 1:
            raise LookupError(f"its lines are {text.count(before)} times in {edit.file}")
        texts[edit.file] = text.replace(before, "".join(line + "\n" for line in edit.after))
    folder.mkdir(parents=True, exist_ok=True)
    targets = []
    for file, text in texts.items():
        targets.append(folder / pathlib.Path(file).name)
        targets[-1].write_text(text)
    return targets


def build(mutant, build_folder):
    folder = build_folder / "mutants" / mutant.name
    sources = mutate(mutant.edits, folder)
    compiler = os.environ.get("CC", "gcc")
    simulator = sorted(str(path) for path in (build_folder / "obj/tests/sim").glob("*.o"))
    program = folder / "sim"
    subprocess.run([compiler, *FLAGS, "-pie", "-o", program, *sources, *simulator,
                    build_folder / "libp2pnode.a", *LIBS], cwd=ROOT, check=True)
    return program


def run(arguments):
    """What a simulator says, its end included where it has none or a bad one."""
    try:
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "-- hang: no end"
    return done.stderr + (" -- crash: " if done.returncode < 0 else "")


def fired(output, mutant):
    # "[   11.200] n1   order: ...", and "x.txt:7: at 60.010 s: not within 60.0 s" for a scenario.
    told = set(re.findall(r"(?:\] \S+ +|-- )(\w+): ", output))
    if re.search(r"\.txt:\d+: at [\d.]+ s: ", output):
        told.add("scenario")
    return sorted(told & set(mutant.fires)), sorted(told)


def break_scenarios(mutant, program):
    """Each of them by a condition or an invariant; a trace alone changes with any line."""
    output = run([program, *(HERE / "scenarios" / f"{name}.txt" for name in mutant.breaks)])
    kept = [name for name in mutant.breaks if not re.search(rf"/{name}\.txt:\d+: (?!trace: )", output)]
    return not kept, " ".join(kept or mutant.breaks)


def try_mutant(mutant, build_folder):
    try:
        program = build(mutant, build_folder)
    except (LookupError, subprocess.CalledProcessError) as error:
        return False, str(error)
    if mutant.breaks:
        return break_scenarios(mutant, program)
    scenarios = sorted(str(path) for path in (HERE / "scenarios").glob("*.txt"))
    crowds = [path for path in scenarios if "/crowd_" in path]  # they take the longest
    seen = set()
    for arguments in [[path for path in scenarios if path not in crowds], *STORMS, crowds]:
        hits, told = fired(run([program, *arguments]), mutant)
        if hits:
            return True, " ".join(hits)
        seen |= set(told)
    return False, "survives; fired instead: " + (" ".join(sorted(seen)) or "nothing")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build_folder = pathlib.Path(sys.argv[1]).resolve()
    mutants = read_mutants(HERE / "mutants.txt")
    is_whole = len(sys.argv) == 2
    mutants = [mutant for mutant in mutants if is_whole or mutant.name in sys.argv[2:]]
    unproven = set(invariants()) if is_whole else set()
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = [pool.submit(try_mutant, mutant, build_folder) for mutant in mutants]
        for mutant, future in zip(mutants, futures):
            is_caught, text = future.result()
            print(f"mutant {mutant.name}: {'caught by' if is_caught else 'NOT CAUGHT by' if mutant.breaks else 'NOT CAUGHT:'} {text}",
                  flush=True)
            caught += is_caught
            if is_caught and not mutant.breaks:
                unproven -= set(text.split())
    for name in sorted(unproven):
        print(f"invariant {name}: no mutant makes it fire")
    failed = len(mutants) - caught + len(unproven)
    print(f"{len(mutants)} mutants: {caught} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
