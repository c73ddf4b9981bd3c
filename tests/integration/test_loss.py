# SPDX-License-Identifier: MIT
"""Tasks when nodes die: nothing accepted is lost, and the result comes once."""
import datetime
import os
import re
import time

import pytest

from lib.lab import FAST, STEADY
from lib.process import commands
from lib.wait import holds_for, wait_for


def make(lab):
    """An origin that runs nothing itself, and two workers that note every start in a common directory."""
    marks = lab.directory / "marks"
    marks.mkdir()
    marks.chmod(0o1777)
    lab.marks = marks
    lab.settings = {**lab.settings, "sandbox": {"write": [str(marks)]}}
    lab.node("origin", {"tasks": {"enabled": False}}, role="seed")
    lab.node("worker-1", types=["a"])
    lab.node("worker-2", types=["a"])
    return lab.start()


@pytest.fixture
def lab(make_lab):
    """Workers die soon, and what they ran runs again."""
    return make(make_lab(FAST))


@pytest.fixture
def steady(make_lab):
    """Leases are long: who was away for a while finds its tasks where they were."""
    return make(make_lab(STEADY))


def starts(lab, name):
    """The nodes that started the task, in no order."""
    return sorted(path.name.split(".")[1] for path in lab.marks.glob(f"{name}.*"))


def held(lab, name, then="echo done on $P2P_NODE"):
    """A command that notes its start and ends when the file "go" is there."""
    return ["sh", "-c", f"touch {lab.marks}/{name}.$P2P_NODE.$P2P_TASK_ATTEMPT; echo begun on $P2P_NODE; "
                        f"until test -e {lab.marks}/go; do sleep 0.05; done; {then}"]


def let_go(lab):
    (lab.marks / "go").touch()


def test_a_task_whose_node_died_runs_again_elsewhere_and_ends_once(lab):
    origin = lab["origin"]
    task = origin.submit("--", *held(lab, "t"))
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    lab[first].kill()
    other = {"worker-1": "worker-2", "worker-2": "worker-1"}[first]
    wait_for(lambda: starts(lab, "t") == ["worker-1", "worker-2"], 15, "the second start")
    let_go(lab)
    shown = origin.wait_task(task, "succeeded")
    assert (shown["node"], shown["attempt"]) == (other, 2)
    assert origin.ctl("task", "logs", task).stdout == f"begun on {other}\ndone on {other}\n"
    story = "\n".join(entry["text"] for entry in shown["timeline"])
    assert re.search(rf"placed on {first}.*lost: {first} dead.*attempt 2 placed on {other}", story, re.S), story
    moved = [event["type"] for event in origin.events("task-*") if event["task"] == task]
    assert moved.count("task-lost") == 1 and moved.count("task-ended") == 1 and "task-moved" in moved
    told = [event for event in origin.events("task-moved") if event["task"] == task][0]
    assert told["message"].endswith(f" moved from {first} to {other}: {first} dead") and told["node"] == other


def test_a_task_that_takes_its_nodes_along_stops_at_its_limit(lab):
    origin = lab["origin"]
    task = origin.submit("--retries", "1", "--", *held(lab, "t"))
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    first, = starts(lab, "t")
    lab[first].kill()
    wait_for(lambda: starts(lab, "t") == ["worker-1", "worker-2"], 15, "the second start")
    lab[{"worker-1": "worker-2", "worker-2": "worker-1"}[first]].kill()
    shown = origin.wait_task(task, "lost")
    assert shown["attempt"] == 2 and shown["reason"].endswith(" dead; last of 2 attempts"), shown["reason"]
    origin.ctl("task", "wait", task, code=125)
    lab["worker-1"].start()
    again = origin.submit("-N", "worker-1", "--", "true")
    origin.wait_task(again, "succeeded")
    assert origin.task(task)["state"] == "lost" and len(starts(lab, "t")) == 2, "it ran once more"


def test_who_waits_for_a_task_does_not_notice_the_death_of_its_node(lab):
    origin = lab["origin"]
    process = origin.ctl_start("submit", "--wait", "--", *held(lab, "t", "exit 7"))
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    first = starts(lab, "t")[0]
    lab[first].kill()
    wait_for(lambda: len(starts(lab, "t")) == 2, 15, "the second start")
    let_go(lab)
    stdout, stderr = process.communicate(timeout=60)
    other = {"worker-1": "worker-2", "worker-2": "worker-1"}[first]
    assert process.returncode == 7 and stdout == f"begun on {other}\n".encode(), stderr


