# SPDX-License-Identifier: MIT
"""A bad network: loss, one-way cuts, partitions; each node in a network namespace of its own."""
import pathlib

import pytest

from lib.lab import FAST, STEADY, merge
from lib.netns import Switch
from lib.process import sizes
from lib.wait import holds_for, wait_for

NAMES = ["seed", "lab-01", "lab-02", "lab-03", "lab-04"]


def make(lab):
    marks = lab.directory / "marks"
    marks.mkdir()
    marks.chmod(0o1777)
    lab.marks = marks
    lab.settings = {**lab.settings, "sandbox": {"write": [str(marks)]}}
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    for name in NAMES[1:]:
        lab.node(name, types=["a"])
    return lab.start()


@pytest.fixture
def lab(make_lab):
    return make(make_lab(FAST, Switch()))


@pytest.fixture
def patient(make_lab):
    """Suspects are found as soon, and have longer to speak up: the loss and a busy machine together are no death."""
    return make(make_lab(merge(FAST, {"membership": {"suspicion_mult": 12}}), Switch()))


@pytest.fixture
def steady(make_lab):
    """Where nobody dies, and leases are longer than any cut."""
    return make(make_lab(STEADY, Switch()))


def nodes(lab, *names):
    return [lab[name] for name in names]


def deaths(lab):
    return [(name, event["message"]) for name in NAMES for event in lab[name].events("member-dead")]


def sees(node, **states):
    """Whether it sees these members in these states: lab_01="alive"."""
    members = node.members()
    return all(members[name.replace("_", "-")]["state"] == state for name, state in states.items())


def test_a_quarter_of_all_datagrams_lost_kills_nobody_and_loses_no_message(patient):
    lab = patient
    lab.switch.lose(25)
    result = lab["lab-01"].json("message", "--all", "can you hear me?", timeout=30)
    assert result["status"] == "received"
    for name in NAMES:
        if name != "lab-01":
            assert [entry["msg"] for entry in lab[name].json("inbox")["messages"]] == ["can you hear me?"], name
    holds_for(lambda: not deaths(lab), 6, "everybody alive")
    late = lab.node("late").start()
    wait_for(lambda: set(NAMES) <= late.sees_alive(), 20, "a late comer to see all")


def test_a_lossy_network_still_runs_the_list(steady, tmp_path):
    lab = steady
    lab.switch.lose(15)
    lab.switch.lose(5, "meta l4proto tcp")
    path = tmp_path / "tasks.txt"
    path.write_text("a1 a2 { a3 a4 a5 } a6")
    result = lab["seed"].ctl("run", path, timeout=60)
    assert result.stdout.count("Executing task: ") == 6 and result.stdout.endswith("Disconnected from all nodes.\n")


def test_two_that_cannot_hear_each_other_are_both_alive(patient):
    """Others ask for them: one bad link is no death."""
    lab = patient
    lab.switch.part(nodes(lab, "lab-01"), nodes(lab, "lab-02"))
    holds_for(lambda: not deaths(lab), 6, "everybody alive")
    wait_for(lambda: sees(lab["lab-01"], lab_02="alive") and sees(lab["lab-02"], lab_01="alive"), 10, "both alive")


def test_who_is_heard_but_hears_nobody_is_found_out(lab):
    deaf = lab["lab-03"]
    for other in NAMES:
        if other != "lab-03":
            lab.switch.cut(lab[other], deaf)
    for name in ("seed", "lab-01", "lab-02", "lab-04"):
        wait_for(lambda name=name: sees(lab[name], lab_03="dead"), 15, f"lab-03 to be dead at {name}")
    lab.switch.heal()
    lab.wait_joined(15)


def test_a_partition_heals_by_itself(lab):
    one, other = nodes(lab, "seed", "lab-01"), nodes(lab, "lab-02", "lab-03", "lab-04")
    lab.switch.part(one, other)
    for node in one:
        wait_for(lambda node=node: sees(node, lab_02="dead", lab_03="dead", lab_04="dead", lab_01="alive"), 40, node.name)
    for node in other:
        wait_for(lambda node=node: sees(node, seed="dead", lab_01="dead", lab_02="alive", lab_04="alive"), 40, node.name)
    for node in (lab["lab-01"], lab["lab-03"]):
        assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    lab.switch.heal()
    lab.wait_joined(15)
    assert lab["seed"].json("message", "--all", "together again")["status"] == "received"


