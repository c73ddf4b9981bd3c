# SPDX-License-Identifier: MIT
"""What becomes of tasks when the p2pnode-exec of their node ends under them."""
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


def runners(node):
    """The ids of its children: p2pnode has no others."""
    found = []
    for children in pathlib.Path(f"/proc/{node.process.pid}/task").glob("*/children"):
        try:
            found += map(int, children.read_text().split())
        except OSError:  # a thread that has ended
            continue
    return found


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
