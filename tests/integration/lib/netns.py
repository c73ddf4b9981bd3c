# SPDX-License-Identifier: MIT
"""A network namespace with nothing but a loopback, whose packets can be lost or cut."""
import os
import subprocess
import uuid

TABLE = "inet lab"


class Namespace:
    def __init__(self):
        self.name = f"p2pnode-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.prefix = ["ip", "netns", "exec", self.name]
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("nft", f"add table {TABLE}; add chain {TABLE} out {{ type filter hook output priority 0; }}")

    def run(self, *command):
        return run(*self.prefix, *command)

    def close(self):
        run("ip", "netns", "del", self.name)

    def rule(self, text):
        """For whatever leaves a process: "ip saddr ... drop"."""
        self.run("nft", f"add rule {TABLE} out {text}")

    def lose(self, percent, what="meta l4proto udp"):
        self.rule(f"{what} numgen random mod 100 < {percent} drop")

    def cut(self, source, target, what=""):
        """One way; everything, or only what is described ("meta l4proto tcp")."""
        self.rule(f"ip saddr {source.ip} ip daddr {target.ip} {what} drop")

    def part(self, one_side, other_side):
        for one in one_side:
            for other in other_side:
                self.cut(one, other)
                self.cut(other, one)

    def heal(self):
        self.run("nft", f"flush chain {TABLE} out")


def run(*command):
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
    return done.stdout.decode()
