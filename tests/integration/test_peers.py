# SPDX-License-Identifier: MIT
"""What users of memberlist, Serf and Consul reported, done to real daemons. The README has the table."""
import pytest

from lib.lab import STEADY, merge
from lib.wait import holds_for, wait_for


def names(node):
    return set(node.members())


@pytest.mark.parametrize("security", [{}, {"encrypt": False, "tls": False}], ids=["sealed", "clear"])
def test_peer_consul_4074_clusters_do_not_merge_by_a_node_that_changes_sides(make_lab, security):
    """And consul#843: its memory and its address led the members of one cluster to those of the other.

    Both have the same key, or none: it is the name alone that keeps them apart.
    """
    lab = make_lab(merge(STEADY, {"security": security}))
    clusters = {}
    for cluster in ("red", "blue"):
        seed = lab.node(f"{cluster}-seed", {"node": {"cluster": cluster}}, role="seed", seeds=[])
        seed.settings["seeds"] = [seed.address]
        clusters[cluster] = [seed, lab.node(f"{cluster}-1", {"node": {"cluster": cluster}, "seeds": [seed.address]})]
    turncoat = lab.node("turncoat", {"node": {"cluster": "red"}, "seeds": [clusters["red"][0].address]})
    for node in lab.nodes.values():
        node.start()
    red, blue = {"red-seed", "red-1"}, {"blue-seed", "blue-1"}
    for node in clusters["red"]:
        wait_for(lambda node=node: node.sees_alive() == red | {"turncoat"}, 10, "all of red")
    for node in clusters["blue"]:
        wait_for(lambda node=node: node.sees_alive() == blue, 10, "all of blue")

    assert turncoat.stop() == 0
    turncoat.settings["node"]["cluster"] = "blue"  # it remembers the members of red
    turncoat.settings["seeds"] = [clusters["blue"][0].address]
    turncoat.start()
    for node in clusters["blue"]:
        wait_for(lambda node=node: node.sees_alive() == blue | {"turncoat"}, 10, "it in blue")
    clusters["red"][1].ctl("join", "--timeout", "500ms", clusters["blue"][1].address, code=7)

    def apart():
        return all(names(node) <= red | {"turncoat"} and node.state_of("turncoat") == "left"
                   for node in clusters["red"]) and \
            all(names(node) == blue | {"turncoat"} for node in [*clusters["blue"], turncoat])

    wait_for(apart, 10, "the clusters to be apart")
    holds_for(apart, 4, "the clusters apart")


def test_peer_serf_359_a_live_node_is_not_forgotten(steady_lab):
    """There it stayed `leaving` for ever."""
    lab, node = steady_lab, steady_lab["lab-01"]
    result = node.ctl("forget", "--yes", "lab-02", code=1)
    assert "lab-02" in result.stderr and "hint: " in result.stderr
    holds_for(lambda: all(one.state_of("lab-02") == "alive" for one in lab.running()), 2, "alive")


def test_peer_serf_574_a_dead_node_is_removed_and_stays_so(lab):
    """And consul#21633: it was broadcast back into the list."""
    lab["lab-02"].kill()
    lab.wait_state("lab-02", "dead")
    lab["lab-01"].ctl("forget", "--yes", "lab-02")
    assert lab["lab-01"].state_of("lab-02") is None
    lab["seed"].restart()  # whose pages list it still
    wait_for(lambda: lab["lab-01"].state_of("seed") == "alive", 10, "the seed")
    holds_for(lambda: lab["lab-01"].state_of("lab-02") is None, 4, "forgotten")


def test_peer_serf_550_a_message_of_a_kibibyte_arrives_whole(steady_lab):
    """And serf#101: events were limited to 512 bytes, before that to 128."""
    lab = steady_lab
    text = "".join(chr(ord("a") + i % 26) for i in range(1024))
    assert lab["seed"].json("message", "--all", text)["status"] == "received"
    for name in ("lab-01", "lab-02"):
        wait_for(lambda name=name: [one["msg"] for one in lab[name].json("inbox")["messages"]] == [text], 5, name)


def test_peer_serf_292_who_is_in_the_clear_never_is_a_member(steady_lab):
    """There a cluster without a key could not get one; here it has one from the start, or says so."""
    lab = steady_lab
    clear = lab.node("clear", {"security": {"encrypt": False, "tls": False}}).start()
    assert "NOT encrypted" in clear.ctl("status").stdout
    holds_for(lambda: clear.sees_alive() == {"clear"} and all("clear" not in names(one) for one in lab.running()
                                                             if one is not clear), 3, "apart")
