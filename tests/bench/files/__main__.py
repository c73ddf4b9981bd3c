#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Files between two daemons beside what the machine can do at best and what Debian's programs do in the same run.

    make bench-files [QUICK=1]      as root; make deps-bench first

One JSON line per figure: medians of interleaved rounds, the ratio to the limit (limit.c: the same crypto and
hashing in a loop) and to each peer, the goal, and whether it is reached.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/integration"))
from lib.lab import BUILD, CTL, Lab  # noqa: E402  pylint: disable=wrong-import-position,wrong-import-order
from lib.wait import wait_for  # noqa: E402  pylint: disable=wrong-import-position,wrong-import-order

LIMIT = BUILD / "bench/files-limit"
MEMORY_MAX_KIB = 8192


class Place:
    """A directory for one side of it all, and how to make the sources."""

    def __init__(self, parent, size, count):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="p2pnode-bench-", dir=parent))
        self.many, self.one, self.count, self.size = self.path / "many", self.path / "one", count, size
        self.many.mkdir()
        for i in range(count):
            (self.many / f"f{i:05}").write_bytes(os.urandom(4096))
        block = os.urandom(1 << 20)
        with open(self.one, "wb") as file:
            for i in range(size >> 20):
                file.write(i.to_bytes(8, "big") + block[8:])
        self.target = self.path / "target"

    def fresh(self):
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        return self.target

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


def run(*command, **options):
    """The seconds it takes."""
    start = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, **options)
    return time.monotonic() - start


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def serving(command, port):
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), 10, f"{command[0]} to listen")
        yield
    finally:
        process.terminate()
        process.wait(10)


# ---- the ways of one file, and of many: functions of a place that return seconds

class Limit:
    name = "limit"

    def one(self, place):
        place.fresh()
        return float(subprocess.check_output([LIMIT, "one", place.one, place.target / "one"]))

    def many(self, place):
        return float(subprocess.check_output([LIMIT, "many", place.many, place.fresh()]))


class Rsync:
    """Its daemon encrypts and syncs nothing."""
    name = "rsync"

    def __init__(self, stack, place):
        self.port = free_port()
        config = place.path / "rsyncd.conf"
        config.write_text(f"port = {self.port}\naddress = 127.0.0.1\nuse chroot = no\nuid = root\ngid = root\n"
                          f"[bench]\npath = {place.target}\nread only = no\n")
        place.fresh()
        stack.enter_context(serving(["rsync", "--daemon", "--no-detach", f"--config={config}"], self.port))

    def one(self, place):
        place.fresh()
        return run("rsync", "-W", place.one, f"rsync://127.0.0.1:{self.port}/bench/")

    def many(self, place):
        place.fresh()
        return run("rsync", "-r", f"{place.many}/", f"rsync://127.0.0.1:{self.port}/bench/")


class Nginx:
    """TLS 1.3, and curl, which gets: nginx stores nothing."""
    name = "nginx+curl"

    def __init__(self, stack, place):
        self.port = free_port()
        certificate, config = place.path / "cert.pem", place.path / "nginx.conf"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=bench", "-keyout", certificate, "-out", place.path / "cert.crt")
        config.write_text(f"""daemon off; master_process off; pid {place.path}/nginx.pid; error_log /dev/null;
            events {{}} http {{ access_log off; sendfile on; server {{ listen 127.0.0.1:{self.port} ssl; root {place.path};
            ssl_certificate {place.path}/cert.crt; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;
            ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384; }} }}""")
        stack.enter_context(serving(["nginx", "-c", config, "-p", place.path], self.port))

    def one(self, place):
        place.fresh()
        return run("curl", "-sk", "-o", place.target / "one", f"https://127.0.0.1:{self.port}/one")


