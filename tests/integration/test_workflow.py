# SPDX-License-Identifier: MIT
"""What becomes of a run: needs, failures, history, taking it up again, and a daemon that dies in the middle."""
import contextlib
import csv
import json
import re
import resource
import signal
import sqlite3

import pytest

from lib.lab import STEADY
from lib.wait import wait_for
from test_run import CONSOLE, LIST, moment

# Waits until the file of its number is there; ends with what stands in it.
GATE = """#!/bin/sh
echo begun >> "{store}/$1.log"
until test -e "{store}/$1"; do sleep 0.02; done
exit "$(cat "{store}/$1")"
"""


class Gates:
    """The tasks of type g, each at its gate."""

    def __init__(self, lab):
        self.directory = lab.directory / "gates"
        self.directory.mkdir(mode=0o1777)
        self.directory.chmod(0o1777)
        self.handler = lab.directory / "gate"
        self.handler.write_text(GATE.format(store=self.directory))
        self.handler.chmod(0o755)
        lab.settings = {**lab.settings, "sandbox": {
            "read": ["/usr", "/lib", "/lib64", "/bin", str(self.handler)], "write": [str(self.directory)]}}

    def open(self, number, code=0):
        """At once: a task that finds its file finds the code in it, too."""
        fresh = self.directory / f"{number}.new"
        fresh.write_text(str(code))
        fresh.rename(self.directory / str(number))

    def runs(self, number):
        """How often the task began."""
        log = self.directory / f"{number}.log"
        return log.read_text().count("begun") if log.exists() else 0

    def wait_begun(self, number, times=1):
        wait_for(lambda: self.runs(number) == times, 10, f"g{number} to begin")


def make_lab_of_three(lab):
    gates = Gates(lab)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01", types=["a", {"name": "g", "command": str(gates.handler)}])
    lab.node("lab-02", types=["b", {"name": "f", "command": "/bin/false"}])
    lab.node("lab-03", types=["c"])
    lab.start()
    lab.gates = gates
    return lab


@pytest.fixture(scope="module")
def lab(make_module_lab):
    return make_lab_of_three(make_module_lab(STEADY))


@pytest.fixture
def node(lab):
    return lab["lab-01"]


_numbers = iter(range(1, 1000))


@pytest.fixture
def number():
    """Of a gate that no other test has."""
    return lambda: next(_numbers)


def show(node, workflow):
    return node.json("workflow", "show", workflow)


def states(node, workflow):
    return {step["task"]: step["state"] for step in show(node, workflow)["steps"]}


def wait_state(node, workflow, *wanted):
    wait_for(lambda: show(node, workflow)["state"] in wanted, 15, f"{workflow} to be {wanted}")


def detach(node, path, *options):
    return node.ctl("run", "--detach", *options, path).stdout.strip()


def test_what_a_task_needs_comes_first_in_any_order(node, write):
    text = "a1 b1 c1 a2\nc1: needs=a1,b1\na2: needs=c1\n"
    workflow = detach(node, write(text), "--order=free")
    wait_state(node, workflow, "succeeded")
    tasks = {task["name"]: task for task in node.tasks() if task["workflow"] == workflow}
    for before, after in (("a1", "c1"), ("b1", "c1"), ("c1", "a2")):
        assert moment(tasks[before]["ended"]) <= moment(tasks[after]["started"])


def test_what_needs_a_failed_task_is_skipped_and_the_rest_goes_on(node, write):
    result = node.ctl("run", "-k", write("f1 a1 b1 c1\na1: needs=f1\nb1: needs=a1"), code=1)
    assert "Executing task: c1\n" in result.stdout and "a1" not in result.stdout and "b1" not in result.stdout
    assert "4 tasks, 1 succeeded, 1 failed, 2 not run" in result.stderr
    workflow = node.json("workflow", "list")["workflows"][-1]
    assert (workflow["state"], workflow["skipped"]) == ("failed", 2)
    assert states(node, workflow["id"]) == {"f1": "failed", "a1": "skipped", "b1": "skipped", "c1": "succeeded"}


