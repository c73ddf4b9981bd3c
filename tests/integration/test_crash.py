# SPDX-License-Identifier: MIT
"""Killed at every write boundary: no accepted task is lost, no result is forgotten, none is a mixture."""
import json
import mmap
import struct

import pytest

from lib.lab import BUILD, FAST
from lib.wait import wait_for

PRELOAD = BUILD / "tests/crash.so"
BOUNDARIES_MAX = 300  # of one round; it ends before


class Crash:
    """The switch of crash.c for one node."""

    def __init__(self, lab, node):
        self.node = node
        self.path = lab.directory / f"{node.name}.crash"
        self.path.write_bytes(bytes(8))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": str(PRELOAD), "P2P_CRASH_FILE": str(self.path)}

    def arm(self, at):
        self.map[:] = struct.pack("ii", at, 0)

    def disarm(self):
        """Returns whether it has struck, or is about to."""
        at, = struct.unpack("i", self.map[:4])
        self.map[:4] = struct.pack("i", 0)
        passed, = struct.unpack("i", self.map[4:])
        return passed >= at > 0

    def has_struck(self):
        return self.node.process.poll() is not None

    def start(self):
        self.node.process = None
        self.node.start(**self.environment)


@pytest.fixture
def lab(make_lab):
    lab = make_lab({**FAST, "tasks": {**FAST["tasks"], "lease": "1s"}})
    lab.marks = lab.directory / "marks"
    lab.marks.mkdir()
    lab.settings = {**lab.settings, "sandbox": {"write": [str(lab.marks)]}}
    lab.node("lab-01", role="seed")
    lab.node("lab-02")
    for node in lab.nodes.values():
        node.crash = Crash(lab, node)
        node.launch(**node.crash.environment)
    lab.wait_joined()
    return lab


def submit(node, where, *options, until=None):
    """The id of an accepted task, or None: whoever heard no id was promised nothing. It ends when the file is there."""
    wait = f"until test -e {until}; do sleep 0.05; done; " if until else ""
    result = node.ctl("submit", "-N", where, *options, "--", "sh", "-c", wait + "echo $P2P_TASK_ID", code=None)
    return result.stdout.strip() or None


def check(node, task, *states):
    """It ends, and its output is that of one run."""
    state = node.wait_task(task, *states, timeout=20)["state"]
    if state == "succeeded":
        assert node.ctl("task", "logs", task).stdout == f"{task}\n"


def strike(node, at, act):
    """Kills the node at a boundary while @act is done, and starts it again. Returns whether it was reached."""
    node.crash.arm(at)
    act()
    struck = node.crash.disarm()
    if struck:
        node.process.wait(60)
        node.crash.start()
    return struck


def test_the_origin_is_killed_at_every_write(lab):
    origin, worker = lab["lab-01"], lab["lab-02"]
    accepted = []
    at = 0
    reached = True
    while reached:
        at += 1
        assert at < BOUNDARIES_MAX

        def act():
            fresh = [task for task in (submit(origin, "lab-01"), submit(origin, "lab-02")) if task]
            accepted.extend(fresh)
            # Until all has ended, or the node has.
            wait_for(lambda: origin.crash.has_struck() or all(
                ended(origin, task) for task in fresh), 20, "the tasks or the node to end")

        reached = strike(origin, at, act)
        wait_for(lambda: "lab-01" in worker.sees_alive() and "lab-02" in origin.sees_alive(), 10, "a lab of two")
        for task in accepted[-2:]:
            check(origin, task, "succeeded")
    known = {task["id"]: task["state"] for task in origin.tasks()}
    assert len(accepted) == len(set(accepted)) and {known.get(task) for task in accepted} == {"succeeded"}
    assert at > 10, "hardly anything was written"
    print(f"\n{at - 1} boundaries of the origin, {len(accepted)} tasks accepted")


def ended(node, task):
    try:
        return node.task(task)["state"] == "succeeded"
    except OSError:
        return False


def test_the_worker_is_killed_at_every_write(lab):
    origin, worker = lab["lab-01"], lab["lab-02"]
    at = 0
    reached = True
    while reached:
        at += 1
        assert at < BOUNDARIES_MAX
        tasks = []

        def act():
            go = lab.marks / str(at)
            tasks.extend([submit(origin, "lab-02", until=go), submit(origin, "lab-02", "--retries", "0", until=go)])
            wait_for(lambda: worker.crash.has_struck() or all(origin.task(task)["state"] == "running" for task in tasks), 20,
                     "the tasks to run or the node to end")
            # An end that is acknowledged at once is not written: so the origin does not hear of it for a while.
            origin.pause()
            go.touch()
            wait_for(lambda: worker.crash.has_struck() or worker.kept_ends() == 2, 20, "both ends on the disk or the node to end")
            origin.resume()
            wait_for(lambda: worker.crash.has_struck() or all(origin.task(task)["ended"] for task in tasks) and
                     worker.kept_ends() == 0, 20, "both ends to be acknowledged or the node to end")

        reached = strike(worker, at, act)
        wait_for(lambda: "lab-02" in origin.sees_alive(), 10, "the worker to be back")
        check(origin, tasks[0], "succeeded")
        check(origin, tasks[1], "succeeded", "unknown")
        assert origin.task(tasks[1])["attempt"] == 1, "it ran twice, though it must not"
    assert at > 10, "hardly anything was written"
    print(f"\n{at - 1} boundaries of the worker")


