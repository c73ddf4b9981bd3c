#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tasks of the size of true: submitted at one node, run at another, result back, durable at the origin.

  tests/bench/tasks [--quick] [--rows NAME,...]
  tests/bench/tasks --self-test

Limits (C loops that start the same process) and peers take turns with the tasks on the same machine; one JSON
line per figure, the median of three rounds. State directories are in memory, as the peers keep nothing at all.
Needs root. The exit code is 1 where a goal was missed. The self-test runs every row with few tasks: each has to
come to its end with all its figures, and no task may fail; peers that are not installed are left out.
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import types

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
if os.path.isdir("/dev/shm"):
    os.environ["TMPDIR"] = "/dev/shm"

import peers  # noqa: E402
from lib.lab import BUILD, CTL, Lab, environment  # noqa: E402  (reads TMPDIR)
from lib.wait import wait_for  # noqa: E402

LIMIT, CLIENT, BEANSTALK = (BUILD / "bench" / name for name in ("task_limit", "task_client", "task_beanstalk"))
PYTHON_LIMIT = pathlib.Path(__file__).parent / "python_limit.py"
FLIGHTS = (1, 2, 16)
MIB = 1 << 20
FUNCTION = '"python":{"file":"sum.py","function":"add","code":"def add(a, b):\\n    return a + b\\n"},"args":["1","2"]'


def output_of(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True,
                          timeout=600, **options).stdout


TOOLS = types.SimpleNamespace(wait_for=wait_for, output_of=output_of, beanstalk=BEANSTALK)


def limit(kind, count, flight):
    return json.loads(output_of(LIMIT, kind, count, flight))


def python_limit(kind, count):
    return json.loads(output_of("/usr/bin/python3", PYTHON_LIMIT, kind, count))["p50_us"]


@contextlib.contextmanager
def lab_of(workers, sandbox):
    """lab-01, where tasks are submitted and none is run, and workers."""
    lab = Lab({"log": {"level": "notice"}, "sandbox": {"mode": sandbox}})
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    for number in range(workers):
        lab.node(f"lab-{number + 2:02}", {"tasks": {"slots": 16 if workers == 1 else 4}})
    try:
        yield lab.start(60)
    finally:
        problems = lab.close()
        if problems:
            print(*problems, sep="\n", file=sys.stderr)


def tasks(lab, count, flight, node="", **env):
    """Rate and times of that many tasks; none may fail."""
    done = json.loads(output_of(CLIENT, lab["lab-01"].socket, count, flight, node, env={**os.environ, **env}))
    assert done["failed"] == 0, done
    return done


def medians(rounds, *measures):
    """Of each of several measures, which take turns; of a dictionary, key by key."""
    found = [[measure() for measure in measures] for _ in range(rounds)]

    def middle(values):
        if isinstance(values[0], dict):
            return {key: middle([value[key] for value in values]) for key in values[0]}
        return statistics.median(values)
    return [middle(values) for values in zip(*found)]


