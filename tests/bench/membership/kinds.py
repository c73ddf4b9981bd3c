# SPDX-License-Identifier: MIT
"""The two kinds of member that are measured: how one is started and asked, and what it says."""
import calendar
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("P2PNODE_BUILD", pathlib.Path(__file__).resolve().parents[3] / "build"))
RUN = pathlib.Path("/run")  # a tmpfs of the lab's own, see isolate.py
MESSAGE_SIZE = 70


def address_of(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


class Member:
    """One process; its events are what it appends to a file."""

    def __init__(self, number):
        self.number, self.name, self.address = number, f"n{number}", address_of(number)
        self.events = RUN / f"{self.name}.events"
        self.events.touch()
        self.stderr = RUN / f"{self.name}.stderr"
        self.process = None
        self.is_leaving = False

    @property
    def pid(self):
        return self.process.pid

    def launch(self, command):
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen(["nice", "-n", "5", *command], stdin=subprocess.PIPE,
                                            stdout=subprocess.DEVNULL, stderr=stderr)

    def has_ended(self):
        return self.process is not None and self.process.poll() is not None

    def kill(self):
        self.process.kill()
        self.wait()

    def wait(self):
        self.process.wait()
        self.process.stdin.close()
        self.process = None

    def leave(self):
        self.is_leaving = True
        self.say_goodbye()

    def suspend(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Memberlist(Member):
    """tests/bench/memberlist/peer.go with DefaultLANConfig."""

    kind = "memberlist"
    program = BUILD / "bench" / "memberlist-peer"
    LINE = re.compile(rb"^(\d+) (alive|dead|message) (\S+)\n", re.M)

    def start(self):
        join = ["-join", address_of(0)] if self.number else []
        self.launch([self.program, "-name", self.name, "-address", self.address, "-events", self.events, *join])

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def send(self, text):
        self.command(f"send {text}")

    def say_goodbye(self):
        self.command("leave")

    def parse(self, data):
        for stamp, event, subject in self.LINE.findall(data):
            yield int(stamp) / 1e9, event.decode(), subject.decode()


class P2pnode(Member):
    """The daemon with its defaults, sealed; tasks are off, since the peer has none."""

    kind = "p2pnode"
    program = BUILD / "p2pnode"
    keys = RUN / "keys"
    LINE = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d\.\d{3})Z "
                      rb"(?:member (\S+) (joined|alive|dead|left|suspect)|message from (\S+): (\S+)"
                      rb"|Dead Node:([\d.]+):.*\n)", re.M)
    EVENTS = {b"joined": "alive", b"alive": "alive", b"dead": "dead", b"left": "left", b"suspect": "suspect"}

    def __init__(self, number):
        super().__init__(number)
        if not self.keys.exists():
            self.keys.touch(0o600)
            self.keys.write_bytes(subprocess.run([BUILD / "p2pctl", "keys", "gen"], check=True, stdout=subprocess.PIPE)
                                  .stdout)
        self.socket = RUN / f"{self.name}.sock"
        self.config = RUN / f"{self.name}.conf"
        self.config.write_text(f"""
            node = {{ name = "{self.name}"; role = "{'peer' if number else 'seed'}"; }};
            listen = {{ address = "{self.address}"; }};
            seeds = ( "{address_of(0)}" );
            security = {{ keyring = "{self.keys}"; }};
            tasks = {{ enabled = false; }};
            control = {{ socket = "{self.socket}"; }};
            state_dir = "{RUN / self.name}";
            log = {{ target = "stderr"; file = "{self.events}"; }};
            """)
        self.minutes = {}
        self.dead = set()

    def start(self):
        self.dead.clear()
        self.launch([self.program, "-c", self.config])

    def send(self, text):
        message = {"method": "org.p2pnode.SendMessage",
                   "parameters": {"all": True, "no_wait": True, "text": f"{text} ".ljust(MESSAGE_SIZE, ".")}}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(json.dumps(message).encode() + b"\0")
            reply = json.loads(connection.recv(65536).rstrip(b"\0"))
        assert "error" not in reply, reply

    def say_goodbye(self):
        self.process.terminate()

    def seconds_of(self, minute):
        if minute not in self.minutes:
            self.minutes = {minute: calendar.timegm(time.strptime(minute.decode(), "%Y-%m-%dT%H:%M"))}
        return self.minutes[minute]

    def parse(self, data):
        for minute, second, member, event, sender, text, dead in self.LINE.findall(data):
            stamp = self.seconds_of(minute) + float(second)
            if member:
                self.dead.discard(member.decode())
                yield stamp, self.EVENTS[event], member.decode()
            elif sender:
                yield stamp, "message", text.decode()
            elif name_at(dead.decode()) not in self.dead:  # a seed has the reports of others, too: the first word counts
                self.dead.add(name_at(dead.decode()))
                yield stamp, "dead", name_at(dead.decode())


def name_at(address):
    _, _, high, low = map(int, address.split("."))
    return f"n{high * 250 + low - 1}"


KINDS = {kind.kind: kind for kind in (Memberlist, P2pnode)}
