# SPDX-License-Identifier: MIT
"""Tasks as a user meets them at the edges: what is refused with which code and hint, and what stays afterwards."""
import datetime
import grp
import json
import os
import pwd
import re
import time

import pytest

from lib.gate import Gate
from lib.lab import CTL, FAST, STEADY, environment, format_config, merge, run_program
from lib.wait import holds_for, wait_for

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-01", types=["a", {"name": "q", "command": "/bin/sh -c 'echo \"$0\" \"$1\"' 'two words'"}])
    lab.node("lab-02", types=["b"])
    return lab.start()


@pytest.fixture
def node(lab):
    return lab["lab-01"]


@pytest.fixture
def write(tmp_path):
    def write_list(text):
        path = tmp_path / "tasks.txt"
        path.write_text(text)
        return path
    return write_list


# ---- task wait --state

def test_waiting_for_a_state_counts_that_state_alone(node):
    good, bad = node.submit("--", "true"), node.submit("--", "false")
    for task in (good, bad):
        node.ctl("task", "wait", task, code=None)
    assert node.ctl("task", "wait", "-s", "failed", bad).code == 0
    told = node.ctl("task", "wait", "-s", "succeeded", bad, code=1).stderr
    assert bad in told and "failed: exit 1" in told
    node.ctl("task", "wait", "-s", "succeeded", good, bad, code=1)
    assert node.ctl("task", "wait", "--any", "-s", "succeeded", good, bad).code == 0
    node.ctl("task", "wait", "--any", "-s", "cancelled", good, bad, code=1)
    assert node.ctl("task", "wait", "-s", "running", good).code == 0, "it has run"
    reached = {task["id"]: task["reached"] for task in node.call("WaitTask", ids=[good, bad], state="failed")["tasks"]}
    assert reached == {good: False, bad: True}


def test_a_state_that_passes_is_not_missed(node):
    task = node.submit("--", "sleep", "60")
    node.wait_task(task, "running")
    waiter = node.ctl_start("task", "wait", "-s", "succeeded", task)
    other = node.ctl_start("task", "wait", "-s", "cancelled", task)
    node.ctl("task", "cancel", task)
    assert waiter.wait(60) == 1 and other.wait(60) == 0


# ---- codes, and what is noticed before anything runs

def test_code_4_is_for_what_was_asked_about_and_not_for_outputs(node, tmp_path):
    task = node.submit("--out", "x", "--", "sh", "-c", "echo x > x")
    node.wait_task(task, "succeeded")
    (tmp_path / "file").write_text("")
    assert "file" in node.ctl("task", "get", task, tmp_path / "file/below", code=1).stderr
    for words in (["graph", "-O", "/no/such/x.svg"], ["metrics", "--textfile", "/no/such/x.prom"],
                  ["run", "--joblog", "/no/such/log", write_one(tmp_path)]):
        assert "cannot write /no/such/" in node.ctl(*words, code=1).stderr
    node.ctl("task", "get", "999999", tmp_path, code=4)
    node.ctl("submit", "--in", "/no/such/file", "--", "true", code=4)


def write_one(tmp_path):
    (tmp_path / "one").write_text("a1")
    return tmp_path / "one"


def test_code_125_is_for_every_failure_of_ours_where_a_task_code_was_to_be_handed_on(node):
    node.ctl("submit", "--wait", "--python", "/no/such/missing.py:f", code=125)
    node.ctl("submit", "--python", "/no/such/missing.py:f", code=4)
    node.ctl("submit", "--wait", "--in", "/no/such/file", "--", "true", code=125)


def test_a_dry_run_refuses_what_the_real_one_refuses(node, write):
    before = len(node.tasks())
    for words in (["submit", "--dry-run", "x1"], ["run", "--dry-run", write("a1 x1")]):
        assert 'no node handles task type "x"  (known types: a b q)' in node.ctl(*words, code=4).stderr
    assert "x1" in node.ctl("run", "--dry-run", "--wait-types", write("a1 x1")).stdout
    assert len(node.tasks()) == before


def test_a_dry_run_says_who_does_commands_and_functions_and_what_is_missing(node, write, tmp_path):
    (tmp_path / "f.py").write_text("def f(): pass\n")
    plan = node.ctl("run", "--dry-run", write(f"a1 b2\na1: run=true\nb2: python={tmp_path}/f.py:f")).stdout
    told = [line.split()[2:] for line in plan.splitlines()[1:]]
    assert [(type, set(nodes.split(","))) for type, nodes in told] == [(type, {"lab-01", "lab-02"}) for type in ("cmd", "python")], plan
    missing = node.ctl("run", "--dry-run", write(f"a1\na1: run=true in={tmp_path}/missing"), code=4)
    assert "missing: No such file" in missing.stderr and not missing.stdout