def test_without_retries_the_end_of_a_lost_task_is_honestly_unknown(lab):
    origin = lab["origin"]
    task = origin.submit("--retries", "0", "--", *held(lab, "t"))
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the start")
    lab[first].kill()
    assert origin.wait_task(task, "unknown")["exit"] is None
    assert " on " not in origin.ctl("task", "show", task).stdout.splitlines()[0]
    origin.ctl("task", "wait", task, code=125)
    assert starts(lab, "t") == [first]


def test_a_task_of_a_run_moves_too_and_the_run_goes_on(lab, tmp_path):
    origin = lab["origin"]
    path = tmp_path / "tasks.txt"
    command = " ".join(held(lab, "t")[2].split())
    path.write_text(f"""a1 a2\na1: run="sh -c '{command}'"\n""")
    process = origin.ctl_start("run", path)
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    lab[starts(lab, "t")[0]].kill()
    wait_for(lambda: len(starts(lab, "t")) == 2, 15, "the second start")
    let_go(lab)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert stdout.decode() == """\
Discovering peers...
Initiating connections...
Assigning tasks...
Executing task: a1
Executing task: a2
Task completed by peer handling type 'A'
Terminating connections...
Disconnected from all nodes.
"""


def test_a_worker_that_stops_hands_its_work_over(steady):
    lab, origin = steady, steady["origin"]
    task = origin.submit("--", *held(lab, "t"))
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    assert lab[first].stop() == 0
    wait_for(lambda: starts(lab, "t") == ["worker-1", "worker-2"], 15, "the second start")
    let_go(lab)
    assert origin.wait_task(task, "succeeded")["attempt"] == 2


def test_a_worker_lets_what_runs_finish_before_it_stops(steady):
    lab, origin = steady, steady["origin"]
    for name in ("worker-1", "worker-2"):
        lab[name].settings["stop_grace"] = "2min"
        lab[name].restart()
    lab.wait_joined()
    task = origin.submit("--", *held(lab, "t"))
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the start")
    lab[first].process.terminate()
    wait_for(lambda: "stopping" in lab[first].log_text(), 5, "the worker to stop")
    let_go(lab)
    assert lab[first].wait_end() == 0
    shown = origin.wait_task(task, "succeeded")
    assert (shown["node"], shown["attempt"]) == (first, 1)


def test_accepted_tasks_are_not_lost_with_a_crash_of_their_origin(steady):
    """Ended ones keep their result, waiting ones wait, and running ones go on where they are."""
    lab, origin = steady, steady["origin"]
    ended = origin.submit("--", "sh", "-c", "echo kept; echo and this >&2; exit 5")
    origin.wait_task(ended, "failed")
    running = origin.submit("--", *held(lab, "r"))
    place = origin.wait_task(running, "running")["node"]
    wait_for(lambda: starts(lab, "r"), 5, "the start")
    waiting = [origin.submit("--", *held(lab, f"w{i}")) for i in range(12)]
    origin.kill()
    origin.start()
    lab.wait_joined()
    assert {task["id"] for task in origin.tasks()} == {ended, running, *waiting}
    shown = origin.task(ended)
    assert (shown["state"], shown["exit"]) == ("failed", 5)
    logs = origin.ctl("task", "logs", ended)
    assert (logs.stdout, logs.stderr) == ("kept\n", "and this\n")
    let_go(lab)
    shown = origin.wait_task(running, "succeeded")
    assert (shown["node"], shown["attempt"]) == (place, 1) and starts(lab, "r") == [place]
    assert origin.ctl("task", "logs", running).stdout == f"begun on {place}\ndone on {place}\n"
    for i, task in enumerate(waiting):
        origin.wait_task(task, "succeeded")
        assert len(starts(lab, f"w{i}")) == 1, f"w{i} ran twice"
    assert int(origin.submit("--", "true").split("@")[0]) == 15, "a number was used twice"


def test_a_result_of_when_the_origin_was_away_arrives_when_it_is_back(steady):
    lab, origin = steady, steady["origin"]
    task = origin.submit("--", *held(lab, "t", "echo meanwhile"))
    worker = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the start")
    origin.kill()
    let_go(lab)
    wait_for(lambda: not lab[worker].call("Status")["tasks"]["running"], 10, "the end at the worker")
    origin.start()
    lab.wait_joined()
    shown = origin.wait_task(task, "succeeded")
    assert shown["attempt"] == 1 and starts(lab, "t") == [worker]
    assert origin.ctl("task", "logs", task).stdout == f"begun on {worker}\nmeanwhile\n"


