# SPDX-License-Identifier: MIT
"""Seeds: the quorum, the file that names them, names that change, and what they are told of the dead."""
import re

import pytest

from lib.lab import FAST, STEADY
from lib.wait import wait_for


@pytest.fixture
def lab(make_lab):
    """Two seeds that know each other, and three peers."""
    lab = make_lab(FAST)
    seeds = [lab.node(f"seed-{i}", role="seed") for i in (1, 2)]
    for node in seeds:
        node.settings["seeds"] = [seed.address for seed in seeds]
    for i in range(1, 4):
        lab.node(f"lab-{i:02}", {"seeds": [seed.address for seed in seeds]})
    return lab.start()


def messages(node, *types):
    return [event["message"] for event in node.events(*types)]


def test_each_seed_keeps_who_reported_whom_and_how_and_the_reporter_which_seeds_know(lab):
    dead, watchers = lab["lab-03"], [lab[name] for name in ("seed-1", "seed-2", "lab-01", "lab-02")]
    dead.kill()
    lab.wait_state("lab-03", "dead")
    told = re.compile(rf"Dead Node:{re.escape(dead.ip)}:\d+\.\d{{3}}:(127\.81\.\d+\.\d+) "
                      r"\(lab-03 by (\S+): no answer directly, nor through (.+)\)")
    names = {node.ip: node.name for node in watchers}
    reporters = set()
    for seed in ("seed-1", "seed-2"):
        found = wait_for(lambda seed=seed: [*filter(None, map(told.fullmatch, messages(lab[seed], "dead-report")))],
                         5, f"a report at {seed}")
        for match in found:
            assert names[match[1]] == match[2] != seed
            assert set(match[3].split(", ")) <= set(names.values()) - {match[2]}
            reporters.add(match[2])
    for name in reporters:
        others = sorted({"seed-1", "seed-2"} - {name})
        death, = [text for text in messages(lab[name], "member-dead") if text.startswith("member lab-03 ")]
        whom = re.fullmatch(r"member lab-03 dead, reported by \S+: reported to (.+)", death)
        assert sorted(whom[1].split(", ")) == others
        acknowledged = wait_for(lambda name=name: [text for text in messages(lab[name], "dead-report")
                                                   if text.startswith("report of lab-03 ")], 5, "the acknowledgement")
        whom = re.fullmatch(r"report of lab-03 acknowledged by (.+)", acknowledged[0])
        assert sorted(whom[1].split(", ")) == others
    first = [text for node in watchers for text in messages(node, "member-suspect")
             if text.startswith("member lab-03 ") and "unanswered" in text]
    said = re.compile(r"member lab-03 suspect, reported by \S+: 3 requests unanswered, also through .+")
    assert first and all(map(said.fullmatch, first)), first


def seeds_of(node):
    return node.call("Status")["cluster"]["seeds"]


def test_the_quorum_is_of_the_list_and_of_the_file_together(make_lab):
    """Seed 3's config.txt: the node's own address and that of every seed, an IP:PORT a line."""
    lab = make_lab(FAST)
    seeds = [lab.node(f"seed-{i}", role="seed") for i in (1, 2, 3)]
    joiner = lab.node("lab-01", {"seeds": [seeds[0].address], "seeds_file": str(lab.directory / "config.txt")})
    path = lab.directory / "config.txt"
    path.write_text(f"# the seeds\n{joiner.address}\n\n{seeds[0].address}\n{seeds[1].address}  # two\n"
                    f"{seeds[2].address}\n")
    seeds[0].start()
    joiner.start()
    wait_for(lambda: seeds_of(joiner) == {"configured": 3, "reachable": 1, "needed": 2}, 5, "the first seed")

    def problem():
        return [one["message"] for one in joiner.call("Status")["problems"] if one["code"] == "below-quorum"]
    wait_for(lambda: problem() == ["1 of 3 seeds have answered (needs 2)"], 5, problem)
    seeds[2].settings["seeds"] = [seeds[0].address]
    seeds[2].start()
    wait_for(lambda: not problem() and seeds_of(joiner) == {"configured": 3, "reachable": 2, "needed": 2}, 10,
             lambda: f"the quorum: {seeds_of(joiner)}")


