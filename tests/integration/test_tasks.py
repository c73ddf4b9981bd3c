# SPDX-License-Identifier: MIT
"""Tasks from end to end: where they run, what they say, how they end."""
import hashlib
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess

import pytest

from lib.lab import CTL, STEADY, environment
from lib.process import catches, commands, is_pending
from lib.wait import wait_for
from test_run import moment

HANDLERS = {
    # Says who asked for what.
    "a": "#!/bin/sh\necho \"a $*\"\necho \"to stderr\" >&2\n",
    # Holds a slot until the file that its first word names is there, or for so long.
    "w": "#!/bin/sh\necho waiting\nexec sleep 60\n",
}


def write_handlers(lab):
    """Handlers that a task may read, and their configuration by type."""
    directory = lab.directory / "handlers"
    directory.mkdir(mode=0o755)
    for name, text in HANDLERS.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    lab.settings = {**lab.settings, "sandbox": {
        "read": ["/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", str(directory)]}}
    return {name: {"name": name, "command": f"{directory}/{name} {name.upper()}"} for name in HANDLERS}


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    types = write_handlers(lab)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01", {"tasks": {"slots": 4}}, types=[types["a"], types["w"]])
    lab.node("lab-02", {"tasks": {"slots": 4}, "node": {"tags": ["room=2.05"]}}, types=[types["a"], types["w"]])
    lab.node("lab-03", {"tasks": {"slots": 4}}, types=["c"])
    return lab.start()


@pytest.fixture
def node(lab):
    """Where the tests submit. What a failed test left is cancelled, so that the next has free slots."""
    node = lab["lab-01"]
    yield node
    left = [task["id"] for task in node.tasks() if task["state"] in ("pending", "running")]
    if left:
        node.ctl("task", "cancel", *left, code=None)  # one may have ended meanwhile
        for task in left:
            node.wait_task(task, "cancelled", "succeeded", "failed")


@pytest.mark.parametrize("where", ["lab-01", "lab-02"])
@pytest.mark.parametrize("seconds", ["0.01", "0.3"])
def test_a_task_starts_when_it_does_and_not_when_that_is_heard(node, where, seconds):
    """Short ones are heard of at once, start and end."""
    task = node.wait_task(node.submit("-N", where, "--", "sleep", seconds), "succeeded")
    assert (moment(task["ended"]) - moment(task["started"])).total_seconds() >= task["run_s"] / 2, task


def test_a_typed_task_runs_its_handler_with_the_number_and_the_arguments(lab):
    for origin in lab.nodes.values():
        result = origin.ctl("submit", "--wait", "a7", "two words", "$HOME;`x`")
        assert result.stdout == "a A 7 two words $HOME;`x`\n", origin.name
        assert result.stderr == "to stderr\n"


def test_a_type_without_a_command_runs_the_demo(node):
    assert node.ctl("submit", "--wait", "c3").stdout == "Executing task: c3\n"


def test_submit_prints_the_id_and_nothing_else(node):
    result = node.ctl("submit", "a1")
    assert re.fullmatch(r"\d+@lab-01\n", result.stdout) and result.stderr == ""
    reply = node.json("submit", "a2")
    assert reply["schema"] == "p2pctl.submit/1" and reply["type"] == "a" and reply["number"] == 2
    assert reply["state"] in ("pending", "running") and reply["confidential"] is False


