# SPDX-License-Identifier: MIT
"""p2pctl run: a task list, its order, and its console text to the letter."""
import datetime
import fcntl
import itertools
import json
import os
import pty
import re
import signal
import termios

import pytest

from lib.lab import STEADY
from lib.terminal import read_to_end
from lib.wait import wait_for

LIST = "a1 a2 c1 b1 c2 a3 b2 b3 a4 c3 b4"

CONSOLE = """\
Discovering peers...
Initiating connections...
Assigning tasks...
Executing task: a1
Executing task: a2
Task completed by peer handling type 'A'
Executing task: c1
Task completed by peer handling type 'C'
Executing task: b1
Task completed by peer handling type 'B'
Executing task: c2
Task completed by peer handling type 'C'
Executing task: a3
Task completed by peer handling type 'A'
Executing task: b2
Executing task: b3
Task completed by peer handling type 'B'
Executing task: a4
Task completed by peer handling type 'A'
Executing task: c3
Task completed by peer handling type 'C'
Executing task: b4
Task completed by peer handling type 'B'
Terminating connections...
Disconnected from all nodes.
"""


@pytest.fixture(scope="module")
def lab(make_module_lab):
    """The lab of seed 0: one node per type. f fails, s takes its time."""
    lab = make_module_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01", types=["a", {"name": "s", "command": "/bin/sleep 60"}])
    lab.node("lab-02", types=["b", {"name": "f", "command": "/bin/false"}])
    lab.node("lab-03", types=["c", {"name": "x", "command": "/usr/bin/not-there"}])
    return lab.start()


@pytest.fixture
def node(lab):
    return lab["lab-01"]


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def tasks_of(node, workflow):
    return [task for task in node.tasks() if task["workflow"] == workflow]


def test_the_list_of_seed_0_prints_exactly_its_console_text(node, write):
    result = node.ctl("run", write(LIST + "\n"))
    assert result.stdout == CONSOLE
    assert re.fullmatch(r"w\d+@lab-01: 11 tasks, 11 succeeded, 0 failed, [\d.]+m?s, 3 nodes\n", result.stderr) \
        or result.stderr == ""


def test_tasks_txt_of_the_working_directory_is_the_default(node, write):
    path = write(LIST)
    assert node.ctl("run", cwd=path.parent).stdout == CONSOLE
    assert node.ctl("run", "-", stdin=LIST.encode()).stdout == CONSOLE


def test_line_breaks_do_not_matter(node, write):
    assert node.ctl("run", write("# seed 0\n" + LIST.replace(" ", "\n\n") + "  # the end")).stdout == CONSOLE


@pytest.mark.parametrize("origin", ["seed", "lab-02", "lab-03"])
def test_any_node_can_run_the_list(lab, write, origin):
    assert lab[origin].ctl("run", write(LIST)).stdout == CONSOLE


def test_strict_order_means_that_the_next_starts_after_the_previous_ended(node, write):
    lines = node.ctl("run", "--json", write(LIST)).stdout.splitlines()
    workflow = json.loads(lines[-1])["id"]
    tasks = tasks_of(node, workflow)
    assert [task["name"] for task in tasks] == LIST.split()
    for before, after in itertools.pairwise(tasks):
        assert moment(before["ended"]) <= moment(after["started"]), (before["name"], after["name"])
    assert [task["node"] for task in tasks] == [{"a": "lab-01", "b": "lab-02", "c": "lab-03"}[name[0]] for name in LIST.split()]


def test_json_tells_the_plan_every_change_and_the_end(node, write):
    lines = [json.loads(line) for line in node.ctl("run", "--json", write("a1 { b1 c1 } a2")).stdout.splitlines()]
    plan, end = lines[0], lines[-1]
    assert plan["type"] == "plan" and [task["task"] for task in plan["tasks"]] == ["a1", "b1", "c1", "a2"]
    steps = [task["step"] for task in plan["tasks"]]
    assert steps[1] == steps[2] and len(set(steps)) == 3
    assert (end["type"], end["total"], end["succeeded"], end["failed"], end["exit"]) == ("end", 4, 4, 0, 0)
    states = {}
    for line in lines[1:-1]:
        assert line["type"] == "task"
        states.setdefault(line["task"], []).append(line["state"])
    assert all(state[-1] == "succeeded" and "running" in state for state in states.values()), states