def test_a_task_says_itself_what_its_failure_means(node, write):
    result = node.ctl("run", write("f1 a1 f2 a2 b2\nf1: on_fail=continue\na1: needs=f1\nf2: on_fail=skip\na2: needs=f2"), code=1)
    assert re.findall(r"Executing task: (\w+)", result.stdout) == ["f1", "a1", "f2", "b2"]
    result = node.ctl("run", "-k", write("f1 a1\nf1: on_fail=stop"), code=1)
    assert "a1" not in result.stdout


def test_variables_of_the_command_line_are_put_in(node, write):
    text = "a1 b1\na1: run=\"echo ${WHAT} $HOME-${OTHER}\"\nb1: node=${WHERE}\n"
    result = node.ctl("run", "--var", "WHAT=two  words \"x", "--var", "WHERE=lab-02", write(text))
    assert "Task completed by peer handling type 'B'" in result.stdout
    task = next(task for task in reversed(node.tasks()) if task["name"] == "a1")
    assert node.ctl("task", "logs", task["id"]).stdout == "two  words \"x $HOME-${OTHER}\n"
    result = node.ctl("run", "--var", "WHAT=x", "--var", "UNUSED=y", write(text), code=2)
    assert "tasks.txt:1:1: no detail has ${UNUSED}" in result.stderr and result.stdout == ""
    for wrong in ("WHAT", "=x", "1A=x", "A-B=x"):
        assert node.ctl("run", "--var", wrong, write(text), code=2).stdout == ""


def test_a_stopped_list_goes_on_behind_what_failed(node, write, lab, number):
    one, two = number(), number()
    workflow = detach(node, write(f"a1 g{one} g{two} b1"))
    lab.gates.wait_begun(one)
    lab.gates.open(one, 3)
    wait_state(node, workflow, "failed")
    assert states(node, workflow) == {"a1": "succeeded", f"g{one}": "failed", f"g{two}": "skipped", "b1": "skipped"}
    lab.gates.open(two)
    result = node.ctl("run", "--resume", workflow, code=1)
    assert result.stdout.endswith(f"Executing task: g{two}\nTask failed by peer handling type 'G': g{one}: exit 3\n"
                                  "Executing task: b1\nTask completed by peer handling type 'B'\n"
                                  "Terminating connections...\nDisconnected from all nodes.\n"), result.stdout
    assert states(node, workflow) == {"a1": "succeeded", f"g{one}": "failed", f"g{two}": "succeeded", "b1": "succeeded"}
    assert (lab.gates.runs(one), lab.gates.runs(two)) == (1, 1)
    result = node.ctl("workflow", "resume", workflow, code=1)
    assert "nothing of workflow" in result.stderr and "workflow resume --failed" in result.stderr


def test_what_failed_runs_again_as_the_same_task(node, write, lab, number):
    one = number()
    workflow = detach(node, write(f"a1 g{one} b1"))
    lab.gates.wait_begun(one)
    lab.gates.open(one, 3)
    wait_state(node, workflow, "failed")
    before = {step["task"]: step["id"] for step in show(node, workflow)["steps"]}
    result = node.ctl("run", "--resume-failed", workflow.split("@")[0], code=1)
    assert "b1" not in result.stdout and lab.gates.runs(one) == 2
    lab.gates.open(one, 0)
    result = node.ctl("run", "--resume-failed", workflow)
    assert result.stdout.splitlines()[3:] == [
        "Executing task: a1", "Task completed by peer handling type 'A'",
        f"Executing task: g{one}", "Task completed by peer handling type 'G'",
        "Executing task: b1", "Task completed by peer handling type 'B'",
        "Terminating connections...", "Disconnected from all nodes."]
    after = {step["task"]: step["id"] for step in show(node, workflow)["steps"]}
    assert after["a1"] == before["a1"] and after[f"g{one}"] == before[f"g{one}"] and lab.gates.runs(one) == 3
    assert show(node, workflow)["state"] == "succeeded"
    assert node.ctl("run", "--resume-failed", workflow).stdout == result.stdout, "nothing is left, it is only shown"
    refused = node.ctl("workflow", "resume", workflow, code=1).stderr
    assert "nothing of workflow" in refused and "--failed" not in refused