def test_a_hint_has_the_id_that_it_is_about(node):
    task = node.submit("--", "sleep", "60")
    told = node.ctl("task", "retry", task, code=1).stderr
    assert told.endswith(f"\nhint: p2pctl task wait {task}\nhint: or end it: p2pctl task cancel {task}\n")
    node.ctl("task", "cancel", task)


def test_a_file_where_results_are_to_go_is_noticed_before_anything_runs(node, tmp_path, write):
    (tmp_path / "file").write_text("")
    before = len(node.tasks())
    for place in (tmp_path / "file", tmp_path / "file/below"):
        told = node.ctl("submit", "--wait", "--out", "x", "--results", place, "--", "true", code=125).stderr
        assert told == f"p2pctl: results cannot be written to {place}: {tmp_path}/file is no directory\n"
        node.ctl("run", "--results", place, write("a1"), code=1)
    assert len(node.tasks()) == before
    node.ctl("submit", "--wait", "--out", "x", "--results", tmp_path / "new/one", "--", "sh", "-c", "echo x > x")
    assert (tmp_path / "new/one/x").read_text() == "x\n"


def test_text_that_is_no_text_is_told_as_what_it_is(node):
    result = node.ctl("submit", "--name", os.fsdecode(b"\xff"), "--", "true", code=2)
    assert result.stderr.startswith("p2pctl: --name is text in UTF-8, not ")


def test_too_many_words_come_with_a_way_out(node):
    for words in (["--", *["x"] * 1025], ["a1", *["x"] * 1025]):
        told = node.ctl("submit", *words, code=1).stderr
        assert "more than 1024 words" in told and "hint: send them as a file: p2pctl submit --stdin" in told


def test_a_variable_that_is_given_twice_is_told_so(node, write):
    told = node.ctl("run", "--var", "X=1", "--var", "X=2", write('a1\na1: args="${X}"'), code=2).stderr
    assert told.startswith("p2pctl: --var gives X a value twice\n")


def test_a_full_queue_is_busy_with_a_hint(make_lab):
    node = make_lab(FAST).node("lone", {"tasks": {"slots": 1, "queue_max": 2}}, role="seed", types=["a"]).start()
    running = node.submit("--", "sleep", "60")
    node.wait_task(running, "running")
    for _ in range(2):
        node.submit("--", "true")
    told = node.ctl("submit", "a1", code=1).stderr
    assert told.splitlines() == ["p2pctl: the queue of lone is full: 2 tasks wait",
                                 "hint: see what waits: p2pctl task list -s pending",
                                 "hint: the limit is: p2pctl config show tasks.queue_max"]
    assert '"code":"busy"' in node.ctl("--json", "submit", "--wait", "a1", code=125).stderr
    node.ctl("task", "cancel", "--all", "--grace", "0")


def test_who_has_little_in_a_full_queue_is_not_refused(make_lab):
    node = make_lab(FAST).node("lone", {"tasks": {"slots": 1, "queue_max": 16}, "control": {"user_group": "games"}},
                               role="seed").start()
    node.wait_task(node.submit("--", "sleep", "60"), "running")
    for _ in range(16):
        node.submit("--", "true")
    assert "the queue of lone is full" in node.ctl("submit", "--", "true", code=1).stderr
    user = pwd.getpwnam("nobody")
    def submit():
        return run_program([CTL, "--socket", node.socket, "submit", "--", "true"], user=user.pw_uid, group=user.pw_gid,
                           extra_groups=[grp.getgrnam("games").gr_gid])
    assert [submit().code for _ in range(3)] == [0, 0, 1]
    node.ctl("task", "cancel", "--all", "--grace", "0")


# ---- what stays

def test_clean_takes_the_workflows_along_whose_tasks_are_gone(make_lab, write):
    node = make_lab(FAST).node("lone", role="seed", types=["a", {"name": "f", "command": "/bin/false"}]).start()
    node.ctl("run", write("a1 a2"))
    node.ctl("run", write("a1 f1 a2"), code=1)
    assert node.ctl("task", "clean", "-s", "succeeded", "--yes").stdout == "dropped 3 tasks and 1 workflow\n"
    assert [entry["id"] for entry in node.json("workflow", "list")["workflows"]] == ["w2@lone"]
    assert node.ctl("task", "clean", "--older", "1h", "--yes").stdout == "dropped 0 tasks\n"
    assert node.json("task", "clean", "--yes") == {
        "schema": "p2pctl.task-clean/1", "cleaned": 1, "held": 0, "workflows": 1}
    assert node.json("workflow", "list")["workflows"] == []
    node.restart()
    assert node.json("workflow", "list")["workflows"] == [] and node.tasks() == []
    assert node.ctl("run", "--detach", write("a1")).stdout == "w3@lone\n"


