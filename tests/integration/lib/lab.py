# SPDX-License-Identifier: MIT
"""Real daemons, on loopback addresses of a network 127.81.x.0/24 that is their lab's, or at a switch (netns.py).

A lab starts what it is told, answers through p2pctl or Varlink, and ends everything it began: no process
and no file is left, whatever the test did. What a daemon or its p2pnode-exec says about a sanitizer, and
an exit other than 0 after SIGTERM, fails the test.
"""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile

from .varlink import Varlink
from .wait import PATIENCE, wait_for

BUILD = pathlib.Path(os.environ.get("P2PNODE_BUILD", pathlib.Path(__file__).resolve().parents[3] / "build"))
DAEMON, CTL = BUILD / "p2pnode", BUILD / "p2pctl"
PORT = 7717
LOCK_PORT = 7716  # whoever has it bound on 127.81.x.1 owns 127.81.x.0/24
REPORT = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|Assertion .* failed")

def merge(*settings):
    """Sections of later arguments over those of earlier ones, key by key."""
    merged = {}
    for one in settings:
        for key, value in one.items():
            old = merged.get(key)
            merged[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


# Faster than a real lab would want it, for tests that wait for a death. Any process of a busy machine may be held
# up for a second: that is time enough to be suspect here, and not to be dead.
FAST = {
    "membership": {"probe_interval": "700ms", "probe_timeout": "300ms", "rejoin_interval": "1s"},
    "gossip": {"interval": "100ms", "load_interval": "200ms"},
    "tasks": {"lease": "3s", "retry_delay": "100ms", "kill_grace": "1s"},
}
# For tests in which nobody is to die: who is held up for some seconds is not even suspect, and keeps its tasks.
STEADY = merge(FAST, {"membership": {"probe_interval": "4s", "probe_timeout": "2s"}, "tasks": {"lease": "30s"}})


class Result:
    """What a program said and how it ended."""

    def __init__(self, code, stdout, stderr):
        self.code, self.stdout_bytes, self.stderr_bytes = code, stdout, stderr

    @property
    def stdout(self):
        return self.stdout_bytes.decode()

    @property
    def stderr(self):
        return self.stderr_bytes.decode()

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.stdout_bytes[:2000]!r}\nstderr: {self.stderr_bytes[:2000]!r}"


def environment(**more):
    """What a program of ours may see: nothing of the tester's P2PNODE_ or XDG settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("P2P", "XDG_"))}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}


def run_program(command, stdin=b"", timeout=30, **options):
    """timeout: in seconds, for a machine that has nothing else to do."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, check=False,
                          timeout=timeout * PATIENCE, env=options.pop("env", environment()), **options)
    return Result(done.returncode, done.stdout, done.stderr)


def format_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {format_value(item)};" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(format_value(item) for item in value) + " )"
    return json.dumps(value)


def format_config(settings):
    return "".join(f"{key} = {format_value(value)};\n" for key, value in settings.items())


class Loopback:
    """An address of the tests' own machine."""

    prefix = ()

    def __init__(self, network, number):
        self.ip = f"127.81.{network}.{number}"


