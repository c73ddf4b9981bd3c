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
import mmap
import os
import pathlib
import re
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
    """A directory for one side of it all, and how to make the sources.

    In memory what an earlier way wrote is removed, so that all begin with as much. On a disk nothing is before the
    end: ext4 without a journal looks at every inode that was freed within the last minutes before it takes one.
    """

    def __init__(self, parent, size, count, on_disk):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="p2pnode-bench-", dir=parent))
        self.many, self.one, self.count, self.size = self.path / "many", self.path / "one", count, size
        self.on_disk, self.taken, self.target = on_disk, 0, self.path
        self.many.mkdir()
        for i in range(count):
            (self.many / f"f{i:05}").write_bytes(os.urandom(4096))
        block = os.urandom(1 << 20)
        with open(self.one, "wb") as file:
            for i in range(size >> 20):
                file.write(i.to_bytes(8, "big") + block[8:])
        self.fresh()

    def fresh(self):
        """An empty directory."""
        if self.taken > 0 and not self.on_disk:
            shutil.rmtree(self.target)
        self.taken += 1
        self.target = self.path / f"target{self.taken}"
        self.target.mkdir()
        return self.target

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def own_memory():
    """Where this machine is a guest that gives free memory back to its host, who takes seconds for a GiB to bring it
    again: all is brought, and none given back until the end."""
    order = pathlib.Path("/sys/module/page_reporting/parameters/page_reporting_order")
    if not order.exists():
        yield
        return
    before = order.read_text()
    order.write_text("10")
    try:
        available = int(re.search(r"MemAvailable: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10
        mmap.mmap(-1, available * 7 // 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
        yield
    finally:
        order.write_text(before)


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

    one_hashed = one
    many_get = many


class Rsync:
    """Its daemon encrypts and syncs nothing."""
    name = "rsync"

    def __init__(self, stack, place):
        self.port = free_port()
        config = place.path / "rsyncd.conf"
        config.write_text(f"port = {self.port}\naddress = 127.0.0.1\nuse chroot = no\nuid = root\ngid = root\n"
                          f"[bench]\npath = {place.path}\nread only = no\n")
        stack.enter_context(serving(["rsync", "--daemon", "--no-detach", f"--config={config}"], self.port))

    def remote(self, path):
        return f"rsync://127.0.0.1:{self.port}/bench/{path.name}/"

    def one(self, place):
        return run("rsync", "-W", place.one, self.remote(place.fresh()))

    def many(self, place):
        return run("rsync", "-r", f"{place.many}/", self.remote(place.fresh()))

    def many_get(self, place):
        return run("rsync", "-r", self.remote(place.many), place.fresh())


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


class Scp:
    """With the cipher that is fastest here."""
    name = "scp"

    def __init__(self, stack, place):
        self.port, self.key, host = free_port(), place.path / "key", place.path / "host"
        for path in (self.key, host):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        config = place.path / "sshd_config"
        config.write_text(f"ListenAddress 127.0.0.1:{self.port}\nHostKey {host}\nAuthorizedKeysFile {self.key}.pub\n"
                          f"StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n"
                          "Subsystem sftp internal-sftp\n")
        os.makedirs("/run/sshd", exist_ok=True)
        stack.enter_context(serving(["/usr/sbin/sshd", "-D", "-f", config], self.port))

    def copy(self, *words):
        return run("scp", "-q", "-P", self.port, "-i", self.key, "-c", "aes256-gcm@openssh.com", "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *words)

    def one(self, place):
        return self.copy(place.one, f"root@127.0.0.1:{place.fresh()}/")

    def many(self, place):
        return self.copy("-r", place.many, f"root@127.0.0.1:{place.fresh()}/")


class Ours:
    name = "p2pnode"

    def __init__(self, lab):
        self.lab, self.here, self.there = lab, lab["here"], lab["there"]
        self.peaks, self.puts = {}, 0

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

    def remove(self, glob):
        """The others begin with an empty directory, too, and with the memory that it took."""
        if self.there.call("ListFiles", glob=glob)["files"]:
            run(CTL, "--socket", self.there.socket, "file", "rm", "--yes", glob)

    def one(self, place, *options):
        self.remove("one")
        seconds = self.measured("one", "file", "put", "--overwrite=always", *options, place.one, "there:")
        wait_for(lambda: self.there.call("ListFiles", glob="one")["files"][0]["sha256"], 30, "it to be hashed")
        return seconds

    def one_hashed(self, place):
        """Who wants the hash waits for it."""
        return self.one(place, "--json")

    def get(self, place):
        place.fresh()
        return self.measured("get", "file", "get", "there:one", place.target / "one")

    def many(self, place):
        if not place.on_disk:
            self.remove("put*")
        self.puts += 1
        names = place.path / f"put{self.puts}"
        names.mkdir()
        for path in place.many.iterdir():
            os.link(path, names / f"put{self.puts}-{path.name}")
        return self.measured("many", "file", "put", "--overwrite=always", *sorted(names.iterdir()), "there:")

    def many_get(self, place):
        """What the last round of many() left there."""
        return self.measured("many-get", "file", "get", f"there:put{self.puts}-*", place.fresh())


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


def read_lags(node):
    """[(upper end in ms, how many were at most that late)]: the daemon's own p2pnode_loop_lag_seconds."""
    text = subprocess.check_output([str(CTL), "--socket", str(node.socket), "metrics"], text=True)
    found = re.findall(r'^p2pnode_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)', text, re.M)
    return [(float(end) * 1000, int(count)) for end, count in found]


def lag_since(before, after, share=0.99):
    """The end of the class in which that share of what came between lies, and how much came."""
    counts = [(end, count - old) for (_, old), (end, count) in zip(before, after)]
    return next(end for end, count in counts if count >= share * counts[-1][1]), counts[-1][1]


def saturate(path, stop):
    """Keeps the disk busy with what has to be on it."""
    block = os.urandom(1 << 20)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    while not stop.is_set():
        os.pwrite(descriptor, block, 0)
        os.pwrite(descriptor, block, 1 << 20)
        os.fsync(descriptor)
    os.close(descriptor)


def fairness(report, ours, place, seconds):
    """Answers, task starts and how late the loop's timers are while 1 GiB moves and the disk is busy; suspicions are
    counted by both. The daemons' state and the files are on the disk. What an answer takes is an upper bound of the
    loop's lag, asked for some thousand times; timers of its own are a few each second, so that their p99 is one of
    the two or three latest."""
    stop, lags, starts = threading.Event(), [], []
    nodes = (ours.here, ours.there)
    answered = {node.name: [] for node in nodes}

    def ask(node):
        with node.varlink() as link:
            while not stop.is_set():
                start = time.monotonic()
                link.call("Peers")
                answered[node.name].append((time.monotonic() - start) * 1000)
                stop.wait(0.002)

    def submit():
        while not stop.is_set():
            starts.append(run(CTL, "--socket", ours.there.socket, "submit", "--wait", "a1") * 1000)

    def begin(*more):
        for values in (lags, starts, *answered.values()):
            values.clear()
        stop.clear()
        threads = [threading.Thread(target=target, args=arguments)
                   for target, arguments in ((bare_lags, (stop, lags)), (submit, ()),
                                             *((ask, (node,)) for node in nodes), *more)]
        for thread in threads:
            thread.start()
        return threads, [read_lags(node) for node in nodes]

    def end(threads, before):
        after = [read_lags(node) for node in nodes]
        stop.set()
        for thread in threads:
            thread.join()
        loops = [lag_since(*pair) for pair in zip(before, after)]
        answers = {name: round(percentile(values, 0.99), 2) for name, values in answered.items()}
        return {"bare_ms": round(percentile(lags, 0.99), 2), "answer_ms": max(answers.values()),
                "answers": min(len(values) for values in answered.values()), "task_ms": round(statistics.median(starts), 2), "timer_ms": max(loop[0] for loop in loops),
                "timers": sum(loop[1] for loop in loops)}

    idle = begin()
    wait_for(lambda: all(len(values) >= 500 for values in answered.values()), 60, "enough answers at rest")
    idle = end(*idle)
    busy = begin((saturate, (place.path / "neighbour", stop)))
    until, moved = time.monotonic() + seconds, 0
    while moved < 2 or time.monotonic() < until:
        ours.one_hashed(place)
        moved += 1
    busy = end(*busy)
    suspicions = sum(len(node.events("member-suspect", "member-dead")) for node in nodes)
    report.tell("fairness", busy["answer_ms"] <= 5 and suspicions == 0, unit="ms", idle=idle, busy=busy, moved=moved,
                false_suspicions=suspicions, goal="answer_ms (p99, more than the loop's lag) <= 5, no false suspicion")


def measure(report, place, rounds, seconds):
    lab = Lab({"files": {"quota": "20GiB", "reserve": "1MiB"}, "log": {"level": "warning"}})
    with contextlib.ExitStack() as stack:
        stack.callback(lab.close)
        lab.node("here", role="seed")
        lab.node("there", types=["a"])
        lab.start(30)
        ours, limit, rsync = Ours(lab), Limit(), Rsync(stack, place)
        os.sync()
        where = "disk" if place.on_disk else "tmpfs"
        count, size = place.count, place.size / 1e6
        many = [limit, rsync, ours]
        goals = {"rsync": 1} if place.on_disk else {"limit": 0.5, "rsync": 1.5}
        for what in ("many", "many_get"):
            taken = medians(many, place, what, rounds)
            rates = {name: count / value for name, value in taken.items()}
            report.line(f"{what.replace('_', '-')}-{where}", "files/s", rates, goals)
        if place.on_disk:
            fairness(report, ours, place, seconds)
            return
        scp, nginx = Scp(stack, place), Nginx(stack, place)
        rates = {way.name: count / way.many(place) for way in (scp, ours)}
        report.line("many-scp-tmpfs", "files/s", rates, {"scp": 1})
        taken = medians([limit, rsync, nginx, scp, ours], place, "one", rounds)
        rates = {name: size / value for name, value in taken.items()}
        report.line("one-put-tmpfs", "MB/s", rates, {"nginx+curl": 1, "scp": 1})
        hashed = medians([limit, ours], place, "one_hashed", rounds)
        report.line("one-put-hashed-tmpfs", "MB/s", {name: size / value for name, value in hashed.items()},
                    {"limit": 0.9})
        got = medians([ours], place, "get", rounds)["p2pnode"]
        report.line("one-get-tmpfs", "MB/s", {**rates, "p2pnode": size / got},
                    {"limit": 0.9, "nginx+curl": 1, "scp": 1})
        for name, peaks in ours.peaks.items():
            report.memory(f"peak-{name}", peaks)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="less of everything: whether it runs, not how fast")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    size, count, rounds, seconds = (64 << 20, 1000, 1, 2) if options.quick else (1 << 30, 10000, 3, 30)
    report = Report()
    for parent, on_disk in (("/dev/shm", False), (BUILD, True)):
        tempfile.tempdir = str(parent)
        place = Place(parent, size, count, on_disk)
        try:
            with contextlib.nullcontext() if options.quick else own_memory():
                measure(report, place, rounds, seconds)
        finally:
            place.close()
    return 1 if report.missed and not options.quick else 0


sys.exit(main())
