# SPDX-License-Identifier: MIT
"""IPv6, alone and beside IPv4, and nodes whose address changes while they run."""
import re

import pytest

from lib.lab import FAST, STEADY
from lib.netns import Switch
from lib.wait import holds_for, wait_for


def make_four(lab):
    lab.node("seed", role="seed", types=["a"])
    for i in (1, 2, 3):
        lab.node(f"lab-{i:02}", types=["a"])
    return lab.start()


@pytest.fixture
def lab(make_lab):
    """Four nodes that have no IPv4 at all."""
    return make_four(make_lab(STEADY, Switch([6])))


def wait_reached(node, names=None):
    """Until it reaches all others that are alive by UDP and TCP; names: who these are."""
    def checked():
        entries = node.json("ping", "--all", code=None)["nodes"]
        return all((entry["udp"], entry["tcp"]) == ("ok", "ok") for entry in entries) and \
            (names is None or [entry["name"] for entry in entries] == names)
    wait_for(checked, 10, f"{node.name} to reach all")


def test_the_screens_show_addresses_as_they_are_typed(lab):
    node = lab["lab-01"]
    assert node.json("peers")["peers"] == [
        {"name": other.name, "address": other.address} for other in (lab["lab-02"], lab["lab-03"], lab["seed"])]
    assert f"lab-02  [{lab['lab-02'].ip}]:7717" in node.ctl("peers").stdout
    shown = node.ctl("members").stdout
    assert all(f" [{other.ip}]:7717 " in shown for other in lab.nodes.values())
    assert node.json("status")["gossip"]["address"] == node.address
    wait_reached(node, ["lab-02", "lab-03", "seed"])
    assert node.address in node.ctl("node", "show", "--self").stdout
    wait_for(lambda: "lab-02  ok" in node.ctl("ping", "lab-02", code=None).stdout, 10, "an answer")


def test_tasks_files_and_messages_travel(lab, tmp_path):
    node = lab["lab-01"]
    (tmp_path / "file").write_text("content")
    node.ctl("file", "put", tmp_path / "file", "lab-02:")
    assert node.ctl("file", "get", "lab-02:file", "-").stdout == "content"
    assert node.json("message", "--all", "hello")["status"] == "received"
    task = node.submit("-N", "lab-03", "--", "sh", "-c", "echo $P2P_NODE")
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "logs", task).stdout == "lab-03\n"


def test_a_death_is_told_in_the_seeds_format(make_lab):
    lab = make_four(make_lab(FAST, Switch([6])))
    dead = lab["lab-03"]
    dead.kill()
    lab.wait_state("lab-03", "dead")
    line = re.compile(rf"Dead Node:\[{dead.ip}\]:\d+\.\d{{3}}:\[fd81::\d\]")
    wait_for(lambda: any(map(line.fullmatch, lab["seed"].ctl(
        "events", "--format=seed", "--type", "dead-report,member-dead").stdout.splitlines())), 5, "the report")


def test_who_was_given_an_address_by_hand_joins(lab):
    late = lab.node("late", seeds=[]).start()
    late.ctl("join", f"[{lab['lab-02'].ip}]")
    lab.wait_joined()


# What a node is by default: it listens at all addresses, and learns its own from the others.
EVERYWHERE = {"listen": {"address": ""}}


def addresses(lab):
    """What the nodes say of where each is: name -> set of addresses."""
    found = {}
    for node in lab.running():
        for name, member in node.members().items():
            found.setdefault(name, set()).add(member["address"])
    return found


def test_both_families_at_one_switch_are_one_cluster(make_lab):
    """Whoever listens to both is reached by either, whichever seed address it was given; each node has one address."""
    lab = make_lab(STEADY | EVERYWHERE, Switch([4, 6]))
    seed = lab.node("seed", role="seed", seeds=[])
    for i in range(1, 6):
        address = seed.place.ips[4 if i % 2 else 6]
        lab.node(f"lab-{i:02}", seeds=[f"[{address}]:7717" if ":" in address else f"{address}:7717"], types=["a"])
    lab.start()
    own = {f"{ip}:7717" if family == 4 else f"[{ip}]:7717": name
           for name, node in lab.nodes.items() for family, ip in node.place.ips.items()}
    wait_for(lambda: {name: [own.get(address) for address in told] for name, told in addresses(lab).items()} ==
             {name: [name] for name in lab.nodes}, 10, lambda: f"one address each: {addresses(lab)}")
    for name in ("lab-01", "lab-02"):
        wait_reached(lab[name])
    holds_for(lambda: not any(node.events("member-dead", "name-conflict", "id-conflict") for node in lab.nodes.values()),
              3, "nobody dead")


@pytest.fixture(params=[4, 6])
def roamers(request, make_lab):
    """Nodes that listen everywhere, and know each other by where the packets came from."""
    lab = make_lab(STEADY | EVERYWHERE, Switch([request.param]))
    lab.node("seed", role="seed", seeds=[])
    for i in (1, 2, 3, 4):
        lab.node(f"lab-{i:02}", seeds=[lab["seed"].address])
    lab.start()
    wait_for_places(lab)
    return lab


def wait_for_places(lab):
    """Until all know where all are now, by the same ids, and can be reached there."""
    expected = {node.name: {node.address} for node in lab.nodes.values()}
    wait_for(lambda: addresses(lab) == expected, 15, lambda: f"where they are: {addresses(lab)}")
    lab.wait_joined()
    uuids = {tuple(sorted(member["uuid"] for member in node.members().values())) for node in lab.nodes.values()}
    assert len(uuids) == 1 and len(uuids.pop()) == len(lab.nodes)
    for node in lab.nodes.values():
        assert not node.events("id-conflict", "name-conflict", "member-left"), node.name
        wait_reached(node)


@pytest.mark.parametrize("name", ["lab-03", "seed"])
def test_a_node_that_moves_is_the_same_at_its_new_address(roamers, name):
    roamers[name].place.move(77)
    wait_for_places(roamers)
    assert roamers["lab-01"].json("message", name, "found you")["status"] == "received"
    assert not any(node.events("member-dead") for node in roamers.nodes.values())


def test_two_that_change_places_are_not_taken_for_each_other(roamers):
    one, other = roamers["lab-03"].place, roamers["lab-04"].place
    one.move(78)
    other.move(one.number)
    one.move(other.number)
    wait_for_places(roamers)
    for name in ("lab-03", "lab-04"):
        roamers["seed"].ctl("message", name, f"you are {name}")
        assert [entry["msg"] for entry in roamers[name].json("inbox")["messages"]] == [f"you are {name}"]
