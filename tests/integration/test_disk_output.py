# SPDX-License-Identifier: MIT
"""Output that a disk has no room for: what is lost is told, with where and why, by whatever shows the task."""
import json

import pytest

from lib.gate import Gate
from lib.lab import STEADY
from lib.wait import wait_for

MIB = 1 << 20
FUNCTION = "def large():\n    return 'x' * 40_000_000\n"


@pytest.fixture(params=["worker", "origin", "both"])
def full(request, make_lab, small_disk):
    """(origin, worker, the name of the one whose disk of 24 MiB has no room for 40 MB of output)."""
    lab = make_lab(STEADY)
    origin = lab.node("origin", {"tasks": {"enabled": request.param == "both"}}, role="seed")
    worker = origin if request.param == "both" else lab.node("worker")
    small_disk(lab["worker" if request.param == "worker" else "origin"], 24)
    lab.start()
    return origin, worker, "worker" if request.param == "worker" else "origin"


def test_output_without_room_is_told_with_its_reason(full):
    origin, worker, name = full
    why = f"no space left on {name}"
    result = origin.ctl("submit", "--wait", "-N", worker.name, "--", "head", "-c", "40000000", "/dev/zero", code=125, timeout=60)
    assert 0 < len(result.stdout_bytes) < 40_000_000
    assert f"is not whole: {why}" in result.stderr and "output_max" not in result.stderr, result.stderr
    (task,) = origin.tasks()
    assert (task["state"], task["exit"], task["output_lost"]) == ("succeeded", 0, why)
    assert task["reason"] == f"output not whole: {why}" and task["reason"] in origin.ctl("task", "list").stdout
    assert f"Output: not whole: {why}" in origin.ctl("task", "show", task["id"]).stdout
    logs = origin.ctl("task", "logs", task["id"])
    assert len(logs.stdout_bytes) < 40_000_000 and f"the output is not whole: {why}" in logs.stderr
    origin.restart()
    assert origin.task(task["id"])["output_lost"] == why
    assert f"the output is not whole: {why}" in origin.ctl("task", "logs", task["id"]).stderr


def test_the_code_of_the_task_itself_is_handed_on(full):
    origin, worker, name = full
    result = origin.ctl("submit", "--wait", "-N", worker.name, "--", "sh", "-c", "head -c 40000000 /dev/zero; exit 3", code=3,
                        timeout=60)
    assert result.stdout_bytes and origin.tasks()[-1]["output_lost"] == f"no space left on {name}"
    assert f"is not whole: no space left on {name}" in result.stderr


def test_the_result_of_a_function_that_was_cut_is_no_result(full):
    origin, worker, name = full
    result = origin.ctl("submit", "--wait", "-N", worker.name, "--code", FUNCTION, "--function", "large", code=125, timeout=60)
    assert result.stdout == "" and f"no space left on {name}" in result.stderr, result.stderr
    (task,) = origin.tasks()
    assert task["state"] == "failed" and f"its results are lost: no space left on {name}" in task["reason"], task


def test_the_result_of_a_function_above_the_limit_is_no_result(make_lab):
    node = make_lab({"tasks": {"output_max": "64KiB"}}).node("lone", role="seed").start()
    result = node.ctl("submit", "--wait", "--code", FUNCTION, "--function", "large", code=125)
    assert result.stdout == "" and "longer than tasks.output_max" in result.stderr, result.stderr
    assert node.tasks()[-1]["state"] == "failed"


def test_what_the_limit_cuts_of_a_command_is_not_lost(make_lab):
    node = make_lab({"tasks": {"output_max": "64KiB"}}).node("lone", role="seed").start()
    node.ctl("submit", "--wait", "--", "head", "-c", "100000", "/dev/zero", code=0)
    assert node.tasks()[-1]["output_lost"] is None


def end_while_away(gate, origin, worker, size):
    """A task that wrote so much ends at the worker when its origin is gone."""
    task = origin.submit("--", "sh", "-c", f"{gate.wait}; head -c {size} /dev/zero")
    origin.wait_task(task, "running")
    origin.kill()
    gate.open()
    wait_for(lambda: worker.kept_ends() == 1, 30, "the end on the disk")
    return task


def test_a_log_that_a_full_disk_cut_has_its_mark(make_lab, small_disk):
    """The origin was away: it has the output from the worker's disk."""
    lab = make_lab(STEADY)
    gate = Gate(lab)
    origin = lab.node("origin", {"tasks": {"enabled": False}}, role="seed")
    worker = small_disk(lab.node("worker"), 24)
    lab.start()
    task = end_while_away(gate, origin, worker, 40000000)
    worker.restart()
    origin.start()
    assert origin.wait_task(task, "succeeded", timeout=60)["output_lost"] == "no space left on worker"


def test_a_log_that_a_worker_cannot_read_is_not_taken_for_whole(make_lab):
    lab = make_lab(STEADY)
    gate = Gate(lab)
    origin = lab.node("origin", {"tasks": {"enabled": False}}, role="seed")
    worker = lab.node("worker")
    lab.start()
    task = end_while_away(gate, origin, worker, 1000000)
    worker.stop()
    (log,) = (worker.directory / "tasks").glob("*.log")
    log.write_bytes(b"damaged" * 100000)
    worker.start()
    origin.start()
    assert origin.wait_task(task, "succeeded", timeout=60)["output_lost"] == "cannot be kept on worker: error 5"


def test_a_log_that_the_origin_cannot_read_is_told(make_lab):
    node = make_lab(STEADY).node("lone", role="seed").start()
    task = node.submit("--", "sh", "-c", "yes | head -c 1000000")
    node.wait_task(task, "succeeded")
    (log,) = (node.directory / "tasks").glob("*.log")
    log.unlink()
    log.symlink_to("/etc/passwd")
    end = node.ctl("task", "logs", task)
    why = "what is kept of it cannot be read: Input/output error"
    assert (end.stdout, end.stderr) == ("", f"the output is not whole: {why}\n")
    (end,) = (json.loads(line) for line in node.ctl("task", "logs", "-f", "--json", task).stdout.splitlines())
    assert (end["state"], end["output_lost"], end["cut"]) == ("succeeded", why, True)
