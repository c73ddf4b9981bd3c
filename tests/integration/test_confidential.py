# SPDX-License-Identifier: MIT
"""Of a confidential task no other node hears: whatever is asked, by whichever of them, and also after a restart.

Each test holds what another node is told against what the node itself tells, with a task beside it that is no secret.
"""
import json

import pytest

from lib.lab import STEADY
from lib.wait import wait_for

WAITS = ("--", "sleep", "600")


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("other", role="seed")
    lab.node("lab-01", {"tasks": {"slots": 8, "on_done": "/bin/sh -c 'echo hooked on $PEER_TASK'"}},
             types=["a", {"name": "w", "command": "/bin/sleep 600"}])
    return lab.start()


@pytest.fixture
def node(lab):
    node = lab["lab-01"]
    yield node
    node.ctl("task", "cancel", "--all", code=None)
    wait_for(lambda: all(task["ended"] for task in node.tasks()), 15, "the tasks to end")
    # Whose end is not on the disk yet is held.
    wait_for(lambda: node.call("CleanTasks")["held"] == 0, 15, "all of them to go")


@pytest.fixture
def other(lab):
    return lab["other"]


def test_a_node_without_tasks_says_nothing_of_others(make_lab):
    lab = make_lab(STEADY)
    lab.node("off", {"tasks": {"enabled": False}}, role="seed")
    lab.node("strict", {"tasks": {"allow_commands": False}}, types=["a"])
    lab.start()
    result = lab["off"].ctl("submit", "--confidential", "--", "id", code=4)
    assert "confidential, and this node does not handle commands" in result.stderr
    assert "no node takes commands of other nodes" in lab["off"].ctl("submit", "--", "id", code=6).stderr


def submit(node, *words):
    """One task that is a secret and one that is not, both of lab-01 and there."""
    return node.submit("--confidential", *words), node.submit("-N", "lab-01", *words)


def ended(node, *words, state="succeeded"):
    pair = submit(node, *words)
    for task in pair:
        node.wait_task(task, state)
    # The end is shown before it is on the disk, and told then.
    wait_for(lambda: set(pair) <= {event["task"] for event in node.events("task-ended")}, 15, "both ends to be told")
    return pair


def events_of(node, *options):
    return {event["task"] for event in node.json(*options, "events", "--type", "task-*")["events"]}


def test_events_asked_of_the_node(node, other):
    secret, open_one = ended(node, "--", "true")
    assert {secret, open_one} <= events_of(node)
    assert open_one in events_of(other, "-N", "lab-01") and secret not in events_of(other, "-N", "lab-01")
    marks = {event["task"]: event["confidential"] for event in node.events("task-ended")}
    assert marks[secret] is True and marks[open_one] is False


def test_events_of_a_former_life(node, other):
    secret, open_one = ended(node, "--", "true")
    node.restart()
    wait_for(lambda: other.state_of(node) == "alive", 15, "the node to be back")
    assert {secret, open_one} <= events_of(node)
    assert open_one in events_of(other, "-N", "lab-01") and secret not in events_of(other, "-N", "lab-01")


def test_the_last_events_are_the_last_that_may_be_heard_of(node, other):
    open_one = node.submit("-N", "lab-01", "--", "true")
    node.wait_task(open_one, "succeeded")
    for _ in range(3):
        node.ctl("submit", "--confidential", "--wait", "--", "true")
    last = other.json("-N", "lab-01", "events", "-n", "1", "--type", "task-ended")["events"]
    assert [event["task"] for event in last] == [open_one]


@pytest.mark.parametrize("stream", [("events", "-f"), ("monitor",)])
def test_streams(node, other, tmp_path, stream):
    ears = {}
    for name, one, options in (("here", node, ()), ("there", other, ("-N", "lab-01"))):
        with open(tmp_path / name, "wb") as out:
            one.ctl_start(*options, "--json=lines", *stream, stdout=out)
        ears[name] = tmp_path / name

    def heard(name, text):
        return text in ears[name].read_text()

    def all_hear_a_key():
        node.call("SetMemory", key="at-the-beginning", value="x")
        return all(heard(name, "at-the-beginning") for name in ears)

    wait_for(all_hear_a_key, 15, "both to listen")
    secret = node.submit("--confidential", "--name", "hush", "--", "true")
    node.wait_task(secret, "succeeded")
    wait_for(lambda: heard("here", f"task {secret} hush succeeded"), 15, "the node itself to tell")
    if stream == ("monitor",):
        wait_for(lambda: heard("here", f"hooked on {secret}"), 15, "what the hook said")
    node.call("SetMemory", key="at-the-end", value="x")
    wait_for(lambda: heard("there", "at-the-end"), 15, "the end")
    assert not heard("there", secret) and not heard("there", "hush"), ears["there"].read_text()


