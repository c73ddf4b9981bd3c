# SPDX-License-Identifier: MIT
"""A network like a room's: each node in a network namespace of its own, at a switch that loses and cuts.

What is lost or cut is lost between the nodes, in silence, as a cable would do it: neither end is told.
"""
import ipaddress
import json
import os
import pathlib
import subprocess
import uuid

NETWORKS = {4: ipaddress.ip_network("10.81.0.0/16"), 6: ipaddress.ip_network("fd81::/64")}
FAR = {4: ipaddress.ip_network("10.82.0.0/16"), 6: ipaddress.ip_network("fd82::/64")}  # behind a router
ROUTER = 0xfffe  # host part of the switch's own address
TABLE = "bridge lab"
PORT = 7717


class Place:
    """Where a node lives: a namespace with one interface, eth0."""

    def __init__(self, switch, number, networks):
        self.switch, self.number, self.networks = switch, number, networks
        self.name = f"{switch.name}-{number}"
        self.port = f"n{number}"
        self.prefix = ["ip", "netns", "exec", self.name]
        self.ips = {family: str(network[number]) for family, network in networks.items()}

    @property
    def ip(self):
        return next(iter(self.ips.values()))

    def run(self, *command):
        return run(*self.prefix, *command)

    def set_mtu(self, size):
        self.run("ip", "link", "set", "eth0", "mtu", str(size))

    def move(self, number):
        """To another address of each family; the old one is gone, and all have been told by ARP or its like."""
        steps = []
        for family, ip in self.ips.items():
            network = self.networks[family]
            self.ips[family] = str(network[number])
            steps += [f"address del {ip}/{network.prefixlen} dev eth0", address_step("eth0", network, number),
                      route_step(network)]
        batch(self.name, *steps)
        for place in self.switch.places:
            batch(place.name, *(f"neighbour flush to {ip}" for ip in self.ips.values()))

    def refuse_tcp(self):
        """As a firewall that says so."""
        self.run("nft", "add table inet lab; add chain inet lab in { type filter hook input priority 0; };"
                        f"add rule inet lab in tcp dport {PORT} reject with tcp reset;"
                        f"add rule inet lab in tcp sport {PORT} reject with tcp reset")

    def allow_tcp(self):
        self.run("nft", "delete table inet lab")


class Switch:
    """families: which a node gets an address of; the first one is what its name stands for."""

    def __init__(self, families=(4,)):
        self.name = f"p2pnode-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.families = families
        self.places = []
        self.prefix = ["ip", "netns", "exec", self.name]
        run("ip", "netns", "add", self.name)
        batch(self.name, "link set lo up", "link add br0 type bridge mcast_snooping 0", "link set br0 up",
              *(address_step("br0", NETWORKS[family], ROUTER) for family in families))
        self.run("nft", f"add table {TABLE}; add chain {TABLE} between {{ type filter hook forward priority 0; }}")

    def run(self, *command):
        return run(*self.prefix, *command)

    def close(self):
        for one in (*self.places, self):
            run("ip", "netns", "del", one.name)

    # ---- who is there

    def plug(self, mtu=None):
        """A new place, at the switch itself; mtu: behind a router instead, with no larger packets on the way."""
        limit = int(pathlib.Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text())
        assert (len(self.places) + 1) ** 2 < limit, f"the neighbours of all namespaces share one table of {limit}"
        networks = {family: (FAR if mtu else NETWORKS)[family] for family in self.families}
        place = Place(self, len(self.places) + 1, networks)
        run("ip", "netns", "add", place.name)
        self.places.append(place)
        steps = [f"link add {place.port} type veth peer name eth0 netns {place.name}"]
        if mtu:
            steps += [f"link set {place.port} mtu {mtu} up",
                      *(address_step(place.port, network, ROUTER) for network in networks.values())]
            self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        else:
            steps.append(f"link set {place.port} master br0 up")
        batch(self.name, *steps)
        batch(place.name, "link set lo up", "link set eth0 up",
              *(address_step("eth0", network, place.number) for network in networks.values()),
              *(route_step(network) for network in networks.values()))
        return place

    # ---- what goes wrong between them

    def rule(self, text):
        """For whatever passes the switch."""
        self.run("nft", f"add rule {TABLE} between {text}")

    def lose(self, percent, what="meta l4proto udp"):
        self.rule(f"{what} numgen random mod 100 < {percent} drop")

    def cut(self, source, target):
        """One way, and nothing of what keeps a link up: who is deaf can still speak."""
        self.rule(f"iifname {source.place.port} oifname {target.place.port} meta l4proto {{ tcp, udp }} drop")

    def part(self, one_side, other_side):
        for one in one_side:
            for other in other_side:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self):
        self.run("nft", f"flush chain {TABLE} between")

    # ---- what passes

    def watch(self, name, what):
        """From now on counts the packets that are like this, before any are lost."""
        self.run("nft", f"add counter {TABLE} n_{name}; add chain {TABLE} seen {{ type filter hook forward priority -1; }};"
                        f"add rule {TABLE} seen {what} counter name n_{name}")

    def seen(self, name, what="packets"):
        """what: packets, or bytes with their IP headers."""
        listed = json.loads(self.run("nft", "-j", f"list counter {TABLE} n_{name}"))["nftables"]
        return next(entry["counter"][what] for entry in listed if "counter" in entry)


def address_step(interface, network, number):
    nodad = "nodad" if network.version == 6 else ""
    return f"address add {network[number]}/{network.prefixlen} dev {interface} {nodad}"


def route_step(network):
    return f"route replace {'::' if network.version == 6 else '0.0.0.0'}/0 via {network[ROUTER]}"


def batch(namespace, *steps):
    """Commands of ip, one after the other without a pause."""
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(steps))


def run(*command, stdin=""):
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return done.stdout.decode()