def test_a_task_that_ran_again_counts_its_attempts_right(node):
    task = node.submit("--retries", "1", "--", "false")
    node.wait_task(task, "failed")
    assert "attempt 1 of 2\n" in node.ctl("task", "show", task).stdout
    for attempt in (2, 3):
        node.ctl("task", "retry", task)
        node.ctl("task", "wait", task, code=1)
        assert f"attempt {attempt} of {attempt + 1}\n" in node.ctl("task", "show", task).stdout


def test_a_step_that_failed_before_anybody_looked_on_was_executed(make_lab, write):
    node = make_lab(FAST).node("lone", role="seed", types=["a", {"name": "f", "command": "/bin/false"}]).start()
    node.ctl("run", write("a1 f1"), code=1)
    stdout = node.ctl("workflow", "show", "-f", "w1", code=1).stdout
    assert stdout.splitlines()[3:7] == ["Executing task: a1", "Task completed by peer handling type 'A'",
                                        "Executing task: f1", "Task failed by peer handling type 'F': f1: exit 1"]


def test_quotes_of_a_handler_hold_its_words_together(node):
    assert node.ctl("submit", "--wait", "q7").stdout == "two words 7\n"


def test_a_type_can_be_for_some_users_alone(make_lab, write):
    lab = make_lab(FAST)
    node = lab.node("lone", role="seed", types=[{"name": "a", "users": ["somebody"]}, {"name": "b", "users": ["root", "x"]}]).start()
    assert node.ctl("submit", "--wait", "b1").stdout == "Executing task: b1\n"
    refused = node.ctl("submit", "--wait", "a1", code=125)
    assert "p2pctl: not permitted: the only node for type a, lone, does not run it for root\nhint: " in refused.stderr
    assert refused.stdout == "" and len(node.tasks()) == 1
    node.ctl("submit", "a1", code=6)
    node.ctl("submit", "--dry-run", "a1", code=6)
    node.ctl("submit", "--confidential", "a1", code=6)
    node.ctl("run", write("a1"), code=6)
    node.ctl("run", "--detach", "--wait-types", write("a1"))
    waits = wait_for(lambda: next((task for task in node.tasks() if task["type"] == "a"), None), 10, "its task")
    assert waits["state"] == "pending"
    assert waits["reason"] == "not permitted: the only node for type a, lone, does not run it for root"


def test_numbers_of_typed_tasks_are_as_large_as_in_a_list(node):
    assert node.ctl("submit", "--wait", "q999999999999999").stdout == "two words 999999999999999\n"
    assert "is no task" in node.ctl("submit", "q1000000000000000", code=2).stderr


def test_a_running_task_has_no_reason(node):
    task = node.submit("-N", node.name, "--", "sleep", "60")
    assert node.wait_task(task, "running")["reason"] is None
    node.ctl("task", "cancel", task)


def test_what_never_was_placed_ends_with_its_reason_and_without_a_node(node):
    first = node.submit("--", "true")
    node.wait_task(first, "succeeded")
    holder = node.submit("--", "sleep", "60")
    second = node.submit("--after", f"{node.submit('--after', f'{holder}:any', '--', 'true')}:failed", "--", "true")
    node.ctl("task", "cancel", holder)
    node.wait_task(second, "cancelled")
    third = node.submit("--after", node.submit("--", "sleep", "60"), "--", "true")
    node.ctl("task", "cancel", third)
    node.wait_task(third, "cancelled")
    node.ctl("task", "cancel", "--all")
    ends = {event["task"]: event for event in node.events("task-ended")}
    assert re.fullmatch(rf"task {second} cancelled before it was placed: was to run after \d+, which succeeded", ends[second]["message"])
    assert ends[third]["message"] == f"task {third} cancelled before it was placed"
    assert not ends[second].get("node") and not ends[third].get("node") and ends[first]["node"]


REFUSES = [{"name": "a", "users": ["somebody"]}]


def test_a_task_goes_where_its_user_may_run_it(make_lab):
    lab = make_lab(STEADY)
    one, two, three = lab.node("one", role="seed", types=["b"]), lab.node("two", types=REFUSES), lab.node("three", types=["a"])
    lab.start()
    for _ in range(6):
        task = one.submit("a1")
        assert one.wait_task(task, "succeeded")["node"] == "three"
    shown = one.json("task", "show", task)
    assert shown["attempt"] == 1 and shown["exit"] == 0
    assert "4 tasks, 4 succeeded" in one.ctl("run", "-", stdin=b"a1 { a2 a3 } a4").stderr
    # One that refuses is no reason to wait where the others cannot say.
    three.ctl("drain")
    wait_for(lambda: one.members()["three"]["draining"], 10, "three draining")
    task = one.submit("a1")
    listed = wait_for(lambda: (found := one.task(task))["reason"].startswith("none of the 2") and found, 10, "a reason")
    assert listed["state"] == "pending"
    assert listed["reason"] == "none of the 2 nodes for type a accepts work: 1 not for its user, 1 draining"
    three.ctl("undrain")
    assert one.wait_task(task, "succeeded")["node"] == "three"