def test_a_step_that_is_run_again_by_hand_counts_as_it_ended_last(make_lab, write):
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    lab.gates.open(1)
    workflow = detach(node, write("g1 a1"))
    wait_state(node, workflow, "succeeded")
    task = show(node, workflow)["steps"][0]["id"]
    (lab.gates.directory / "1").unlink()
    node.ctl("task", "retry", task)
    lab.gates.wait_begun(1, 2)
    node.ctl("task", "cancel", task)
    node.wait_task(task, "cancelled")
    lost = {"state": "failed", "succeeded": 1, "failed": 1, "skipped": 0}
    for _ in range(2):
        assert {key: show(node, workflow)[key] for key in lost} == lost
        result = node.ctl("run", "--resume", workflow, code=1)
        assert "Task failed by peer handling type 'G': g1: " in result.stdout and "2 tasks, 1 succeeded, 1 failed" in result.stderr
        node.restart()
    node.ctl("task", "retry", task)
    lab.gates.wait_begun(1, 3)
    result = node.ctl("run", "--resume", workflow, code=1)
    assert "1 succeeded, 1 failed" in result.stderr, "as it ended, while it runs again"
    lab.gates.open(1)
    node.wait_task(task, "succeeded")
    assert show(node, workflow)["state"] == "succeeded"
    assert "2 succeeded, 0 failed" in node.ctl("run", "--resume", workflow).stderr


def test_a_kill_before_the_lists_record_leaves_no_old_end(make_lab, write):
    """The end of a step that is run once more is on the disk before the list's own record is."""
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    lab.gates.open(1, code=3)
    workflow = detach(node, write("g1"))
    wait_state(node, workflow, "failed")
    task = show(node, workflow)["steps"][0]["id"]
    node.stop()
    with contextlib.closing(sqlite3.connect(node.directory / "state.db")) as database:
        before = database.execute("SELECT number, ended, record FROM workflow").fetchall()
    node.start()
    lab.gates.open(1)
    node.ctl("task", "retry", task)
    node.wait_task(task, "succeeded")
    wait_state(node, workflow, "succeeded")
    node.stop()
    with contextlib.closing(sqlite3.connect(node.directory / "state.db")) as database, database:
        after = database.execute("SELECT number, ended, record FROM workflow").fetchall()
        assert after != before
        database.executemany("REPLACE INTO workflow(number, ended, record) VALUES (?, ?, ?)", before)
    node.start()
    assert show(node, workflow)["state"] == "succeeded"
    node.stop()
    with contextlib.closing(sqlite3.connect(node.directory / "state.db")) as database:
        assert database.execute("SELECT number, ended, record FROM workflow").fetchall() == after


def test_a_list_that_is_taken_up_is_run_as_it_was_begun(node):
    for options in (["--keep-going"], ["--order=free"], ["--var", "A=b"], ["tasks.txt"], ["--resume-failed", "w1"]):
        assert node.ctl("run", "--resume", "w1", *options, code=2).stdout == ""
    assert "no workflow w999999 on lab-01" in node.ctl("run", "--resume", "w999999", code=4).stderr
    assert "is no workflow id" in node.ctl("workflow", "show", "7", code=2).stderr


def test_a_workflow_is_cancelled_as_a_whole(node, write, lab, number):
    one = number()
    workflow = detach(node, write(f"{{ g{one} c1 }} b1"), "-k")
    lab.gates.wait_begun(one)
    assert node.ctl("workflow", "cancel", workflow).stdout == f"cancelling {workflow}\n"
    wait_state(node, workflow, "cancelled")
    assert states(node, workflow)[f"g{one}"] == "cancelled" and states(node, workflow)["b1"] == "skipped"
    assert node.ctl("workflow", "cancel", workflow).stdout == f"cancelled {workflow}\n"
    node.ctl("workflow", "cancel", "w999999", code=4)
    # What the cancel ended before its time is not over: nothing behind it begins before it has.
    lab.gates.open(one)
    node.ctl("workflow", "resume", workflow)
    wait_state(node, workflow, "succeeded")
    assert set(states(node, workflow).values()) == {"succeeded"}


