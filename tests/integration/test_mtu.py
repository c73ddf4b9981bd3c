# SPDX-License-Identifier: MIT
"""Links and paths that take only small packets: nothing is fragmented, and everybody sees everybody."""
import pytest

from lib.lab import FAST
from lib.netns import Switch

LAB_SIZE = 12  # whose records do not fit one small datagram
FRAGMENTS = {4: "ip frag-off & 0x3fff != 0", 6: "exthdr frag exists"}


def make(make_lab, family, link_mtu=1500, path_mtu=None):
    """path_mtu: of the way to lab-01."""
    lab = make_lab(FAST, Switch([family]))
    lab.switch.watch("fragments", FRAGMENTS[family])
    lab.node("seed", role="seed")
    for i in range(1, LAB_SIZE):
        place = lab.switch.plug(path_mtu if i == 1 else None)
        lab.node(f"lab-{i:02}", {"node": {"tags": ["of=" + "x" * 60]}}, place=place)
    lab.node("late")
    for node in lab.nodes.values():
        node.place.set_mtu(link_mtu)
    return lab


def check(lab):
    """Also one that comes later, when nobody tells news any more, gets the whole list."""
    for name in lab.nodes:
        if name != "late":
            lab[name].launch()
    lab.wait_joined()
    lab["late"].start()
    lab.wait_joined()
    assert lab.switch.seen("fragments") == 0


@pytest.mark.parametrize("family, mtu", [(4, 576), (4, 1280), (6, 1280)])
def test_a_lab_of_small_links_comes_together(make_lab, family, mtu):
    check(make(make_lab, family, link_mtu=mtu))


@pytest.mark.parametrize("family, mtu", [(4, 600), (6, 1280)])
def test_a_path_that_is_smaller_than_its_links_is_found_out(make_lab, family, mtu):
    lab = make(make_lab, family, path_mtu=mtu)
    check(lab)
    assert lab["lab-01"].ctl("ping", "seed").code == 0
