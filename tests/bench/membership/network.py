# SPDX-License-Identifier: MIT
"""The lab's network: the loopback of a namespace, counted on its way out and lost on its way in."""
import json
import subprocess

RULES = """
table inet bench {
    counter datagrams { }
    counter connections { }
    counter lost { }
    chain out {
        type filter hook output priority 0;
        meta l4proto udp counter name datagrams
        tcp flags & (syn | ack) == syn counter name connections
    }
    chain in {
        type filter hook input priority 0;
    }
}
"""


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def set_up():
    run("ip", "link", "set", "lo", "up")
    run("nft", "-f", "-", input=RULES.encode())


def lose(percent):
    """Silently, whatever it carries; 0: nothing any more."""
    run("nft", "flush chain inet bench in")
    if percent:
        run("nft", f"add rule inet bench in numgen random mod 100 < {percent} counter name lost drop")


def counters():
    """{name: (packets, bytes with the IP header)} since the namespace is."""
    listed = json.loads(run("nft", "-j", "list", "counters"))["nftables"]
    return {entry["counter"]["name"]: (entry["counter"]["packets"], entry["counter"]["bytes"])
            for entry in listed if "counter" in entry}
