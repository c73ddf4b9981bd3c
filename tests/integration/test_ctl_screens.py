# SPDX-License-Identifier: MIT
"""Every screen of p2pctl against a daemon that answers from a table.

A screen is a file in screens/: the command line, what came on stdout, on stderr, and the exit code. After
a wanted change: REWRITE=1 pytest tests/integration/test_ctl_screens.py, then read the diff.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import threading

import pytest

from ctl_answers import ANSWERS, MEMBERS, TASKS, plan
from fake_daemon import HANG_UP, SILENCE, Error, FakeDaemon
from lib.terminal import read_to_end
from lib.wait import wait_for

HERE = pathlib.Path(__file__).parent
PROGRAM = os.path.join(os.environ.get("P2PNODE_BUILD", HERE.parent.parent / "build"), "p2pctl")

SCREENS = {
    "status": "status",
    "status-alone": "",
    "status-verbose": "status -v",
    "status-check": "status --check -q",
    "status-check-line": "status --check",
    "members": "members --legend",
    "members-alive": "members --alive --type a --no-legend",
    "members-tag": "members --tag room=2.07 -o node,tags,incarnation",
    "members-sort-two": "members --sort state --sort name:desc -o state,node",
    "members-state-two": "members -s alive -s dead",
    "task-list-state-two": "task list -s failed -s lost",
    "members-sort": "members --sort load:desc -o node,load",
    "members-filter": "members --filter name~lab-* --filter state!=alive",
    "members-columns": "members -o help",
    "peers": "peers",
    "metrics": "metrics",
    "top-json": "top --json",
    "events-filter": "events --filter type~member-* --sort time:desc",
    "events-columns": "events -o time,node,line",
    "events-follow-sort": "events -f --sort time",
    "doctor": "doctor",
    "doctor-unknown": "doctor port",
    "reload": "reload",
    "types": "types",
    "node-show": "node show lab-03",
    "ping": "ping",
    "ping-all": "ping --all",
    "ping-failed": "ping lab-09",
    "submit": "submit a1",
    "submit-dry-run": "submit --dry-run a1",
    "submit-wait": "submit --wait -- exit 0",
    "submit-wait-code": "submit --wait -- exit 3",
    "submit-killed": "submit -f -- exit 95",
    "submit-timed-out": "submit --wait -- exit 82",
    "submit-unknown": "submit --wait -- exit 83",
    "submit-no-handler": "submit d1",
    "submit-no-handler-wait": "submit --wait d1",
    "submit-no-number": "submit c",
    "submit-confidential": "submit --confidential --select tag:gpu=yes a1",
    "run": "run tasks.txt",
    "run-fail": "run fail.txt",
    "run-typo": "run typo.txt",
    "run-dry": "run --dry-run tasks.txt",
    "run-detach": "run --detach tasks.txt",
    "run-json": "run --json short.txt",
    "run-garbage": "run garbage.txt",
    "run-garbage-json": "run --json garbage.txt",
    "run-typo-json": "run --json typo.txt",
    "run-missing": "run missing.txt",
    "run-resume": "run --resume w7",
    "run-resume-file": "run --resume w7 tasks.txt",
    "run-var": "run --var WHERE tasks.txt",
    "workflow-list": "workflow list",
    "workflow-show": "workflow show w7",
    "workflow-show-absent": "workflow show w8",
    "workflow-follow": "workflow show -f w7",
    "workflow-resume": "workflow resume w6",
    "workflow-resume-failed": "workflow resume --failed w6",
    "workflow-cancel": "workflow cancel w7 --grace 5s",
    "workflow-cancel-ended": "workflow cancel w6",
    "task-list": "task list --legend",
    "task-list-failed": "task ls -s failed -o id,exit,reason",
    "task-list-workflow": "task list -w w7",
    "task-show": "task show 41",
    "task-show-moved": "task show 40",
    "task-logs": "task logs 42@lab-01 --stdout",
    "task-logs-timestamps": "task logs 42@lab-01 --timestamps --stderr",
    "task-wait": "task wait 42",
    "task-wait-code": "task wait 45",
    "task-wait-several": "task wait 42 45",
    "task-wait-timeout": "task wait 42 --timeout 1s",
    "task-cancel": "task cancel 44 46",
    "task-cancel-nothing": "task cancel",
    "file-ls": "file ls --all-nodes",
    "file-ls-bytes": "file ls lab-05: --bytes --sort name",
    "file-rm": "file rm lab-05:run1.h5",
    "file-rm-many": "file rm lab-05:run1.h5 lab-05:data.csv",
    "file-rm-bad": "file rm lab-05:../x",
    "file-get-stdout": "file get data.csv -",
    "file-get-absent": "file get absent -",
    "file-put-stdin": "file put -",
    "mem-get": "mem get lab-01:greeting",
    "mem-get-absent": "mem get lab-01:other",
    "mem-get-default": "mem get lab-01:other --default none",
    "mem-ls": "mem ls lab-01:",
    "mem-set": "mem set lab-01:greeting hello --ttl 1h",
    "mem-rm": "mem rm lab-01:greeting",
    "message": "message node2 'Hello Node2!'",
    "message-all": "message --all 'reboot at 18:00'",
    "message-dead": "message lab-09 hello",
    "inbox": "inbox",
    "events": "events",
    "events-follow": "events -f -n 2",
    "events-follow-filter": "events -f -n 2 --filter type~task-*",
    "events-filter-last": "events -n 1 --filter type~member-*",
    "events-follow-filter-bad": "events -f --filter typ=drain",
    "events-follow-json": "events -f -n 1 --json",
    "monitor": "monitor --log-level info",
    "monitor-wire": "monitor --wire",
    "monitor-json": "monitor --json",
    "monitor-level": "monitor --log-level loud",
    "monitor-subsystem": "monitor --subsystem gosip",
    "events-seed": "events --format=seed --type member-dead,gossip",
    "config-show": "config show",
    "config-origin": "config show --origin",
    "keys-gen-json": "keys gen --json",
    "keys-list": "keys list",
    "keys-rotate": "keys rotate",
    "keys-rotate-json": "keys rotate --json",
    "keys-install": "keys install keys.txt",
    "keys-use": "keys use 8be1",
    "keys-remove": "keys remove 3f9a --yes",
    "keys-remove-asks": "keys remove 3f9a",
    "forget": "forget lab-03 --yes",
    "forget-asks": "forget lab-09",
    "forget-live": "forget lab-03",
    "help": "help",
    "help-command": "task logs -h",
    "help-noun": "help mem",
    "help-exit-codes": "help exit-codes",
    "help-tasks": "help tasks.txt",
    "unknown-command": "member",
    "unknown-verb": "task lst",
    "unknown-option": "members --alvie",
    "unknown-option-json": "members --alvie --json",
    "unknown-column": "members -o nodes",
    "no-column": "members -o ''",
    "prefix-is-unknown": "members --ali",
    "needs-verb": "task",
    "too-many": "members now",
    "too-few": "mem set key",
}


@pytest.fixture
def daemon(tmp_path):
    daemon = FakeDaemon(tmp_path / "p2pnode" / "lab.sock", dict(ANSWERS))
    yield daemon
    daemon.close()


@pytest.fixture
def ctl(daemon, tmp_path):
    (tmp_path / "tasks.txt").write_text("a1 a2 c1 b1 c2 a3 b2 b3 a4 c3 b4\n")
    (tmp_path / "fail.txt").write_text("a1 b1 b2 b3 c1\n")
    (tmp_path / "typo.txt").write_text("a1 a2 c\n")
    (tmp_path / "keys.txt").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    (tmp_path / "short.txt").write_text("a1\n")
    (tmp_path / "garbage.txt").write_bytes(b"a1\na2 \xff\n")

    def run(*words, stdin=b"", **environment):
        return subprocess.run([PROGRAM, *words], input=stdin, capture_output=True, timeout=120, cwd=tmp_path,
                              env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path, **environment))
    return run


def environment_of(tmp_path, **more):
    return {"PATH": "/bin:/usr/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PAGER": "cat", "XDG_RUNTIME_DIR": str(tmp_path),
            **{key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}, **more}


def as_text(command, result):
    return "$ p2pctl %s\n%s--- stderr\n%s--- exit %d\n" % (
        command, result.stdout.decode("utf-8", "backslashreplace"), result.stderr.decode(),
        result.returncode)


@pytest.mark.parametrize("name", SCREENS)
def test_screen(name, ctl):
    path = HERE / "screens" / (name + ".txt")
    text = as_text(SCREENS[name], ctl(*shlex.split(SCREENS[name])))
    if os.environ.get("REWRITE"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("command, method", [
    ("status", "Status"), ("members", "Members"), ("peers", "Peers"), ("types", "Types"),
    ("task show 41", "ShowTask"), ("mem ls", "ListMemory"), ("inbox", "Inbox"),
    ("config show", "ShowConfig"), ("node show", "ShowNode")])
def test_json_is_what_the_daemon_said(command, method, ctl):
    shown = json.loads(ctl(*command.split(), "--json").stdout)

    def same(a, b):
        if isinstance(b, str) and b.startswith("@"):
            return isinstance(a, str)
        if isinstance(b, dict):
            return list(a) == list(b) and all(same(a[key], b[key]) for key in b)
        if isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b
    answer = ANSWERS[method]
    assert same(shown, answer({"id": "41"}, []) if callable(answer) else answer)


def test_a_daemon_that_knows_no_dry_run_of_forget_is_not_asked_for_one(ctl, daemon):
    def forgets():
        del daemon.calls[:]
        assert ctl("forget", "lab-09").returncode == 2, "nobody can be asked"
        return [parameters for method, parameters, _ in daemon.calls if method.endswith("Forget")]
    assert forgets() == [{"name": "lab-09", "dry_run": True}]
    text = ANSWERS["org.varlink.service.GetInterfaceDescription"]["description"]
    older = text.replace("method Forget(name: string, dry_run: ?bool)", "method Forget(name: string)")
    assert older != text and "dry_run" in older
    daemon.answers["org.varlink.service.GetInterfaceDescription"] = {"description": older}
    assert forgets() == []


def test_json_modes(ctl):
    assert ctl("peers", "--json=short").stdout.count(b"\n") == 1
    assert json.loads(ctl("peers", "--json=pretty").stdout) == ANSWERS["Peers"]
    lines = ctl("peers", "--json=lines").stdout.splitlines()
    assert [json.loads(line) for line in lines] == ANSWERS["Peers"]["peers"]
    assert ctl("peers", "-j=short").stdout == ctl("peers", "--json=short").stdout
    assert ctl("peers", "-qj=lines").stdout.splitlines() == lines
    assert ctl("peers", "-j=xml").returncode == 2
    assert ctl("peers", "-o=node", "--no-legend").stdout.split()[0] == ANSWERS["Peers"]["peers"][0]["name"].encode()
    assert ctl("peers", "--json=off").stdout.startswith(b"NODE")
    assert ctl("peers", "--json=xml").returncode == 2


def test_a_list_in_parts_is_one_list(ctl):
    tasks = json.loads(ctl("task", "list", "-j").stdout)["tasks"]
    assert [task["id"] for task in tasks] == [task["id"] for task in TASKS]


def files_in_parts(*sizes, longest=0):
    """As many files as the sizes say in each part; the name of one is the longest."""
    numbers, parts = iter(range(sum(sizes))), []
    for size in sizes:
        files = [{"name": f"f{i:03}" + "x" * (20 if i == longest else 0), "node": "lab-01", "size_bytes": 10 ** (i % 7),
                  "sha256": f"{i:064}", "owner": "ann", "modified": "2026-01-02T03:04:05.000Z"}
                 for i in (next(numbers) for _ in range(size))]
        parts.append({"schema": "p2pctl.files/1", "files": files})
    return parts


@pytest.mark.parametrize("options", [[], ["-o", "name,size"], ["-o", "size,name"], ["--no-legend"],
                                     ["--filter", "name~f00*"], ["--filter", "name=f003"], ["--filter", "name=none"],
                                     ["-o", "help"], ["--json=lines"]], ids=" ".join)
def test_files_that_come_in_parts_are_one_table(ctl, daemon, options):
    """What is shown part by part is what is shown of the whole, which has to be there to be sorted."""
    daemon.answers["ListFiles"] = files_in_parts(40, 3, 1, 20)
    parts = ctl("file", "ls", "--legend", *options, COLUMNS="60")
    assert parts.returncode == 0 and parts.stdout
    daemon.answers["ListFiles"] = files_in_parts(64)
    assert ctl("file", "ls", "--legend", *options, COLUMNS="60").stdout == parts.stdout
    assert ctl("file", "ls", "--legend", "--sort", "name", *options, COLUMNS="60").stdout == parts.stdout


def test_a_later_part_only_gets_wider(ctl, daemon):
    daemon.answers["ListFiles"] = files_in_parts(3, 3, 3, longest=4)
    lines = ctl("file", "ls", "-o", "name,node", COLUMNS="60").stdout.decode().splitlines()
    assert [line.split()[0][:4] for line in lines] == ["NAME"] + [f"f{i:03}" for i in range(9)]
    columns = [line.index(" lab-01") for line in lines[1:]]
    assert columns[:3] == [columns[0]] * 3 and columns[3:] == [columns[3]] * 6 and columns[3] > columns[0]


def test_the_error_is_json_and_stdout_stays_empty(ctl):
    result = ctl("submit", "d1", "--json")
    assert result.stdout == b"" and result.returncode == 4
    assert json.loads(result.stderr) == {"error": {
        "code": "no-handler", "message": 'no node handles task type "d"  (known types: a b c)',
        "hint": "p2pctl types", "exit": 4}}


def test_parameters_of_submit(ctl, daemon):
    result = ctl("submit", "a1", "fast", "--name", "n", "--retries", "2", "--retry-delay", "2s",
                 "--timeout=5min", "--env", "A=1", "--env=B=2", "-N", "lab-05", "--", "--rows", "10")
    assert result.returncode == 0
    assert daemon.calls == [("Submit", {
        "type": "a", "number": 1, "args": ["fast", "--rows", "10"], "timeout": "5min", "retry_delay": "2s",
        "retries": 2, "env": ["A=1", "B=2"], "run_on": "lab-05", "name": "n"}, False)]


def test_how_far_the_files_of_a_task_are_is_shown(ctl, daemon, tmp_path):
    (tmp_path / "data.csv").write_bytes(b"x" * 1000)
    submitted = daemon.answers["Submit"]
    daemon.answers["Submit"] = lambda parameters, descriptors: [
        {"type": "progress", "name": "data.csv", "done_bytes": 250, "total_bytes": 1000},
        submitted(parameters, descriptors) if callable(submitted) else submitted]
    result = ctl("--progress=json", "submit", "--in", "data.csv", "a1")
    told = json.loads(result.stderr.splitlines()[0])
    assert result.returncode == 0 and result.stdout == b"42@lab-01\n"
    assert (told["type"], told["name"], told["done"], told["total"]) == ("progress", "data.csv", 250, 1000)
    assert daemon.calls[0][2], "asked for more than one answer"
    daemon.answers["Submit"] = submitted
    daemon.answers["TaskLogs"] = [
        {"type": "progress", "node": "lab-05", "done_bytes": 1, "total_bytes": 4},
        {"type": "end", "id": "42@lab-01", "state": "succeeded", "exit": 0, "signal": None, "node": "lab-05", "cut": False}]
    result = ctl("--progress=json", "submit", "-f", "a1")
    told = json.loads(result.stderr.splitlines()[0])
    assert (told["name"], told["done"], told["total"]) == ("files → lab-05", 1, 4) and result.stdout == b""


def test_everything_after_dashes_is_the_command(ctl, daemon):
    ctl("submit", "--", "grep", "--color", "-f", "x", "--", "0")
    assert daemon.calls[0][1] == {"argv": ["grep", "--color", "-f", "x", "--", "0"]}


def test_node_is_asked_through_the_daemon(ctl, daemon):
    ctl("-N", "lab-05", "status", "-j")
    assert daemon.calls == [("Status", {"node": "lab-05"}, False)]
    assert ctl("-N", "no/node", "status").returncode == 2


def test_a_list_is_run_by_no_other_node(ctl, daemon):
    result = ctl("-N", "lab-05", "run", "tasks.txt")
    assert (result.returncode, daemon.calls) == (2, []) and b"a1 node=NODE" in result.stderr


def test_put_sends_the_content_by_descriptor(ctl, daemon, tmp_path):
    (tmp_path / "run1.h5").write_bytes(b"x" * 100000)
    result = ctl("file", "put", "run1.h5", "short.txt", "lab-05:")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert [(name, call["name"], call["node"], call["size_bytes"]) for name, call, _ in daemon.calls] == [
        ("PutFile", "run1.h5", "lab-05", 100000), ("PutFile", "short.txt", "lab-05", 3)]
    end = json.loads(ctl("file", "put", "-", "lab-05:new", "-j", stdin=b"12345").stdout)
    assert (end["name"], end["node"], end["size_bytes"]) == ("new", "lab-05", 5)
    assert daemon.calls[-1][1]["name"] == "new"


def test_put_refuses_what_cannot_be_meant(ctl, daemon, tmp_path):
    assert ctl("file", "put", "tasks.txt", "fail.txt", "lab-05:one").returncode == 2
    assert ctl("file", "put", ".").returncode == 2
    assert ctl("file", "put", "absent").returncode == 4
    assert ctl("file", "put", "tasks.txt", "--overwrite=maybe").returncode == 2
    assert daemon.calls == []


def test_a_path_with_a_colon_is_a_path(ctl, daemon, tmp_path):
    (tmp_path / "a:b").write_text("")
    assert ctl("file", "put", "tasks.txt", "./a:b").returncode == 0
    assert [call["name"] for _, call, _ in daemon.calls] == ["tasks.txt", "a:b"]


def test_get_writes_a_file_or_nothing(ctl, tmp_path):
    (tmp_path / "dir").mkdir()
    assert ctl("file", "get", "data.csv", "dir").returncode == 0
    assert (tmp_path / "dir" / "data.csv").read_bytes() == b"col1,col2\n"
    result = ctl("file", "get", "data.csv", "dir/data.csv")
    assert result.returncode == 1 and b"exists already" in result.stderr
    assert ctl("file", "get", "data.csv", "dir/data.csv", "--overwrite=always").returncode == 0
    # The stored one is of the past, so it is not newer than what was written just now.
    (tmp_path / "dir" / "data.csv").write_bytes(b"mine")
    assert ctl("file", "get", "data.csv", "dir/data.csv", "--overwrite=newer").returncode == 0
    assert (tmp_path / "dir" / "data.csv").read_bytes() == b"mine"
    assert ctl("file", "get", "absent", "dir").returncode == 4
    assert os.listdir(tmp_path / "dir") == ["data.csv"]


def test_get_into_a_pipe_that_closes(ctl, daemon, tmp_path):
    def answer(parameters, descriptors):
        try:
            for _ in range(64):
                os.write(descriptors[0], b"x" * 65536)
        except BrokenPipeError:
            return Error("Internal", message="Broken pipe")
        return ANSWERS["GetFile"](parameters, descriptors)
    daemon.answers["GetFile"] = answer
    process = subprocess.run(["sh", "-c", "%s file get data.csv - | head -c 3" % PROGRAM], timeout=120,
                             capture_output=True,
                             env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path))
    assert (process.stdout, process.stderr) == (b"xxx", b"")


def test_values_of_every_kind(ctl, daemon, tmp_path):
    (tmp_path / "big").write_bytes(b"v" * 1000000)
    assert ctl("mem", "set", "k", "@big").returncode == 0
    assert ctl("mem", "set", "k", "-", stdin=b"\xff\x00").returncode == 0
    assert ctl("mem", "set", ":a:b", "text", "--if-absent").returncode == 0
    assert ctl("mem", "set", ":a:b", "text", "--if-version", "3").returncode == 0
    assert [call for _, call, _ in daemon.calls] == [
        {}, {"key": "k"}, {"key": "k", "value_b64": "/wA="},
        {"key": "a:b", "if_absent": True, "value": "text"}, {"key": "a:b", "if_version": 3, "value": "text"}]
    assert json.loads(ctl("mem", "get", "greeting", "-j").stdout)["value"] == "hello"


def test_no_daemon(tmp_path):
    def run(*words, **more):
        return subprocess.run([PROGRAM, *words], capture_output=True, timeout=120, text=True,
                              env=environment_of(tmp_path, **more))
    result = run("--socket", str(tmp_path / "lab.sock"), "status")
    assert result.returncode == 3 and result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == 'p2pctl: cannot connect to p2pnode "lab": %s/lab.sock: No such file or directory' % tmp_path
    assert lines[1] == "hint: start it:            systemctl start p2pnode@lab"
    error = json.loads(run("--socket", str(tmp_path / "lab.sock"), "status", "-j").stderr)["error"]
    assert (error["code"], error["message"], error["hint"], error["exit"]) == (
        "not-running", 'cannot connect to p2pnode "lab"', "systemctl start p2pnode@lab", 3)
    assert run("submit", "--wait", "a1", P2PNODE_SOCKET=str(tmp_path / "x.sock")).returncode == 125


def test_instances_are_found(tmp_path):
    daemons = [FakeDaemon(tmp_path / "p2pnode" / (name + ".sock"), dict(ANSWERS)) for name in ("zeta", "yota")]
    (tmp_path / "p2pnode" / "stale.sock").write_text("")

    def run(*words, **more):
        return subprocess.run([PROGRAM, *words], capture_output=True, timeout=120, text=True,
                              env=environment_of(tmp_path, **more))
    assert run("-i", "zeta", "peers").returncode == 0
    assert run("peers", P2PNODE_INSTANCE="yota").returncode == 0
    several = run("peers")
    assert several.returncode == 2 and "yota, zeta" in several.stderr
    stale = run("-i", "stale", "peers")
    assert stale.returncode == 3 and "yota, zeta)" in stale.stderr
    for daemon in daemons:
        daemon.close()


def test_silence_and_a_closed_connection(ctl, daemon):
    daemon.answers["Peers"] = SILENCE
    result = ctl("peers", "--request-timeout", "100ms", "-j")
    assert result.returncode == 1 and json.loads(result.stderr)["error"]["code"] == "timeout"
    daemon.answers["Peers"] = HANG_UP
    assert ctl("peers").returncode == 1
    daemon.answers["WaitTask"] = HANG_UP
    assert ctl("task", "wait", "42").returncode == 125


@pytest.mark.parametrize("words, hint", [
    (["submit", "a1"], "p2pctl task list --mine"),
    (["mem", "set", "k", "v", "--if-absent"], "p2pctl mem ls"),
    (["mem", "rm", "k"], "p2pctl mem ls"),
    (["file", "rm", "f"], "p2pctl file ls"),
    (["submit", "--dry-run", "a1"], "repeat the command with --request-timeout 60s")])
def test_what_may_have_been_submitted_is_not_to_be_repeated(ctl, daemon, words, hint):
    for method in ("Submit", "SetMemory", "RemoveMemory", "RemoveFile"):
        daemon.answers[method] = SILENCE
    result = ctl(*words, "--request-timeout", "100ms", "-j")
    assert json.loads(result.stderr)["error"]["hint"] == hint


def test_an_older_daemon(ctl, daemon):
    del daemon.answers["Peers"]
    result = ctl("peers")
    assert result.returncode == 1 and b"MethodNotFound: org.p2pnode.Peers" in result.stderr


@pytest.mark.parametrize("command", [
    "join 10.0.4.2 --timeout x", "leave --timeout x", "task cancel 42 --grace x", "task wait 42 43 --timeout x",
    "mem set k v --ttl x", "submit a1 --timeout x",
    "submit a1 --retry-delay x"])
def test_durations_are_checked_before_the_call(command, ctl, daemon):
    result = ctl(*command.split())
    assert result.returncode == 2 and b" is a duration such as 10s or 5min, not \"x\"" in result.stderr
    assert daemon.calls == []


def test_a_list_of_more_than_a_call_holds_is_told_how_to_go_on(ctl, daemon, tmp_path):
    path = tmp_path / "tasks.txt"
    path.write_text("a1 " * (300 * 1024 + 1))
    result = ctl("run", str(path))
    assert result.returncode == 1 and b"tasks.txt (921603 bytes) is larger than 900KiB\n" in result.stderr
    assert result.stderr.endswith(b"run one part after the other: p2pctl run PART\n")
    assert daemon.calls == []


@pytest.mark.parametrize("command, code", [
    ("submit --wait a1 --memory 0", 125), ("submit --memory 0 a1", 2), ("submit -qf a1 --bogus", 125),
    ("submit --bogus --wait a1", 125), ("submit --bogus a1", 2), ("submit --dry-run --wait a1 --bogus", 2),
    ("submit --wait", 125), ("submit --wait --select tag:x=1 --confidential a1", 125), ("submit --bogus -- cmd --wait", 2),
    ("submit a1 --follow --after", 125), ("task wait 42 --timeout x", 125), ("task wait 42 --bogus", 125),
    ("task wait 42 --state x", 125), ("task wait 42 43 --state x", 2), ("task wait --any 42 43 --timeout x", 2),
    ("task wait 42 43 --bogus", 2), ("task list --bogus", 2), ("--json submit --wait a1 --bogus", 125)])
def test_where_a_task_code_is_handed_on_a_mistake_in_the_command_line_is_125(command, code, ctl, daemon):
    result = ctl(*command.split())
    assert result.returncode == code and result.stdout == b"" and daemon.calls == []
    assert not command.startswith("--json") or b'"exit":%d}' % code in result.stderr


@pytest.mark.parametrize("tag", ["x", "", "=2.07"])
def test_a_tag_to_look_for_has_a_value(tag, ctl, daemon):
    result = ctl("members", "--tag", tag)
    assert result.returncode == 2 and b"--tag is a tag and its value, K=V, not" in result.stderr
    assert daemon.calls == []


@pytest.mark.parametrize("command, method, parameter, code, text", [
    ("task cancel 42 --signal INT", "CancelTask", "signal", 2, '"INT" is no valid value for --signal'),
    ("submit a1 --retry-delay 1s", "Submit", "retry_delay", 2, '"1s" is no valid value for --retry-delay'),
    ("submit --wait a1 --name x", "Submit", "name", 125, '"x" is no valid value for --name'),
    ("task cancel 42", "CancelTask", "ids", 2, 'the daemon does not accept the parameter "ids"'),
    ("task cancel --all", "CancelTask", "all", 2, 'the daemon does not accept the parameter "all"'),
])
def test_a_parameter_that_the_daemon_refuses(command, method, parameter, code, text, ctl, daemon):
    daemon.answers[method] = Error("org.varlink.service.InvalidParameter", parameter=parameter)
    result = ctl(*command.split())
    assert (result.returncode, result.stderr.decode()) == (code, "p2pctl: %s\n" % text)


DETACHED = [
    (("submit", "--wait", "a1"), "WaitTask", "detached: 42@lab-01 goes on", "come back with: p2pctl task logs -f 42",
     "cancel it with: p2pctl task cancel 42"),
    (("run", "tasks.txt"), "Run", "detached: w7@lab-01 goes on", "look on again with: p2pctl workflow show -f w7",
     "end it with: p2pctl workflow cancel w7"),
    (("task", "wait", "42", "45"), "WaitTask", "detached: the work goes on", "wait again with: p2pctl task wait 42 45",
     "cancel it with: p2pctl task cancel 42 45"),
    (("drain", "--wait", "lab-05"), "Drain", "detached: the node goes on draining",
     "wait again with: p2pctl drain --wait lab-05", "undo with: p2pctl undrain lab-05"),
]


def interrupted(words, method, daemon, tmp_path):
    """The exit code and stderr of a command whose call is not answered, but for the plan of a list, after Ctrl-C."""
    asked = threading.Event()

    def answer(parameters, descriptors):
        asked.set()
        return [plan(), SILENCE] if method == "Run" else SILENCE
    daemon.answers[method] = answer
    process = subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
                               env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path))
    assert asked.wait(60)
    if method == "Run":
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr.decode()


@pytest.mark.usefixtures("ctl")
@pytest.mark.parametrize("words, method, what, back, end", DETACHED)
def test_interrupt_detaches(words, method, what, back, end, daemon, tmp_path):
    assert interrupted(words, method, daemon, tmp_path) == (130, f"\n{what}; {back}; {end}\n")


@pytest.mark.usefixtures("ctl")
@pytest.mark.parametrize("words, method, what, back, end", DETACHED)
def test_interrupt_detaches_in_json_by_one_object(words, method, what, back, end, daemon, tmp_path):
    code, stderr = interrupted(("--json", *words), method, daemon, tmp_path)
    assert code == 130 and stderr.count("\n") == 1
    assert json.loads(stderr)["error"] == {"code": "internal", "message": what, "hint": back.split(": ")[1], "exit": 130}


@pytest.mark.parametrize("words, method", [
    (("events", "-f"), "Events"), (("monitor",), "Monitor"), (("task", "logs", "-f", "42"), "TaskLogs")])
def test_interrupt_just_ends_what_only_shows(words, method, daemon, tmp_path):
    assert interrupted(words, method, daemon, tmp_path) == (0, "")


def test_watch_prints_what_changed(ctl, daemon, tmp_path):
    rounds = []

    def answer(parameters, descriptors):
        rounds.append(1)
        state = "alive" if len(rounds) < 3 else "suspect"
        same = {"first_seen": "2025-11-20T07:41:02.118Z", "last_seen": "@-%d" % len(rounds)}
        return {"members": [{**MEMBERS[0], **same}, {**MEMBERS[1], **same, "state": state}]}
    daemon.answers["Members"] = answer
    process = subprocess.Popen([PROGRAM, "members", "--watch=100ms", "-o", "node,state"], cwd=tmp_path,
                               stdout=subprocess.PIPE, env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path))
    lines = [process.stdout.readline().split() for _ in range(4)]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == b"" and process.returncode == 0
    assert lines == [[b"NODE", b"STATE"], [b"lab-01*", b"alive"], [b"lab-03", b"alive"], [b"lab-03", b"suspect"]]
    assert ctl("submit", "a1", "--watch").returncode == 2


def on_terminal(words, tmp_path, columns, **more):
    """Runs p2pctl on a terminal and returns what it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path,
                               env=environment_of(tmp_path, **{"TERM": "xterm", **more}))
    os.close(slave)
    output = read_to_end(master)
    os.close(master)
    process.wait(timeout=60)
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_a_footer_and_a_fitting_table(daemon, tmp_path):
    text = on_terminal(["members"], tmp_path, 60, P2PNODE_SOCKET=daemon.path)
    assert "\033[31mdead" in text and "\033[33msuspect" in text and "6 nodes: 3 alive" in text
    assert "VERSION" not in text and "ADDRESS" in text
    text = on_terminal(["task", "list", "--no-color"], tmp_path, 70, P2PNODE_SOCKET=daemon.path)
    assert "\033" not in text and max(map(len, text.splitlines()[:6])) <= 70 and "…" in text
    text = on_terminal(["task", "list", "-l"], tmp_path, 70, P2PNODE_SOCKET=daemon.path, NO_COLOR="1")
    assert "…" not in text and "\033" not in text
    text = on_terminal(["submit", "a1"], tmp_path, 80, P2PNODE_SOCKET=daemon.path)
    assert text == "42@lab-01\nsubmitted: type a → lab-03 (load 0.12); follow it with: p2pctl task logs -f 42\n"
    text = on_terminal(["mem", "get", "greeting"], tmp_path, 80, P2PNODE_SOCKET=daemon.path)
    assert text == "hello\n"
    text = on_terminal(["file", "put", "big"], tmp_path, 80, P2PNODE_SOCKET=daemon.path)
    assert "cannot read big" in text


