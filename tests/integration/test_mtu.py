# SPDX-License-Identifier: MIT
"""Links and paths that take only small packets: nothing is fragmented, and everybody sees everybody."""
import pytest

from lib.lab import STEADY
from lib.netns import Switch
from lib.wait import wait_for

LAB_SIZE = 12  # whose records do not fit one small datagram
SPEAK_LARGE = """
import socket, sys
to = socket.getaddrinfo(sys.argv[1], 9, type=socket.SOCK_DGRAM)[0]
socket.socket(to[0], to[1]).sendto(bytes(3000), to[4])
"""


def make(make_lab, family, link_mtu=1500, path_mtu=None):
    """path_mtu: of the way to lab-01."""
    lab = make_lab(STEADY, Switch([family]))
    lab.node("seed", role="seed")
    for i in range(1, LAB_SIZE):
        place = lab.switch.plug(path_mtu if i == 1 else None)
        lab.node(f"lab-{i:02}", {"node": {"tags": ["of=" + "x" * 60]}}, place=place)
    lab.node("late")
    for node in lab.nodes.values():
        node.place.set_mtu(link_mtu)
    return lab


def fragments_of(place):
    """How many a namespace has made."""
    names, values = [line.split() for line in place.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
    six = dict(line.split() for line in place.run("cat", "/proc/net/snmp6").splitlines())
    return int(dict(zip(names, values))["FragCreates"]) + int(six["Ip6FragCreates"])


def fragments(lab):
    """By the nodes, and by the router on the way."""
    return sum(map(fragments_of, [lab.switch, *lab.switch.places]))


def check(lab):
    """Also one that comes later, when nobody tells news any more, gets the whole list."""
    for name in lab.nodes:
        if name != "late":
            lab[name].launch()
    lab.wait_joined()
    lab["late"].start()
    lab.wait_joined()
    assert fragments(lab) == 0
    lab["seed"].place.run("python3", "-c", SPEAK_LARGE, lab["late"].ip)
    assert fragments(lab) > 0, "nothing was counted"


@pytest.mark.parametrize("family, mtu", [(4, 576), (4, 1280), (6, 1280)])
def test_a_lab_of_small_links_comes_together(make_lab, family, mtu):
    check(make(make_lab, family, link_mtu=mtu))


@pytest.mark.parametrize("family, mtu", [(4, 600), (6, 1280)])
def test_a_path_that_is_smaller_than_its_links_is_found_out(make_lab, family, mtu):
    lab = make(make_lab, family, path_mtu=mtu)
    check(lab)
    wait_for(lambda: lab["lab-01"].ctl("ping", "seed", code=None).code == 0, 10, "an answer")