def test_what_was_cleaned_stays_so_wherever_the_node_is_killed(lab):
    node = lab["lab-01"]
    at = 0
    reached = True
    while reached:
        at += 1
        assert at < BOUNDARIES_MAX
        node.wait_task(submit(node, "lab-01"), "succeeded", timeout=20)
        answers = []

        def act():
            """Until nothing is held: the end of a task is shown before it is on the disk, and there until it is."""
            answers.append(node.ctl("--json=short", "task", "clean", "--yes", code=None))
            return answers[-1].code != 0 or json.loads(answers[-1].stdout)["held"] == 0

        reached = strike(node, at, lambda act=act: wait_for(act, 10, "the task to be free"))
        if answers[-1].code == 0:
            assert node.tasks() == [], f"killed at boundary {at}, and what was dropped is back"
    assert at > 1, "nothing was written before the answer"


@pytest.mark.parametrize("what", ["task", "workflow"])
def test_what_was_cancelled_stays_so_wherever_the_node_is_killed(lab, tmp_path, what):
    """The answer came before the word was on the disk: a kill at once, and the work went on."""
    node = lab["lab-01"]
    (tmp_path / "list").write_text("a1\na1: run=\"sleep 1000\" node=lab-01\n")
    begin = ["submit", "-N", "lab-01", "--", "sleep", "1000"] if what == "task" else ["run", "--detach", tmp_path / "list"]
    at = 0
    reached = True
    while reached:
        at += 1
        assert at < BOUNDARIES_MAX
        begun = node.ctl(*begin).stdout.strip()
        task = node.tasks()[-1]["id"] if what == "task" else \
            wait_for(lambda begun=begun: [one["id"] for one in node.tasks() if one["workflow"] == begun], 10, "its task")[0]
        node.wait_task(task, "running")
        answers = []
        # What is told with this signal goes on for a while, so that it is the word alone which ends it.
        reached = strike(node, at, lambda begun=begun, answers=answers: answers.append(node.ctl(
            what, "cancel", begun, "--signal", "CONT", "--grace", "1s", code=None).code))
        if answers[0] != 0:
            node.ctl(what, "cancel", begun)
        node.wait_task(task, "cancelled", timeout=20)
        if what == "workflow":
            wait_for(lambda begun=begun: node.json("workflow", "show", begun)["state"] == "cancelled", 10, "its end")
    assert at > 1, "nothing was written before the answer"


def test_what_was_accepted_survives_a_kill_at_once(make_lab):
    """A restart that has work to take up wrote while it still read, and the log of the database had holes."""
    lab = make_lab(FAST)
    node = lab.node("lone", role="seed").start()
    accepted = []
    for life in range(15):
        accepted += [node.submit("--retries", "100", "--", "true") for _ in range(3)]
        if life % 2:
            node.wait_task(accepted[-1], "succeeded")
        node.kill()
        node.start()
        known = {task["id"] for task in node.tasks()}
        assert set(accepted) <= known, f"gone in life {life}: {set(accepted) - known}"
    for task in accepted:
        node.wait_task(task, "succeeded")


@pytest.mark.parametrize("worker", ["lab-01", "lab-02"])
def test_what_only_waited_in_a_queue_is_no_attempt(lab, worker):
    """A kill of the node where it waits, and not what ran there, counts."""
    origin, killed = lab["lab-01"], lab[worker]
    for node in lab.nodes.values():
        node.stop()
        node.settings["tasks"] = {**node.settings["tasks"], "slots": 2}
        node.start()
    lab.wait_joined()
    running = [origin.submit("--retries", "0", "-N", worker, "--", "sleep", "1000") for _ in range(2)]
    for task in running:
        origin.wait_task(task, "running")
    waiting = [origin.submit("--retries", retries, "-N", worker, "--", "echo", "q") for retries in ("0", "1")]
    killed.kill()
    killed.start()
    for task in running:
        origin.wait_task(task, "unknown")
    for task in waiting:
        assert origin.wait_task(task, "succeeded")["attempt"] == 1
        assert "not begun on" in str(origin.task(task)["timeline"])


def test_a_node_knows_itself_from_its_start(make_lab):
    """What waited there when it was killed was told of it that it was not known, or that it runs no commands."""
    node = make_lab(FAST).node("lone", {"tasks": {"slots": 1}}, role="seed", types=["a"]).start()
    running = node.submit("--retries", "0", "--", "sleep", "1000")
    node.wait_task(running, "running")
    waiting = [node.submit(*words) for words in
               (("-N", "lone", "--", "true"), ("--confidential", "--", "true"), ("--", "true"), ("a1",))]
    node.kill()
    node.start()
    for task in waiting:
        node.wait_task(task, "succeeded")
        told = [entry["text"] for entry in node.task(task)["timeline"]]
        assert not [text for text in told if text.startswith("waiting: ")], told


def test_a_node_that_drains_does_so_from_its_start(make_lab):
    node = make_lab(FAST).node("lone", {"tasks": {"slots": 1}}, role="seed").start()
    running = node.submit("--retries", "0", "--", "sleep", "1000")
    node.wait_task(running, "running")
    task = node.submit("--", "true")
    node.ctl("drain")
    wait_for(lambda: "draining" in node.task(task)["reason"], 10, "it to go back")
    before = node.task(task)["timeline"]
    node.kill()
    node.start()
    told = node.task(task)
    assert "draining" in told["reason"]
    assert not ["placed on" for entry in told["timeline"][len(before):] if "placed on" in entry["text"]], told
