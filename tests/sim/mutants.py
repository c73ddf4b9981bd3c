#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the simulator's invariants can fire.

Each mutant of mutants.txt is one source file with one rule taken out. It is compiled beside the
others and linked in front of the archive; the scenarios and a few storms must then report one of the
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


class Mutant:
    def __init__(self, name):
        self.name = name
        self.file = ""
        self.before = []
        self.after = []
        self.fires = []


def read_mutants(path):
    mutants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        word, _, rest = line.partition(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if word == "mutant":
            mutants.append(Mutant(rest))
        elif word == "file":
            mutants[-1].file = rest
        elif word == "fires":
            mutants[-1].fires = rest.split()
        elif line[0] == "-":
            mutants[-1].before.append(line[1:])
        elif line[0] == "+":
            mutants[-1].after.append(line[1:])
        else:
            sys.exit(f"{path}:{number}: what is \"{line}\"?")
    return mutants


def invariants():
    """The names in the essay of check.h."""
    return re.findall(r"^ \*   (\w+)  ", (HERE / "check.h").read_text(), re.M)


def mutate(mutant, folder):
    source = (ROOT / mutant.file).read_text()
    before = "\n".join(mutant.before) + "\n"
    if source.count(before) != 1:
        raise LookupError(f"its lines are {source.count(before)} times in {mutant.file}")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / pathlib.Path(mutant.file).name
    after = "".join(line + "\n" for line in mutant.after)
    target.write_text(source.replace(before, after))
    return target


def build(mutant, build_folder):
    folder = build_folder / "mutants" / mutant.name
    source = mutate(mutant, folder)
    compiler = os.environ.get("CC", "gcc")
    simulator = sorted(str(path) for path in (build_folder / "obj/tests/sim").glob("*.o"))
    program = folder / "sim"
    subprocess.run([compiler, *FLAGS, "-pie", "-o", program, source, *simulator,
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
    # "[   11.200] n1   order: ..." and "storm 0x1: [...] n1   order: ..."
    told = set(re.findall(r"(?:\] \S+ +|-- )(\w+): ", output))
    return sorted(told & set(mutant.fires)), sorted(told)


def try_mutant(mutant, build_folder):
    try:
        program = build(mutant, build_folder)
    except (LookupError, subprocess.CalledProcessError) as error:
        return False, str(error)
    scenarios = sorted(str(path) for path in (HERE / "scenarios").glob("*.txt"))
    seen = set()
    for arguments in [scenarios, *STORMS]:
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
    failed = 0
    if len(sys.argv) == 2:
        unproven = set(invariants()) - {name for mutant in mutants for name in mutant.fires}
        for name in sorted(unproven):
            print(f"invariant {name}: no mutant proves that it can fire")
            failed += 1
    else:
        mutants = [mutant for mutant in mutants if mutant.name in sys.argv[2:]]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        futures = [pool.submit(try_mutant, mutant, build_folder) for mutant in mutants]
        for mutant, future in zip(mutants, futures):
            is_caught, text = future.result()
            print(f"mutant {mutant.name}: {'caught by' if is_caught else 'NOT CAUGHT:'} {text}")
            failed += not is_caught
    caught = len(mutants) - min(failed, len(mutants))
    print(f"{len(mutants)} mutants: {caught} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
