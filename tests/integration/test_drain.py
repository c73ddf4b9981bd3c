# SPDX-License-Identifier: MIT
"""A node that is to take no tasks for a while: where its work goes, who is told, and how it comes back."""
import re
import signal

import pytest

from lib.lab import STEADY
from lib.wait import wait_for


@pytest.fixture
def lab(make_lab):
    lab = make_lab(STEADY)
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-02", {"tasks": {"slots": 1}}, types=["a", "c"])
    lab.node("lab-03", {"tasks": {"slots": 1}}, types=["a"])
    return lab.start()


def hold(origin, where, *options):
    """A task that keeps the only slot of a node."""
    task = origin.submit("-N", where, *options, "--", "sleep", "60")
    origin.wait_task(task, "running")
    return task


def wait_draining(lab, name, draining=True):
    for node in lab.running():
        wait_for(lambda node=node: node.members()[name]["draining"] is draining, 5, f"{node.name} to know")


def test_what_waits_goes_elsewhere_and_what_runs_ends_here(lab):
    seed = lab["lab-01"]
    holders = [hold(seed, "lab-02"), hold(seed, "lab-03")]
    waiting = [seed.submit(f"a{i}") for i in range(6)]
    wait_for(lambda: {seed.task(task)["node"] for task in waiting} == {"lab-02", "lab-03"}, 5, "both to have some")
    there = [task for task in waiting if seed.task(task)["node"] == "lab-02"]
    wait_for(lambda: seed.members()["lab-02"]["queue"] == len(there), 5, "all to be queued")
    assert seed.ctl("drain", "lab-02", "--reason", "kernel update").stdout == \
        f"lab-02 is draining: 1 running, {len(there)} queued handed to lab-01 ({len(there)})\n"
    wait_for(lambda: {seed.task(task)["node"] for task in waiting} == {"lab-03"}, 5, "all to be at lab-03")
    assert seed.task(holders[0])["state"] == "running"
    seed.ctl("task", "cancel", *holders)
    for task in waiting:
        assert seed.wait_task(task, "succeeded")["node"] == "lab-03"
        assert seed.task(task)["attempt"] == 1
    moved = [entry["text"] for entry in seed.task(there[0])["timeline"]]
    assert "not taken by lab-02: it is draining" in moved


def test_all_are_told_and_a_restart_forgets_nothing(lab):
    node = lab["lab-02"]
    node.ctl("drain", "--reason", "kernel update")
    wait_draining(lab, "lab-02")
    assert lab["lab-03"].call("Status")["cluster"]["draining"] == 1
    assert re.search(r"^lab-02 .* draining ", lab["lab-01"].ctl("members").stdout, re.M)
    node.restart()
    status = node.call("Status")["node"]
    assert (status["accepting"], status["draining"], status["drain_reason"]) == (False, True, "kernel update")
    assert node.ctl("status").stdout.splitlines()[0].endswith(", peer, draining: kernel update")
    wait_draining(lab, "lab-02")
    assert [event["type"] for event in node.events("drain", "undrain")] == ["drain", "drain"]
    node.ctl("undrain")
    wait_draining(lab, "lab-02", False)
    node.restart()
    assert node.call("Status")["node"]["drain_reason"] is None
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_a_task_that_may_run_only_there_waits_and_says_so(lab):
    seed = lab["lab-01"]
    seed.ctl("drain", "lab-02")
    wait_draining(lab, "lab-02")
    task = seed.submit("c1")
    wait_for(lambda: seed.task(task)["reason"] == "the only node for type c, lab-02, is draining", 5, "the reason")
    assert seed.ctl("undrain", "lab-02").stdout == ""
    assert seed.wait_task(task, "succeeded")["node"] == "lab-02"


def test_who_drained_another_node_places_nothing_there_from_the_answer_on(lab):
    seed = lab["lab-01"]
    for _ in range(3):
        seed.ctl("drain", "lab-02")
        task = seed.submit("c1")
        assert not [entry["text"] for entry in seed.task(task)["timeline"] if "lab-02:" in entry["text"]]
        assert seed.task(task)["reason"] == "the only node for type c, lab-02, is draining"
        seed.ctl("task", "cancel", task)
        seed.ctl("undrain", "lab-02")
        wait_draining(lab, "lab-02", False)


