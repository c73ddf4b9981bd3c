# SPDX-License-Identifier: MIT
"""Who waits for a task hears why nothing happens, and gets over a daemon that dies meanwhile."""
import json
import pathlib
import re
import signal

import pytest

from lib.lab import FAST, STEADY, merge
from lib.wait import wait_for
from test_workflow import Gates


def make_waiting_lab(lab):
    """Two that run commands, and one that alone does type d."""
    gates = Gates(lab)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01", types=["a"])
    lab.node("lab-02")
    lab.node("lab-03", types=["d"])
    lab.start()
    lab.gates = gates
    return lab


@pytest.fixture(scope="module")
def stranded(make_module_lab):
    """lab-03, the only node for type d, is dead."""
    lab = make_waiting_lab(make_module_lab(FAST))
    lab["lab-03"].kill()
    lab.wait_state("lab-03", "dead")
    return lab


@pytest.fixture
def node(stranded):
    return stranded["lab-01"]


@pytest.fixture
def lab(make_lab):
    return make_waiting_lab(make_lab(STEADY))


WHY = "the only node for type d, lab-03, is dead"


def read_notice(process):
    """The lines about a wait, as far as the last hint."""
    lines = [process.stderr.readline().decode()]
    while lines[-1] and not lines[-1].startswith("hint: give it up: "):
        lines.append(process.stderr.readline().decode())
    return "".join(lines)


def notice(id, task="", noun="task"):
    short = id.split("@")[0]
    return (f"waiting: {id}: {task}{WHY}\nhint: look closer: p2pctl {noun} show {short}\n"
            f"hint: give it up: p2pctl {noun} cancel {short}\n")


def detach(process):
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, (stdout, stderr)
    return stdout.decode(), stderr.decode()


def test_submit_says_what_it_waits_for_and_still_prints_the_id_alone(node):
    result = node.ctl("submit", "d1")
    task = result.stdout.strip()
    assert re.fullmatch(r"\d+@lab-01", task) and result.stderr == notice(task)
    assert node.ctl("-q", "submit", "d1").stderr == ""
    assert json.loads(node.ctl("--json", "submit", "d1").stdout)["reason"] == WHY
    after = node.ctl("submit", "--after", f"{task}:any", "a1")
    assert after.stderr == "", "the user knows what he named"
    node.ctl("task", "cancel", "--all")


@pytest.mark.parametrize("option", ["--wait", "-f"])
def test_who_waits_hears_it_once(node, option):
    process = node.ctl_start("submit", option, "d1")
    told = read_notice(process)
    task = node.tasks()[-1]["id"]
    assert told == notice(task)
    stdout, stderr = detach(process)
    assert stdout == "" and "waiting: " not in stderr
    node.ctl("task", "cancel", task)


def test_task_wait_and_task_logs_hear_it_too(node):
    task = node.submit("-q", "d1")
    waiter = node.ctl_start("task", "wait", task)
    assert read_notice(waiter) == notice(task)
    detach(waiter)
    reader = node.ctl_start("--json", "task", "logs", "-f", task)
    told = json.loads(reader.stdout.readline())
    assert told == {"type": "waiting", "id": task, "reason": WHY}
    reader.send_signal(signal.SIGINT)
    end = json.loads(reader.communicate(timeout=60)[0])
    assert (end["type"], end["id"], end["state"]) == ("end", task, None) and reader.returncode == 0
    node.ctl("task", "cancel", task)


def test_another_node_hears_it_as_well(stranded, node):
    task = node.submit("-q", "d1")
    waiter = stranded["lab-02"].ctl_start("task", "wait", task)
    assert read_notice(waiter) == notice(task)
    detach(waiter)
    node.ctl("task", "cancel", task)


def test_run_says_which_task_waits_for_what(node, tmp_path):
    (tmp_path / "list").write_text("a1 d1 a2")
    process = node.ctl_start("run", tmp_path / "list")
    told = read_notice(process)
    workflow = node.json("workflow", "list")["workflows"][-1]["id"]
    assert told == notice(workflow, "d1: ", "workflow")
    stdout, stderr = detach(process)
    assert "Executing task: a1\n" in stdout and "waiting: " not in stderr
    node.ctl("workflow", "cancel", workflow)


def test_the_json_of_run_has_it_as_an_object_and_an_end_after_control_c(node, tmp_path):
    (tmp_path / "list").write_text("d1")
    process = node.ctl_start("--json", "run", tmp_path / "list")
    lines = [json.loads(process.stdout.readline())]
    while lines[-1]["type"] != "waiting":
        lines.append(json.loads(process.stdout.readline()))
    workflow = lines[0]["id"]
    assert lines[0]["type"] == "plan" and lines[-1]["task"] == "d1" and lines[-1]["reason"] == WHY
    stdout, _ = detach(process)
    end = json.loads(stdout.splitlines()[-1])
    assert end == {"type": "end", "id": workflow, "total": 1, "succeeded": None, "failed": None, "skipped": None,
                   "nodes": None, "elapsed_ms": None, "exit": None}
    node.ctl("workflow", "cancel", workflow)


