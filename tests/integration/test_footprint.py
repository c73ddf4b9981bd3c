# SPDX-License-Identifier: MIT
"""What a node costs that has nothing to do, beside a process that is linked to the same libraries and does nothing."""
import pathlib
import statistics
import subprocess
import time

import pytest

from lib.lab import BUILD
from lib.netns import Switch
from lib.process import sum_of, wakeups
from lib.wait import wait_for

NODES = 16
IDLE = {
    "tasks": {"enabled": False},
    "gossip": {"message_count": 1},  # what a start has to say is over soon
    "log": {"level": "info"},
}
PSS_RATIO_MAX = 1.5      # of the bare process; 1.29 when this was written, 2.07 before what it guards
DATAGRAMS_MAX = 2.4      # sent in a second by each node: a probe, an ack, and little else
BYTES_MAX = 280          # with IP and UDP, sealed
WAKEUPS_MAX = 6          # in a second: a probe, its ack, somebody else's probe, a tick


@pytest.fixture
def lab(make_lab):
    lab = make_lab(IDLE, Switch())
    for number in range(NODES):
        lab.node(f"lab-{number:02}", role="seed" if number == 0 else "peer")
    lab.start()
    lab.switch.watch("udp", "meta l4proto udp")
    return lab


@pytest.fixture
def bare():
    """As many bare processes, side by side like the daemons, so that they share as much."""
    processes = [subprocess.Popen([BUILD / "tests/bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                 for _ in range(NODES)]
    try:
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        yield processes
    finally:
        for process in processes:
            process.communicate()


def pss(process):
    """Of a process, in KiB."""
    return sum_of(pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text(), "Pss:")


def counters(lab):
    """(seconds, datagrams, bytes, wake-ups) until now, the last three of all nodes together."""
    return (time.monotonic(), lab.switch.seen("udp"), lab.switch.seen("udp", "bytes"),
            sum(wakeups(node.pid) for node in lab.running()))


def rates(lab, datagrams):
    """(datagrams, bytes, wake-ups) in a second of one node, while so many datagrams of all have passed the switch."""
    before = counters(lab)
    wait_for(lambda: lab.switch.seen("udp") - before[1] >= datagrams, 60, f"{datagrams} datagrams")
    seconds, *grown = (now - then for now, then in zip(counters(lab), before))
    return tuple(one / NODES / seconds for one in grown)


def test_an_idle_node_speaks_and_wakes_seldom(lab):
    """In one stretch of a quarter of a minute: what a busy machine holds up is asked for once more."""
    limits = DATAGRAMS_MAX, BYTES_MAX, WAKEUPS_MAX
    wait_for(lambda: rates(lab, 4 * NODES)[0] < DATAGRAMS_MAX, 60, "the start to be over")
    seen = []

    def is_cheap():
        seen.append(rates(lab, 30 * NODES))
        return all(rate <= limit for rate, limit in zip(seen[-1], limits))
    wait_for(is_cheap, 30, lambda: f"datagrams, bytes and wake-ups below {limits}: {seen}")


def test_an_idle_node_has_little_more_memory_than_its_libraries(lab, bare):
    def ratio():
        return statistics.median(map(pss, lab.running())) / statistics.median(map(pss, bare))

    wait_for(lambda: ratio() <= PSS_RATIO_MAX, 60, f"the nodes to come to rest at {PSS_RATIO_MAX} times the bare process")