def test_ids_count_up_without_gaps_that_repeat(node):
    numbers = [int(node.submit("a1").split("@")[0]) for _ in range(5)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
@pytest.mark.parametrize("command, code", [
    ("exit 0", 0), ("exit 1", 1), ("exit 3", 3), ("exit 125", 125), ("exit 255", 255),
    ("kill -KILL $$", 137), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_the_tasks_own_code_is_handed_through(node, where, command, code):
    assert node.ctl("submit", "-N", where, "--wait", "--", "sh", "-c", command, code=code).stdout == ""


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
def test_what_cannot_be_executed_is_126_and_what_is_not_there_127(node, where):
    for path in ("/usr/lib", "/usr/lib/os-release"):
        assert node.ctl("submit", "-N", where, "--wait", "--", path, code=126).stdout == ""
    assert node.ctl("submit", "-N", where, "--wait", "--", "/usr/bin/not-there", code=127).stdout == ""
    assert node.ctl("submit", "-N", where, "--wait", "--", "not-in-path", code=127).stdout == ""


@pytest.mark.parametrize("name", ["gnp\u202e.sh", "a\u2066b", "\u200b", "a\u2028b"])
def test_a_task_has_no_name_that_looks_like_another(node, name, tmp_path):
    refused = "a name is at most 63 bytes of printable text, and nothing that cannot be seen"
    assert refused in node.ctl("submit", "--name", name, "--", "true", code=2).stderr
    (tmp_path / "tasks.txt").write_text(f"a1\na1: name={name}\n")
    told = node.ctl("run", tmp_path / "tasks.txt", code=2).stderr
    assert "tasks.txt:2:5: name=" in told and "nothing that cannot be seen" in told and name not in told
    assert not any(name in (task["name"] or "") for task in node.tasks())


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
def test_a_task_over_its_time_is_killed_and_124(node, where):
    result = node.ctl("submit", "-N", where, "--wait", "--timeout", "300ms", "--", "sleep", "60", code=124)
    assert result.stdout == ""
    ended = node.tasks()[-1]
    assert ended["state"] == "timed-out" and ended["reason"] == "timed out after 300ms" and 0.2 < ended["run_s"] < 30


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
def test_memory_is_refused_above_the_limit(node, where):
    take = "print(len(bytearray(200 << 20)))"
    result = node.ctl("submit", "-N", where, "--wait", "--memory", "64MiB", "--", "python3", "-c", take, code=1)
    assert result.stdout == "" and "MemoryError" in result.stderr
    assert node.json("task", "show", node.tasks()[-1]["id"])["limits"]["memory_bytes"] == 64 << 20
    assert node.ctl("submit", "-N", where, "--wait", "--memory", "1GiB", "--", "python3", "-c", take).stdout == "209715200\n"


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
def test_a_timeout_of_0_is_none(node, where):
    result = node.ctl("submit", "-N", where, "--wait", "--timeout", "0", "--", "true")
    assert result.stderr == ""
    task = node.tasks()[-1]["id"]
    assert node.json("task", "show", task)["limits"]["timeout_s"] is None
    assert "Limits: no timeout" in node.ctl("task", "show", task).stdout
    node.ctl("submit", "-N", where, "--wait", "--", "true")
    assert node.json("task", "show", node.tasks()[-1]["id"])["limits"]["timeout_s"] == 3600


def test_a_size_may_be_written_with_one_letter(node):
    assert node.json("task", "show", node.submit("--memory", "1G", "--", "true"))["limits"]["memory_bytes"] == 1 << 30


@pytest.mark.parametrize("size", ["0", "much", "-1", "1XiB", ""])
def test_a_memory_limit_that_is_none_is_usage(node, size):
    result = node.ctl("submit", f"--memory={size}", "--", "true", code=2)
    assert "--memory is a size above 0" in result.stderr and result.stdout == ""


def test_a_task_can_ask_for_more_sandbox_but_not_for_less(make_lab):
    lab = make_lab(STEADY)
    lab.node("lab-01", {"sandbox": {"mode": "none"}}, role="seed")
    lab.node("lab-02")
    lab.start()
    node = lab["lab-01"]
    pid = ("--", "sh", "-c", "echo $(($$ < 10))")  # in a pid namespace of its own numbers are small
    assert node.ctl("submit", "--wait", "-N", "lab-01", *pid).stdout == "0\n"
    assert node.ctl("submit", "--wait", "-N", "lab-01", "--sandbox", "namespaces", *pid).stdout == "1\n"
    assert node.ctl("submit", "--wait", "-N", "lab-02", "--sandbox", "landlock", *pid).stdout == "1\n"
    assert node.json("task", "show", node.tasks()[-1]["id"])["limits"]["sandbox"] == "landlock"
    assert node.ctl("submit", "--sandbox", "none", *pid, code=2).stdout == ""
    if "full" not in lab["lab-02"].ctl("status").stdout:
        result = node.ctl("submit", "--wait", "-N", "lab-02", "--sandbox", "full", *pid, code=125)
        assert "lab-02 runs commands, but has not the sandbox full" in result.stderr
        result = node.ctl("submit", "--wait", "--sandbox", "full", *pid, code=125)
        assert "none of the 2 nodes for commands has the sandbox full" in result.stderr
        assert "attempt" not in result.stderr


def test_a_task_that_ignores_term_is_killed_after_the_grace(node):
    node.ctl("submit", "--wait", "--timeout", "300ms", "--", "sh", "-c", "trap '' TERM; while :; do sleep 1; done",
             code=124, timeout=10)


@pytest.mark.parametrize("where", ["lab-03", None], ids=["there", "anywhere"])
def test_a_later_cancel_with_less_patience_counts(node, where):
    task = node.submit(*(["-N", where] if where else []), "--", "sh", "-c", "trap '' TERM; echo go; while :; do sleep 1; done")
    wait_for(lambda: node.ctl("task", "logs", task).stdout == "go\n", 20, "it to ignore TERM")
    node.ctl("task", "cancel", "--grace", "1h", task)
    node.ctl("task", "cancel", "--grace", "0", task)
    node.wait_task(task, "cancelled")


def test_stdout_and_stderr_are_kept_apart(node):
    result = node.ctl("submit", "-N", "lab-03", "--wait", "--", "sh", "-c", "echo out; echo err >&2; echo out2")
    assert (result.stdout, result.stderr) == ("out\nout2\n", "err\n")
    task = node.tasks()[-1]["id"]
    assert node.ctl("task", "logs", "--stdout", task).stdout == "out\nout2\n"
    assert node.ctl("task", "logs", "--stderr", task).stderr == "err\n"
    assert node.ctl("task", "logs", "-n", "1", "--stdout", task).stdout == "out2\n"


@pytest.mark.parametrize("where", ["lab-01", "lab-03"])
def test_five_megabytes_of_any_bytes_arrive_as_they_were(node, where):
    script = "import hashlib, sys, random\n" \
             "data = random.Random(1).randbytes(5 << 20)\n" \
             "sys.stdout.buffer.write(data)\n" \
             "sys.stderr.write(hashlib.sha256(data).hexdigest())\n"
    result = node.ctl("submit", "-N", where, "--wait", "--", "python3", "-c", script, timeout=60)
    assert len(result.stdout_bytes) == 5 << 20
    assert hashlib.sha256(result.stdout_bytes).hexdigest() == result.stderr


def test_a_task_gets_the_documented_environment_and_nothing_of_the_daemons(node):
    result = node.ctl("submit", "-N", "lab-03", "--env", "COLOUR=blue", "--wait", "--", "env")
    variables = dict(line.split("=", 1) for line in result.stdout.splitlines())
    task = node.tasks()[-1]["id"]
    assert variables["P2P_TASK_ID"] == task and variables["P2P_TASK_ATTEMPT"] == "1"
    assert (variables["P2P_TASK_TYPE"], variables["P2P_TASK_NUM"]) == ("cmd", task.split("@")[0])
    assert (variables["P2P_NODE"], variables["P2P_ORIGIN"], variables["P2P_CLUSTER"]) == ("lab-03", "lab-01", "p2pnode")
    assert variables["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert node.ctl("submit", "--env", "PATH=/bin", "--wait", "--", "sh", "-c", "echo $PATH; env").stdout.count("PATH=") == 1
    assert variables["COLOUR"] == "blue" and "TMPDIR" in variables
    assert not {"P2PNODE_BUILD", "SUDO_USER", "LC_ALL", "PYTEST_CURRENT_TEST"} & set(variables)


def test_as_many_words_as_are_taken_can_be_run(node):
    """65536 bytes of words, and as many of variables."""
    words, variable = ["sh", "-c", "echo ${#1} ${#V} $#", "sh", "x" * 61000, *["y"] * 900], "V=" + "x" * 65000
    assert node.ctl("submit", "-N", "lab-03", "--env", variable, "--wait", "--", *words).stdout == "61000 65000 901\n"


def test_a_task_does_not_run_as_root_and_sees_no_key(lab, node):
    result = node.ctl("submit", "-N", "lab-03", "--wait", "--", "id", "-u")
    assert int(result.stdout) in (pwd.getpwnam("nobody").pw_uid, *(
        user.pw_uid for user in pwd.getpwall() if user.pw_name == "p2pnode-task"))
    for path in (lab.keyring, lab["lab-03"].directory, lab["lab-03"].socket):
        assert node.ctl("submit", "-N", "lab-03", "--wait", "--", "cat", path, code=1).stdout == ""


def test_least_loaded_placement(lab, node):
    """With lab-01 full of work, a typed task goes to the other node that handles it."""
    holders = [node.submit("-N", "lab-01", "--", "sleep", "60") for _ in range(4)]
    for task in holders:
        node.wait_task(task, "running")
    for origin in lab.nodes.values():
        wait_for(lambda origin=origin: origin.members()["lab-01"]["running"] == 4, 5, f"{origin.name} to know")
    dry = node.json("submit", "--dry-run", "a1")
    assert dry["node"] == "lab-02" and dry["id"] is None
    verdicts = {candidate["name"]: candidate["verdict"] for candidate in dry["candidates"]}
    assert "chosen" in verdicts["lab-02"] and "lab-01" in verdicts and "chosen" not in verdicts["lab-01"]
    for origin in (node, lab["lab-02"], lab["seed"]):
        task = origin.submit("a1")
        assert origin.wait_task(task, "succeeded")["node"] == "lab-02"
    node.ctl("task", "cancel", *holders)
    for task in holders:
        node.wait_task(task, "cancelled")


def test_tasks_spread_over_the_nodes_that_handle_the_type(node):
    tasks = [node.submit("w1") for _ in range(6)]
    for task in tasks:
        node.wait_task(task, "running")
    places = [node.task(task)["node"] for task in tasks]
    assert set(places) == {"lab-01", "lab-02"}
    node.ctl("task", "cancel", "--type", "w")
    for task in tasks:
        node.wait_task(task, "cancelled")


def test_more_tasks_than_slots_wait_and_all_end(node):
    tasks = [node.submit("-N", "lab-03", "--", "sh", "-c", f"echo {i}") for i in range(20)]
    result = node.ctl("task", "wait", *tasks)
    assert result.code == 0
    assert [node.ctl("task", "logs", task).stdout for task in tasks] == [f"{i}\n" for i in range(20)]


def test_a_task_waits_for_another(node):
    first = node.submit("-N", "lab-03", "--", "sleep", "60")
    node.wait_task(first, "running")
    number = first.split("@")[0]
    then, fallback = node.submit("--after", number, "a1"), node.submit("--after", f"{first}:failed", "a2")
    always = node.submit("--after", f"{then}:any", "--after", f"{number}:any", "a3")
    assert node.task(then)["state"] == "pending" and node.task(then)["reason"] == f"after {number} (running)"
    assert re.search(rf"^{then.split('@')[0]} +a1 .* after {number} \(running\)$", node.ctl("task", "list").stdout, re.M)
    node.ctl("task", "cancel", first)
    node.wait_task(fallback, "succeeded")
    assert node.wait_task(then, "cancelled")["reason"] == f"was to run after {number}, which did not succeed"
    node.wait_task(always, "succeeded")
    assert node.ctl("submit", "--after", number, "a1", code=1).stderr.startswith(f"p2pctl: task {number} has ended already: cancelled")
    assert node.ctl("submit", "--wait", "--after", f"{number}:any", "a1").stdout == "a A 1\n"
    for wrong, code in (("999999", 4), ("x", 2), ("1:maybe", 2), ("1@lab-02", 2)):
        assert node.ctl("submit", "--after", wrong, "a1", code=code).stdout == ""


def test_everything_pending_says_why(node):
    holders = [node.submit("-N", "lab-03", "--", "sleep", "60") for _ in range(4)]
    for task in holders:
        node.wait_task(task, "running")
    waiting = node.submit("-N", "lab-03", "--", "true")
    wait_for(lambda: node.task(waiting)["reason"] == "queued on lab-03: 4 tasks running on 4 slots", 5, "the load to be told")
    node.ctl("task", "cancel", *holders)
    node.wait_task(waiting, "succeeded")


def test_unknown_type_is_4_with_a_hint(node):
    result = node.ctl("submit", "d1", code=4)
    assert result.stdout == ""
    assert result.stderr.startswith('p2pctl: no node handles task type "d"  (known types: a c w)\nhint: ')
    assert node.ctl("submit", "--wait", "d1", code=125).stdout == ""


def test_words_that_are_no_task_are_2(node):
    count = len(node.tasks())
    for word in ("c", "7", "a1b", "a-1", "é1"):
        result = node.ctl("submit", word, code=2)
        assert result.stdout == "" and result.stderr.startswith("p2pctl: ")
    assert node.ctl("submit", "-N", "nobody", "--", "true", code=4).stdout == ""
    assert len(node.tasks()) == count


def established(ip):
    """The TCP connections of an address, as the kernel has them."""
    key = "".join(f"{int(byte):02X}" for byte in reversed(ip.split(".")))
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {(row[1], row[2]) for row in rows if row[3] == "01" and row[1].startswith(key)}


def test_a_confidential_task_never_leaves_the_node(lab, node):
    others = [lab[name] for name in ("seed", "lab-02", "lab-03")]
    connections = {one.name: established(one.ip) for one in lab.nodes.values()}
    result = node.ctl("submit", "--confidential", "--wait", "--", "echo", "secret")
    assert result.stdout == "secret\n"
    task = node.tasks()[-1]
    assert task["confidential"] is True and task["node"] == "lab-01"
    assert node.submit("--confidential", "a1")
    for one in lab.nodes.values():
        assert not established(one.ip) - connections[one.name], "a TCP connection was opened"
    for other in others:
        assert not [event for event in other.events("task-*") if event["task"] == task["id"]], other.name
        assert task["id"] not in [shown["id"] for shown in other.json("task", "list", "--all-nodes")["tasks"]]
        assert other.ctl("-N", "lab-01", "task", "logs", task["id"], code=None).stdout == ""


def test_confidential_elsewhere_contradicts_itself(node):
    count = len(node.tasks())
    for options in (["-N", "lab-02"], ["--select", "tag:x=1"]):
        result = node.ctl("submit", "--confidential", *options, "a1", code=2)
        assert "confidential" in result.stderr and result.stdout == ""
    assert len(node.tasks()) == count
    assert node.ctl("submit", "--confidential", "-N", "lab-01", "--wait", "--", "echo", "here").stdout == "here\n"


def test_a_confidential_task_waits_rather_than_leave(node, tmp_path):
    """lab-01 does not handle c; nobody else may."""
    result = node.ctl("submit", "--confidential", "c1", code=None)
    assert result.code == 4 and result.stdout == ""
    (tmp_path / "list").write_text("c1\nc1: confidential=yes\n")
    of_list = node.ctl("run", tmp_path / "list", code=4)
    told = 'p2pctl: lab-01 does not handle task type "c", and a confidential task never leaves it\n'
    assert told in result.stderr and told in of_list.stderr


def test_nodes_are_selected_by_a_tag(node):
    for selector in ("tag:room=2.05", "room=2.05"):
        node.ctl("submit", "--wait", "--select", selector, "a1")
        assert node.tasks()[-1]["node"] == "lab-02"
        assert node.ctl("message", selector, "hello").stdout.startswith("received by lab-02")
    assert "not by a type" in node.ctl("submit", "--select", "type:a", "a1", code=2).stderr
    for selector in ("room", "tag:", "=2.05", "tag:=2.05"):
        assert "selects no node" in node.ctl("submit", "--select", selector, "a1", code=2).stderr
    assert 'no node matches "room=2.06"' in node.ctl("message", "room=2.06", "hello", code=4).stderr
    assert 'no node is called "127.0.0.9:1"' in node.ctl("message", "127.0.0.9:1", "hello", code=4).stderr


def test_cancel_ends_the_whole_process_group(lab, node):
    marker = "p2pnode-test-" + os.urandom(6).hex()
    script = f"(exec -a {marker} sleep 300) & (exec -a {marker} sleep 300) & echo started; wait"

    def alive():
        return [pid for pid, command in commands() if marker.encode() in command]

    task = node.submit("-N", "lab-03", "--", "bash", "-c", script)
    wait_for(lambda: "started" in node.ctl("task", "logs", task).stdout, 10, "the task to start")
    wait_for(lambda: len(alive()) >= 2, 5, "two sleepers")
    node.ctl("task", "cancel", task)
    assert node.wait_task(task, "cancelled")["signal"] == signal.SIGTERM
    wait_for(lambda: not alive(), 5, "nobody of the group to be left")


@pytest.mark.parametrize("name", ["KILL", "INT"])
def test_a_cancelled_task_tells_the_signal_it_ended_by(node, name):
    task = node.submit("-N", "lab-02", "--", "sleep", "60")
    node.wait_task(task, "running")
    node.ctl("task", "cancel", "--signal", name, task)
    number = getattr(signal, f"SIG{name}")
    node.ctl("task", "wait", task, code=128 + number)
    ended = node.task(task)
    assert (ended["state"], ended["exit"], ended["signal"]) == ("cancelled", None, number)


def test_a_task_that_ran_too_long_tells_the_signal_it_ended_by(node):
    task = node.submit("--timeout", "100ms", "--", "sleep", "60")
    assert "timed out after 100ms" in node.ctl("task", "wait", task, code=124).stderr
    ended = node.task(task)
    assert (ended["state"], ended["exit"], ended["signal"]) == ("timed-out", None, signal.SIGTERM)


@pytest.mark.parametrize("words", [("task", "cancel", "1"), ("workflow", "cancel", "w1")])
def test_a_signal_that_is_none_is_usage_and_those_are_named(node, words):
    result = node.ctl(*words, "--signal", "FOO", code=2)
    assert "--signal is one of TERM, KILL, INT, HUP, QUIT, USR1, USR2, CONT, not" in result.stderr
    assert "no task" in node.ctl("task", "cancel", "999", "--signal", "SIGINT", code=4).stderr


def test_one_node_and_all_nodes_is_usage(node):
    assert "but not both" in node.ctl("task", "list", "-N", "lab-03", "--all-nodes", code=2).stderr


def test_a_pending_task_is_cancelled_and_never_runs(lab, node):
    holders = [node.submit("-N", "lab-03", "--", "sleep", "60") for _ in range(4)]
    for task in holders:
        node.wait_task(task, "running")
    waiting = node.submit("-N", "lab-03", "--", "echo", "ran")
    assert node.task(waiting)["state"] == "pending"
    wait_for(lambda: node.task(waiting)["reason"], 5, "why")
    node.ctl("task", "cancel", waiting)
    node.wait_task(waiting, "cancelled")
    node.ctl("task", "cancel", *holders)
    for task in holders:
        node.wait_task(task, "cancelled")
    assert node.ctl("task", "logs", waiting).stdout == ""
    assert node.task(waiting)["started"] is None


def test_cancel_of_an_ended_task_changes_nothing(node):
    task = node.submit("-N", "lab-03", "--", "true")
    node.wait_task(task, "succeeded")
    assert "ended already: succeeded" in node.ctl("task", "cancel", task).stdout
    assert node.task(task)["state"] == "succeeded"
    assert node.ctl("task", "cancel", "999999", code=4).stdout == ""


def test_logs_follow_while_the_task_runs(lab, node):
    task = node.submit("-N", "lab-03", "--", "sh", "-c", "echo first; sleep 60")
    process = node.ctl_start("task", "logs", "-f", task)
    assert process.stdout.readline() == b"first\n"
    assert node.task(task)["state"] == "running" and process.poll() is None
    node.ctl("task", "cancel", task)
    process.communicate(timeout=60)


def test_logs_follow_from_the_last_lines_on(node):
    task = node.submit("-N", "lab-03", "--", "sh", "-c", "echo 1; echo 2; printf 3; sleep 60")
    wait_for(lambda: node.ctl("task", "logs", task).stdout == "1\n2\n3", 10, "three lines")
    assert node.ctl("task", "logs", "-n", "2", task).stdout == "2\n3"
    process = node.ctl_start("task", "logs", "-f", "-n", "2", task)
    assert process.stdout.readline() == b"2\n" and process.stdout.read(1) == b"3"
    assert process.poll() is None
    node.ctl("task", "cancel", task)
    process.communicate(timeout=60)


def test_the_last_lines_of_much_output(node):
    task = node.submit("-N", "lab-03", "--", "seq", "100000")
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "logs", "-n", "3", task).stdout == "99998\n99999\n100000\n"
    assert node.ctl("task", "logs", "-n", "0", task).stdout == ""


def test_submit_follow_shows_output_as_it_comes_and_ctrl_c_detaches(node):
    process = node.ctl_start("submit", "-f", "-N", "lab-03", "--", "sh", "-c", "echo first; sleep 60")
    assert process.stdout.readline() == b"first\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and b"task cancel" in stderr
    task = node.tasks()[-1]
    assert task["state"] == "running"
    node.ctl("task", "cancel", task["id"])
    node.wait_task(task["id"], "cancelled")


ASKING = [("submit", "--", "sleep", "60"), ("--json", "submit", "--", "sleep", "60"), ("submit", "--wait", "--", "sleep", "60"),
          ("submit", "-f", "--", "sleep", "60"), ("run", "-"), ("run", "--detach", "-")]


def ask_in_vain(node, words):
    """p2pctl that waits for the answer of a daemon that has stopped."""
    node.pause()
    process = node.ctl_start(*words, stdin=subprocess.PIPE)
    process.stdin.write(b'a1\na1: run="sleep 60"\n')
    process.stdin.close()
    process.stdin = None  # communicate() would flush it

    def waits():
        """It catches Ctrl-C, and sleeps."""
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return catches(process.pid, signal.SIGINT) and "State:\tS" in status
    wait_for(waits, 10, "the question to be asked")
    return process


@pytest.mark.parametrize("words", ASKING)
def test_ctrl_c_before_the_answer_waits_for_the_id(node, words):
    try:
        process = ask_in_vain(node, words)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: not is_pending(process.pid, signal.SIGINT), 10, "it to be seen before the answer")
    finally:
        node.resume()
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    left = re.search(r"detached: (w?)(\d+)@lab-01 goes on\b", stderr.decode())
    assert left, stderr
    if "--json" in words:
        assert json.loads(stdout)["id"] == left[2] + "@lab-01"
    elif words[:2] == ("submit", "--"):
        assert stdout.decode() == left[2] + "@lab-01\n"
    node.ctl("workflow" if left[1] else "task", "cancel", left[1] + left[2])


@pytest.mark.parametrize("words", ASKING)
def test_ctrl_c_again_before_the_answer_says_that_nothing_is_known(node, words):
    try:
        process = ask_in_vain(node, words)

        def pressed():
            process.send_signal(signal.SIGINT)
            return process.poll() is not None
        wait_for(pressed, 10, "it to go")
    finally:
        node.resume()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted before the answer: it may have been submitted" in stderr and b"p2pctl " in stderr


@pytest.mark.parametrize("words", ASKING)
def test_ctrl_c_before_an_answer_that_does_not_come_says_that_nothing_is_known(node, words):
    try:
        process = ask_in_vain(node, words)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        node.resume()
    told = json.loads(stderr)["error"]["message"] if "--json" in words else stderr.decode()
    assert process.returncode == 130 and "interrupted before the answer: it may have been submitted" in told


@pytest.mark.parametrize("words, noun, code", [
    (("submit",), "task", 1), (("--json", "submit"), "task", 1), (("submit", "--wait"), "task", 125), (("submit", "-f"), "task", 125),
    (("run", "--detach", "-"), "workflow", 1), (("--json", "run", "--detach", "-"), "workflow", 1)])
def test_an_id_that_cannot_be_told_on_stdout_is_told_all_the_same(node, words, noun, code):
    command = ["--", "sh", "-c", "echo said"] if "submit" in words else []
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "--socket", node.socket, *words, *command], stdout=full, stderr=subprocess.PIPE, input=b"a1",
                              check=False, env=environment())
    newest = node.json(noun, "list")[noun + "s"]
    ids = [entry["id"] for entry in newest]
    told = done.stderr.decode()
    assert done.returncode == code and "cannot write to standard output" in told and told.count("\n") == (1 if "--json" in words else 2)
    found = re.search(rf"p2pctl {noun} show (w?\d+@lab-01)", told)
    assert found and found[1] in ids, told
    node.ctl(noun, "show", found[1])