def test_version_is_that_of_both(ctl, tmp_path):
    words = ctl("version").stdout.split()
    assert words[0::2] == [b"p2pctl", b"p2pnode"] and words[3] == b"1.0.0"
    alone = json.loads(ctl("version", "-j", "--socket", str(tmp_path / "none")).stdout)
    assert alone["p2pnode"] is None and alone["p2pctl"].encode() == words[1] and alone["libraries"]
    assert ctl("--version").stdout.split() == words[:2]


def test_other_nodes_cannot_steer_the_terminal(ctl):
    assert b"\033" not in ctl("inbox").stdout


def test_a_plain_locale_gets_plain_marks(ctl):
    assert ctl("status", LC_ALL="C").stdout.startswith(b"* p2pnode@lab is running")


def test_keys_gen_needs_no_daemon(tmp_path):
    rings = [subprocess.run([PROGRAM, "keys", "gen"], capture_output=True, env=environment_of(tmp_path)).stdout
             for _ in range(2)]
    assert rings[0] != rings[1] and rings[0].count(b"\n") >= 1


def test_config_check_needs_no_daemon(tmp_path):
    def run(*words):
        return subprocess.run([PROGRAM, "config", *words], capture_output=True, env=environment_of(tmp_path))
    (tmp_path / "good.conf").write_bytes(run("dump-default").stdout)
    assert run("check", str(tmp_path / "good.conf")).returncode == 0
    (tmp_path / "bad.conf").write_text('listen = { prot = 7717; };\nmembership = { max_missed = "x"; };\n')
    result = run("check", str(tmp_path / "bad.conf"))
    assert result.returncode == 2 and b"bad.conf:1:" in result.stderr and b": 2 errors" in result.stderr
    assert run("check").returncode == 2
    result = run("check", "--json", str(tmp_path / "bad.conf"))
    error = json.loads(result.stderr)["error"]
    assert result.returncode == 2 and result.stdout == b"" and result.stderr.count(b"\n") == 1
    assert error["code"] == "bad-config" and len(error["details"]) == 2 and "bad.conf:1:" in error["details"][0]
    result = run("check", "--json", b"\xff.conf")
    assert "\\xff.conf" in json.loads(result.stderr)["error"]["message"]