def test_who_is_with_the_cluster_without_its_seeds_is_well(make_lab):
    """All seeds gone: one that restarts comes back to the members it knew, a new one joins by hand; a notice, no more."""
    lab = make_lab(STEADY)
    seed = lab.node("seed", role="seed")
    nodes = [lab.node(f"lab-{i}") for i in (1, 2, 3)]
    for node in (seed, *nodes[:2]):
        node.start()
    lab.wait_joined()
    seed.kill()
    nodes[0].restart()
    nodes[2].start()
    nodes[2].ctl("join", nodes[1].address)

    def codes(node):
        return [one["code"] for one in node.call("Status")["problems"] if one["code"] in ("below-quorum", "seed-unreachable")]
    for node in (nodes[0], nodes[2]):
        wait_for(lambda node=node: node.state_of("lab-2") == "alive" and codes(node) == ["seed-unreachable"], 20,
                 lambda node=node: f"the cluster without seeds: {codes(node)}")


@pytest.fixture
def named(make_lab):
    """A lab whose nodes look names up in a file of its own: lab.name(NAME, IP...) writes it."""
    lab = make_lab(FAST)
    hosts = lab.directory / "hosts"
    hosts.touch(0o644)
    lab.name = lambda name, *ips: hosts.write_text("".join(f"{ip} {name}\n" for ip in ips))

    def add(name, *arguments, **options):
        node = lab.node(name, *arguments, **options)
        node.place.prefix = ["unshare", "--mount", "sh", "-c",
                             'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]
        return node

    lab.add = add
    return lab


def test_a_seed_that_moves_is_found_by_its_name(named):
    """consul#22753: names were resolved once, and the former addresses asked for ever."""
    lab = named
    first, second = lab.node("seed-1", role="seed"), lab.node("seed-2", role="seed", seeds=[])
    node = lab.add("lab-01", {"seeds": ["seed.lab"], "membership": {"snapshot": False}})
    node.start()  # before anybody can resolve the name
    assert seeds_of(node) == {"configured": 1, "reachable": 0, "needed": 1}
    wait_for(lambda: "Cannot find the address of the seed seed.lab: " in node.log_text(), 20, "the log to say so")
    first.start()
    lab.name("seed.lab", first.ip)
    wait_for(lambda: "seed-1" in node.sees_alive(), 10, "the seed when its name is there")
    first.kill()
    lab.wait_state("seed-1", "dead")
    second.start()
    lab.name("seed.lab", second.ip)
    wait_for(lambda: "seed-2" in node.sees_alive(), 10, "the seed at its new address")
    wait_for(lambda: seeds_of(node) == {"configured": 1, "reachable": 1, "needed": 1}, 5, "it to be counted")


def test_a_name_with_several_addresses_is_one_seed(named):
    lab = named
    seed = lab.node("seed-1", role="seed").start()
    node = lab.add("lab-01", {"seeds": ["seed.lab:7717", "other.lab"]})
    lab.name("seed.lab", f"127.81.{lab.network}.250", seed.ip, f"127.81.{lab.network}.251")
    node.start()
    wait_for(lambda: "seed-1" in node.sees_alive(), 10, "the address that answers")
    wait_for(lambda: seeds_of(node) == {"configured": 2, "reachable": 1, "needed": 2}, 5, "one of two names")
    lab.name("other.lab", seed.ip)  # seed.lab cannot be resolved any more, and is not forgotten
    wait_for(lambda: seeds_of(node) == {"configured": 2, "reachable": 2, "needed": 2}, 10, "two of two names")


def hellos_of(node):
    return int(re.search(r'datagrams_total\{dir="out",type="hello"\} (\d+)', node.ctl("metrics").stdout)[1])


def test_who_restarts_alone_comes_back_to_members_that_were_dead(make_lab):
    """serf#333: only members that were alive were tried again after a restart, and only once."""
    lab = make_lab(FAST)
    node = lab.node("lab-01", seeds=[])
    other = lab.node("lab-02", {"membership": {"snapshot": False}}, seeds=[])
    node.settings["seeds"] = other.settings["seeds"] = []
    node.start()
    other.start()
    node.ctl("join", other.address)
    lab.wait_joined()
    other.kill()
    lab.wait_state("lab-02", "dead")
    node.restart()
    # More than the tries of one attempt.
    wait_for(lambda: hellos_of(node) >= 12, 30, "attempts in vain")
    other.start()
    lab.wait_joined()