def test_wait_answers_with_the_code_of_the_one_and_1_for_many(node):
    good = node.submit("-N", "lab-03", "--", "true")
    bad = node.submit("-N", "lab-03", "--", "sh", "-c", "exit 9")
    assert node.ctl("task", "wait", good).code == 0
    assert node.ctl("task", "wait", bad, code=9)
    assert node.ctl("task", "wait", good, bad, code=1)
    slow = node.submit("-N", "lab-03", "--", "sleep", "60")
    node.ctl("task", "wait", slow, "--timeout", "200ms", code=124)
    assert node.ctl("task", "wait", "--any", slow, good).code == 0
    node.ctl("task", "wait", "--state", "running", slow)
    node.ctl("task", "cancel", slow)
    node.ctl("task", "wait", slow, code=143)
    running = node.submit("-N", "lab-03", "--", "sleep", "60")
    node.ctl("task", "wait", "999999", code=125)
    for arguments, code, hint in ((["show", "1@lab-99"], 4, "members"), (["retry", slow, running], 1, f"task wait {running}"),
                                  (["logs", good, "--attempt", "9"], 4, f"task show {good}")):
        assert f"\nhint: p2pctl {hint}\n" in node.ctl("task", *arguments, code=code).stderr
    node.ctl("task", "cancel", running)