def test_what_happened_while_the_origin_was_away_is_told_with_its_time(steady):
    """Not with that of when it was heard of: by no more than what the word took to come."""
    lab, origin = steady, steady["origin"]
    over = lab.marks / "over"
    ending = origin.submit("--", "sh", "-c", f"while [ ! -e {over} ]; do sleep 0.02; done")
    running = origin.submit("--", *held(lab, "r"))
    for task in (ending, running):
        origin.wait_task(task, "running")
    has_begun = time.time()
    origin.kill()
    over.touch()
    busy = [lab["worker-1"], lab["worker-2"]]
    wait_for(lambda: sum(one.call("Status")["tasks"]["running"] for one in busy) == 1, 10, "the end at the worker")
    has_ended = time.time()
    wait_for(lambda: time.time() > has_ended + 2, 10, "some time to tell the ends apart")
    is_back = time.time()
    origin.start()
    lab.wait_joined()
    told = origin.wait_task(ending, "succeeded"), origin.wait_task(running, "running")
    delay = time.time() - is_back + 0.01

    def instant(text):
        return datetime.datetime.fromisoformat(text).timestamp()

    assert instant(told[0]["ended"]) <= has_ended + delay
    for task in told:
        assert instant(task["submitted"]) <= instant(task["started"]) <= has_begun + delay
    let_go(lab)


def test_a_worker_keeps_an_unacknowledged_result_over_its_own_restart(steady):
    lab, origin = steady, steady["origin"]
    task = origin.submit("--", *held(lab, "t", "echo meanwhile"))
    worker = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the start")
    origin.kill()
    let_go(lab)
    wait_for(lambda: not lab[worker].call("Status")["tasks"]["running"], 10, "the end at the worker")
    lab[worker].restart()
    origin.start()
    lab.wait_joined()
    assert origin.wait_task(task, "succeeded")["attempt"] == 1 and starts(lab, "t") == [worker]
    assert origin.ctl("task", "logs", task).stdout == f"begun on {worker}\nmeanwhile\n"


def test_a_worker_that_dies_keeps_an_unacknowledged_result_too(steady):
    """It is written soon, not only at a stop."""
    lab, origin = steady, steady["origin"]
    task = origin.submit("--", *held(lab, "t", "echo meanwhile"))
    name = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the start")
    origin.pause()
    let_go(lab)
    wait_for(lambda: lab[name].kept_ends() == 1, 10, "the end on the worker's disk")
    lab[name].kill()
    lab[name].start()
    origin.resume()
    assert origin.wait_task(task, "succeeded")["attempt"] == 1 and starts(lab, "t") == [name]
    assert origin.ctl("task", "logs", task).stdout == f"begun on {name}\nmeanwhile\n"
    wait_for(lambda: lab[name].kept_ends() == 0, 10, "nothing to be kept any more")


def test_a_workflow_goes_on_after_a_crash_of_its_origin(steady, tmp_path):
    lab, origin = steady, steady["origin"]
    path = tmp_path / "tasks.txt"
    command = " ".join(held(lab, "t")[2].split())
    path.write_text(f"""a1 a2 a3 a4\na2: run="sh -c '{command}'"\n""")
    workflow = origin.ctl("run", "--detach", path).stdout.strip()
    wait_for(lambda: starts(lab, "t"), 5, "a2 to start")
    origin.kill()
    origin.start()
    lab.wait_joined()
    let_go(lab)

    def names():
        return [task["name"] for task in origin.tasks() if task["workflow"] == workflow and task["state"] == "succeeded"]

    wait_for(lambda: names() == ["a1", "a2", "a3", "a4"], 15, "the rest of the list")
    assert len(starts(lab, "t")) == 1


def test_the_death_of_a_daemon_kills_its_tasks(lab):
    """Else a task whose node is dead would run twice at once."""
    origin = lab["origin"]
    mark = "p2pnode-test-" + os.urandom(6).hex()
    task = origin.submit("--retries", "0", "--", "bash", "-c", f"echo begun; exec -a {mark} sleep 300")

    def alive():
        return [pid for pid, command in commands() if command.startswith(mark.encode())]

    wait_for(alive, 10, "the task to run")
    lab[origin.task(task)["node"]].kill()
    wait_for(lambda: not alive(), 10, "the task to be gone")


def test_a_paused_worker_loses_its_work_only_once_it_is_dead(lab):
    """What comes back from the dead is not counted twice."""
    origin = lab["origin"]
    task = origin.submit("--", *held(lab, "t"))
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: starts(lab, "t"), 5, "the first start")
    lab[first].pause()
    wait_for(lambda: len(starts(lab, "t")) == 2, 20, "the second start")
    let_go(lab)
    second = origin.wait_task(task, "succeeded")
    lab[first].resume()
    lab.wait_joined(20)
    holds_for(lambda: origin.task(task)["attempt"] == 2 and origin.task(task)["node"] == second["node"], 2, "the result")
    assert origin.ctl("task", "logs", task).stdout.count("done on") == 1
    assert [event["type"] for event in origin.events("task-ended")] == ["task-ended"]