def test_ctrl_c_says_how_to_come_back_and_that_works(node, write, lab, number):
    one = number()
    process = node.ctl_start("run", str(write(f"a1 g{one}")))
    while (line := process.stdout.readline()) != f"Executing task: g{one}\n".encode():
        assert line, "the end came before the gate"
    lab.gates.wait_begun(one)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    back = re.search(r"p2pctl (workflow show -f (w\d+))", stderr.decode())
    end = re.search(r"p2pctl (workflow cancel w\d+)", stderr.decode())
    assert back and end, stderr
    again = node.ctl_start(*back[1].split())
    assert again.stdout.readline() == b"Discovering peers...\n"
    lab.gates.open(one)
    stdout = again.stdout.read()
    assert again.wait(60) == 0 and b"Executing task: a1\n" in stdout
    assert stdout.endswith(b"Task completed by peer handling type 'G'\nTerminating connections...\nDisconnected from all nodes.\n")
    assert node.ctl(*end[1].split()).stdout == f"{back[2]}@lab-01 has ended already: succeeded\n"


def test_another_node_shows_and_ends_it(lab, node, write, number):
    one = number()
    workflow = detach(node, write(f"g{one} b1"))
    lab.gates.wait_begun(one)
    other = lab["lab-03"]
    wait_for(lambda: states(other, workflow) == {f"g{one}": "running", "b1": "waiting"}, 5, "g to run")
    assert workflow in [entry["id"] for entry in other.json("-N", "lab-01", "workflow", "list")["workflows"]]
    watcher = other.ctl_start("workflow", "show", "-f", workflow)
    assert watcher.stdout.readline() == b"Discovering peers...\n"
    lab.gates.open(one)
    stdout, stderr = watcher.stdout.read(), watcher.stderr.read()
    assert watcher.wait(60) == 0 and b"Executing task: b1\n" in stdout, (stdout, stderr)


def test_the_job_log_is_that_of_gnu_parallel(node, write, tmp_path):
    log = tmp_path / "log"
    text = "a1 b1 f1 c1\nb1: args=\"two 'and three'\"\nc1: run=\"sh -c 'kill -9 $$'\" timeout=60s"
    node.ctl("run", "-k", "--joblog", log, write(text), code=1)
    lines = log.read_text().splitlines()
    assert lines[0] == "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    for line in lines[1:]:
        assert re.fullmatch(r"\d+\t[\w-]+\t\d{10}\.\d{3}\t[ \d]{6}\.\d{3}\t0\t0\t-?\d+\t\d+\t.+", line), line
    rows = list(csv.DictReader(log.open(), delimiter="\t"))
    assert [(row["Seq"], row["Host"], row["Exitval"], row["Signal"]) for row in rows] == [
        ("1", "lab-01", "0", "0"), ("2", "lab-02", "0", "0"), ("3", "lab-02", "1", "0"), ("4", rows[3]["Host"], "0", "9")]
    assert [row["Command"] for row in rows] == ["a1", "b1 two 'and three'", "f1", "sh -c 'kill -9 $$'"]
    starts = [float(row["Starttime"]) for row in rows]
    assert starts == sorted(starts) and abs(starts[0] - moment(node.tasks()[-4]["started"]).timestamp()) < 0.01
    node.ctl("run", "--joblog", log, write("a1\na1: run=\"sh -c 'cp log out'\" in=log out=out"), cwd=tmp_path)
    row = next(csv.DictReader(log.open(), delimiter="\t"))
    assert int(row["Send"]) > 0 and int(row["Receive"]) > 0
    assert "workflow w" in (told := node.ctl("task", "show", node.tasks()[-1]["id"]).stdout) and "(step 1 of 1)" in told
    assert node.ctl("run", "--joblog", "/nowhere/log", write("a1"), code=1).stdout == ""
    assert node.ctl("run", "--joblog", log, "--detach", write("a1"), code=2).stdout == ""


def test_a_job_log_that_cannot_be_written_is_told(node, write, tmp_path):
    before = len(node.tasks())
    result = node.ctl("run", "--joblog", "/dev/full", write("a1"), code=1)
    assert result.stdout == "" and "cannot write /dev/full: No space left on device" in result.stderr
    assert len(node.tasks()) == before
    # Room for the header, but not for the tasks.
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))

    result = node.ctl("run", "--joblog", tmp_path / "log", write(LIST), code=1, preexec_fn=limit)
    assert result.stdout == CONSOLE and "11 tasks, 11 succeeded" in result.stderr
    assert result.stderr.count("cannot write") == 1
    assert f"{tmp_path}/log, which is not whole; the tasks go on: File too large" in result.stderr


