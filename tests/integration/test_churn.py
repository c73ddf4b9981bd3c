# SPDX-License-Identifier: MIT
"""Half a minute of everything at once: kill -9, pauses, leaves, cuts and loss, and then quiet.

What was healthy all the time must never have been dead, and afterwards all agree. CHURN_SEED repeats a run,
CHURN_NODES and CHURN_SECONDS make a longer one.
"""
import os
import random
import re
import time

from lib.lab import BUILD, FAST
from lib.netns import Switch
from lib.process import descriptors, own_bytes
from lib.wait import wait_for

NODES = int(os.environ.get("CHURN_NODES", "24"))
SECONDS = float(os.environ.get("CHURN_SECONDS", "25"))
SPARED = 6  # nodes to which nothing is done, beside what the network loses
GROWTH_MAX = 1 << 20  # bytes
FILES_GROWTH_MAX = 4
LINES_MAX = 15  # of the log at its default level, beside gossip, for each node that was harmed
GOSSIP = re.compile(r"info: \d+\.\d{3}:[\d.]+:\d+")
SETTINGS = FAST | {"tasks": {"enabled": False}, "log": {"level": "info"}}


class Storm:
    """What is done to the lab, drawn from a seed, and undone again."""

    def __init__(self, lab, rng):
        self.lab, self.rng = lab, rng
        self.due = []  # (when, what to do, to whom)
        self.busy = set()
        self.counts = {}
        self.harmed = 0

    def victims(self, count=1):
        names = [name for name in sorted(self.lab.nodes)[SPARED:] if name not in self.busy]
        chosen = self.rng.sample(names, min(count, len(names)))
        self.busy.update(chosen)
        return [self.lab[name] for name in chosen]

    def later(self, seconds, action, nodes):
        self.due.append((time.monotonic() + seconds, action, nodes))

    def begin(self, kind):
        nodes = self.victims(3 if kind == "cut" else 1)
        if not nodes:
            return
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.harmed += len(nodes)
        node = nodes[0]
        if kind == "kill":
            node.kill()
            self.later(self.rng.uniform(0.1, 6), lambda _: node.launch(), nodes)
        elif kind == "leave":
            node.process.terminate()
            self.later(self.rng.uniform(4.5, 7), lambda _: (node.wait_end(), node.launch()), nodes)
        elif kind == "pause":
            node.pause()
            self.later(self.rng.uniform(0.2, 5), lambda _: node.resume(), nodes)
        else:
            rest = [other for other in self.lab.nodes.values() if other not in nodes]
            self.lab.switch.part(nodes, rest)
            self.later(self.rng.uniform(0.5, 5), self.end_cut, nodes)

    def end_cut(self, _):
        self.lab.switch.heal()
        self.lab.switch.lose(2)

    def run(self, seconds):
        end = time.monotonic() + seconds
        following = 0.0

        def step():
            nonlocal following
            now = time.monotonic()
            for entry in [entry for entry in self.due if entry[0] <= now or now > end]:
                self.due.remove(entry)
                entry[1](entry[2])
                self.busy -= {node.name for node in entry[2]}
            if now < end and now > following:
                is_cut = any(len(nodes) > 1 for _, _, nodes in self.due)
                self.begin(self.rng.choice(["kill", "kill", "leave", "pause"] + ([] if is_cut else ["cut"])))
                following = now + self.rng.uniform(0.2, 1.2)
            return now > end and not self.due
        wait_for(step, seconds + 20, "the storm to end")
        self.lab.switch.heal()


def lines_of(node):
    return sum(not GOSSIP.fullmatch(line) for line in node.log_text().splitlines())


def wait_agreed(lab):
    lab.wait_joined(30)

    def views():
        return {frozenset((member["uuid"], member["state"], member["incarnation"], member["address"])
                          for member in node.members().values()) for node in lab.nodes.values()}
    wait_for(lambda: len(views()) == 1, 20, "one view of all")


def test_after_a_storm_all_agree_and_nobody_healthy_was_dead(make_lab):
    seed = int(os.environ.get("CHURN_SEED", random.SystemRandom().getrandbits(32)))
    print(f"CHURN_SEED={seed} CHURN_NODES={NODES} CHURN_SECONDS={SECONDS:g}")
    lab = make_lab(SETTINGS, Switch())
    for i in range(NODES):
        lab.node(f"lab-{i:02}", role="seed" if i < 3 else "peer", seeds=[])
    addresses = [lab[f"lab-{i:02}"].address for i in range(3)]
    for node in lab.nodes.values():
        node.settings["seeds"] = addresses
    lab.start(timeout=60)
    spared = sorted(lab.nodes)[:SPARED]
    before = {name: (lab[name].pid, own_bytes(lab[name].pid), descriptors(lab[name].pid), lines_of(lab[name]))
              for name in spared}

    storm = Storm(lab, random.Random(seed))
    lab.switch.lose(2)
    storm.run(SECONDS)
    wait_agreed(lab)
    lines = {name: lines_of(lab[name]) - before[name][3] for name in spared}
    print(f"{storm.counts}, {storm.harmed} nodes harmed; lines of log: {lines}; "
          f"bytes more: {[own_bytes(lab[name].pid) - before[name][1] for name in spared]}")

    # Who was cut off itself may have held others for dead; nobody else believes it.
    deaths = {name: [(event["time"], event["message"]) for event in lab[name].events("member-dead")
                     if event["node"] in spared] for name in spared}
    assert not any(deaths.values()), deaths
    for name, (pid, bytes_before, files_before, _) in before.items():
        assert lab[name].pid == pid
        assert lines[name] <= LINES_MAX * storm.harmed, f"{name}: {lines[name]} lines for {storm.harmed} harmed nodes"
        # Files that are being written and memory of the storm are given back when it has come to rest.
        wait_for(lambda pid=pid, files=files_before: len(descriptors(pid)) <= len(files) + FILES_GROWTH_MAX, 20,
                 lambda name=name, pid=pid, files=files_before: f"files of {name} to be closed: {files}, {descriptors(pid)}")
        if "san-" not in BUILD.name:  # what AddressSanitizer keeps back grows for its own reasons
            wait_for(lambda pid=pid, before=bytes_before: own_bytes(pid) - before < GROWTH_MAX, 20,
                     lambda name=name, pid=pid, before=bytes_before: f"{name}, which has {own_bytes(pid) - before} bytes more")
