# SPDX-License-Identifier: MIT
"""What --json prints: one object, or a stream with an end."""
import json
import signal
import subprocess
import threading

import pytest

from ctl_answers import ANSWERS, SHOWN
from fake_daemon import SILENCE
from test_ctl_screens import PROGRAM, ctl, daemon, environment_of, on_terminal  # noqa: F401

DRAINED = [{"schema": "p2pctl.drain/1", "type": kind, "name": "lab-01", "reason": None, "running": 1, "tasks": [],
            "handed": [{"node": "lab-11", "tasks": 3}]} for kind in ("draining", "end")]


def of_stream(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.mark.parametrize("command, schema, noun, keys", [
    ("task show 41 40", "task", "tasks", ["41@lab-01", "40@lab-01"]),
    ("file rm run1.h5 data.csv --yes", "file", "files", ["run1.h5", "data.csv"]),
    ("file put tasks.txt fail.txt lab-05:", "file", "files", ["tasks.txt", "fail.txt"]),
    ("file get data.csv run1.h5 new", "file", "files", ["data.csv", "run1.h5"]),
    ("mem rm one two", "mem", "keys", ["one", "two"]),
    ("ping -c 2 lab-03", "ping", "pings", ["lab-01", "lab-01"])])
@pytest.mark.parametrize("mode", ["short", "pretty", "lines"])
def test_several_things_are_one_object(command, schema, noun, keys, mode, ctl, tmp_path):  # noqa: F811
    (tmp_path / "new").mkdir()
    result = ctl(*command.split(), "--json=" + mode)
    assert result.returncode == 0 and result.stderr == b""
    if mode == "lines":
        items = of_stream(result.stdout)
        if noun == "pings":  # a line per node
            keys = ["lab-03", "lab-03"]
    else:
        whole = json.loads(result.stdout)
        assert list(whole) == ["schema", noun] and whole["schema"] == f"p2pctl.{schema}/1"
        assert (result.stdout.count(b"\n") == 1) == (mode == "short")
        items = whole[noun]
        assert not any("schema" in item for item in items)
    assert [item.get("id") or item.get("name") or item.get("key") for item in items] == keys


def test_one_thing_is_its_own_object(ctl, tmp_path):  # noqa: F811
    assert list(json.loads(ctl("task", "show", "41", "-j").stdout)) == list(SHOWN)
    for command in ("file rm run1.h5", "file put tasks.txt", "mem rm one", "ping -c 1"):
        assert json.loads(ctl(*command.split(), "-j").stdout)["name" if "mem" not in command else "key"]


def test_what_went_well_is_told_beside_what_did_not(ctl, daemon):  # noqa: F811
    result = ctl("file", "put", "tasks.txt", "absent", "-j")
    assert result.returncode == 4 and b"cannot read absent" in result.stderr
    assert [item["name"] for item in json.loads(result.stdout)["files"]] == ["tasks.txt"]
    result = ctl("file", "put", "gone", "absent", "-j")
    assert result.returncode == 4 and result.stdout == b""


def test_a_drain_is_a_stream_only_where_it_waits(ctl, daemon):  # noqa: F811
    daemon.answers["Drain"] = DRAINED
    assert json.loads(ctl("drain", "-j").stdout) == DRAINED[1]
    assert ctl("drain", "--json=pretty").stdout.count(b"\n") > 3
    assert of_stream(ctl("drain", "--wait", "--json=pretty").stdout) == DRAINED


def test_output_of_a_task_is_one_object_or_a_stream(ctl):  # noqa: F811
    logs = json.loads(ctl("task", "logs", "42", "-j").stdout)
    assert (logs["schema"], logs["state"], logs["exit"]) == ("p2pctl.task-logs/1", "succeeded", 0) and "type" not in logs
    assert [chunk["stream"] for chunk in logs["output"]] == ["stdout", "stderr", "stdout"]
    assert logs["output"][0]["data"] == "3.0\nhalf " and "type" not in logs["output"][0]
    submitted = ctl("submit", "--wait", "-j", "--", "exit", "3")
    whole = json.loads(submitted.stdout)
    assert submitted.returncode == 3 and whole["output"] == logs["output"]
    assert (whole["schema"], whole["id"], whole["type"], whole["state"], whole["exit"]) == (
        "p2pctl.submit/1", "45@lab-01", "cmd", "failed", 3)
    for command in (["task", "logs", "42", "--json=lines"], ["task", "logs", "-f", "42", "--json=pretty"],
                    ["submit", "--wait", "a1", "--json=lines"], ["submit", "-f", "a1", "-j"]):
        lines = of_stream(ctl(*command).stdout)
        assert lines[-1]["type"] == "end" and [line for line in lines if line["type"] == "output"]
        assert (lines[0]["type"] == "submitted") == (command[0] == "submit")


def test_a_wait_that_is_interrupted_still_tells_the_id(daemon, tmp_path):  # noqa: F811
    asked = threading.Event()

    def answer(parameters, descriptors):
        asked.set()
        return SILENCE
    daemon.answers["WaitTask"] = answer
    process = subprocess.Popen([PROGRAM, "submit", "--wait", "a1", "-j"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path))
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    whole = json.loads(process.communicate(timeout=60)[0])
    assert (process.returncode, whole["id"], whole["state"], whole["output"]) == (130, "42@lab-01", None, None)


def test_a_terminal_shows_of_a_wait_the_value_alone(daemon, tmp_path):  # noqa: F811
    daemon.answers["TaskLogs"] = lambda parameters, descriptors: [
        item for item in ANSWERS["TaskLogs"](parameters, descriptors) if item.get("data") != "read 120000 rows\n"
        and "data_b64" not in item]

    def shown(*words):
        return on_terminal(words, tmp_path, 80, P2PNODE_SOCKET=daemon.path, NO_COLOR="1")
    assert shown("submit", "--wait", "a1") == "3.0\nhalf "
    assert shown("submit", "-f", "a1").startswith("42@lab-01\n")