def pss(pid):
    """Proportional set size of a process, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss")


class Report:
    def __init__(self, rounds):
        self.rounds = rounds
        self.missed = 0
        self.figures = 0

    def print(self, **line):
        self.figures += 1
        print(json.dumps(line), flush=True)

    def figure(self, name, value, unit, against, at, goal, is_most=False):
        """value beside `at`, which is of `against`; goal: the least share of it, or the most where is_most."""
        ratio = value / at
        reached = ratio <= goal if is_most else ratio >= goal
        self.missed += not reached
        self.print(bench=name, value=round(value, 1), unit=unit, against=against, at=round(at, 1),
                   ratio=round(ratio, 2), goal=goal, most=is_most, reached=reached)

    def fact(self, name, value, unit):
        self.print(bench=name, value=round(value, 1), unit=unit)

    def left_out(self, peer):
        """Whether something is missing to run the peer, which is told."""
        programs = peers.missing(peer)
        if programs:
            print(f"left out: {peer}: no {', '.join(programs)} (make deps-bench)", file=sys.stderr)
        return bool(programs)


def row_one_node(report, count):
    """Throughput and latency through one worker, by sandbox, beside the bare start of a process."""
    for sandbox, kind, goal in (("none", "spawn", 0.85), ("namespaces", "clone", 0.8)):
        with lab_of(1, sandbox) as lab:
            tasks(lab, 50, 2, "lab-02")
            for flight in FLIGHTS:
                at, ours = medians(report.rounds, lambda: limit(kind, count, flight),
                                   lambda: tasks(lab, count, flight, "lab-02"))
                report.figure(f"tasks/s, {sandbox}, {flight} in flight", ours["rate"], "tasks/s", f"{kind} loop",
                              at["rate"], goal if flight == 16 else 0)
                if flight != 1:
                    continue
                report.figure(f"p50, {sandbox}, 1 in flight", ours["p50_us"], "us", f"{kind} loop + 1 ms",
                              at["p50_us"] + 1000, 1, is_most=True)
                report.figure(f"p99, {sandbox}, 1 in flight", ours["p99_us"], "us", f"{kind} loop",
                              at["p99_us"], 0)


def row_peers(report, count):
    """What others make of the same, sixteen at a time."""
    for sandbox in ("none", "namespaces"):
        with lab_of(1, sandbox) as lab:
            tasks(lab, 50, 2, "lab-02")
            for peer, level, run, share, goal in peers.RATES:
                if level != sandbox or report.left_out(peer):
                    continue
                at, ours = medians(report.rounds, lambda: run(max(int(count * share), 16), TOOLS),
                                   lambda: tasks(lab, count, 16, "lab-02")["rate"])
                report.figure(f"tasks/s, {sandbox}, 16 in flight, beside {peer}", ours, "tasks/s", peer, at, goal)


def row_command(report, count):
    """`p2pctl submit --wait -- true` as a whole process."""
    with lab_of(1, "namespaces") as lab:
        command = [str(CTL), "--socket", str(lab["lab-01"].socket), "submit", "--wait", "-N", "lab-02", "--", "true"]
        few = max(count // 50, 5)

        def ours():
            return peers.median_time(few, command, env=environment())
        name = "submit --wait -- true, whole process, p50"
        if report.left_out("ssh with ControlMaster"):
            report.fact(name, ours(), "ms")
            return
        at, own = medians(report.rounds, lambda: peers.ssh_time(few, TOOLS), ours)
        report.figure(name, own, "ms", "ssh with ControlMaster", at, 0.8, is_most=True)


def row_python(report, count):
    """A function that adds two numbers, called in a warm helper."""
    with lab_of(1, "none") as lab:
        tasks(lab, 20, 1, "lab-02", TASK=FUNCTION)
        warm, cold, ours = medians(report.rounds, lambda: python_limit("warm", count),
                                   lambda: python_limit("cold", max(count // 20, 5)),
                                   lambda: tasks(lab, count, 1, "lab-02", TASK=FUNCTION)["p50_us"])
    report.figure("p50, Python function, 1 in flight", ours, "us", "fork of a warm interpreter + 1.5 ms", warm + 1500,
                  1, is_most=True)
    report.figure("p50, Python function, beside a cold interpreter", ours, "us", "cold interpreter", cold, 0.25,
                  is_most=True)


def row_ten_nodes(report, count):
    """Ten workers on this machine, beside one: what placement and more daemons cost."""
    with lab_of(1, "none") as lab:
        tasks(lab, 50, 2)
        one = tasks(lab, count, 40)["rate"]
    with lab_of(10, "none") as lab:
        tasks(lab, 50, 2)
        ten = tasks(lab, count, 40)["rate"]
        states = [task["state"] for task in lab["lab-01"].json("task", "list")["tasks"]]
        assert states.count("succeeded") >= count, "some were lost"
    report.figure(f"{count} tasks over 10 nodes", ten, "tasks/s", "one node", one, 0.7)


def row_memory(report, count):
    """What queued tasks cost at the origin."""
    with lab_of(1, "none") as lab:
        origin = lab["lab-01"]
        holders = [origin.submit("-N", "lab-02", "--", "sleep", "600") for _ in range(16)]
        for task in holders:
            origin.wait_task(task, "running")
        before = pss(origin.pid)
        tasks(lab, count, 16, "lab-02", WAIT="0")
        wait_for(lambda: origin.members()["lab-02"]["queue"] >= count, 60, "all to be queued")
        grown = pss(origin.pid) - before
    report.figure(f"memory of {count} queued tasks at the origin", grown / MIB, "MiB", "20 MiB per 10,000",
                  20 * count / 10000, 1, is_most=True)


# What runs, and how many tasks it takes: in full, quickly, to test itself.
ROWS = {"one-node": (row_one_node, 2000, 300, 40), "peers": (row_peers, 2000, 320, 32),
        "command": (row_command, 2000, 1000, 40), "python": (row_python, 400, 100, 10),
        "ten-nodes": (row_ten_nodes, 10000, 500, 100), "memory": (row_memory, 9000, 1000, 100)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of fewer tasks")
    parser.add_argument("--self-test", action="store_true", help="each row with a few tasks; no goal counts")
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    options = parser.parse_args()
    is_short = options.quick or options.self_test
    report = Report(1 if is_short else 3)
    for name in options.rows.split(","):
        if name not in ROWS:
            parser.error(f"no such row: {name}; there are {', '.join(ROWS)}")
    for name in options.rows.split(","):
        row, *counts = ROWS[name]
        before = report.figures
        row(report, counts[2 if options.self_test else 1 if options.quick else 0])
        # Of the peers, none may be installed.
        if options.self_test and report.figures == before and name != "peers":
            sys.exit(f"row {name} has no figure")
    return 1 if report.missed and not is_short else 0


if __name__ == "__main__":
    sys.exit(main())