def test_every_command_is_in_the_manual():
    manual = (HERE.parent.parent / "ctl" / "p2pctl.1").read_text()
    overview = subprocess.run([PROGRAM, "help"], capture_output=True, text=True).stdout
    names = [line[2:22].strip() for line in overview.split("commands:\n")[1].split("\n\n")[0].splitlines()]
    missing = [name for name in names if ".It Cm " + name.replace(" ", " Cm ") not in manual
               and ".It Cm " + name not in manual]
    assert len(names) > 30 and missing == []


class Terminal:
    """p2pctl on a terminal of its own: what it draws, and keys for it."""

    def __init__(self, words, tmp_path, **more):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen([PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path,
                                        env=environment_of(tmp_path, TERM="xterm", **more))
        self.slave, self.drawn = slave, b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """Until the other end is closed."""
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            self.drawn += part

    def press(self, keys):
        os.write(self.master, keys)

    def wait_for(self, text):
        wait_for(lambda: text in self.drawn.decode(errors="replace"), 10, f"{text!r} to be drawn")

    def close(self):
        code = self.process.wait(60)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        self.reader.join()  # before the number is another terminal's
        os.close(self.master)
        return code


def test_top_draws_one_picture_where_there_is_no_terminal(ctl):
    lines = ctl("top").stdout.decode().splitlines()
    assert len(lines) == 24 and all(len(line) == 80 for line in lines)
    assert lines[0].startswith(" chem-lab on lab-01  12 nodes: 11● 1◐ 0✗   tasks 3 running, 5 pending")
    assert lines[2].startswith(" lab-01*        ████░░░░░░ 0.41   3/8 a,b") and lines[2][46] == "│"
    assert any(line.startswith(" lab-07         suspect") for line in lines)
    assert lines[1][48:].startswith("TRANSFERS")
    assert lines[2][48:] == "run2.h5 → lab…  64%  110.2 MiB/s"
    assert lines[3][48:] == "a.csv +2 ← la…           4.0 KiB"
    assert any("user1: reboot at 18:00" in line for line in lines) and "\033" not in "".join(lines)
    assert any(re.match(r" 44@lab-01 +a1 +running +lab-03 ", line) for line in lines)
    assert "member lab-07 dead, reported by lab-03" in "".join(lines) and lines[-1].rstrip().endswith("F2 cols q")
    wide = ctl("top", COLUMNS="120", LINES="40").stdout.decode().splitlines()
    assert wide[2].rstrip().endswith("run2.h5 → lab-05" + " " * 33 + "64%  110.2 MiB/s  4s")
    assert len(wide) == 40 and all(len(line) == 120 for line in wide)
    small = ctl("top", COLUMNS="10", LINES="3").stdout.decode().splitlines()
    assert len(small) == 24 and all(len(line) == 80 for line in small)


def test_top_takes_keys_and_leaves_the_terminal_as_it_was(daemon, tmp_path):
    terminal = Terminal(["top"], tmp_path, P2PNODE_SOCKET=daemon.path)
    terminal.wait_for("F2 cols q")
    assert "\033[?1049h" in terminal.drawn.decode()
    terminal.press(b"c")
    terminal.wait_for("choose a task with the up and down keys first")
    terminal.press(b"\033[B")
    wait_for(lambda: re.search(rb">4\d", terminal.drawn), 10, "a task to be chosen")
    terminal.press(b"j")
    wait_for(lambda: len(set(re.findall(rb">4\d", terminal.drawn))) == 2, 10, "another one")
    terminal.press(b"k")
    terminal.press(b"c")
    wait_for(lambda: re.search(rb"cancel 4\d@lab-01\? y/n", terminal.drawn), 10, "the question")
    terminal.press(b"n")
    terminal.press(b"c")
    terminal.press(b"y")
    wait_for(lambda: [call for call in daemon.calls if call[0] == "CancelTask"], 10, "the task to be cancelled")
    asked = re.findall(r"cancel (4\d@lab-01)\? y/n", terminal.drawn.decode())[-1]
    assert [call[1]["ids"] for call in daemon.calls if call[0] == "CancelTask"] == [[asked]]
    terminal.press(b"\n")
    terminal.wait_for("(Enter goes back)")
    assert "41@lab-01" in terminal.drawn.decode()
    terminal.press(b"\n")
    terminal.press(b"q")
    terminal.wait_for("\033[?25h\033[?1049l")
    assert terminal.close() == 0


def picture(terminal):
    """The last whole picture, line by line."""
    return terminal.drawn.decode(errors="replace").split("\033[H")[-1].replace("\033[K", "").split("\r\n")


def wait_for_picture(terminal, wanted, what):
    wait_for(lambda: wanted(picture(terminal)), 10, what)


def below(lines):
    """The lower half, between the two rules."""
    rules = [at for at, line in enumerate(lines) if line.startswith("─" * 20)]
    return lines[rules[0] + 1:rules[1]] if len(rules) == 2 else []


def test_top_shows_four_lists_with_a_filter_and_other_columns(daemon, tmp_path):
    terminal = Terminal(["top"], tmp_path, P2PNODE_SOCKET=daemon.path)
    terminal.wait_for("F2 cols q")

    def shows(*words, without=()):
        def check(lines):
            text = "\n".join(below(lines))
            return all(word in text for word in words) and not any(word in text for word in without)
        wait_for_picture(terminal, check, f"{words} without {without}")
    terminal.press(b"1")
    shows("ADDRESS", "10.0.4.19:7717", "seed-1")
    terminal.press(b"j")
    terminal.press(b"\n")
    terminal.wait_for("(Enter goes back)")
    assert [call[1]["name"] for call in daemon.calls if call[0] == "ShowNode"] == ["lab-01"]
    terminal.press(b"\n")
    terminal.press(b"3")
    shows("SIZE", "run1.h5", "1.2 GiB")
    terminal.press(b"4")
    shows("MESSAGE", "member lab-07 dead, reported by lab-03")
    terminal.press(b"2")
    shows("REASON", "41", "44", "46")
    # A word, anywhere in the row.
    terminal.press(b"/")
    terminal.wait_for("filter (a word, or KEY=VAL): _")
    terminal.press(b"lab-07x\x7f\n")
    shows("41", without=["44", "46"])
    terminal.press(b"/\x15state=pending\n")
    shows("46", without=["41", "44"])
    terminal.press(b"/\x15sate=pending\n")
    shows("41", "44", "46")
    wait_for(lambda: 'did you mean "STATE"?' in picture(terminal)[-1], 10, "the mistake to be told")
    terminal.press(b"/\x15nobody\n")
    shows('no tasks with "nobody"')
    terminal.press(b"\033")
    shows("41", "44", "46")
    # Columns, as of -o.
    terminal.press(b"\033OQ")
    terminal.wait_for("columns: ID,NAME,TYPE,STATE,NODE,USER,WAIT,RUN,TRY,REASON_")
    terminal.press(b"\x15id,workflow\n")
    shows("WORKFLOW", "w7@lab-01", without=["REASON"])
    terminal.press(b"\033OQ")
    terminal.press(b"\x15ident\n")
    shows("REASON")
    terminal.press(b"q")
    assert terminal.close() == 0


def test_top_ends_with_control_c_and_says_when_the_daemon_is_gone(daemon, tmp_path):
    terminal = Terminal(["top"], tmp_path, P2PNODE_SOCKET=daemon.path)
    terminal.wait_for("F2 cols q")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.close() == 0
    daemon.answers = {**daemon.answers, "Events": HANG_UP}
    terminal = Terminal(["top"], tmp_path, P2PNODE_SOCKET=daemon.path)
    wait_for(lambda: re.search(rb"\033\[\?1049l.*p2pctl: .*\n", terminal.drawn, re.S), 10, "the word about it")
    assert terminal.close() != 0


def test_a_terminal_gets_a_pager(daemon, tmp_path):
    mark = "sed 's/^/PAGED:/'"

    def lines(*words, **more):
        return on_terminal(words, tmp_path, 100, P2PNODE_SOCKET=daemon.path, **more).splitlines()
    assert all(line.startswith("PAGED:") for line in lines("members", P2PCTL_PAGER=mark))
    assert lines("members", PAGER=mark)[0].startswith("PAGED:NODE")
    assert not lines("members", P2PCTL_PAGER="", PAGER=mark)[0].startswith("PAGED:")
    assert not lines("members", P2PCTL_PAGER="cat", PAGER=mark)[0].startswith("PAGED:")
    assert not lines("members", "--no-pager", P2PCTL_PAGER=mark)[0].startswith("PAGED:")
    assert "FRSXMK" in lines("members", P2PCTL_PAGER="echo $LESS")[0]
    assert "X" == lines("members", P2PCTL_PAGER="echo $LESS", LESS="X")[0]
    assert not lines("members", TERM="dumb", P2PCTL_PAGER=mark)[0].startswith("PAGED:")
    # The table is still as wide as the terminal, and in colour.
    assert any("\033[31mdead" in line for line in lines("members", P2PCTL_PAGER=mark))
    # What goes on, asks or changes something is not paged.
    assert not any("PAGED" in line for line in lines("events", "-f", P2PCTL_PAGER=mark))
    assert not any("PAGED" in line for line in lines("forget", "lab-09", "--yes", P2PCTL_PAGER=mark))


def test_a_pager_changes_no_exit_code(daemon, tmp_path):
    def code(pager, *words):
        program = f"{PROGRAM} {' '.join(words)}; echo code=$?"
        master, slave = pty.openpty()
        process = subprocess.Popen(["sh", "-c", program], stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path,
                                   env=environment_of(tmp_path, P2PNODE_SOCKET=daemon.path, P2PCTL_PAGER=pager))
        os.close(slave)
        text = read_to_end(master)
        process.wait(60)
        os.close(master)
        return int(re.search(rb"code=(\d+)", text)[1])
    assert code("cat >/dev/null", "status", "--check") == 5
    assert code("true", "status") == 0  # it reads nothing
    assert code("head -1", "config", "dump-default") == 0
    assert code("/no/such/pager", "members") == 0
