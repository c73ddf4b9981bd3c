# SPDX-License-Identifier: MIT
"""What becomes of tasks when the p2pnode-exec of their node ends under them."""
import contextlib
import os
import pathlib
import signal

import pytest

from lib.lab import STEADY
from lib.wait import wait_for


@pytest.fixture
def lab(make_lab):
    lab = make_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01")
    return lab.start()


def children_of(pid):
    found = []
    for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, children.read_text().split())
        except OSError:  # a thread that has ended
            continue
    return found


def runners(node):
    """The ids of its children: p2pnode has no others."""
    return children_of(node.process.pid)


def way_to(pid, command):
    """The processes from @pid to the one that runs @command, both included; empty where there is none."""
    with contextlib.suppress(OSError):
        if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] == command:
            return [pid]
    for child in children_of(pid):
        if way := way_to(child, command):
            return [pid, *way]
    return []


def kill_runner(node):
    wait_for(lambda: len(runners(node)) == 1, 10, "the task runner")
    os.kill(runners(node)[0], signal.SIGKILL)


def test_a_task_runner_that_is_killed_costs_an_attempt_and_no_task(lab):
    seed = lab["seed"]
    task = seed.submit("--", "sh", "-c", "[ $P2P_TASK_ATTEMPT = 1 ] && exec sleep 60; echo ran")
    seed.wait_task(task, "running")
    kill_runner(lab["lab-01"])
    assert seed.wait_task(task, "succeeded")["attempt"] == 2
    assert seed.ctl("task", "logs", "--stdout", task).stdout == "ran\n"
    assert any(entry["text"].startswith("lost: stopped by its node: p2pnode-exec ended")
               for entry in seed.task(task)["timeline"])


def test_with_no_retries_nobody_says_that_it_failed(lab):
    seed = lab["seed"]
    task = seed.submit("--retries", "0", "--", "sleep", "60")
    seed.wait_task(task, "running")
    kill_runner(lab["lab-01"])
    seed.wait_task(task, "unknown")


@pytest.mark.parametrize("who", ["the first below p2pnode-exec", "the one that waits for the task"])
def test_a_supervisor_that_is_killed_costs_an_attempt_and_no_task(lab, who):
    seed, node = lab["seed"], lab["lab-01"]
    task = seed.submit("--", "sh", "-c", "[ $P2P_TASK_ATTEMPT = 1 ] && exec sleep 61.5; echo ran")
    way = wait_for(lambda: way_to(runners(node)[0], [b"sleep", b"61.5"]), 10, "the task")
    os.kill(way[1] if who.startswith("the first") else way[-2], signal.SIGKILL)
    assert seed.wait_task(task, "succeeded")["attempt"] == 2
    assert seed.ctl("task", "logs", "--stdout", task).stdout == "ran\n"
    assert "lost: stopped by its node: its supervisor was killed (out of memory?)" in \
        [entry["text"] for entry in seed.task(task)["timeline"]]
    wait_for(lambda: not way_to(runners(node)[0], [b"sleep", b"61.5"]), 10, "nothing to be left of the first attempt")
    once = seed.submit("--retries", "0", "--", "sleep", "61.5")
    way = wait_for(lambda: way_to(runners(node)[0], [b"sleep", b"61.5"]), 10, "the task")
    os.kill(way[-2], signal.SIGKILL)
    seed.wait_task(once, "unknown")