def refused_at_once(node, *words):
    """What submit says where it refuses; a task that was taken, as who was asked did not answer in time, fails."""
    def check():
        result = node.ctl("submit", *words, code=None)
        if result.code == 0:
            assert "not permitted" in node.wait_task(result.stdout.strip(), "failed")["reason"]
        return result.code == 6 and result.stderr
    return wait_for(check, 20, "a refusal")


def test_a_task_that_nobody_runs_for_its_user_is_not_permitted(make_lab, write):
    lab = make_lab(STEADY)
    one = lab.node("one", role="seed", types=["b"])
    for name in ("two", "three", "four", "five", "six"):
        lab.node(name, types=REFUSES)
    lab.start()
    refused = refused_at_once(one, "a1")
    assert "not permitted: none of the 5 nodes for type a runs it for root" in refused and "hint: " in refused
    # The first that is pinned there is taken before that is known, and fails; then it is known.
    lab["two"].ctl("submit", "-N", "three", "--wait", "a1", code=125)
    assert "not permitted: three does not run type a for root" in refused_at_once(lab["two"], "-N", "three", "a1")
    assert "p2pctl: not permitted: none of the 5 nodes for type a runs it for root\n" in one.ctl("run", write("b1 a1 b2"), code=6).stderr
    # A list that waits for types begins all the same.
    failed = one.ctl("run", "--wait-types", write("b1 a1 b2"), code=1)
    assert "a1: not permitted: none of the 5 nodes for type a runs it for root" in failed.stdout


def test_users_that_a_reload_takes_away_send_their_tasks_elsewhere(make_lab):
    lab = make_lab(STEADY)
    one, two, three = lab.node("one", role="seed", types=["b"]), lab.node("two", {"tasks": {"slots": 1}}, types=["a"]), lab.node("three", types=["a"])
    lab.start()
    three.ctl("drain")
    wait_for(lambda: one.members()["three"]["draining"], 10, "three draining")
    occupying = two.submit("--confidential", "--", "sleep", "60")
    two.wait_task(occupying, "running")
    task = one.submit("a1")
    wait_for(lambda: one.task(task)["node"] == "two", 10, "its place")
    reload_types(two, REFUSES)
    two.ctl("task", "cancel", occupying)
    wait_for(lambda: "not for its user" in one.task(task)["reason"], 10, "to be handed back")
    three.ctl("undrain")
    shown = one.wait_task(task, "succeeded")
    assert shown["node"] == "three" and shown["attempt"] == 1
    assert "not taken by two: it does not run that for its user" in [entry["text"] for entry in shown["timeline"]]


def reload_types(node, types):
    node.config.write_text(format_config(merge(node.settings, {"tasks": {"types": types}})))
    node.ctl("reload")


def test_users_that_a_reload_adds_get_what_waits_for_it(make_lab):
    lab = make_lab(STEADY)
    one, two, three = lab.node("one", role="seed", types=["b"]), lab.node("two", types=REFUSES), lab.node("three", types=["a"])
    lab.start()
    three.ctl("drain")
    wait_for(lambda: one.members()["three"]["draining"], 10, "three draining")
    there, own = one.submit("a1"), two.submit("-N", "three", "a1")
    wait_for(lambda: "1 not for its user, 1 draining" in one.task(there)["reason"], 10, "to be refused")
    reload_types(two, [{"name": "a", "users": ["somebody", "root"]}])
    assert one.wait_task(there, "succeeded")["node"] == "two"
    two.ctl("task", "cancel", own)


def test_a_list_that_no_other_runs_for_its_user_is_refused_as_a_task_is(make_lab, write):
    lab = make_lab(STEADY)
    one = lab.node("one", role="seed", types=["a"])
    lab.node("two", types=[{"name": "b", "users": ["mail"]}, {"name": "c", "users": ["mail"]}])
    three = lab.node("three", types=[{"name": "b", "users": ["daemon"]}, {"name": "c", "users": ["root"]}])
    lab.start()
    path = write("a1 c1 b1")
    for options in ((), ("--dry-run",), ("--detach",)):
        result = one.ctl("run", *options, path, code=6)
        place, told = result.stderr.splitlines()[:2]
        assert place.endswith("tasks.txt:1:7: b1 cannot run as it stands") and result.stdout == ""
        assert told.startswith("p2pctl: not permitted: ") and told in one.ctl("submit", "b1", code=6).stderr
    assert one.tasks() == [] and one.json("workflow", "list")["workflows"] == []
    plan = json.loads(one.ctl("run", "--json", "--dry-run", write("a1 c1")).stdout.splitlines()[0])
    assert {entry["name"]: entry["nodes"] for entry in plan["types"]} == {"a": ["one"], "c": ["three"]}
    one.ctl("run", write("a1 c1"))
    plan = json.loads(three.ctl("run", "--json", "--dry-run", "--wait-types", write("b1 c1")).stdout.splitlines()[0])
    assert {entry["name"]: sorted(entry["nodes"]) for entry in plan["types"]}["c"] == ["three", "two"], "nobody was asked"


