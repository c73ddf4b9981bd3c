# SPDX-License-Identifier: MIT
"""Long lists of tasks: chosen where they are, in pages; none that has not ended is ever left out."""
import contextlib
import json
import sqlite3

import pytest

from lib.lab import STEADY

ENDED = 20_000  # so many of those that have ended are listed


def copy_record(node, task, count, **changes):
    """Puts so many copies of an ended task's record after it; the node does not run."""
    with contextlib.closing(sqlite3.connect(node.directory / "state.db")) as database, database:
        state, ended, text, result = database.execute(
            "SELECT state, ended, record, result FROM task WHERE number = ?", (task,)).fetchone()
        record = json.loads(text)
        (first,) = database.execute("SELECT max(number) + 1 FROM task").fetchone()
        for number in range(first, first + count):
            database.execute("INSERT INTO task VALUES(?, ?, ?, ?, ?)", (
                number, state, ended, json.dumps({**record, "number": number, **changes}), result))
        database.execute("UPDATE meta SET value = ? WHERE key = 'next_task'", (first + count,))


@pytest.fixture(scope="module")
def lab(make_module_lab, tmp_path_factory):
    """lab-01 has a failed task, one of a list, one that runs, and then 20,100 that have succeeded."""
    lab = make_module_lab(STEADY)
    node = lab.node("lab-01", {"tasks": {"slots": 2}}, role="seed", types=["a"])
    lab.node("lab-02")
    lab.start()
    node.submit("--", "true")
    node.ctl("submit", "--wait", "--", "sh", "-c", "exit 3", code=3)
    path = tmp_path_factory.mktemp("lists") / "tasks.txt"
    path.write_text("a1")
    node.ctl("run", path)
    node.wait_task("1", "succeeded")
    lab.first_open = node.submit("-N", "lab-02", "--", "sleep", "600")
    node.wait_task(lab.first_open, "running")
    node.stop()
    copy_record(node, 1, ENDED + 100)
    node.launch()
    lab.wait_joined()
    return lab


def ids(answer):
    return [task["id"] for task in answer["tasks"]]


def test_what_is_asked_for_is_found_behind_any_number_of_others(lab):
    node = lab["lab-01"]
    for arguments in (["-s", "failed"], ["--filter", "STATE=failed"], ["-t", "cmd", "--since", "1h", "-s", "failed"]):
        listed = node.json("task", "list", *arguments)
        assert ids(listed) == ["2@lab-01"] and listed["left_out"] == [], arguments
    submitted = listed["tasks"][0]["submitted"]
    assert ids(node.json("task", "list", "-s", "failed", "--since", submitted)) == ["2@lab-01"]
    assert ids(node.json("task", "list", "-s", "failed", "--since", "2100-01-01")) == []
    first = node.json("events")["events"][-2:]
    assert node.json("events", "--since", first[0]["time"])["events"][-2:] == first
    assert node.json("events", "--since", "2100-01-01 08:00")["events"] == []
    for workflow in ("w1", "w1@lab-01"):
        assert ids(node.json("task", "list", "-w", workflow)) == ["3@lab-01"]
    assert ids(node.json("task", "list", "-w", "w1@lab-02")) == []
    assert ids(lab["lab-02"].json("-N", "lab-01", "task", "list", "-s", "running")) == [lab.first_open]
    assert ids(lab["lab-02"].json("task", "list", "--all-nodes", "-s", "failed")) == ["2@lab-01"]
    assert len(ids(node.json("task", "list", "--mine", "--filter", "STATE=succeeded"))) == ENDED + 102
    result = node.ctl("task", "list", "-w", "seven", code=2)
    assert result.stderr.startswith('p2pctl: "seven" is no workflow id'), result


@pytest.mark.parametrize("asks", ["lab-01", "lab-02"])
def test_the_oldest_of_those_that_have_ended_are_left_out_and_told(lab, asks):
    arguments = [] if asks == "lab-01" else ["--all-nodes"]
    listed = lab[asks].json("task", "list", *arguments)
    assert listed["left_out"] == [{"node": "lab-01", "count": 103}]
    assert len(listed["tasks"]) == ENDED + 1 and lab.first_open in ids(listed)
    assert "2@lab-01" not in ids(listed)
    result = lab[asks].ctl("task", "list", *arguments)
    assert "left out: 103 older tasks of lab-01 that have ended" in result.stderr, result.stderr


def test_one_answer_has_the_newest_and_all_that_have_not_ended(lab):
    node = lab["lab-01"]
    whole = node.call("ListTasks")
    assert len(whole["tasks"]) == 2000 and lab.first_open in ids(whole)
    assert sum(one["count"] for one in whole["left_out"]) == ENDED + 104 - 2000


def test_what_comes_while_it_is_told_is_not_in_it(lab):
    node = lab["lab-01"]
    with node.varlink() as varlink:
        pages = varlink.stream("ListTasks", {"all": True})
        listed = ids(next(pages))
        late = node.submit("--", "true")
        node.wait_task(late, "succeeded")
        for page in pages:
            listed += ids(page)
    assert len(listed) == len(set(listed)) and late not in listed
    assert lab.first_open in listed and len(listed) == ENDED + 104
    assert late in ids(node.json("task", "list"))