def test_any_node_answers_for_a_task_of_another(lab, node):
    task = node.submit("-N", "lab-03", "--", "echo", "hello")
    node.wait_task(task, "succeeded")
    other = lab["lab-02"]
    assert other.ctl("task", "logs", task).stdout == "hello\n"
    assert other.json("task", "show", task)["state"] == "succeeded"
    assert other.ctl("task", "wait", task).code == 0
    listed = other.json("task", "list", "--all-nodes")
    assert task in [shown["id"] for shown in listed["tasks"]] and listed["unanswered"] == []
    assert task in [shown["id"] for shown in other.json("-N", "lab-01", "task", "list")["tasks"]]
    assert task not in [shown["id"] for shown in other.json("task", "list")["tasks"]]


def test_tasks_of_several_nodes_are_not_asked_for_at_once(lab, node):
    one, two = node.submit("-N", "lab-03", "--", "true"), lab["lab-02"].submit("-N", "lab-03", "--", "true")
    for arguments in (["task", "wait", one, two], ["-N", "lab-01", "task", "show", two]):
        result = lab["lab-03"].ctl(*arguments, code=2)
        assert result.stderr.startswith("p2pctl: lab-01 was asked about what was submitted on lab-02\nhint: ask for the tasks of each node")


def test_a_task_can_be_cancelled_from_another_node(lab, node):
    task = node.submit("-N", "lab-03", "--", "sleep", "60")
    node.wait_task(task, "running")
    lab["seed"].ctl("task", "cancel", task)
    node.wait_task(task, "cancelled")