def test_a_list_does_not_wait_for_who_does_not_answer(make_lab, write):
    lab = make_lab(STEADY)
    one = lab.node("one", role="seed", types=["a"])
    two = lab.node("two", types=[{"name": "b", "users": ["mail"]}])
    lab.start()
    two.pause()
    try:
        assert json.loads(one.ctl("run", "--json", "--dry-run", write("a1 b1")).stdout.splitlines()[0])["total"] == 2
    finally:
        two.resume()


def test_a_new_task_does_not_wait_for_who_left(make_lab):
    lab = make_lab(STEADY)
    one, two, three = lab.node("one", role="seed", types=["b"]), lab.node("two", types=REFUSES), lab.node("three", types=["a"])
    lab.start()
    three.stop()
    lab.wait_state("three", "left")
    assert "not permitted: the only node for type a, two, does not run it for root" in refused_at_once(one, "a1")


def test_types_and_dry_runs_count_users_and_max_of_other_nodes(make_lab):
    lab = make_lab(STEADY)
    one = lab.node("one", {"tasks": {"slots": 8}}, role="seed", types=[{"name": "a", "command": "/bin/sleep 60", "max": 1}])
    two = lab.node("two", {"tasks": {"slots": 8}}, types=[{"name": "a", "command": "/bin/sleep 60", "max": 2, "users": ["root"]}])
    lab.start()
    counts = {"name": "a", "nodes": ["one", "two"], "slots": 3, "free": 3, "for_some": ["two"], "handler": "/bin/sleep 60"}
    for node in (one, two):
        assert node.json("types")["types"] == [counts]
        assert node.ctl("types", "--legend").stdout.splitlines()[-1] == "Type a is for some users alone on two."
    def candidates(node):
        return {row["name"]: (row["free"], row["verdict"]) for row in node.json("submit", "--dry-run", "a1")["candidates"]}
    told = candidates(one)
    assert told["two"][0] == 2 and told["two"][1].endswith(", for some users")
    assert told["one"][0] == 1 and "for some" not in told["one"][1]
    assert "for some" not in candidates(two)["two"][1], "of itself it knows"
    task = one.submit("-N", "one", "a60")
    one.wait_task(task, "running")
    assert candidates(one)["one"] == (0, "no free slot")
    assert one.json("types")["types"][0]["free"] == 2
    assert re.match(r"would run on two \(load \d\.\d\d, least of 2, if it runs that for root\)", one.ctl("submit", "--dry-run", "a1").stdout)
    one.ctl("task", "cancel", task)


def test_a_type_at_its_max_is_no_free_slot(make_lab, tmp_path):
    lab = make_lab(STEADY)
    one = lab.node("one", role="seed", types=["b"])
    hold = {"name": "a", "command": "/bin/sleep 60"}
    two = lab.node("two", {"tasks": {"slots": 8}}, types=[{**hold, "max": 1}])
    three = lab.node("three", {"tasks": {"slots": 8}}, types=[hold])
    lab.start()
    one.wait_task(one.submit("-N", "two", "a60"), "running")
    for _ in range(3):  # so that it is not the least loaded by what is heard of it
        three.wait_task(three.submit("--confidential", "--", "sleep", "60"), "running")
    wait_for(lambda: one.members()["three"]["running"] == 3 and one.members()["two"]["running"] == 1, 10, "their loads")

    def goes_to_three():
        """Also where that cannot be told in time, as who is asked is too slow to answer."""
        task = one.submit("a60")
        place = wait_for(lambda: one.task(task)["node"], 10, "a place")
        return place == "three" or one.ctl("task", "cancel", task) and None
    wait_for(goes_to_three, 20, "a task to begin at once")
    for node, origin in (("two", one), ("two", two)):
        queued = origin.submit("-N", node, "a60")
        wait_for(lambda: origin.task(queued)["reason"] == "queued on two, where at most 1 task of type a runs at once (max)",
                 10, "a reason that names the max")
        assert "pending: queued on two, where at most 1 task of type a runs at once (max), attempt 1 of 3\n" \
            in origin.ctl("task", "show", queued).stdout
    last = one.submit("-N", "two", "a60")
    wait_for(lambda: "at most 1 task" in one.task(last)["reason"], 10, "the last to be queued")
    reload_types(two, [{**hold, "max": 2}])
    for origin, task in ((two, queued), (one, last)):
        wait_for(lambda: origin.task(task)["reason"] == "queued on two, where at most 2 tasks of type a run at once (max)",
                 10, "a reason that names the max of now")
    for node in (one, two, three):
        node.ctl("task", "cancel", "--all")


