# SPDX-License-Identifier: MIT
"""Ids and names that two nodes claim, seen by real daemons."""
import re
import shutil
import time

from lib.wait import holds_for, wait_for


def uuid_of(node):
    return node.call("Status")["node"]["uuid"]


def clone(lab, node, name, settings=None):
    """Another machine with a copy of the node's disk; the node runs on. Nothing is started."""
    copy = lab.node(name, settings)
    node.stop()
    shutil.copytree(node.directory, copy.directory)
    node.start()
    lab.wait_joined()
    wait_to_be_later(node)
    return copy


def wait_to_be_later(first):
    """Until who starts now started later: that goes by the second."""
    began = int(first.members()[first.name]["incarnation"].split(".")[0])
    wait_for(lambda: time.time() >= began + 1, 5, "the next second")


def alive(node, name):
    members = node.call("Members")["members"]
    return [member for member in members if member["name"] == name and member["state"] == "alive"]


def places(node, name):
    """(id, address) of all of that name that are alive."""
    return {(member["uuid"], member["address"]) for member in alive(node, name)}


def test_of_two_nodes_with_one_id_the_loser_takes_a_new_one_and_joins_again(lab):
    node = lab["lab-02"]
    copy = clone(lab, node, "copy")
    old = uuid_of(node)
    copy.start()
    said = re.compile(rf"err: id {old} of this node is in use by (127\.81\.\d+\.\d+:7717); this node takes a new one")
    wait_for(lambda: said.search(node.log_text()) or said.search(copy.log_text()), 15, "the conflict to be told")

    def has_two_ids():
        try:
            return uuid_of(node) != uuid_of(copy)
        except OSError:
            return False  # one of them begins anew
    wait_for(has_two_ids, 15, "two ids")
    lab.wait_joined()
    uuids = [uuid_of(node), uuid_of(copy)]
    assert uuids.count(old) == 1 and len(set(uuids)) == 2
    loser, winner = (node, copy) if uuids[1] == old else (copy, node)
    assert said.search(loser.log_text())[1] == winner.address
    assert not said.search(winner.log_text())
    for watcher in lab.running():
        for one in (loser, winner):
            wait_for(lambda watcher=watcher, one=one: places(watcher, one.name) == {(uuid_of(one), one.address)}, 15,
                     lambda watcher=watcher, one=one: f"one {one.name} at {watcher.name}: {places(watcher, one.name)}")
    new = uuid_of(loser)
    loser.restart()
    assert uuid_of(loser) == new, "and keeps it"


def test_a_clone_of_the_same_name_works_on_under_its_new_id(lab):
    """The name is the operator's; the node is told of, and does not end."""
    node = lab["lab-02"]
    copy = clone(lab, node, "copy", {"node": {"name": "lab-02"}})
    copy.start()
    wait_for(lambda: sorted(address for _, address in places(lab["seed"], "lab-02")) ==
             sorted([node.address, copy.address]), 15, "two nodes of that name")
    wait_for(lambda: lab["seed"].events("name-conflict"), 5, "the name conflict")
    holds_for(lambda: node.is_running and copy.is_running, 1, "both")


def test_of_two_nodes_with_one_name_the_later_starter_refuses_with_both_addresses(steady_lab):
    lab, first = steady_lab, steady_lab["lab-01"]
    twin = lab.node("twin", {"node": {"name": "lab-01"}})
    wait_to_be_later(first)
    twin.launch()
    assert twin.wait_end() == 78
    assert (f"The name lab-01 is in use by the node at {first.address}, "
            f"which was there before this one at {twin.address}") in twin.log_text()
    assert "hint: give this node another name with node.name" in twin.log_text()
    conflict = re.compile(r"name lab-01 is in use by (127\.81\.\S+) and (127\.81\.\S+)")
    for node in lab.running():
        found = wait_for(lambda node=node: conflict.search(node.log_text()), 5, f"the conflict at {node.address}")
        assert set(found.groups()) == {first.address, twin.address}
        wait_for(lambda node=node: node.events("name-conflict"), 5, "the event")
        wait_for(lambda node=node: [member["address"] for member in alive(node, "lab-01")] == [first.address], 5,
                 "the good-bye of the second")
        assert not node.events("member-dead")


def test_a_machine_that_was_installed_anew_keeps_its_name(lab):
    """Its former self is not known to be dead yet, but it does not answer."""
    old = lab["lab-01"]
    uuid = uuid_of(old)
    wait_to_be_later(old)
    old.kill()
    anew = lab.node("anew", {"node": {"name": "lab-01"}}).start()
    assert uuid_of(anew) != uuid
    for watcher in (lab["seed"], lab["lab-02"], anew):
        wait_for(lambda watcher=watcher: {(one["address"], one["state"])
                                          for one in watcher.call("Members")["members"] if one["name"] == "lab-01"} ==
                 {(old.address, "dead"), (anew.address, "alive")}, 15, "the old one to be dead, the new one alive")
    assert anew.is_running
    wait_for(lambda: anew.events("name-conflict"), 5, "the event")
    # Whoever writes to the name means the one that lives.
    assert lab["seed"].ctl("message", "lab-01", "welcome").stdout.startswith("received by lab-01 (")
    assert [entry["msg"] for entry in anew.json("inbox")["messages"]] == ["welcome"]