def test_show_tells_the_story_of_a_task(node):
    task = node.submit("-N", "lab-03", "--name", "try", "--timeout", "5min", "--", "sh", "-c", "echo oops >&2; exit 4")
    node.wait_task(task, "failed")
    shown = node.json("task", "show", task)
    assert (shown["schema"], shown["name"], shown["type"], shown["exit"]) == ("p2pctl.task/1", "try", "cmd", 4)
    assert shown["limits"]["timeout_s"] == 300 and shown["stderr_tail"] == ["oops"]
    story = [entry["text"] for entry in shown["timeline"]]
    assert story[0] == "submitted" and any("lab-03" in text for text in story) and "exit 4" in " ".join(story)
    text = node.ctl("task", "show", task).stdout
    assert re.match(rf"✗ {task}  try \(command\)  failed: exit 4 on lab-03", text), text


def test_list_shows_what_was_asked_for(node):
    bad = node.submit("-N", "lab-03", "--name", "wrong", "--", "false")
    node.wait_task(bad, "failed")
    node.submit("a1")
    failed = node.json("task", "list", "-s", "failed")["tasks"]
    assert bad in [task["id"] for task in failed] and {task["state"] for task in failed} == {"failed"}
    assert {task["type"] for task in node.json("task", "list", "-t", "a")["tasks"]} == {"a"}
    lines = node.ctl("task", "list").stdout.splitlines()
    assert lines[0].split() == ["ID", "NAME", "TYPE", "STATE", "NODE", "USER", "WAIT", "RUN", "TRY", "REASON"]


