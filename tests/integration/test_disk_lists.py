# SPDX-License-Identifier: MIT
"""Lists and retries on a disk that is full: refused in words or waiting for room, never lost, never only in memory."""
import contextlib
import json
import os
import signal
import sqlite3

import pytest

from lib.disk import fill
from lib.lab import STEADY
from lib.wait import wait_for

MIB = 1 << 20


@pytest.fixture
def node(make_lab, small_disk):
    """A node with a disk of 24 MiB, whose tasks wait for files in node.marks."""
    lab = make_lab(STEADY)
    marks = lab.directory / "marks"
    marks.mkdir()
    marks.chmod(0o1777)
    node = lab.node("lone", {"files": {"quota": "1GiB", "reserve": "1MiB"}, "sandbox": {"write": [str(marks)]}},
                    role="seed", types=["a"])
    node.marks = marks
    return small_disk(node, 24).start()


def fill_for_records(node):
    """Until not even a record has room."""
    filler = fill(node)
    wait_for(lambda: node.ctl("submit", "--", "true", code=None).code, 15, "a submit to be refused")
    return filler


@contextlib.contextmanager
def locked(node):
    """Nothing gets into the database until the function that this yields is called, or at the end."""
    with contextlib.closing(sqlite3.connect(node.directory / "state.db", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield lambda: database.execute("ROLLBACK")


def leave(filler, size):
    """All but so many bytes of what is free."""
    os.truncate(filler, filler.stat().st_size - size)


def workflows(node):
    return {workflow["id"]: workflow["state"] for workflow in node.json("workflow", "list")["workflows"]}


def steps(node, workflow):
    return {step["task"]: step for step in node.json("workflow", "show", workflow)["steps"]}


def step(node, name):
    """What a step does that ends when it is told to."""
    return f"run=\"sh -c 'until test -e {node.marks}/{name}; do sleep 0.05; done'\""


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_a_list_that_cannot_be_saved_is_refused(node, write, options):
    path = write("a1 a2")
    filler = fill_for_records(node)
    result = node.ctl("run", *options, path, code=1)
    assert result.stdout in ("", "Discovering peers...\n"), result
    assert "the list cannot be saved: " in result.stderr, result
    assert workflows(node) == {}
    filler.unlink()
    wait_for(lambda: node.ctl("run", path, code=None).code == 0, 15, "lists to be taken again")
    states = workflows(node)
    node.restart()
    assert workflows(node) == states and set(states.values()) == {"succeeded"}


@pytest.mark.parametrize("verb", [["run", "--resume-failed"], ["workflow", "resume", "--failed"]])
def test_a_list_that_is_not_taken_up_for_want_of_room_stays_as_it_was(node, write, verb):
    ready = node.marks / "ready"
    path = write(f"a1 a2\na1: run=\"test -e {ready}\"")
    assert node.ctl("run", path, code=None).code == 1
    (workflow,) = workflows(node)
    ready.touch()
    before = node.json("workflow", "show", workflow)
    filler = fill_for_records(node)
    result = node.ctl(*verb, workflow, code=1)
    assert "the list cannot be saved: " in result.stderr, result
    assert node.json("workflow", "show", workflow)["steps"] == before["steps"]
    assert workflows(node) == {workflow: "failed"}
    filler.unlink()
    wait_for(lambda: node.ctl(*verb, workflow, code=None).code == 0, 15, "the list to be taken up")
    wait_for(lambda: workflows(node) == {workflow: "succeeded"}, 15, "the list to end")
    node.restart()
    assert workflows(node) == {workflow: "succeeded"}


def test_a_step_whose_record_has_no_room_waits_and_says_why(node, write):
    large = "x" * 60_000
    path = write(f"a1 a2\na1: {step(node, 'go')}\na2: run=\"test {large} = x\"")
    workflow = node.ctl("run", "--detach", path).stdout.strip()
    wait_for(lambda: steps(node, workflow)["a1"]["state"] == "running", 15, "the first step to run")
    filler = fill(node)
    leave(filler, 64 * 1024)
    (node.marks / "go").touch()
    wait_for(lambda: "the task cannot be saved: " in (steps(node, workflow)["a2"]["reason"] or ""), 15,
             lambda: steps(node, workflow))
    assert steps(node, workflow)["a2"]["state"] == "pending"
    assert steps(node, workflow)["a1"]["state"] == "succeeded"
    filler.unlink()
    wait_for(lambda: workflows(node) == {workflow: "failed"}, 15, lambda: steps(node, workflow))
    assert (steps(node, workflow)["a2"]["state"], steps(node, workflow)["a2"]["exit"]) == ("failed", 1)
    assert "cannot be saved" not in json.dumps(steps(node, workflow)["a2"])


def test_of_many_records_that_wait_those_are_saved_that_fit(node, write):
    """They were tried together, and so none of them was until all had room."""
    large = "x" * 60_000
    names = [f"a{i}" for i in range(2, 14)]
    path = write(f"a1 {' '.join(names)}\na1: {step(node, 'go')}\n" +
                 "".join(f"{name}: needs=a1 run=\"test {large} = x\"\n" for name in names))
    workflow = node.ctl("run", "--detach", "--keep-going", "--order", "free", path).stdout.strip()
    wait_for(lambda: steps(node, workflow)["a1"]["state"] == "running", 15, "the first step to run")
    filler = fill(node)
    leave(filler, 64 * 1024)
    (node.marks / "go").touch()
    def waiting():
        return sum("cannot be saved" in (step["reason"] or "") for step in steps(node, workflow).values())
    wait_for(lambda: waiting() == 12, 5, lambda: steps(node, workflow))
    leave(filler, 500 * 1024)
    wait_for(lambda: waiting() < 12, 5, lambda: (waiting(), steps(node, workflow)))
    filler.unlink()
    wait_for(lambda: workflows(node) == {workflow: "failed"}, 15, lambda: steps(node, workflow))


def test_a_step_whose_inputs_have_no_room_waits_and_says_why(node, write):
    node.ctl("file", "put", "-", "lone:large", stdin=os.urandom(6 * MIB))
    path = write(f"a1 a2\na1: {step(node, 'go')}\na2: run=\"cat large\" in=@large")
    workflow = node.ctl("run", "--detach", path).stdout.strip()
    wait_for(lambda: steps(node, workflow)["a1"]["state"] == "running", 15, "the first step to run")
    filler = fill(node)
    leave(filler, 4 * MIB)
    (node.marks / "go").touch()
    waiting = wait_for(lambda: (found := steps(node, workflow)["a2"])["reason"] and found, 30, "the reason")
    assert waiting["state"] == "pending" and "this node has no space for large" in waiting["reason"], waiting
    node.restart()
    wait_for(lambda: steps(node, workflow)["a2"]["reason"] == waiting["reason"], 30, "the reason after a restart")
    filler.unlink()
    wait_for(lambda: workflows(node) == {workflow: "succeeded"}, 30, lambda: steps(node, workflow))


def test_a_list_that_waits_for_room_can_be_cancelled(node, write):
    node.ctl("file", "put", "-", "lone:large", stdin=os.urandom(6 * MIB))
    filler = fill(node)
    leave(filler, 4 * MIB)
    workflow = node.ctl("run", "--detach", write("a1\na1: run=\"cat large\" in=@large")).stdout.strip()
    wait_for(lambda: steps(node, workflow)["a1"]["reason"], 15, "the step to wait")
    node.ctl("workflow", "cancel", workflow)
    wait_for(lambda: workflows(node) == {workflow: "cancelled"}, 15, lambda: steps(node, workflow))


def test_who_looks_on_at_a_list_that_cannot_be_saved_is_told(node, write):
    with locked(node) as unlock:
        running = node.ctl_start("run", write(f"a1\na1: run=\"true {'x' * 60_000}\""))
        with node.varlink() as looking:
            wait_for(lambda: workflows(node), 15, "the list to be on its way to the disk")
            (workflow,) = workflows(node)
            looking.send("Run", {"resume": workflow, "attach": True}, more=True)
            assert looking.receive()["parameters"]["type"] == "plan"
            fill(node)
            unlock()
            replies = [looking.receive()]
            while replies[-1].get("continues"):
                replies.append(looking.receive())
        assert "cannot be saved" in replies[-1]["parameters"]["message"], replies
    assert "the list cannot be saved: " in running.communicate()[1].decode()


def stop_until_only_the_disk_is_left(node):
    """What it has to do before that, it has done."""
    node.signal(signal.SIGTERM)
    wait_for(lambda: node.state_of(node) == "left", 15, "the node to have left")


@pytest.mark.parametrize("command", [["submit", "--", "true"], ["run", "--detach"]])
def test_what_is_being_saved_when_the_node_stops_is_answered(node, write, command):
    with locked(node) as unlock:
        client = node.ctl_start(*command, *([write("a1")] if command[0] == "run" else []))
        wait_for(lambda: node.tasks() or workflows(node), 15, "it to be on its way to the disk")
        stop_until_only_the_disk_is_left(node)
        unlock()
    out = client.communicate()[0].decode()
    assert client.returncode == 0 and "1@lone" in out, out
    assert node.wait_end() == 0
    node.start()
    assert node.tasks() or workflows(node)


def test_what_is_cleaned_while_the_node_stops_is_answered(node):
    task = node.submit("--", "true")
    node.wait_task(task, "succeeded")
    node.ctl("drain")
    with locked(node) as unlock:
        submitting = node.ctl_start("submit", "--", "true")
        wait_for(lambda: len(node.tasks()) == 2, 15, "it to be on its way to the disk")
        stop_until_only_the_disk_is_left(node)
        cleaning = node.ctl_start("task", "clean", "--yes")
        wait_for(lambda: task not in [one["id"] for one in node.tasks()], 15, "the task to be on its way out")
        unlock()
    for client in (submitting, cleaning):
        out, err = client.communicate()
        assert client.returncode == 0, (out, err)
    assert node.wait_end() == 0
    node.start()
    assert [one["id"] for one in node.tasks()] == ["2@lone"]


def test_a_retry_that_cannot_be_saved_is_refused_and_the_task_stays_as_it_was(node, write):
    ready = node.marks / "ready"
    alone = node.submit("--retries", "0", "--out", "kept", "--", "sh", "-c", f"echo kept > kept; test -e {ready}")
    node.wait_task(alone, "failed")
    before = node.task(alone)
    ready.touch()
    filler = fill_for_records(node)
    result = node.ctl("task", "retry", alone, code=1)
    assert "cannot be saved" in result.stderr, result
    assert node.task(alone) == before
    node.ctl("task", "get", alone, node.marks)
    assert (node.marks / "kept").read_text() == "kept\n"
    filler.unlink()
    wait_for(lambda: node.ctl("task", "retry", alone, code=None).code == 0, 15, "retries to be taken again")
    node.wait_task(alone, "succeeded")
    node.restart()
    assert node.task(alone)["state"] == "succeeded"


def test_an_end_is_told_to_nobody_before_it_is_on_the_disk(node):
    ready = node.marks / "ready"
    task = node.submit("--retries", "5", "--", "sh", "-c", f"until test -e {ready}; do sleep 0.05; done; exit 3")
    after = node.submit("--after", f"{task}:any", "--", "true")
    node.wait_task(task, "running")
    filler = fill_for_records(node)
    ready.touch()
    wait_for(lambda: node.task(task)["reason"] == "its end waits for the disk", 15, "the end to wait for the disk")
    waiter = node.ctl_start("task", "wait", task)
    shown = node.task(task)
    assert shown["state"] == "running" and shown["exit"] is None and shown["ended"] is None, shown
    assert not [entry for entry in shown["timeline"] if "exit 3" in entry["text"]], shown["timeline"]
    assert node.json("task", "list", "-s", "failed")["tasks"] == []
    for verb in ("retry", "cancel"):
        result = node.ctl("task", verb, task, code=1)
        assert "its end waits for the disk" in result.stderr, result
    assert json.loads(node.ctl("--json", "task", "clean").stdout)["held"] == 0
    assert node.task(task)["state"] == "running"
    assert [one["id"] for one in node.json("task", "list", "-s", "running")["tasks"]] == [task]
    node.ctl("task", "wait", task, "--timeout", "300ms", code=124)
    follower = node.task(after)
    assert follower["state"] == "pending" and follower["reason"] == "after 1 (running)", follower
    filler.unlink()
    assert waiter.wait(60) == 3
    ended = node.task(task)
    assert ended["state"] == "failed" and ended["exit"] == 3 and ended["timeline"][-1]["text"].startswith("exit 3 on lone")
    assert node.wait_task(after, "succeeded")["reason"] is None


def test_what_runs_after_a_task_waits_until_the_end_of_that_is_on_the_disk(node):
    """The record of the first was large and had no room, that of the second had: it ran, and after a kill before it."""
    ready, ran = node.marks / "ready", node.marks / "ran"
    wait = f"until test -e {ready}; do sleep 0.05; done; : {'x' * 60_000}"
    task = node.submit("--retries", "5", "--", "sh", "-c", wait)
    after = node.submit("--after", task, "--", "touch", ran)
    node.wait_task(task, "running")
    filler = fill(node)
    leave(filler, 40 * 1024)
    ready.touch()
    wait_for(lambda: node.task(task)["reason"] == "its end waits for the disk", 15, "the end to wait for the disk")
    node.ctl("task", "wait", after, "--timeout", "300ms", code=124)
    assert node.task(after)["state"] == "pending" and node.task(after)["reason"].endswith("(running)"), node.task(after)
    assert not ran.exists()
    filler.unlink()
    node.wait_task(after, "succeeded")
    assert node.task(task)["state"] == "succeeded"


def test_a_list_goes_on_when_the_end_of_its_step_is_on_the_disk(node, write):
    """A step that was lost with its node had ended for its list before the record of that had room."""
    path = write(f"a1\na1: retries=0 run=\"sh -c 'until test -e {node.marks}/go; do sleep 0.05; done; : {'x' * 60_000}'\"")
    workflow = node.ctl("run", "--detach", path).stdout.strip()
    wait_for(lambda: steps(node, workflow)["a1"]["state"] == "running", 15, "the step to run")
    fill(node)
    node.kill()
    (node.directory / "state.reserve").unlink()  # a start has room with it
    filler = fill(node)
    leave(filler, 40 * 1024)
    node.start()
    wait_for(lambda: steps(node, workflow)["a1"]["reason"] == "its end waits for the disk", 15,
             lambda: steps(node, workflow))
    node.ctl("task", "wait", "1", "--timeout", "300ms", code=124)
    assert workflows(node) == {workflow: "running"}
    told = [entry["text"] for entry in node.task("1@lone")["timeline"]]
    assert told[-1].startswith("placed on lone") or told[-1].startswith("started on lone"), told
    filler.unlink()
    wait_for(lambda: workflows(node) == {workflow: "failed"}, 15, lambda: steps(node, workflow))
    assert steps(node, workflow)["a1"]["state"] == "unknown"