def test_the_timeline_of_the_node(node, other):
    secret, open_one = ended(node, "--", "true")

    def timeline(one, *options):
        return " ".join(entry["text"] for entry in one.json(*options, "node", "show", "lab-01")["timeline"])

    assert secret in timeline(node) and open_one in timeline(node)
    there = timeline(other, "-N", "lab-01")
    assert open_one in there and secret not in there


def test_cancel_of_all(node, other):
    secret, open_one = submit(node, *WAITS)
    told = other.json("-N", "lab-01", "task", "cancel", "--all")["tasks"]
    assert [task["id"] for task in told] == [open_one]
    node.wait_task(open_one, "cancelled")
    assert node.task(secret)["state"] in ("pending", "running")
    assert "no task" in other.ctl("task", "cancel", secret, code=4).stderr
    assert secret in [task["id"] for task in node.json("task", "cancel", "--all")["tasks"]]


def test_cancel_of_a_type(node, other):
    secret = node.submit("--confidential", "w1")
    assert other.json("-N", "lab-01", "task", "cancel", "--type", "w")["tasks"] == []
    assert [task["id"] for task in node.json("task", "cancel", "--type", "w")["tasks"]] == [secret]


def test_retry_of_all_that_failed(node, other):
    secret, open_one = ended(node, "--", "false", state="failed")
    told = call_there(other, "RetryTask", all_failed=True)["tasks"]
    assert [task["id"] for task in told] == [open_one]
    node.wait_task(open_one, "failed")
    assert node.task(secret)["attempt"] == 1
    assert "no task" in other.ctl("task", "retry", secret, code=4).stderr


def call_there(other, method, **parameters):
    return other.call(method, node="lab-01", **parameters)


def test_clean(node, other):
    secret, open_one = ended(node, "--", "true")
    assert call_there(other, "CleanTasks")["cleaned"] == 1
    assert [task["id"] for task in node.tasks()] == [secret]
    assert call_there(other, "CleanTasks", dry_run=True)["cleaned"] == 0
    assert node.call("CleanTasks")["cleaned"] == 1


def test_drain(node, other):
    secret, open_one = submit(node, *WAITS)
    for task in (secret, open_one):
        node.wait_task(task, "running")
    try:
        told = call_there(other, "Drain")
        assert [task["id"] for task in told["tasks"]] == [open_one]
        assert {task["id"] for task in node.call("Drain")["tasks"]} == {secret, open_one}
    finally:
        node.call("Undrain")


def test_graph(node, other):
    ended(node, "--", "true")
    assert "2 succeeded" in node.call("Graph")["svg"]
    there = call_there(other, "Graph")["svg"]
    assert "1 succeeded" in there and "2 succeeded" not in there


def test_lists(node, other, write):
    """Neither the names of such steps nor their commands, nor how they fare."""
    path = write('a1 a2\na1: confidential=yes run="echo hush"\na2: needs=a1\n')
    assert node.ctl("run", "--detach", path).stdout.startswith("w")
    run = node.call("ListWorkflows")["workflows"][-1]["id"]
    wait_for(lambda: node.call("ShowWorkflow", id=run)["state"] == "succeeded", 15, "the list to end")
    assert [step["task"] for step in node.call("ShowWorkflow", id=run)["steps"]] == ["a1", "a2"]
    assert [step["task"] for step in other.call("ShowWorkflow", id=run)["steps"]] == ["a2"]

    def look_on(one):
        lines = one.ctl("--json=lines", "workflow", "show", "-f", run, code=None).stdout.splitlines()
        return [json.loads(line) for line in lines]

    here, there = look_on(node), look_on(other)
    assert "hush" in str(here[0]) and {line["task"] for line in here if line["type"] == "task"} == {"a1", "a2"}
    assert "hush" not in str(there) and "a1" not in str(there)
    assert {line["task"] for line in there if line["type"] == "task"} == {"a2"}


def test_results_do_not_leave_with_a_list(node, write):
    text = "a1 b1\na1: confidential=yes run=\"sh -c 'echo topsecret > s'\" out=s\nb1: in=@a1/s run=\"cat s\"{}\n"
    result = node.ctl("run", write(text.format("")), code=2)
    assert result.stdout == "" and "tasks.txt:3:5: in=@a1/s: a result of a confidential task" in result.stderr
    before = len(node.tasks())
    node.ctl("run", write(text.format(" confidential=yes")))
    tasks = node.tasks()[before:]
    assert [(task["node"], task["state"]) for task in tasks] == [("lab-01", "succeeded")] * 2
    assert node.ctl("task", "logs", tasks[1]["id"]).stdout == "topsecret\n"
