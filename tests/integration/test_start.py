# SPDX-License-Identifier: MIT
"""How a daemon that cannot start says so."""

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