# ---- results at another node

def test_results_are_fetched_from_any_node(lab, node, tmp_path):
    task = node.submit("--out", "*", "--", "sh", "-c", "head -c 5000000 /dev/urandom > large; : > empty; echo x > x; chmod 700 x")
    node.wait_task(task, "succeeded")
    node.ctl("task", "get", task, tmp_path / "here")
    other = lab["lab-02"]
    assert len(other.ctl("task", "get", task, tmp_path / "there").stdout.split()) == 3
    other.ctl("-N", "lab-01", "task", "get", task.split("@")[0], tmp_path / "asked")
    for name in ("large", "empty", "x"):
        for place in ("there", "asked"):
            assert (tmp_path / place / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    assert (tmp_path / "here/large").stat().st_size == 5000000
    assert os.access(tmp_path / "there/x", os.X_OK)
    other.ctl("task", "get", f"999999@{node.name}", tmp_path, code=4)
    other.ctl("-N", "nobody", "task", "get", "1", tmp_path, code=4)


def test_results_of_a_node_that_died_cannot_be_fetched(make_lab, tmp_path):
    lab = make_lab(FAST)
    one, two = lab.node("one", role="seed"), lab.node("two")
    lab.start()
    task = one.submit("--out", "x", "--", "sh", "-c", "echo x > x")
    one.wait_task(task, "succeeded")
    one.kill()
    lab.wait_state("one", "dead")
    assert "one" in two.ctl("task", "get", task, tmp_path, code=7).stderr and os.listdir(tmp_path) == []


def test_a_result_of_another_node_needs_a_file_to_go_to(lab, node):
    task = node.submit("--out", "x", "--", "sh", "-c", "echo x > x")
    node.wait_task(task, "succeeded")
    with pytest.raises(Exception, match="InvalidParameter"):
        lab["lab-02"].call("GetTaskFiles", id=task, file="x")


# ---- commands when a task is done

def say(out, name):
    return f"/bin/sh -c 'echo \"$PEER_TASK $PEER_MESSAGE\" > {out}/$0.part; mv {out}/$0.part {out}/$0' {name}"


@pytest.fixture
def talking(make_lab):
    lab = make_lab(FAST)
    out = lab.directory / "out"
    out.mkdir()
    out.chmod(0o777)
    node = lab.node("lone", {"sandbox": {"write": [str(out)]}}, role="seed")
    node.out = out
    return node


def wait_said(node, name):
    return wait_for(lambda: (node.out / name).exists() and (node.out / name).read_text(), 10, name)


def test_a_command_runs_at_the_origin_when_a_task_ends(talking):
    talking.settings["tasks"]["on_done"] = say(talking.out, "said")
    talking.start()
    task = talking.submit("--", "false")
    assert wait_said(talking, "said").startswith(f"{task} task {task} failed on lone")


def test_a_task_has_a_command_of_its_own_for_its_end(talking):
    talking.start()
    first = talking.submit("--on-done", say(talking.out, "first"), "--", "true")
    assert wait_said(talking, "first").startswith(f"{first} task {first} succeeded on lone")
    late = talking.submit("--on-done", say(talking.out, "late"), "--after", f"{talking.submit('--', 'sleep', '60')}:any", "--", "true")
    talking.kill()
    talking.start()
    talking.ctl("task", "cancel", late)
    assert wait_said(talking, "late").startswith(f"{late} task {late} cancelled")
    talking.ctl("task", "cancel", "--all")
    talking.ctl("submit", "--on-done", "echo 'open", "--", "true", code=2)


def test_a_node_that_runs_no_tasks_runs_no_command_when_one_is_done(lab):
    assert "seed runs no tasks" in lab["seed"].ctl("submit", "--on-done", "true", "a1", code=6).stderr


def test_a_command_with_an_open_quote_is_no_configuration(make_lab):
    lab = make_lab(FAST)
    node = lab.node("lone", role="seed", types=[{"name": "a", "command": "/bin/echo 'open"}])
    node.launch()
    assert node.wait_end() == 78
    assert "every quote closed" in node.log_text()


# ---- what began, and what did not

def queued(node):
    return node.json("members", "-o", "+queue", "--filter", f"node={node.name}")["members"][0]["queue"]


def test_what_only_waited_when_its_origin_died_runs_though_it_must_not_run_twice(make_lab):
    lab = make_lab(FAST)
    origin, worker = lab.node("origin", role="seed"), lab.node("worker", {"tasks": {"slots": 1}})
    lab.start()
    begun = origin.submit("-N", "worker", "--retries", "0", "--", "sleep", "300")
    origin.wait_task(begun, "running")
    waiting = origin.submit("-N", "worker", "--retries", "0", "--", "echo", "once")
    wait_for(lambda: queued(worker) == 1, 10, "the second task to be accepted")
    origin.kill()
    wait_for(lambda: worker.call("Status")["tasks"]["running"] == 0 and queued(worker) == 0, 20, "the leases to end")
    origin.start()
    shown = origin.wait_task(waiting, "succeeded")
    assert origin.ctl("task", "logs", waiting).stdout == "once\n"
    assert "not taken by worker: it did not begin within its lease" in [entry["text"] for entry in shown["timeline"]]
    assert origin.wait_task(begun, "unknown")["reason"].startswith("attempt 1 lost: ")


def test_what_is_queued_on_a_dead_node_says_so(make_lab):
    lab = make_lab(merge(FAST, {"tasks": {"lease": "300s", "slots": 1}}))
    origin, worker = lab.node("origin", role="seed"), lab.node("worker")
    lab.start()
    origin.wait_task(origin.submit("-N", "worker", "--", "sleep", "300"), "running")
    waiting = origin.submit("-N", "worker", "--", "true")
    wait_for(lambda: queued(worker) == 1, 10, "the second task to be accepted")
    worker.kill()
    wait_for(lambda: origin.task(waiting)["reason"] == "worker is dead; waits until its lease is over", 30, "it to be told")


def test_what_runs_goes_on_when_its_origin_is_back_within_the_lease(make_lab):
    """Its worker asked twice in vain, and would ask again when it is too late: an origin that is back is asked at once."""
    lab = make_lab(merge(STEADY, {"tasks": {"lease": "18s"}}))
    origin, worker = lab.node("origin", {"tasks": {"enabled": False}}, role="seed"), lab.node("worker")
    lab.start()
    task = origin.submit("--", "sleep", "300")
    origin.wait_task(task, "running")
    origin.kill()
    holds_for(lambda: worker.call("Status")["tasks"]["running"] == 1, 12.5, "the task to run while its origin is away")
    origin.start()
    wait_for(lambda: "worker" in origin.sees_alive(), 10, "the worker to be seen")
    holds_for(lambda: worker.call("Status")["tasks"]["running"] == 1, 7, "the task to run when the old lease is over")
    shown = origin.task(task)
    assert (shown["state"], shown["attempt"]) == ("running", 1), shown
    origin.ctl("task", "cancel", task)
    origin.wait_task(task, "cancelled")


# ---- nodes of different sizes

class SmallPlace:
    """Where a daemon has one CPU."""

    def __init__(self, place):
        self.ip, self.prefix = place.ip, ("taskset", "-c", str(min(os.sched_getaffinity(0))), *place.prefix)


def test_a_node_with_too_few_cpus_is_not_chosen(make_lab, tmp_path):
    lab = make_lab(STEADY)
    small = lab.node("small", role="seed", types=["a"])
    large = lab.node("large", {"tasks": {"slots": 1}}, types=["a"])
    small.place = SmallPlace(small.place)
    lab.start()
    there = len(os.sched_getaffinity(0))
    assert there > 1, "these tests need two CPUs"
    wanted = ["--cpus", "1.5"]
    for _ in range(6):  # the small one is always the freer one, with its own word for it
        assert small.task(small.submit(*wanted, "--", "sleep", "300"))["node"] == "large"
    told = small.ctl("submit", "--dry-run", *wanted, "a1").stdout
    assert "small" in told and "too few CPUs or slots" in told
    assert small.ctl("submit", "-N", "small", *wanted, "a1", code=4).stderr == "p2pctl: small has only 1 CPU\n"
    most = f"none of the 2 nodes for type a has {there + 1} CPUs; the largest has {there}"
    assert small.ctl("submit", "--cpus", there + 1, "a1", code=4).stderr == f"p2pctl: {most}\n"
    (tmp_path / "list").write_text(f"a1\na1: cpus={there + 1}\n")
    assert f"p2pctl: {most}\n" in small.ctl("run", tmp_path / "list", code=4).stderr
    (tmp_path / "list").write_text("a1\na1: slots=1024\n")
    refused = small.ctl("run", tmp_path / "list", code=4).stderr
    assert "none of the 2 nodes for type a has 1024 slots; the largest has " in refused, refused
    small.ctl("drain", "large")
    wait_for(lambda: small.task(small.tasks()[-1]["id"])["reason"]
             == "the only node for commands with 1.5 CPUs, large, is draining", 10, "the reason")
    small.ctl("task", "cancel", "--all", "--grace", "0")


# ---- once more, with other words

@pytest.fixture
def retry_with(node, tmp_path):
    """`task retry --edit` where the editor is a Python script that has the file's path in argv[1]."""
    def run(task, script, *options, code=0):
        editor = tmp_path / "editor"
        editor.write_text(f"#!/usr/bin/python3\nimport pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{script}\n")
        editor.chmod(0o755)
        (tmp_path / "tmp").mkdir(exist_ok=True)
        result = node.ctl("task", "retry", "--edit", task, *options, code=code,
                          env=environment(EDITOR=str(editor), TMPDIR=str(tmp_path / "tmp")))
        assert list((tmp_path / "tmp").iterdir()) == [], "the file stays"
        return result
    return run


@pytest.mark.parametrize("words", [["echo", "plain"], ["printf", "%s|", "two words", "it's", '"', "", "#", "a\nb", "'\"'"]])
def test_words_that_are_not_changed_stay_as_they_are(node, retry_with, words):
    task = node.submit("--", *words)
    node.wait_task(task, "succeeded")
    said = node.ctl("task", "logs", task).stdout
    assert retry_with(task, "assert path.stat().st_mode & 0o777 == 0o600").stdout == f"{task}\n"
    shown = node.wait_task(task, "succeeded")
    assert shown["args"] == words and shown["attempt"] == 2
    assert node.ctl("task", "logs", task).stdout == said


def test_a_task_runs_again_with_other_words(node, retry_with):
    task = node.submit("--", "sh", "-c", "echo worng; exit 3")
    node.wait_task(task, "failed")
    retry_with(task, 'path.write_text(path.read_text().replace("worng", "right").replace("exit 3", "exit 0") + "\\n")')
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "logs", task).stdout == "right\n"
    typed = node.submit("q1", "before")
    node.wait_task(typed, "succeeded")
    retry_with(typed, 'path.write_text(path.read_text().replace("before", "after \\n again"))')
    assert node.wait_task(typed, "succeeded")["args"] == ["after", "again"]


