# SPDX-License-Identifier: MIT
"""Seeds: the quorum, the file that names them, names that change, and what they are told of the dead."""
import re

import pytest

from lib.lab import FAST
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
        death, = messages(lab[name], "member-dead")
        whom = re.fullmatch(r"member lab-03 dead, reported by \S+: reported to (.+)", death)
        assert sorted(whom[1].split(", ")) == others
        acknowledged = wait_for(lambda name=name: [text for text in messages(lab[name], "dead-report")
                                                   if text.startswith("report of lab-03 ")], 5, "the acknowledgement")
        whom = re.fullmatch(r"report of lab-03 acknowledged by (.+)", acknowledged[0])
        assert sorted(whom[1].split(", ")) == others
    first = [text for node in watchers for text in messages(node, "member-suspect") if "unanswered" in text]
    said = re.compile(r"member lab-03 suspect, reported by \S+: 3 requests unanswered, also through .+")
    assert first and all(map(said.fullmatch, first)), first