def runs_for(task, node):
    """Processes that have the environment of this task on this node."""
    wanted = {f"P2P_TASK_ID={task}".encode(), f"P2P_NODE={node}".encode()}
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [path.parent.name] if wanted <= set(path.read_bytes().split(b"\0")) else []
        except OSError:
            continue
    return found


def test_a_task_behind_a_partition_ends_there_and_runs_again_here(lab):
    """Its lease is over before it is begun anew, so that it never runs twice at once."""
    origin = lab["seed"]
    script = f"touch {lab.marks}/begun.$P2P_NODE; until test -e {lab.marks}/go; do sleep 0.05; done; " \
             "echo done on $P2P_NODE"
    task = origin.submit("--", "sh", "-c", script)
    first = origin.wait_task(task, "running")["node"]
    wait_for(lambda: (lab.marks / f"begun.{first}").exists(), 5, "the first start")
    lab.switch.part([lab[first]], [lab[name] for name in NAMES if name != first])

    def others():
        return [path.name for path in lab.marks.glob("begun.*") if path.name != f"begun.{first}"]

    wait_for(others, 20, "the second start")
    assert not runs_for(task, first), "two ran at once"
    assert runs_for(task, others()[0].split(".")[1])
    (lab.marks / "go").touch()
    second = origin.wait_task(task, "succeeded")["node"]
    assert second != first
    lab.switch.heal()
    lab.wait_joined(15)
    holds_for(lambda: origin.task(task)["state"] == "succeeded" and origin.task(task)["node"] == second, 2, "the result")
    assert origin.ctl("task", "logs", task).stdout == f"done on {second}\n"


def test_a_short_cut_of_tcp_loses_no_output_and_starts_nothing_twice(steady):
    lab, origin = steady, steady["seed"]
    task = origin.submit("--", "sh", "-c", f"for i in 1 2 3 4 5 6; do echo $i; touch {lab.marks}/$i; "
                                           f"until test -e {lab.marks}/go.$i; do sleep 0.02; done; done")
    node = lab[origin.wait_task(task, "running")["node"]]
    for i in range(1, 7):
        wait_for((lab.marks / str(i)).exists, 10, f"step {i}")
        if i in (2, 4):  # the connection is reset, and comes back
            node.place.refuse_tcp()
        if i in (3, 5):
            node.place.allow_tcp()
        (lab.marks / f"go.{i}").touch()
    shown = origin.wait_task(task, "succeeded", timeout=20)
    assert shown["attempt"] == 1
    assert origin.ctl("task", "logs", task).stdout == "1\n2\n3\n4\n5\n6\n"


def test_a_node_without_tcp_is_shown_and_gets_no_work(steady):
    lab, origin, closed = steady, steady["seed"], steady["lab-02"]
    closed.place.refuse_tcp()

    def checked():
        entries = origin.json("ping", "--all", code=None)["nodes"]
        return {entry["name"]: (entry["udp"], entry["tcp"]) for entry in entries}
    wait_for(lambda: checked()["lab-02"] == ("ok", "refused") and checked()["lab-01"] == ("ok", "ok"), 10, checked)
    wait_for(lambda: "firewall" in origin.ctl("ping", "--all", code=None).stdout, 10, "the word for it")
    for _ in range(6):
        task = origin.submit("a1")
        assert origin.wait_task(task, "succeeded")["node"] != "lab-02"
    result = origin.ctl("mem", "get", "lab-02:key", code=7)
    assert "lab-02" in result.stderr


def test_a_transfer_whose_connection_breaks_fails_and_leaves_nothing(steady, tmp_path):
    origin, holder = steady["seed"], steady["lab-01"]
    source = tmp_path / "large"
    with open(source, "wb") as file:
        file.truncate(512 << 20)
    process = origin.ctl_start("file", "put", "--rate", "8MiB", source, "lab-01:")
    parts = lambda: sizes((holder.directory / "peer_storage").glob("-*/*"))
    wait_for(lambda: any(size > 1 << 20 for size in parts()), 10, "the transfer to be under way")
    holder.place.refuse_tcp()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode in (1, 7) and stderr.startswith(b"p2pctl: "), stderr
    holder.place.allow_tcp()
    assert holder.json("file", "ls")["files"] == []
