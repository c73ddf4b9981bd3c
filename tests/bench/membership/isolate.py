# SPDX-License-Identifier: MIT
"""Runs one measurement in namespaces of its own: network, processes, and a tmpfs for its files.

Whatever happens to it or to us, the kernel ends every process and drops every file and rule of it.
"""
import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys

import clock

MAIN = pathlib.Path(__file__).resolve().parent
TIME_MAX = 600  # a lab that takes longer has brought the machine to its knees
CONTROLLERS = (pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup"))


@contextlib.contextmanager
def group():
    """A cgroup with the CPU controller for what is to be starved, or None where there is none."""
    for root in CONTROLLERS:
        path = root / f"p2pnode-bench-{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        try:
            if (path / "cpu.cfs_quota_us").exists() or (path / "cpu.max").exists():
                yield path
                return
        finally:
            remove(path)
    yield None


def remove(path):
    """Its last processes may be about to die."""
    for _ in range(100):
        try:
            return path.rmdir()
        except OSError:
            clock.pause(0.05)


def set_up():
    """In the namespaces: what lab members write is in memory, and as many of them as are wanted."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "lab", "/run"], check=True)
    os.nice(-5)  # whoever looks must not wait for those that are looked at; see Member.launch()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(scenario, kind, parameters):
    """The result of a function of scenarios.py, which runs as the first process of the namespaces."""
    with group() as path:
        order = json.dumps({"scenario": scenario, "kind": kind, "parameters": parameters,
                            "group": str(path) if path else None})
        try:
            done = subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--mount-proc",
                 "--kill-child", sys.executable, MAIN, "--inside", order],
                stdout=subprocess.PIPE, timeout=TIME_MAX, check=False)
        except subprocess.TimeoutExpired:
            return {"error": f"{scenario} of {kind} took more than {TIME_MAX} s"}
    if done.returncode != 0:
        return {"error": f"{scenario} of {kind} ended with {done.returncode}"}
    return json.loads(done.stdout)
