# SPDX-License-Identifier: MIT
"""How busy a machine is with something else, and what p2pnode makes of it."""
import json

import pytest

from lib.lab import BUILD, STEADY
from lib.wait import wait_for


@pytest.fixture
def lab(make_lab, tmp_path):
    """Two nodes that take the same work; the machine of one is busy with something else."""
    lab = make_lab(STEADY)
    for name in ("seed", "one", "two"):
        node = lab.node(name, {"tasks": {"enabled": name != "seed"}}, role="seed" if name == "seed" else "peer", types=["a"])
        (tmp_path / name).write_text("1.6" if name == "one" else "0")
        node.launch(LD_PRELOAD=str(BUILD / "tests/machine.so"), P2P_LOAD=str(tmp_path / name))
    lab.wait_joined()
    lab.set_load = lambda name, load: (tmp_path / name).write_text(str(load))
    return lab


def test_a_machine_that_is_busy_with_something_else_gets_less_work(lab):
    seed = lab["seed"]
    wait_for(lambda: seed.members()["one"]["cpu"] == 1.6, 30, "the load of the machine")
    member = seed.members()["one"]
    assert member["load"] == 1.5 and member["running"] == 0 and 0 < member["mem"] < 1
    chosen = seed.json("submit", "--dry-run", "a1")
    assert chosen["node"] == "two"
    assert {entry["name"]: entry["load"] for entry in chosen["candidates"] if entry["name"] != "seed"} == {"one": 1.5, "two": 0}
    for _ in range(4):
        assert seed.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert {task["node"] for task in seed.tasks()} == {"two"}
    lab.set_load("one", 0)
    lab.set_load("two", 9)
    wait_for(lambda: (seed.members()["one"]["load"], seed.members()["two"]["load"]) == (0, 8), 30, "the other is busy now")
    assert seed.members()["two"]["cpu"] == 2.55
    assert seed.json("submit", "--dry-run", "a1")["node"] == "one"


def test_the_columns_of_a_machine(lab):
    seed = lab["seed"]
    wait_for(lambda: seed.members()["one"]["cpu"] == 1.6, 30, "the load of the machine")
    rows = {row[0]: row[1:] for row in (line.split() for line in
            seed.ctl("members", "--no-legend", "-o", "NODE,LOAD,CPU,MEM,LOSS").stdout.splitlines())}
    assert rows["one"][:2] == ["1.50", "160%"] and rows["seed*"][:2] == ["0.00", "0%"]
    assert rows["seed*"][3] == "-"
    wait_for(lambda: all(member["loss"] == 0 for name, member in seed.members().items() if name != "seed"), 30, "answers")
    # status has the mean of those that are alive.
    lab["two"].kill()
    lab.wait_state("two", "dead", 60)

    def means():
        losses = [one["loss"] for one in seed.members().values() if one["state"] == "alive" and one["loss"] is not None]
        return seed.call("Status")["gossip"]["loss"], sum(losses) / len(losses)
    wait_for(lambda: means()[0] == pytest.approx(means()[1]), 30, means)
    # A column that is there already is not there twice.
    head = seed.ctl("members", "-o", "+version,proto").stdout.splitlines()[0].split()
    assert head.count("VERSION") == 1 and head[-1] == "PROTO"
    assert "cpu: 1.6" in seed.ctl("node", "show", "one").stdout
    assert json.loads(seed.ctl("-j", "node", "show", "one").stdout)["member"]["cpu"] == 1.6