def test_a_task_of_another_node_runs_again_with_other_words(lab, node, retry_with):
    task = lab["lab-02"].submit("--", "echo", "there")
    lab["lab-02"].wait_task(task, "succeeded")
    assert retry_with(task, 'path.write_text("echo again")').stdout == f"{task}\n"
    assert lab["lab-02"].wait_task(task, "succeeded")["args"] == ["echo", "again"]
    assert node.ctl("task", "logs", task).stdout == "again\n"


def test_what_an_editor_leaves_that_cannot_run_changes_nothing(node, retry_with):
    task = node.submit("--", "echo", "once")
    node.wait_task(task, "succeeded")
    assert "a command needs at least one word" in retry_with(task, 'path.write_text("")', code=2).stderr
    assert "a quote is not closed" in retry_with(task, "path.write_text(\"echo 'x\")", code=2).stderr
    assert "the editor failed, nothing was changed" in retry_with(task, "sys.exit(1)", code=1).stderr
    python = node.submit("--code", "def f(x): return x", "--function", "f", "1")
    node.wait_task(python, "succeeded")
    assert "argument 1 is no JSON: nonsense" in retry_with(python, 'path.write_text("nonsense")', code=2).stderr
    assert [node.task(each)["attempt"] for each in (task, python)] == [1, 1]


