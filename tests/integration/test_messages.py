# SPDX-License-Identifier: MIT
"""What is said and what happened, seen by real daemons: messages to all, the history of events."""
import sqlite3

import pytest

from lib.lab import FAST
from lib.wait import holds_for, wait_for


@pytest.fixture
def lab(make_lab):
    """A seed and two peers, fast enough to die in a test."""
    lab = make_lab(FAST)
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.node("lab-02")
    return lab.start()


def inbox(node):
    return [(entry["sender"], entry["msg"]) for entry in node.json("inbox")["messages"]]


def test_who_joins_later_hears_what_was_said_to_all_once(lab):
    lab["lab-01"].ctl("message", "--all", "reboot at 18:00")
    lab["lab-01"].kill()
    lab.wait_state("lab-01", "dead")
    late = lab.node("lab-03")
    late.start()
    wait_for(lambda: inbox(late) == [("lab-01", "reboot at 18:00")], 15, "the message at lab-03")
    holds_for(lambda: inbox(late) == [("lab-01", "reboot at 18:00")], 2)
    assert inbox(lab["lab-02"]) == [("lab-01", "reboot at 18:00")]


def test_who_was_stopped_for_long_hears_what_was_said_to_all(lab):
    lab["lab-02"].pause()
    wait_for(lambda: lab["lab-01"].state_of("lab-02") == "dead", 20, "lab-02 to be dead")
    lab["lab-01"].ctl("message", "--all", "while you were out")
    lab["lab-02"].resume()
    wait_for(lambda: inbox(lab["lab-02"]) == [("lab-01", "while you were out")], 20, "the message at lab-02")


def stored(node):
    """Types of the events on the disk."""
    database = sqlite3.connect(f"file:{node.directory}/state.db?mode=ro", uri=True)
    try:
        return [row[0] for row in database.execute("SELECT type FROM event ORDER BY sequence")]
    finally:
        database.close()


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_events_are_there_after_a_restart(lab, way):
    seed = lab["seed"]
    lab["lab-02"].kill()
    lab.wait_state("lab-02", "dead")
    before = seed.events("member-dead")
    assert [event["node"] for event in before] == ["lab-02"]
    if way == "kill":
        wait_for(lambda: "member-dead" in stored(seed), 10, "the death on the disk")
    getattr(seed, way)()
    seed.start()
    assert seed.events("member-dead") == before
    assert seed.events("node-started")[0]["seq"] < before[0]["seq"] < seed.events("node-started")[1]["seq"]
    # What comes every second is not written down.
    assert not {"liveness", "gossip"} & set(stored(seed))