class Ours:
    name = "p2pnode"

    def __init__(self, lab):
        self.lab, self.here, self.there = lab, lab["here"], lab["there"]
        self.peaks, self.samples = {}, []

    def measured(self, name, *command):
        """Its seconds; by how much both daemons' peaks grew is kept."""
        before = [self.memory(node, "VmRSS") for node in (self.here, self.there)]
        for node in (self.here, self.there):
            pathlib.Path(f"/proc/{node.pid}/clear_refs").write_text("5")
        seconds = run(CTL, "--socket", self.here.socket, *command)
        grown = [self.memory(node, "VmHWM") - old for node, old in zip((self.here, self.there), before)]
        self.peaks[name] = [max(pair) for pair in zip(grown, self.peaks.get(name, [0, 0]))]
        return seconds

    @staticmethod
    def memory(node, key):
        for line in pathlib.Path(f"/proc/{node.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def one(self, place):
        return self.measured("one", "file", "put", "--overwrite=always", place.one, "there:")

    def get(self, place):
        place.fresh()
        return self.measured("get", "file", "get", "there:one", place.target / "one")

    def many(self, place):
        names = sorted(place.many.iterdir())
        if self.there.call("ListFiles", glob="f0*")["files"]:  # the others begin with an empty directory, too
            run(CTL, "--socket", self.there.socket, "file", "rm", "--yes", "f0*")
        return self.measured("many", "file", "put", "--overwrite=always", *names, "there:")


def medians(ways, place, what, rounds):
    """In turn, so that what else the machine does meets all of them."""
    seconds = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            seconds[way.name].append(getattr(way, what)(place))
    return {name: statistics.median(values) for name, values in seconds.items()}


class Report:
    def __init__(self):
        self.missed = []

    def line(self, name, unit, rates, goals, **more):
        """goals: {peer: the least ratio to it}."""
        ours = rates["p2pnode"]
        ratios = {peer: round(ours / rate, 3) for peer, rate in rates.items() if peer != "p2pnode"}
        reached = all(ratios[peer] >= least for peer, least in goals.items() if peer in ratios)
        self.tell(name, reached, unit=unit, **{peer: round(rate, 1) for peer, rate in rates.items()}, ratio=ratios,
                  goal={peer: f">= {least}" for peer, least in goals.items()}, **more)

    def tell(self, name, reached, **line):
        print(json.dumps({"bench": "files", "figure": name, **line, "reached": reached,
                          "load": round(os.getloadavg()[0], 1)}), flush=True)
        if not reached:
            self.missed.append(name)

    def memory(self, name, peaks):
        self.tell(name, max(peaks) <= MEMORY_MAX_KIB, unit="KiB", here=peaks[0], there=peaks[1],
                  goal=f"<= {MEMORY_MAX_KIB}")


# ---- fairness: what the loop and the members feel while a large file moves

def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def bare_lags(stop, lags):
    """A loop of its own that sleeps 1 ms: by how much the machine is late for anybody."""
    while not stop.is_set():
        start = time.monotonic()
        stop.wait(0.001)
        lags.append((time.monotonic() - start - 0.001) * 1000)


def fairness(report, ours, place):
    """Liveness answers and task starts while 1 GiB moves; suspicions are counted by both."""
    stop, lags, answered, starts = threading.Event(), [], [], []

    def ask():
        with ours.there.varlink() as link:
            while not stop.is_set():
                start = time.monotonic()
                link.call("Peers")
                answered.append((time.monotonic() - start) * 1000)
                stop.wait(0.002)

    def submit():
        while not stop.is_set():
            starts.append(run(CTL, "--socket", ours.there.socket, "submit", "--wait", "a1") * 1000)

    def measure():
        for values in (lags, answered, starts):
            values.clear()
        stop.clear()
        threads = [threading.Thread(target=target, args=arguments)
                   for target, arguments in ((bare_lags, (stop, lags)), (ask, ()), (submit, ()))]
        for thread in threads:
            thread.start()
        return threads

    def end(threads):
        stop.set()
        for thread in threads:
            thread.join()
        return {"bare_ms": round(percentile(lags, 0.99), 2), "answer_ms": round(percentile(answered, 0.99), 2),
                "task_ms": round(statistics.median(starts), 2)}

    threads = measure()
    wait_for(lambda: len(answered) >= 500, 60, "enough answers at rest")
    idle = end(threads)
    threads = measure()
    for _ in range(2):
        ours.one(place)
    busy = end(threads)
    suspicions = len(ours.here.events("member-suspect", "member-dead")) + \
        len(ours.there.events("member-suspect", "member-dead"))
    report.tell("fairness-answer-p99", busy["answer_ms"] - busy["bare_ms"] <= 5 and suspicions == 0, unit="ms",
                idle=idle, busy=busy, false_suspicions=suspicions,
                goal="answer_ms at most 5 above bare_ms while 1 GiB moves, no false suspicion")


def measure(report, place, rounds, on_disk):
    lab = Lab({"files": {"quota": "20GiB", "reserve": "1MiB"}, "log": {"level": "warning"}})
    with contextlib.ExitStack() as stack:
        stack.callback(lab.close)
        lab.node("here", role="seed")
        lab.node("there", types=["a"])
        lab.start(30)
        ours, limit, rsync = Ours(lab), Limit(), Rsync(stack, place)
        where = "disk" if on_disk else "tmpfs"
        count, size = place.count, place.size / 1e6
        seconds = medians([limit, rsync, ours], place, "many", rounds)
        goals = {"rsync": 1} if on_disk else {"limit": 0.5, "rsync": 1.5}
        report.line(f"many-{where}", "files/s", {name: count / value for name, value in seconds.items()}, goals)
        if on_disk:
            return
        nginx = Nginx(stack, place)
        seconds = medians([limit, rsync, nginx, ours], place, "one", rounds)
        rates = {name: size / value for name, value in seconds.items()}
        report.line("one-put-tmpfs", "MB/s", rates, {"limit": 0.9, "nginx+curl": 1})
        got = statistics.median(ours.get(place) for _ in range(rounds))
        report.line("one-get-tmpfs", "MB/s", {**rates, "p2pnode": size / got}, {"limit": 0.9, "nginx+curl": 1})
        for name, peaks in ours.peaks.items():
            report.memory(f"peak-{name}", peaks)
        fairness(report, ours, place)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it runs, not how fast")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    size, count, rounds = (64 << 20, 1000, 1) if options.quick else (1 << 30, 10000, 3)
    report = Report()
    for parent, on_disk in (("/dev/shm", False), (BUILD, True)):
        tempfile.tempdir = str(parent)
        place = Place(parent, 1 << 20 if on_disk else size, count)
        try:
            measure(report, place, rounds, on_disk)
        finally:
            place.close()
    return 1 if report.missed and not options.quick else 0


sys.exit(main())