def test_a_daemon_that_dies_in_the_middle_goes_on_and_so_does_p2pctl(make_lab, write):
    """kill -9 of the origin: what had ended stays, what ran is run again there, the rest follows, each line once."""
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    text = LIST.replace("b1", "g1")
    process = node.ctl_start("run", str(write(text)))
    lab.gates.wait_begun(1)
    node.kill()
    lab.gates.open(1)
    node.start()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, (stdout, stderr)
    assert stdout.decode() == CONSOLE.replace("b1\nTask completed by peer handling type 'B'", "g1\nTask completed by peer handling type 'G'")
    workflow = node.json("workflow", "list")["workflows"][-1]
    assert (workflow["state"], workflow["succeeded"], workflow["total"]) == ("succeeded", 11, 11)
    steps = show(node, workflow["id"])["steps"]
    assert len({step["id"] for step in steps}) == 11
    assert [step["task"] for step in steps if step["attempt"] > 1] in (["g1"], [])


def test_a_daemon_that_does_not_come_back_is_told_with_the_way_back(make_lab, write):
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    process = node.ctl_start("--request-timeout", "500ms", "run", str(write("a1 g1")))
    lab.gates.wait_begun(1)
    node.kill()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and stdout.startswith(b"Discovering peers...\n")
    assert b"p2pctl: lost the connection to p2pnode\nhint: w1@lab-01 goes on" in stderr
    lab.gates.open(1)
    node.start()
    assert "Task completed by peer handling type 'G'" in node.ctl("workflow", "show", "-f", "w1").stdout


def test_history_and_a_taken_up_list_survive_restarts(make_lab, write):
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    node.ctl("run", write("a1 f1 g1 g2 b1"), code=1)
    node.ctl("run", write("a1 { b1 c1 }"))
    listed = node.json("workflow", "list")["workflows"]
    assert [(entry["id"], entry["state"], entry["succeeded"]) for entry in listed] == [
        ("w1@lab-01", "failed", 1), ("w2@lab-01", "succeeded", 3)]
    node.kill()
    node.start()
    assert node.json("workflow", "list")["workflows"] == listed
    assert states(node, "w1") == {"a1": "succeeded", "f1": "failed", "g1": "skipped", "g2": "skipped", "b1": "skipped"}
    assert node.ctl("workflow", "resume", "w1").stdout == "w1@lab-01\n"
    lab.gates.wait_begun(1)
    node.kill()
    node.start()
    lab.wait_joined()
    assert show(node, "w1")["state"] == "running", "what failed before is not a new failure"
    lab.gates.open(1)
    lab.gates.open(2)
    wait_state(node, "w1", "failed")
    assert states(node, "w1") == {"a1": "succeeded", "f1": "failed", "g1": "succeeded", "g2": "succeeded", "b1": "succeeded"}
    node.ctl("workflow", "resume", "w1", code=1)
    assert node.submit("a1") and detach(node, write("a1")) == "w3@lab-01"


def test_a_cancelled_list_stays_cancelled_over_a_restart(make_lab, write):
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    detach(node, write("g1\na1\n"), "-k")
    lab.gates.wait_begun(1)
    node.pause()
    canceller = node.ctl_start("workflow", "cancel", "w1", "--grace", "60s", "--signal", "CONT")
    node.resume()
    assert canceller.communicate(timeout=60)[0] == b"cancelling w1@lab-01\n"
    node.kill()
    node.start()
    wait_state(node, "w1", "cancelled")
    assert states(node, "w1")["a1"] == "skipped"