class Node:
    """One daemon: its files, its process, and what can be asked of it."""

    ctl_path = CTL

    def __init__(self, lab, name, place, settings):
        """place: with an ip, and a prefix for commands that are to run there."""
        self.lab, self.name, self.place = lab, name, place
        self.directory = lab.directory / name
        self.socket = lab.directory / f"{name}.sock"
        self.config = lab.directory / f"{name}.conf"
        self.log = lab.directory / f"{name}.log"
        self.process = None
        self.settings = merge(
            {"node": {"name": name}, "listen": {"address": place.ip, "port": PORT},
             "security": {"keyring": str(lab.keyring)}, "state_dir": str(self.directory),
             "control": {"socket": str(self.socket)}, "log": {"target": "stderr", "level": "debug"},
             "files": {"reserve": "1MiB"}, "stop_grace": "1s"}, settings)

    @property
    def ip(self):
        return self.place.ip

    @property
    def address(self):
        return f"[{self.ip}]:{PORT}" if ":" in self.ip else f"{self.ip}:{PORT}"

    # ---- its life

    def write_config(self):
        self.config.write_text(format_config(self.settings))

    def launch(self, **env):
        """Starts the process; does not wait."""
        assert self.process is None, f"{self.name} runs already"
        self.write_config()
        with open(self.log, "ab") as log:
            # The tests' end is the daemons' end, even when nobody can clean up any more.
            self.process = subprocess.Popen(
                [*self.place.prefix, "setpriv", "--pdeathsig", "KILL", str(DAEMON), "-c", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.lab.directory,
                env=environment(**env))

    def start(self, **env):
        self.launch(**env)
        self.wait_ready()
        return self

    def wait_ready(self, timeout=10):
        wait_for(self.is_ready, timeout, f"{self.name} to answer")

    def is_ready(self):
        code = self.process.poll()
        assert code is None, f"{self.name} ended with {code}:\n{self.tail()}"
        try:
            return self.call("Status")["running"]
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a power cut: no good-bye."""
        self.process.kill()
        self.process.wait(60)
        self.process = None

    def stop(self, timeout=60):
        """As systemctl stop; returns the exit code."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.wait_end(timeout)

    def wait_end(self, timeout=60):
        code = self.process.wait(timeout * PATIENCE)
        self.process = None
        return code

    def restart(self):
        assert self.stop() == 0
        return self.start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=40):
        """The end of the log without the steady chatter."""
        told = [line for line in self.log_text().splitlines() if not line.startswith("debug: Liveness Re")]
        return "\n".join(told[-lines:])

    # ---- questions

    def varlink(self, timeout=60):
        return Varlink(self.socket, timeout)

    def call(self, method, **parameters):
        with self.varlink() as varlink:
            return varlink.call(method, parameters)

    def ctl(self, *arguments, code=0, stdin=b"", timeout=30, **options):
        """p2pctl with these arguments; code None: any exit code will do."""
        result = run_program([CTL, "--socket", self.socket, *arguments], stdin, timeout, **options)
        assert code is None or result.code == code, f"p2pctl {arguments}: {result!r}"
        return result

    def json(self, *arguments, **options):
        return json.loads(self.ctl("--json=short", *arguments, **options).stdout)

    def ctl_start(self, *arguments, **options):
        """p2pctl in the background; the lab ends it if the test does not.

        Its pipes have no buffer: a line that is read takes nothing along of what follows, which communicate() would miss.
        """
        process = subprocess.Popen(
            [str(word) for word in (CTL, "--socket", self.socket, *arguments)],
            env=environment(), bufsize=0,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
        self.lab.helpers.append(process)
        return process

    def members(self):
        return {member["name"]: member for member in self.call("Members")["members"]}

    def state_of(self, other):
        member = self.members().get(other if isinstance(other, str) else other.name)
        return member and member["state"]

    def sees_alive(self):
        return {name for name, member in self.members().items() if member["state"] == "alive"}

    def events(self, *types):
        parameters = {"types": list(types)} if types else {}
        return self.call("Events", **parameters)["events"]

    def task(self, task):
        return self.call("ShowTask", id=task)

    def tasks(self):
        return self.call("ListTasks")["tasks"]

    def kept_ends(self):
        """How many tasks of other nodes are in its database as ended, and not acknowledged."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.directory}/state.db?mode=ro", uri=True)) as database:
                return database.execute("SELECT count(*) FROM result").fetchone()[0]
        except sqlite3.OperationalError:  # it is about to be made, or locked
            return -1

    def wait_task(self, task, *states, timeout=15):
        """Waits until the task has one of the states; returns it."""
        def check():
            found = self.task(task)
            return found if found["state"] in states else None
        return wait_for(check, timeout, lambda: f"task {task} to be {' or '.join(states)}: {self.task(task)}")

    def submit(self, *arguments):
        return self.ctl("submit", *arguments).stdout.strip()


class Lab:
    """Daemons that belong together."""

    def __init__(self, settings=None, switch=None):
        """switch: where the daemons are plugged in; the lab takes it down. None: on the loopback of the tests."""
        self.settings = settings or {}
        self.nodes, self.helpers = {}, []
        self.switch = switch
        self.lock, self.network = (None, None) if switch else claim_network()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="p2pnode-lab-"))
        self.directory.chmod(0o711)
        self.keyring = self.make_keyring("keys")

    def make_keyring(self, name):
        path = self.directory / name
        result = run_program([CTL, "keys", "gen"])
        assert result.code == 0, repr(result)
        path.touch(0o600)
        path.write_bytes(result.stdout_bytes)
        return path

    def node(self, name, settings=None, role="peer", types=(), seeds=None, place=None):
        """Describes a node; nothing runs yet. types: names, or dicts as in tasks.types."""
        place = place or (self.switch.plug() if self.switch else Loopback(self.network, len(self.nodes) + 1))
        if seeds is None:
            seeds = [node.address for node in self.nodes.values() if node.settings["node"]["role"] == "seed"]
        types = [{"name": one} if isinstance(one, str) else one for one in types]
        node = Node(self, name, place, merge(
            self.settings, {"node": {"role": role}, "tasks": {"types": types}}, settings or {}))
        node.settings.setdefault("seeds", seeds or ([node.address] if role == "seed" else []))
        self.nodes[name] = node
        return node

    def __getitem__(self, name):
        return self.nodes[name]

    def running(self):
        return [node for node in self.nodes.values() if node.is_running]

    def start(self, timeout=10):
        """Starts all that do not run, and waits until all see all."""
        for node in self.nodes.values():
            if not node.process:
                node.launch()
        self.wait_joined(timeout)
        return self

    def wait_joined(self, timeout=10):
        nodes = self.running()
        for node in nodes:
            node.wait_ready()
        names = {node.name for node in nodes}
        for node in nodes:
            wait_for(lambda node=node: names <= node.sees_alive(), timeout,
                     f"{node.name} to see {sorted(names)}")

    def wait_state(self, name, state, timeout=15):
        """Until every other running node sees it so."""
        for node in self.running():
            if node.name != name:
                wait_for(lambda node=node: node.state_of(name) == state, timeout,
                         f"{name} to be {state} at {node.name}")

    # ---- the end

    def close(self):
        """Ends and removes everything. Returns what was wrong, in words."""
        for helper in self.helpers:
            if helper.poll() is None:
                helper.kill()
            helper.communicate()
        wrong = [problem for node in self.nodes.values() for problem in end(node)]
        leftovers = wait_for_nobody(self.directory)
        wrong += [f"process {pid} is left: {command}" for pid, command in leftovers]
        for pid, _ in leftovers:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.lock:
            self.lock.close()
        if self.switch:
            self.switch.close()
        return wrong

    def logs(self):
        return "".join(f"---- {node.name} ({node.address})\n{node.tail()}\n" for node in self.nodes.values())


def claim_network():
    """A network nobody else's lab is in: (the socket that says so, its third byte)."""
    for network in random.sample(range(1, 255), 254):
        lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            lock.bind((f"127.81.{network}.1", LOCK_PORT))
            return lock, network
        except OSError:
            lock.close()
    raise RuntimeError("no free network in 127.81.0.0/16")


def end(node):
    """Stops a node; yields what is wrong with it."""
    if node.process is not None:
        code = node.process.poll()
        if code is not None:
            yield f"{node.name} ended by itself with {code}"
        else:
            try:
                code = node.stop()
                if code != 0:
                    yield f"{node.name} ended with {code} after SIGTERM"
            except subprocess.TimeoutExpired:
                yield f"{node.name} does not stop"
                node.kill()
    for line in node.log_text().splitlines():
        if REPORT.search(line):
            yield f"{node.name}: {line}"


def processes_of(directory):
    """(pid, command line) of what works in the directory or was started for it."""
    mark = os.fsencode(directory)
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                place = os.fsencode(os.readlink(entry / "cwd"))
            except OSError:
                continue
            if mark in command or place.startswith(mark):
                yield int(entry.name), command.decode(errors="replace")


def wait_for_nobody(directory):
    """Gives what is about to end the time for it; returns what does not."""
    try:
        wait_for(lambda: not list(processes_of(directory)), 5)
    except AssertionError:
        pass
    return list(processes_of(directory))