def test_a_type_that_nobody_has_yet_is_told_where_it_is_waited_for(node, tmp_path):
    (tmp_path / "list").write_text("x1")
    process = node.ctl_start("run", "--wait-types", tmp_path / "list")
    assert 'x1: no node handles task type "x"\n' in read_notice(process)
    detach(process)
    node.ctl("workflow", "cancel", node.json("workflow", "list")["workflows"][-1]["id"])


# ---- a daemon that dies while it is looked on

def gated(lab, number, code=0):
    path = lab.gates.directory / str(number)
    script = f"echo one; echo begun >> {path}.log; until test -e {path}; do sleep 0.02; done; echo two; exit {code}"
    return ["-N", "lab-02", "--", "sh", "-c", script]


def wait_asked(process):
    """Until p2pctl has asked, and waits for an answer."""
    wait_for(lambda: "poll" in pathlib.Path(f"/proc/{process.pid}/wchan").read_text(), 10, "p2pctl to wait")


def test_submit_follow_gets_over_a_restart_and_shows_everything_once(lab):
    node = lab["lab-01"]
    process = node.ctl_start("submit", "-f", *gated(lab, 1, 3))
    assert process.stdout.readline() == b"one\n"
    node.kill()
    node.start()
    lab.gates.open(1)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 3 and stdout == b"two\n", (stdout, stderr)


@pytest.mark.parametrize("options", [(), ("-n", "1"), ("--timestamps",), ("--json=lines",)])
def test_task_logs_follow_gets_over_a_restart_and_shows_everything_once(lab, options):
    node = lab["lab-01"]
    path = lab.gates.directory / "1"
    script = f"echo zero; echo one; until test -e {path}; do sleep 0.02; done; echo two; echo three"
    task = node.submit("-N", "lab-02", "--", "sh", "-c", script)
    wait_for(lambda: node.ctl("task", "logs", task).stdout == "zero\none\n", 10, "its output")
    process = node.ctl_start("task", "logs", "-f", *options, task)
    first = process.stdout.readline()
    assert b"one" in first if "-n" in options else b"zero" in first
    node.kill()
    node.start()
    lab.gates.open(1)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    shown = (first + stdout).decode()
    if "--json=lines" in options:
        lines = [json.loads(line) for line in shown.splitlines()]
        assert lines[-1]["type"] == "end" and lines[-1]["state"] == "succeeded"
        shown = "".join(line["data"] for line in lines[:-1])
    words = re.findall(r"zero|one|two|three", shown)
    assert words == ["zero", "one", "two", "three"][1 if "-n" in options else 0:], shown


def test_the_place_of_each_piece_of_output_is_told(lab):
    node = lab["lab-01"]
    task = node.submit("-N", "lab-01", "--", "sh", "-c", "echo one; sleep 0.1; echo error >&2; sleep 0.1; echo two")
    node.wait_task(task, "succeeded")
    def places(*options):
        lines = [json.loads(line) for line in node.ctl("--json=lines", "task", "logs", *options, task).stdout.splitlines()]
        return [(line["stream"], line["offset"], line["data"]) for line in lines if line["type"] == "output"]
    assert places() == [("stdout", 0, "one\n"), ("stderr", 0, "error\n"), ("stdout", 4, "two\n")]
    assert places("-n", "1") == [("stdout", 4, "two\n")]


def test_submit_wait_gets_over_a_restart(lab):
    node = lab["lab-01"]
    process = node.ctl_start("--json=lines", "submit", "--wait", *gated(lab, 1, 3))
    task = json.loads(process.stdout.readline())["id"]
    lab.gates.wait_begun(1)
    node.kill()
    node.start()
    lab.gates.open(1)
    stdout, stderr = process.communicate(timeout=60)
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert process.returncode == 3 and (lines[-1]["type"], lines[-1]["id"]) == ("end", task), stderr
    assert "".join(line["data"] for line in lines[:-1]) == "one\ntwo\n"


def test_task_wait_gets_over_a_restart_and_its_time_limit_goes_on(lab):
    node = lab["lab-01"]
    task = node.submit(*gated(lab, 1, 4))
    lab.gates.wait_begun(1)
    waiters = [node.ctl_start("task", "wait", task), node.ctl_start("task", "wait", "--timeout", "2s", task)]
    for waiter in waiters:
        wait_asked(waiter)
    node.kill()
    node.start()
    assert waiters[1].wait(60) == 124
    lab.gates.open(1)
    assert waiters[0].wait(60) == 4