def test_a_command_is_refused_where_commands_of_others_are_not_allowed(make_lab):
    lab = make_lab(STEADY)
    lab.node("seed", role="seed")
    lab.node("strict", {"tasks": {"allow_commands": False}}, types=["a"])
    lab.start()
    seed = lab["seed"]
    result = seed.ctl("submit", "-N", "strict", "--", "true", code=6)
    assert result.stdout == "" and "strict takes no commands of other nodes" in result.stderr
    assert seed.wait_task(seed.submit("--", "true"), "succeeded")["node"] == "seed"
    assert lab["strict"].ctl("submit", "--wait", "-N", "strict", "--", "echo", "own").stdout == "own\n"
    assert seed.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_output_beyond_the_limit_is_cut_and_marked(make_lab):
    node = make_lab({"tasks": {"output_max": "64KiB"}}).node("lone", role="seed").start()
    result = node.ctl("submit", "--wait", "--", "sh", "-c", "head -c 200000 /dev/zero; exit 5", code=5)
    assert len(result.stdout_bytes) == 64 << 10
    assert b"cut" in result.stderr_bytes


def test_output_that_was_cut_elsewhere_is_marked_here(make_lab):
    lab = make_lab({"tasks": {"output_max": "64KiB"}})
    seed, _ = lab.node("seed", role="seed"), lab.node("lab-01")
    lab.start()
    result = seed.ctl("submit", "--wait", "-N", "lab-01", "--", "head", "-c", "200000", "/dev/zero")
    assert len(result.stdout_bytes) == 64 << 10
    assert b"cut" in result.stderr_bytes


def test_a_node_that_runs_no_tasks_refuses_a_confidential_one(make_lab):
    node = make_lab({"tasks": {"enabled": False}}).node("lone", role="seed").start()
    result = node.ctl("submit", "--confidential", "--", "true", code=4)
    assert "confidential" in result.stderr and result.stdout == "" and not node.tasks()


def test_a_task_that_is_cancelled_in_its_second_attempt_keeps_what_it_says(make_lab):
    """Its output was taken for that of the attempt that had ended, and was given away while it ran."""
    node = make_lab({"tasks": {"retry_on": ["exit"]}}).node("lone", role="seed").start()
    task = node.submit("--retries", "1", "--", "sh", "-c",
                       "trap 'echo ends; exit 0' TERM; test $P2P_TASK_ATTEMPT = 2 || { echo first; exit 1; }; "
                       "echo second; while :; do sleep 0.01; done")
    wait_for(lambda: node.ctl("task", "logs", task).stdout == "second\n", 15, "the second attempt to speak")
    node.ctl("task", "cancel", task)
    node.wait_task(task, "cancelled")
    assert node.ctl("task", "logs", task).stdout == "second\nends\n"
    assert node.ctl("task", "logs", "--attempt", "1", task).stdout == "first\n"