def test_an_editor_is_for_one_task_that_has_ended(node, retry_with):
    running = node.submit("--", "sleep", "300")
    node.wait_task(running, "running")
    assert "has not ended" in retry_with(running, "raise SystemExit('it was asked')", code=1).stderr
    assert "--edit takes the id of one task" in retry_with(running, "", running, code=2).stderr
    node.ctl("task", "cancel", running, "--grace", "0")
    node.wait_task(running, "cancelled")
    for words, editor in (([], ""), (["--no-input"], "true")):
        told = node.ctl("task", "retry", "--edit", running, *words, code=2, env=environment(EDITOR=editor)).stderr
        assert "an editor needs a terminal" in told
    assert "cannot be started" in node.ctl("task", "retry", "--edit", running, code=4, env=environment(EDITOR="/no/editor")).stderr


def test_a_task_that_ended_while_its_origin_was_away_has_its_end_of_then(make_lab):
    """It was told as the start of the worker, which had been restarted meanwhile."""
    lab = make_lab(STEADY)
    gate = Gate(lab)
    origin = lab.node("origin", {"tasks": {"enabled": False}}, role="seed")
    worker = lab.node("worker")
    lab.start()
    task = origin.submit("-N", "worker", "--", "sh", "-c", gate.wait)
    origin.wait_task(task, "running")
    origin.kill()
    gate.open()
    wait_for(lambda: worker.kept_ends() == 1, 15, "the end on the disk")
    before = time.time()
    worker.restart()
    origin.start()
    told = origin.wait_task(task, "succeeded", timeout=30)["ended"]
    assert datetime.datetime.fromisoformat(told).timestamp() <= before, (told, before)
