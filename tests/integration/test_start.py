# SPDX-License-Identifier: MIT
"""How a daemon that cannot start says so."""

import pytest

from lib.lab import STEADY


def test_taken_address_ends_the_daemon_and_names_the_owner(make_lab):
    lab = make_lab(STEADY)
    first, neighbour = lab.node("first", role="seed"), lab.node("neighbour")
    lab.start()
    second = lab.node("second", {"listen": {"address": first.ip}})
    second.launch()
    assert second.wait_end() == 1
    # Not the neighbour, who has the same port on an address of his own.
    assert f"udp 7717 is in use by pid {first.pid} (p2pnode)" in second.log_text()
    assert neighbour.state_of("first") == "alive"


@pytest.mark.parametrize("listen, told, hint", [
    ({"address": "192.0.2.7"}, "cannot bind udp 192.0.2.7:7717: Cannot assign requested address",
     "hint: listen.address has to be an address of this machine: ip addr"),
    ({"interface": "none0"}, "No such device",
     "hint: listen.interface has to be an interface of this machine: ip link")])
def test_what_is_not_of_this_machine_is_told_by_its_key(make_lab, listen, told, hint):
    node = make_lab(STEADY).node("lone", {"listen": listen}, role="seed")
    node.launch()
    assert node.wait_end() == 1
    text = node.log_text()
    assert told in text and hint in text and "listen.port" not in text