def test_a_group_runs_at_the_same_time_and_the_next_waits_for_all(lab, write):
    """Every member of the group waits for the mark of the other: one after the other they would never end."""
    node = lab["lab-01"]
    store = lab.directory / "marks"
    store.mkdir(mode=0o1777)
    store.chmod(0o1777)
    for name in ("lab-02", "lab-03"):
        lab[name].stop()
        lab[name].settings["sandbox"] = {"read": ["/usr", "/lib", "/lib64", "/bin"], "write": [str(store)]}
        lab[name].start()
    lab.wait_joined()
    wait_both = f"touch {store}/$0; until test -e {store}/one -a -e {store}/two; do sleep 0.05; done"
    text = f"""a1 {{ b1 c1 }} a2
b1: run="sh -c '{wait_both}' one" timeout=60s node=lab-02
c1: run="sh -c '{wait_both}' two" timeout=60s node=lab-03
"""
    result = node.ctl("run", "--json", write(text), code=None, timeout=90)
    workflow = json.loads(result.stdout.splitlines()[-1])["id"]
    tasks = {task["name"]: task for task in tasks_of(node, workflow)}
    assert {task["state"] for task in tasks.values()} == {"succeeded"}, tasks
    for name in ("b1", "c1"):
        assert moment(tasks[name]["ended"]) <= moment(tasks["a2"]["started"])


def test_a_failed_task_stops_the_run_and_says_which(node, write):
    result = node.ctl("run", write("a1 b1 f3 b2 a2"), code=1)
    assert result.stdout == """\
Discovering peers...
Initiating connections...
Assigning tasks...
Executing task: a1
Task completed by peer handling type 'A'
Executing task: b1
Task completed by peer handling type 'B'
Executing task: f3
Task failed by peer handling type 'F': f3: exit 1
Terminating connections...
Disconnected from all nodes.
"""
    names = [task["name"] for task in tasks_of(node, node.tasks()[-1]["workflow"])]
    assert "b2" not in names and "a2" not in names


def test_keep_going_runs_the_rest_and_still_is_1(node, write):
    result = node.ctl("run", "--keep-going", write("a1 f1 b1"), code=1)
    assert "Task failed by peer handling type 'F': f1: exit 1\n" in result.stdout
    assert "Executing task: b1\nTask completed by peer handling type 'B'\n" in result.stdout


def test_a_handler_that_is_not_there_fails_with_127(node, write):
    assert "Task failed by peer handling type 'X': x1: exit 127\n" in node.ctl("run", write("x1"), code=1).stdout


@pytest.mark.parametrize("text, errors", [
    ("a1 a2 c b1", ['tasks.txt:1:7: "c" has no number; a task is a type letter and a number, for example c1']),
    ("a1 a1", ["tasks.txt:1:4: "]),
    ("a1\n  7x\n", ["tasks.txt:2:3: "]),
    ("a1 { b1 { c1 } }", ["tasks.txt:1:9: a group inside a group", "tasks.txt:1:16: "]),
    ("a1 { b1", ["tasks.txt:1:4: "]),
    ("a1 }", ["tasks.txt:1:4: "]),
    ("a1\na1: colour=red\n", ["tasks.txt:2:5: "]),
    ("a1\nb7: timeout=3s\n", ["tasks.txt:2:1: "]),
    ("a1\na1: timeout=soon\n", ["tasks.txt:2:"]),
    ("c a1 9 a1", ["tasks.txt:1:1: ", "tasks.txt:1:6: ", "tasks.txt:1:8: "]),
    ("", ["tasks.txt"]),
])
def test_errors_are_told_with_their_place_and_nothing_starts(node, write, text, errors):
    before = len(node.tasks())
    path = write(text)
    result = node.ctl("run", path.name, cwd=path.parent, code=2)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    for line, error in zip(lines, errors):
        assert line.startswith(error), result.stderr
    told = [line for line in lines if line.startswith("tasks.txt:")]
    if told:
        assert len(told) == len(errors)
        assert lines[len(told)] == f"p2pctl: tasks.txt: {len(errors)} error{'s' * (len(errors) > 1)}, nothing was started"
    assert len(node.tasks()) == before


def test_no_file_is_an_error(node, tmp_path):
    result = node.ctl("run", "missing.txt", cwd=tmp_path, code=None)
    assert result.code in (2, 4) and "missing.txt" in result.stderr and result.stdout == ""
    assert node.ctl("run", write_bytes(tmp_path, b"a1 \xff\n"), code=2).stdout == ""


def write_bytes(tmp_path, data):
    path = tmp_path / "garbage.txt"
    path.write_bytes(data)
    return path