def test_drain_waits_until_nothing_runs_there(lab):
    seed = lab["lab-01"]
    task = hold(seed, "lab-02")
    process = seed.ctl_start("drain", "lab-02", "--wait")
    assert process.stdout.readline() == b"lab-02 is draining: 1 running\n"
    assert re.fullmatch(rf"1 running  {task}  [0-9.]+s\n", process.stdout.readline().decode())
    assert process.poll() is None
    seed.ctl("task", "cancel", task)
    assert process.communicate(timeout=60) == (b"lab-02 is drained; undo with: p2pctl undrain lab-02\n", b"")
    assert process.returncode == 0


def test_a_stream_tells_the_same_to_programs(lab):
    seed = lab["lab-01"]
    task = hold(seed, "lab-02")
    with seed.varlink() as varlink:
        replies = varlink.stream("Drain", {"node": "lab-02", "wait": True})
        first = next(replies)
        assert (first["type"], first["name"], first["running"]) == ("draining", "lab-02", 1)
        assert first["tasks"][0]["id"] == task and first["handed"] == []
        seed.ctl("task", "cancel", task)
        last = list(replies)[-1]
    assert (last["type"], last["schema"], last["running"], last["tasks"]) == ("end", "p2pctl.drain/1", 0, [])


def test_ctrl_c_ends_the_waiting_and_not_the_drain(lab):
    node = lab["lab-02"]
    hold(lab["lab-01"], "lab-02")
    process = node.ctl_start("drain", "--wait")
    assert process.stdout.readline() == b"lab-02 is draining: 1 running\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and b"p2pctl drain --wait; undo with: p2pctl undrain\n" in stderr
    assert node.call("Status")["node"]["draining"] is True


def test_undrain_ends_the_waiting(lab):
    node = lab["lab-02"]
    hold(lab["lab-01"], "lab-02")
    process = node.ctl_start("drain", "--wait")
    assert process.stdout.readline() == b"lab-02 is draining: 1 running\n"
    node.ctl("undrain")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and b"take tasks again meanwhile" in stderr


def test_at_the_deadline_the_waiting_ends_with_124(lab):
    node = lab["lab-02"]
    task = hold(lab["lab-01"], "lab-02")
    result = node.ctl("drain", "--wait", "--deadline", "300ms", code=124)
    assert result.stderr.splitlines() == ["p2pctl: 1 task still runs on lab-02; the node goes on draining",
                                          "hint: to end what runs: p2pctl drain lab-02 --kill"]
    assert node.call("Status")["node"]["draining"] is True
    assert lab["lab-01"].task(task)["state"] == "running"


@pytest.mark.parametrize("options", [["--kill"], ["--kill", "--deadline", "300ms"]])
def test_what_is_ended_runs_again_elsewhere(lab, options):
    seed = lab["lab-01"]
    seed.ctl("drain", "lab-03")
    wait_draining(lab, "lab-03")
    task = seed.submit("--", "sleep", "60")
    assert seed.wait_task(task, "running")["node"] == "lab-02"
    seed.ctl("undrain", "lab-03")
    wait_draining(lab, "lab-03", False)
    result = seed.ctl("drain", "lab-02", "--wait", *options)
    assert result.stdout.endswith("lab-02 is drained; undo with: p2pctl undrain lab-02\n")
    wait_for(lambda: seed.task(task)["node"] == "lab-03", 5, "the task to be elsewhere")
    story = [entry["text"] for entry in seed.task(task)["timeline"]]
    assert "lost: stopped by its node: the node was drained" in story
    assert seed.task(task)["attempt"] == 2
    seed.ctl("task", "cancel", task)


def test_what_must_not_run_twice_is_unknown_when_it_was_ended(lab):
    seed = lab["lab-01"]
    once = hold(seed, "lab-02", "--retries", "0")
    seed.ctl("drain", "lab-02", "--kill", "--wait")
    assert seed.wait_task(once, "unknown")["reason"] == "attempt 1 lost: stopped by its node: the node was drained"


def test_what_makes_no_sense_is_refused(lab):
    node = lab["lab-02"]
    assert "of no use" in node.ctl("drain", "--deadline", "1min", code=2).stderr
    for reason in ("two\nlines", "x" * 256, "\x1b[2J"):
        assert "a reason is" in node.ctl("drain", "--reason", reason, code=2).stderr
    assert 'no node is called "lab-99"' in node.ctl("drain", "lab-99", code=4).stderr
    assert node.ctl("drain", "-N", "lab-02", "lab-03", code=2).stdout == ""
    assert node.ctl("drain", "--wait", "--deadline", "soon", code=2).stdout == ""
    assert node.call("Status")["node"]["draining"] is False
    node.ctl("drain", "--reason", "x" * 255)
    assert node.call("Status")["node"]["drain_reason"] == "x" * 255
    for _ in range(2):
        node.ctl("undrain")
