# SPDX-License-Identifier: MIT
"""Turns between users: a task that has run for its time slice is stopped while others wait."""
import contextlib
import os
import pathlib

import pytest

from lib.lab import STEADY
from lib.process import commands
from lib.wait import wait_for
from test_run import moment

LOOP = "while :; do :; done"


@pytest.fixture
def lab(make_lab):
    lab = make_lab(STEADY)
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-02", {"tasks": {"slots": 1, "quantum": "200ms"}})
    return lab.start()


def sessions_of(marker):
    """The states of all processes with the marker in their command line: R, S, T ..."""
    states = []
    for pid, command in commands():
        if marker.encode() in command:
            with contextlib.suppress(OSError):
                states.append(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0])
    return states


def seconds_there(task):
    """From its start to its end, pauses included."""
    return (moment(task["ended"]) - moment(task["started"])).total_seconds()


def test_two_users_take_turns_and_both_end(lab):
    """Users are those of a node: the same one at two nodes is two."""
    seed, node = lab["lab-01"], lab["lab-02"]
    mark = "p2pnode-test-" + os.urandom(6).hex()
    first = seed.submit("-N", "lab-02", "--", "bash", "-c", f": {mark}; {LOOP}")
    seed.wait_task(first, "running")
    second = node.submit("-N", "lab-02", "--", "bash", "-c", f": {mark}; {LOOP}")
    node.wait_task(second, "running")
    wait_for(lambda: seed.task(first)["reason"] == "paused", 5, "the first to be paused")
    wait_for(lambda: node.task(second)["reason"] == "paused", 5, "the second to be paused")
    wait_for(lambda: seed.task(first)["reason"] == "paused", 5, "the first to be paused again")
    wait_for(lambda: sorted(sessions_of(mark)) == ["R", "T"], 5, "one to run and one to be stopped")
    wait_for(lambda: node.call("Status")["tasks"]["running"] == 1, 5, "one to be counted")
    row = next(line for line in seed.ctl("task", "list").stdout.splitlines() if line.split()[0] == first.split("@")[0])
    assert row.split()[3] == "running"
    seed.ctl("task", "cancel", first)
    seed.wait_task(first, "cancelled")
    wait_for(lambda: sessions_of(mark) == ["R"], 5, "the other to run alone")
    wait_for(lambda: node.task(second)["reason"] is None, 5, "it to be told so")
    node.ctl("task", "cancel", second)
    node.wait_task(second, "cancelled")


def test_whoever_leaves_the_group_is_stopped_too(lab):
    """Where tasks have a namespace of their own, all of it is paused."""
    seed, node = lab["lab-01"], lab["lab-02"]
    mark = "p2pnode-test-" + os.urandom(6).hex()
    first = seed.submit("-N", "lab-02", "--", "bash", "-c", f"setsid bash -c ': {mark}; {LOOP}' & : {mark}; {LOOP}")
    seed.wait_task(first, "running")
    second = node.submit("-N", "lab-02", "--", "bash", "-c", LOOP)
    level = seed.task(first)["limits"]["sandbox"]
    wait_for(lambda: seed.task(first)["reason"] == "paused" and set(sessions_of(mark)) == {"T"}, 10,
             f"all to be stopped (sandbox {level})")
    seed.ctl("task", "cancel", first)
    seed.wait_task(first, "cancelled")
    wait_for(lambda: not sessions_of(mark), 5, "all to be gone")
    node.ctl("task", "cancel", second)


def test_a_pause_does_not_count_as_running(lab):
    seed, node = lab["lab-01"], lab["lab-02"]
    holder = seed.submit("-N", "lab-02", "--", "sleep", "600")
    seed.wait_task(holder, "running")
    # Both are there before either begins, so that they take turns from the start.
    tasks = [one.submit("-N", "lab-02", "--timeout", "2s", "--", "bash", "-c", LOOP) for one in (seed, node)]
    wait_for(lambda: node.members()["lab-02"]["queue"] == 2, 10, "both to wait")
    seed.ctl("task", "cancel", holder, "--grace", "0")
    ended = [one.wait_task(task, "timed-out") for one, task in zip((seed, node), tasks)]
    for task in ended:
        assert 1.9 < task["run_s"] < 30, task
    # Each ran for its time, and whoever ended last was there for most of both.
    assert max(seconds_there(task) - task["run_s"] for task in ended) > 0.5, ended