def test_json_of_a_run_that_is_taken_up_has_one_plan(node, write):
    node.ctl("run", write("a1 f1 b1"), code=1)
    workflow = node.json("workflow", "list")["workflows"][-1]["id"]
    lines = [json.loads(line) for line in node.ctl("run", "--json", "--resume", workflow, code=1).stdout.splitlines()]
    assert [line["type"] for line in lines].count("plan") == 1 and lines[-1]["type"] == "end"
    assert lines[0]["tasks"][0] == {"task": "a1", "type": "a", "number": 1, "step": 0, "command": None, "needs": [], "out": 0}
    told = {line["task"]: line["state"] for line in lines if line["type"] == "task"}
    assert told == {"a1": "succeeded", "f1": "failed", "b1": "succeeded"}
    assert (lines[-1]["succeeded"], lines[-1]["failed"], lines[-1]["skipped"], lines[-1]["exit"]) == (2, 1, 0, 1)


def test_files_go_from_task_to_task_and_back(node, tmp_path):
    """The example of the manual: a file of the caller, a result of an earlier task, a stored file, and all results."""
    (tmp_path / "raw.csv").write_text("3\n1\n2\n")
    (tmp_path / "tasks.txt").write_text("""a1 c1 b1
a1: run="sh -c 'sort table.csv > clean.csv; mkdir sub; cp clean.csv sub/x; echo done'" in=raw.csv=table.csv out=clean.csv out=sub
c1: run="sh -c 'head -n 1 clean.csv raw.csv > both'" in=@a1/clean.csv in=raw.csv out=both node=lab-03
b1: run="sh -c 'cat unit y > last'" in=@unit in=@a1/sub/x=y out=last node=lab-02
""")
    (tmp_path / "unit").write_text("cm\n")
    node.ctl("file", "put", tmp_path / "unit")
    result = node.ctl("run", "--results", "got", cwd=tmp_path)
    assert "Task completed by peer handling type 'B'\nTerminating" in result.stdout
    got = {str(path.relative_to(tmp_path / "got")): path.read_text() for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert got == {"a1/clean.csv": "1\n2\n3\n", "a1/sub/x": "1\n2\n3\n",
                   "c1/both": "==> clean.csv <==\n1\n\n==> raw.csv <==\n3\n", "b1/last": "cm\n1\n2\n3\n"}
    again = node.ctl("run", "--results", "got", cwd=tmp_path, code=1)
    assert "exists already" in again.stderr
    assert node.ctl("run", "--results", "got", "--overwrite=always", cwd=tmp_path).stdout == result.stdout


def test_a_result_that_is_not_there_fails_the_task_that_wants_it(node, tmp_path):
    (tmp_path / "tasks.txt").write_text("a1 c1 b1\nc1: in=@a1/missing\n")
    result = node.ctl("run", cwd=tmp_path, code=1)
    assert re.search(r"Task failed by peer handling type 'C': c1: task \d+ has no result \"missing\"\n", result.stdout), result.stdout
    assert "b1" not in result.stdout
    workflow = node.json("workflow", "list")["workflows"][-1]["id"]
    for _ in range(2):  # its end is kept with the reason
        step = node.json("workflow", "show", workflow)["steps"][1]
        assert (step["task"], step["state"], step["id"]) == ("c1", "failed", None)
        assert re.fullmatch(r"task \d+ has no result \"missing\"", step["reason"])
        node.restart()
    assert 'has no result "missing"' in node.ctl("workflow", "show", workflow).stdout
    (tmp_path / "tasks.txt").write_text("a1\na1: in=@nobody-stored-this\n")
    assert 'no file "nobody-stored-this" is stored on this node' in node.ctl("run", cwd=tmp_path, code=1).stdout


@pytest.mark.parametrize("detail, error", [
    ("in=@c1/x", "expected a file, @STORED or @TASK/RESULT"), ("in=x=../y", "expected a file"), ("in=/tmp/x=", "expected a file"),
    ("in=", "expected a file"), ("out=../x", "tasks.txt:2:5: out=../x: expected a path below the work directory")])
def test_files_that_cannot_be_are_told(node, tmp_path, detail, error):
    (tmp_path / "tasks.txt").write_text(f"a1 b1 c1\nb1: {detail}\n")
    result = node.ctl("run", cwd=tmp_path, code=2)
    assert error in result.stderr and result.stdout == ""


CONFIDENTIAL = "confidential=yes node=lab-02", 2, "a confidential task never leaves lab-01, but is to run on lab-02"
UNKNOWN = "node=nope", 4, 'no node is called "nope"'


@pytest.mark.parametrize("details, code, error, options", [
    (*CONFIDENTIAL, ()), (*CONFIDENTIAL, ("--wait-types",)), (*UNKNOWN, ()), (*UNKNOWN, ("--wait-types",)),
    ("node=lab-02", 4, 'lab-02 does not handle task type "a"', ())])
def test_a_task_that_cannot_run_where_it_is_to_is_told(node, write, details, code, error, options):
    before = len(node.tasks())
    result = node.ctl("run", *options, write(f"c1 a1\na1: {details}\n"), code=code)
    place, told = result.stderr.splitlines()[:2]
    assert place.endswith("tasks.txt:1:4: a1 cannot run as it stands") and told.startswith(f"p2pctl: {error}")
    assert result.stdout == "" and len(node.tasks()) == before


def test_a_type_that_nobody_does_is_told_with_its_place(node, write):
    result = node.ctl("run", write("a1\n  x1\n"), code=4)
    place, told = result.stderr.splitlines()[:2]
    assert place.endswith("tasks.txt:2:3: x1 cannot run as it stands")
    assert told.startswith('p2pctl: no node handles task type "x"')


def test_a_file_of_the_caller_that_is_not_there_starts_nothing(node, tmp_path):
    before = len(node.tasks())
    (tmp_path / "tasks.txt").write_text("a1 b1\nb1: in=missing.csv\n")
    for options in ((), ("--dry-run",)):
        result = node.ctl("run", *options, cwd=tmp_path, code=4)
        assert result.stderr == "p2pctl: cannot read missing.csv: No such file or directory\n" and result.stdout == ""
    assert len(node.tasks()) == before


def test_a_dry_run_says_which_stored_file_is_not_there(node, tmp_path):
    (tmp_path / "tasks.txt").write_text("a1 b1\na1: in=@stored.csv\nb1: in=@absent.csv\n")
    node.ctl("file", "put", "-", ":stored.csv", stdin=b"x")
    told = 'b1: no file "absent.csv" is stored on this node'
    result = node.ctl("run", "--dry-run", cwd=tmp_path, code=4)
    assert result.stderr == f"p2pctl: {told}\n" and result.stdout == ""
    result = node.ctl("--json=lines", "run", "--dry-run", cwd=tmp_path, code=4)
    assert json.loads(result.stderr)["error"]["message"] == told
    node.ctl("file", "put", "-", ":absent.csv", stdin=b"x")
    assert "b1" in node.ctl("run", "--dry-run", cwd=tmp_path).stdout
    node.ctl("file", "rm", "--yes", ":absent.csv", ":stored.csv")


def test_files_of_a_list_are_still_there_after_a_restart(make_lab, tmp_path):
    lab = make_lab_of_three(make_lab(STEADY))
    node = lab["lab-01"]
    (tmp_path / "data").write_text("kept")
    (tmp_path / "tasks.txt").write_text("g1 b1 f1 b2\nb1: run=\"cat data\" in=data\nb2: run=\"cat data copy\" in=data in=data=copy")
    node.ctl("run", "--detach", cwd=tmp_path)
    lab.gates.wait_begun(1)
    (tmp_path / "data").unlink()
    node.kill()
    lab.gates.open(1)
    node.start()
    wait_state(node, "w1", "failed")
    node.kill()
    node.start()
    lab.wait_joined()
    node.ctl("run", "--resume", "w1", code=1)
    ids = {step["task"]: step["id"] for step in show(node, "w1")["steps"]}
    assert node.ctl("task", "logs", ids["b1"]).stdout == "kept"
    assert node.ctl("task", "logs", ids["b2"]).stdout == "keptkept"


def test_many_tasks_with_files_at_once(node, tmp_path):
    (tmp_path / "data").write_text("x")
    names = [f"c{i}" for i in range(120)]
    (tmp_path / "tasks.txt").write_text(" ".join(names) + "".join(f"\n{name}: in=data run=\"cat data\"" for name in names))
    result = node.ctl("run", "--order=free", cwd=tmp_path, timeout=60)
    assert sorted(re.findall(r"Executing task: (\w+)", result.stdout)) == sorted(names)
