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
    own, = [member for member in first.call("Members")["members"] if member["self"]]
    began = int(own["incarnation"].split(".")[0])
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


def problems(node, code):
    return [problem for problem in node.call("Status")["problems"] if problem["code"] == code]


def test_a_clone_of_the_same_name_works_on_under_its_new_id(lab):
    """The name is the operator's; the node is told of, and does not end."""
    node = lab["lab-02"]
    copy = clone(lab, node, "copy", {"node": {"name": "lab-02"}})
    copy.start()
    wait_for(lambda: sorted(address for _, address in places(lab["seed"], "lab-02")) ==
             sorted([node.address, copy.address]), 15, "two nodes of that name")
    wait_for(lambda: lab["seed"].events("name-conflict"), 5, "the name conflict")
    holds_for(lambda: node.is_running and copy.is_running, 1, "both")
    # Everybody who looks is told, who they are and what to do.
    for watcher in (lab["seed"], lab["lab-01"], node, copy):
        told, = wait_for(lambda watcher=watcher: problems(watcher, "name-conflict"), 15, "the problem")
        assert told["node"] == "lab-02" and told["since"]
        for one in (node, copy):
            assert f"{one.address} ({uuid_of(one)})" in told["message"]
        assert "node.name" in told["message"]
        assert f"lab-02: {told['message']}" in watcher.ctl("status").stdout
    assert "node.name" in lab["seed"].ctl("doctor", "cluster", code=None).stdout
    # A name of its own ends it.
    copy.settings["node"]["name"] = "lab-03"
    copy.restart()
    for watcher in (lab["seed"], node, copy):
        wait_for(lambda watcher=watcher: not problems(watcher, "name-conflict"), 10, "the end of the problem")


def test_what_ran_at_the_loser_is_lost_and_does_not_run_twice(lab):
    """The copy knows nothing of it, and may not say that it did not begin."""
    node = lab["lab-02"]
    copy = clone(lab, node, "copy")
    old = uuid_of(node)
    task = node.submit("--retries", "0", "-N", "lab-02", "--", "sleep", "1000")
    node.wait_task(task, "running")
    copy.start()
    wait_for(lambda: f"id {old} of this node is in use" in node.log_text(), 15, "the conflict to be told")
    lab.wait_joined()
    told = node.wait_task(task, "unknown")
    assert told["attempt"] == 1 and "not begun on" not in str(told["timeline"]), told


def test_the_loser_says_that_its_tasks_are_at_both(lab):
    """What had not ended when the disk was copied is in two queues."""
    node = lab["lab-02"]
    node.ctl("drain")
    for _ in range(2):  # may run there only, so they wait
        node.ctl("submit", "-N", "lab-02", "--", "true")
    copy = clone(lab, node, "copy")
    old = uuid_of(node)
    copy.start()
    wait_for(lambda: any("this node takes a new one" in one.log_text() for one in (node, copy)), 15,
             "the conflict to be told")
    lab.wait_joined()
    loser, winner = (node, copy) if uuid_of(copy) == old else (copy, node)
    told, = wait_for(lambda: problems(loser, "id-conflict"), 5, "the problem")
    assert told["message"] == (
        f"the node at {winner.address} has the id {old}, which was this one's: the state directory of one is a copy "
        "of the other's. This node took a new id, and 2 tasks that had not ended run there, too: p2pctl task list; "
        "cancel what is there twice")
    assert told["message"] in loser.ctl("status").stdout and not problems(winner, "id-conflict")
    wait_for(lambda: [event for event in loser.events("problem") if told["message"] in event["message"]], 10, "the log")
    for one in (node, copy):
        assert len(one.json("task", "list", "-s", "pending")["tasks"]) == 2


def test_forget_tells_apart_those_of_one_name(lab):
    """A machine that was installed anew twice: two ghosts, and one that lives."""
    old = lab["lab-01"]
    seed = lab["seed"]
    ghosts = []
    for i in range(2):
        wait_to_be_later(old)
        ghosts.append((uuid_of(old), old.address))
        old.kill()
        old = lab.node(f"anew-{i}", {"node": {"name": "lab-01"}}).start()
        wait_for(lambda: alive(seed, "lab-01") and alive(seed, "lab-01")[0]["address"] == old.address and
                 {member["uuid"] for member in seed.call("Members")["members"] if member["state"] == "dead"} ==
                 {uuid for uuid, _ in ghosts}, 30, "the ghost and the new one")
    result = seed.ctl("forget", "--yes", "lab-01", code=1)
    for uuid, address in ghosts:
        assert f"{uuid}  lab-01  {address}  dead\n" in result.stderr
    assert 'p2pctl: "lab-01" means 2 nodes that are gone\n' in result.stderr
    assert "hint: one of them: p2pctl forget " in result.stderr
    uuid, address = ghosts[0]
    assert seed.ctl("forget", "--yes", uuid[:13]).stdout == f"forgot lab-01 ({uuid} at {address})\n"
    # Nobody is asked about a node that is not there, that lives, or that may be several.
    assert "no node is called" in seed.ctl("forget", "nosuch", code=4).stderr
    assert "is not dead" in seed.ctl("forget", old.address, code=1).stderr
    assert "nobody can be asked" in seed.ctl("forget", ghosts[1][0], code=2).stderr
    # Now the name means the other one.
    assert seed.json("forget", "--yes", "lab-01") == {
        "schema": "p2pctl.forget/1", "name": "lab-01", "uuid": ghosts[1][0], "address": ghosts[1][1]}
    assert [member["address"] for member in seed.call("Members")["members"] if member["name"] == "lab-01"] == [old.address]
    assert "is not dead" in seed.ctl("forget", "--yes", "lab-01", code=1).stderr
    assert "is not dead" in seed.ctl("forget", "--yes", old.address, code=1).stderr
    assert "no node is called" in seed.ctl("forget", "--yes", uuid[:13], code=4).stderr
    last = uuid_of(old)
    old.kill()
    wait_for(lambda: seed.state_of("lab-01") == "dead", 15, "its death")
    assert seed.ctl("forget", "--yes", old.ip).stdout == f"forgot lab-01 ({last} at {old.address})\n"


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
    wait_for(lambda: conflict.search(lab["seed"].log_text()), 5, "the conflict at the seed, through which it came")
    wait_for(lambda: lab["seed"].events("name-conflict"), 5, "the event")
    for node in lab.running():
        # Whoever heard of the second only when it left has seen no conflict.
        found = conflict.search(node.log_text())
        assert not found or set(found.groups()) == {first.address, twin.address}
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
