#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Values of 100 bytes: set here over the control socket, and at another node, beside an echo and redis.

    make bench-memory [QUICK=1]      as root; make deps-bench first

One JSON line per figure: medians of interleaved rounds of one client and of fifty, the ratio to redis and to the
limit (load.c: a server that sends back what it gets), the goal, and whether it is reached.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
from lib.lab import BUILD, Lab  # noqa: E402  pylint: disable=wrong-import-position,wrong-import-order
from lib.wait import wait_for  # noqa: E402  pylint: disable=wrong-import-position,wrong-import-order

LOAD = BUILD / "bench/memory-load"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def answers(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as one:
        one.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        return True
    return False


@contextlib.contextmanager
def serving(command, *addresses):
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        for address in addresses:
            wait_for(lambda address=address: answers(address), 10, f"{command[0]} to listen")
        yield
    finally:
        process.terminate()
        process.wait(10)


def load(kind, address, clients, seconds):
    """(answers per second, p50, p99 in microseconds)"""
    text = subprocess.check_output([str(word) for word in (LOAD, kind, address, clients, seconds)])
    return tuple(float(word) for word in text.split())


def measure(ways, clients, seconds, rounds):
    """{name: (rate, p50, p99)}: each the median of its rounds."""
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (kind, address) in ways.items():
            found[name].append(load(kind, address, clients, seconds))
    return {name: tuple(statistics.median(one[i] for one in results) for i in range(3))
            for name, results in found.items()}


def tell(figure, found, index, unit, goal_text, reached):
    print(json.dumps({"bench": "memory", "figure": figure, "unit": unit,
                      **{name: values[index] for name, values in found.items()},
                      "ratio": {name: round(found["p2pnode"][index] / values[index], 3)
                                for name, values in found.items() if name != "p2pnode"},
                      "p99_us": {name: values[2] for name, values in found.items()},
                      "goal": goal_text, "reached": reached, "load": round(os.getloadavg()[0], 1)}), flush=True)
    return reached


def run(options):
    seconds, rounds = (0.3, 1) if options.quick else (2, 5)
    good = []
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="p2pnode-bench-")))
        lab = Lab({"log": {"level": "warning"}, "control": {"clients_max": 256}})
        stack.callback(lab.close)
        lab.node("here", role="seed")
        lab.node("there")
        lab.start(30)
        ours = str(lab["here"].socket)
        echo_path, redis_path = str(directory / "echo"), str(directory / "redis")
        echo_port, redis_port = free_port(), free_port()
        stack.enter_context(serving([LOAD, "serve", echo_path], echo_path))
        stack.enter_context(serving([LOAD, "serve", echo_port], echo_port))
        stack.enter_context(serving(["redis-server", "--port", redis_port, "--unixsocket", redis_path, "--save", "",
                                     "--dir", directory, "--bind", "127.0.0.1"], redis_path, redis_port))
        local = {"limit": ("echo", echo_path), "redis": ("redis", redis_path), "p2pnode": ("p2pnode", ours)}
        remote = {"limit": ("echo", echo_port), "redis": ("redis", redis_port), "p2pnode": ("p2pnode:there", ours)}
        found = measure(local, 1, seconds, rounds)
        good.append(tell("local-1-p50", found, 1, "us", "<= 1.3 of redis",
                         found["p2pnode"][1] <= 1.3 * found["redis"][1]))
        found = measure(local, 50, seconds, rounds)
        good.append(tell("local-50-rate", found, 0, "1/s", ">= 0.5 of redis",
                         found["p2pnode"][0] >= 0.5 * found["redis"][0]))
        found = measure(remote, 1, seconds, rounds)
        good.append(tell("remote-1-p50", found, 1, "us", "<= 2.2 of redis",
                         found["p2pnode"][1] <= 2.2 * found["redis"][1]))
        found = measure(remote, 50, seconds, rounds)
        tell("remote-50-rate", found, 0, "1/s", None, None)
    return all(good)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it runs, not how fast")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return 0 if run(options) or options.quick else 1


sys.exit(main())