def test_a_type_without_a_node_is_4_at_once_and_waited_for_on_request(lab, node, write):
    result = node.ctl("run", write("a1 d1"), code=4)
    assert 'no node handles task type "d"' in result.stderr
    assert "hint: to wait until one appears: p2pctl run --wait-types" in result.stderr
    assert "Executing" not in result.stdout
    process = node.ctl_start("run", "--wait-types", str(write("a1 d1")))
    late = lab.node("late", types=["d"]).start()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert b"Executing task: d1\nTask completed by peer handling type 'D'\n" in stdout
    assert late.stop() == 0


def test_ctrl_c_detaches_and_the_work_goes_on(node, write):
    process = node.ctl_start("run", str(write("a1 s1 a2")))
    assert process.stdout.readline() == b"Discovering peers...\n"
    while (line := process.stdout.readline()) != b"Executing task: s1\n":
        assert line, "the end came before s1"
    wait_for(lambda: [task for task in node.tasks() if task["name"] == "s1" and task["state"] == "running"], 10, "s1")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    workflow = re.search(rb"(w\d+)@lab-01", stderr)
    assert workflow, stderr
    task = node.tasks()[-1]
    assert task["state"] == "running"
    node.ctl("task", "cancel", task["id"])
    node.wait_task(task["id"], "cancelled")


@pytest.mark.parametrize("keys", [b"\x03", b"\x03\x03"])
def test_ctrl_c_at_a_terminal_detaches_however_often(node, write, keys):
    master, slave = pty.openpty()
    # A Ctrl-C throws away what has not been read: with the second of two, what the first one said. Its echo may be in between.
    modes = termios.tcgetattr(slave)
    modes[3] = modes[3] & ~termios.ECHO | termios.NOFLSH
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    process = node.ctl_start("run", str(write("a1 s1 a2")), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(slave)
    shown = b""
    while b"Executing task: s1" not in shown:
        shown += os.read(master, 65536)
    os.write(master, keys)
    shown += read_to_end(master)
    os.close(master)
    assert process.wait(60) == 130
    told = re.search(r"detached: (w\d+)@lab-01 goes on; look on again with: p2pctl workflow show -f (w\d+); "
                     r"end it with: p2pctl workflow cancel (w\d+)\r\n", shown.decode())
    assert told and len(set(told.groups())) == 1, shown
    assert node.json("workflow", "show", told[1])["state"] == "running"
    node.ctl("workflow", "cancel", told[1])
    wait_for(lambda: node.json("workflow", "show", told[1])["ended"], 15, "the list to end")


def test_detach_prints_the_id_and_the_work_goes_on(node, write):
    result = node.ctl("run", "--detach", write("a1 a2"))
    workflow = result.stdout.strip()
    assert re.fullmatch(r"w\d+@lab-01", workflow)
    wait_for(lambda: [task["state"] for task in tasks_of(node, workflow)] == ["succeeded"] * 2, 10, "both tasks")


def test_dry_run_shows_the_plan_and_starts_nothing(node, write):
    before = len(node.tasks())
    result = node.ctl("run", "--dry-run", write("a1 { b1 c1 }"))
    assert "a1" in result.stdout and "lab-02" in result.stdout
    assert len(node.tasks()) == before


def test_free_order_runs_them_all(node, write):
    result = node.ctl("run", "--order=free", write(LIST))
    assert sorted(re.findall(r"Executing task: (\w+)", result.stdout)) == sorted(LIST.split())
    assert node.ctl("run", "--order=type", write(LIST)).stdout.count("Executing task: ") == 11
    node.ctl("run", "--order=random", write(LIST), code=2)


def test_details_reach_the_tasks(node, write):
    text = """a1 b1
a1: run="sh -c 'echo $COLOUR; exit 7'" env=COLOUR=blue node=lab-03
"""
    result = node.ctl("run", "-k", write(text), code=1)
    assert "Task failed by peer handling type 'A': a1: exit 7\n" in result.stdout
    assert "Executing task: b1\nTask completed by peer handling type 'B'\n" in result.stdout
    task = next(task for task in reversed(node.tasks()) if task["name"] == "a1")
    assert task["node"] == "lab-03" and node.ctl("task", "logs", task["id"]).stdout == "blue\n"


def test_a_run_of_six_hundred_tasks_ends(node, write):
    """Also that nothing in the way of a workflow grows with the square of its length."""
    words = [f"{'abc'[i % 3]}{i}" for i in range(600)]
    result = node.ctl("run", "--order=free", write(" ".join(words)), timeout=60)
    assert sorted(re.findall(r"Executing task: (\w+)", result.stdout)) == sorted(words)
