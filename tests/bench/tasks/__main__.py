#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tasks of the size of true: submitted at one node, run at another, result back, durable at the origin.

  tests/bench/tasks [--quick] [--rows NAME,...]

Limits (C loops that start the same process) and peers run on the same machine before and after; one JSON line
per figure. State directories are in memory, as the peers keep nothing at all. Needs root. The exit code is 1
where a goal was missed.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
if os.path.isdir("/dev/shm"):
    os.environ["TMPDIR"] = "/dev/shm"

from lib.lab import BUILD, CTL, Lab, environment  # noqa: E402  (reads TMPDIR)
from lib.wait import wait_for  # noqa: E402

LIMIT, CLIENT = BUILD / "bench/task_limit", BUILD / "bench/task_client"
FLIGHTS = (1, 2, 16)
MIB = 1 << 20


def output_of(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True,
                          timeout=600, **options).stdout


def limit(kind, count, flight):
    return json.loads(output_of(LIMIT, kind, count, flight))


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
    """Rate and median of that many tasks; none may fail."""
    done = json.loads(output_of(CLIENT, lab["lab-01"].socket, count, flight, node, env={**os.environ, **env}))
    assert done["failed"] == 0, done
    return done


def pss(pid):
    """Proportional set size of a process, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss")


class Report:
    def __init__(self):
        self.missed = 0

    def figure(self, name, value, unit, against, at, goal, is_most=False):
        """value beside `at`, which is of `against`; goal: the least share of it, or the most where is_most."""
        ratio = value / at
        reached = ratio <= goal if is_most else ratio >= goal
        self.missed += not reached
        print(json.dumps({"bench": name, "value": round(value, 1), "unit": unit, "against": against,
                          "at": round(at, 1), "ratio": round(ratio, 2), "goal": goal, "most": is_most,
                          "reached": reached}), flush=True)

    def fact(self, name, value, unit):
        print(json.dumps({"bench": name, "value": round(value, 1), "unit": unit}), flush=True)


def row_one_node(report, count):
    """Throughput and latency through one worker, by sandbox, beside the bare start of a process."""
    for sandbox, kind, goal in (("none", "spawn", 0.85), ("namespaces", "clone", 0.8)):
        limits = {flight: limit(kind, count, flight) for flight in FLIGHTS}
        with lab_of(1, sandbox) as lab:
            tasks(lab, 50, 2, "lab-02")
            ours = {flight: tasks(lab, count, flight, "lab-02") for flight in FLIGHTS}
        for flight in FLIGHTS:
            report.figure(f"tasks/s, {sandbox}, {flight} in flight", ours[flight]["rate"], "tasks/s",
                          f"{kind} loop", limits[flight]["rate"], goal if flight == 16 else 0)
        report.figure(f"p50, {sandbox}, 1 in flight", ours[1]["p50_us"], "us", f"{kind} loop + 1 ms",
                      limits[1]["p50_us"] + 1000, 1, is_most=True)
        if sandbox == "none":
            peers(report, count, ours[16]["rate"])


def peers(report, count, ours):
    """What others make of the same, sixteen at a time."""
    begin = time.monotonic()
    output_of("xargs", "-P", "16", "-n", "1", "true", input="x\n" * count)
    report.figure("tasks/s, none, 16 in flight, beside xargs -P", ours, "tasks/s", "xargs -P 16",
                  count / (time.monotonic() - begin), 0)
    if shutil.which("gearmand") and shutil.which("gearman"):
        report.figure("tasks/s, none, 16 in flight, beside gearmand", ours, "tasks/s", "gearmand",
                      gearman(count), 1)


def gearman(count):
    """gearmand, sixteen of libgearman's workers that fork, sixteen clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["-h", "127.0.0.1", "-p", str(port)]
    processes = [subprocess.Popen(["gearmand", "-L", "127.0.0.1", "-p", str(port), "--log-file", "stderr"],
                                  stderr=subprocess.DEVNULL)]

    def is_up():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False
    try:
        wait_for(is_up, 10, "gearmand")
        processes += [subprocess.Popen(["gearman", "-w", *where, "-f", "run", "true"]) for _ in range(16)]
        begin = time.monotonic()
        clients = [subprocess.Popen(["gearman", *where, "-n", "-f", "run"], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL) for _ in range(16)]
        for client in clients:
            client.stdin.write(b"x\n" * (count // 16))
            client.stdin.close()
        for client in clients:
            client.wait(120)
        return count // 16 * 16 / (time.monotonic() - begin)
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def row_command(report, count):
    """`p2pctl submit --wait -- true` as a whole process."""
    with lab_of(1, "namespaces") as lab:
        times = []
        for _ in range(max(count // 50, 20)):
            begin = time.monotonic()
            subprocess.run([str(CTL), "--socket", str(lab["lab-01"].socket), "submit", "--wait", "-N", "lab-02",
                            "--", "true"], check=True, env=environment())
            times.append((time.monotonic() - begin) * 1e3)
    report.fact("submit --wait -- true, whole process, p50", statistics.median(times), "ms")


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


ROWS = {"one-node": (row_one_node, 2000, 300), "command": (row_command, 2000, 1000),
        "ten-nodes": (row_ten_nodes, 10000, 500), "memory": (row_memory, 9000, 1000)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer tasks: does it run at all")
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    options = parser.parse_args()
    report = Report()
    for name in options.rows.split(","):
        row, many, few = ROWS[name]
        row(report, few if options.quick else many)
    return 1 if report.missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