def test_a_daemon_that_does_not_come_back_is_told_with_the_id(lab):
    node = lab["lab-01"]
    follower = node.ctl_start("--request-timeout", "500ms", "submit", "-f", *gated(lab, 1))
    assert follower.stdout.readline() == b"one\n"
    program = node.ctl_start("--request-timeout", "500ms", "--json=lines", "submit", "--wait", *gated(lab, 1))
    task = json.loads(program.stdout.readline())["id"]
    waiter = node.ctl_start("--request-timeout", "500ms", "task", "wait", "1")
    wait_asked(waiter)
    reader = node.ctl_start("--request-timeout", "500ms", "task", "logs", "-f", "1")
    assert reader.stdout.readline() == b"one\n"
    node.kill()
    _, stderr = reader.communicate(timeout=60)
    assert reader.returncode == 1
    assert stderr.decode().endswith("hint: 1 goes on as soon as p2pnode runs again; look on with: p2pctl task logs -f 1\n")
    for process, id in [(follower, "1@lab-01"), (waiter, "1")]:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 125
        assert stderr.decode() == ("p2pctl: lost the connection to p2pnode\n"
                                   f"hint: {id} goes on as soon as p2pnode runs again; look on with: p2pctl task wait 1\n")
    error = json.loads(program.communicate(timeout=60)[1])["error"]
    assert program.returncode == 125 and error["hint"] == f"p2pctl task wait {task}" and error["exit"] == 125
    lab.gates.open(1)


def answers(node):
    """What is said of a node that is dead."""
    task = node.submit("-q", "e1")
    pinned = node.submit("-q", "-N", "lab-05", "--", "true")
    reasons = [node.task(one)["reason"] for one in (task, pinned)]
    node.ctl("task", "cancel", task, pinned)
    return reasons


@pytest.mark.parametrize("others", [0, 1], ids=["nobody-tells", "others-tell"])
def test_what_the_dead_did_is_known_after_a_restart(make_lab, others):
    lab = make_lab(FAST)
    node = lab.node("lab-01", role="seed", types=["a"])
    for i in range(others):
        lab.node(f"lab-0{i + 2}", types=["a"])
    lab.node("lab-05", types=["e"])
    lab.start()
    lab["lab-05"].kill()
    wait_for(lambda: node.state_of("lab-05") == "dead", 20, "its death")
    before = answers(node)
    assert before == ["the only node for type e, lab-05, is dead", "lab-05 is dead"]
    waits = node.submit("-q", "e1")
    for _ in range(2):
        node.restart()
        assert answers(node) == before, "at once"
        if others:
            wait_for(lambda: node.state_of("lab-05") == "dead", 20, "the word of the others")
            assert answers(node) == before
            assert node.members()["lab-05"]["types"] == ["e"]
        wait_for(lambda: node.task(waits)["reason"] == before[0], 10, "the reason")
    lab["lab-05"].start()
    assert node.ctl("task", "wait", waits).code == 0


@pytest.mark.parametrize("is_unheard", [False, True], ids=["before", "after"])
def test_who_is_forgotten_is_not_remembered(make_lab, is_unheard):
    lab = make_lab(FAST)
    node = lab.node("lab-01", role="seed", types=["a"])
    lab.node("lab-05", types=["e"])
    lab.start()
    lab["lab-05"].kill()
    wait_for(lambda: node.state_of("lab-05") == "dead", 20, "its death")
    if is_unheard:
        node.restart()
        node.ctl("task", "cancel", node.submit("-q", "e1"))
    node.ctl("forget", "--yes", "lab-05")
    for _ in range(2):
        assert 'no node handles task type "e"' in node.ctl("submit", "e1", code=4).stderr
        assert 'no node is called "lab-05"' in node.ctl("submit", "-N", "lab-05", "--", "true", code=4).stderr
        node.restart()


def test_the_remembered_are_let_go_in_time(make_lab):
    lab = make_lab(merge(FAST, {"membership": {"dead_retention": "2s"}}))
    node = lab.node("lab-01", role="seed", types=["a"])
    lab.node("lab-05", types=["e"])
    lab.start()
    lab["lab-05"].kill()
    wait_for(lambda: node.state_of("lab-05") == "dead", 20, "its death")
    node.restart()
    wait_for(lambda: node.ctl("submit", "-N", "lab-05", "--", "true", code=None).code == 4, 10, "its end")
    assert 'no node handles task type "e"' in node.ctl("submit", "e1", code=4).stderr
