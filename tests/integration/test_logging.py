# SPDX-License-Identifier: MIT
"""What goes to the journal, to syslog and to a file, on machines that have them: in a mount namespace of their own."""
import pathlib
import re
import signal
import socket
import threading

import pytest

from lib.lab import STEADY, Loopback, format_config, merge
from lib.wait import wait_for

ROOT = pathlib.Path(__file__).parents[2]
# A machine with this /dev or /run: made in a mount namespace before the daemon starts there.
MAKE_DEV = """
set -e
mount -t tmpfs none "$1"
for name in null zero full random urandom tty; do touch "$1/$name"; mount --bind "/dev/$name" "$1/$name"; done
touch "$1/log"; mount --bind "$2" "$1/log"; mount --rbind "$1" /dev
mount -t tmpfs none /run
shift 2; exec "$@"
"""
MAKE_RUN = """
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal; touch /run/systemd/journal/socket
mount --bind "$2" /run/systemd/journal/socket
shift 2; exec "$@"
"""


class Machine(Loopback):
    """An address, and what listens where a daemon of that machine logs to."""

    def __init__(self, lab, number, script):
        super().__init__(lab.network, number)
        directory = lab.directory / f"machine-{number}"
        directory.mkdir()
        path = lab.directory / f"machine-{number}.socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.prefix = ("unshare", "-m", "sh", "-c", script, "sh", str(directory), str(path))
        self.records = []
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
            assert not descriptors
            self.records.append(data)

    def entries(self):
        """Records of the journal as {field: text}; none of ours has a line end in a value."""
        return [dict(line.split("=", 1) for line in data.decode().splitlines()) for data in list(self.records)]

    def of(self, event):
        return [entry for entry in self.entries() if entry.get("PEER_EVENT") == event]


@pytest.fixture
def make_node(make_lab):
    """make_node(name, script, …): a node on a machine of its own, in one lab."""
    lab = make_lab(merge(STEADY, {"gossip": {"message_interval": "200ms", "message_count": 0},
                                  "membership": {"probe_interval": "1s", "probe_timeout": "500ms"}, "tasks": {"lease": "5s"}}))

    def make(name, script=None, **settings):
        place = Machine(lab, len(lab.nodes) + 1, script) if script else None
        log = {"target": "auto", "level": "info", **settings.pop("log", {})}
        return lab.node(name, {"log": log, **settings.pop("settings", {})}, place=place, **settings)
    return make


def rewrite(node, **log):
    node.config.write_text(format_config(merge(node.settings, {"log": log})))


def catalog():
    """{MESSAGE_ID: the fields that the text for operators needs}."""
    text = (ROOT / "systemd/p2pnode.catalog").read_text()
    return {body[:32]: set(re.findall(r"@([A-Z_]+)@", body)) for body in re.split(r"^-- ", text, flags=re.M)[1:]}


def test_every_event_of_a_lab_has_its_id_and_all_that_its_text_needs(make_node):
    """A start, tasks, files, values, messages, a drain, keys, a reload, a suspicion, a death, a way back, an end."""
    seed = make_node("seed", MAKE_RUN, role="seed", types=["a"], log={"level": "debug"})
    # Of two seeds the one tells the other of a death.
    second = make_node("second", MAKE_RUN, role="seed", log={"level": "debug"})
    peer = make_node("peer", MAKE_RUN, types=["b"], log={"level": "debug"})
    nodes = [seed, second, peer]
    seed.lab.start()
    seed.ctl("submit", "--wait", "a1")
    seed.ctl("submit", "--wait", "b1")
    seed.ctl("submit", "--wait", "--", "sh", "-c", "exit 3", code=3)
    seed.ctl("file", "put", "-", "peer:note", stdin=b"x")
    peer.ctl("file", "rm", "--yes", "peer:note")
    peer.ctl("mem", "set", "greeting", "hello")
    peer.ctl("mem", "rm", "greeting")
    seed.ctl("message", "peer", "hello")
    peer.ctl("drain")
    peer.ctl("undrain")
    seed.ctl("keys", "rotate")
    rewrite(seed, level="debug", gossip_first=5)
    seed.ctl("reload")
    rewrite(seed, level="debug")
    seed.ctl("reload")
    # A task that runs at the peer when it dies.
    task = seed.submit("-N", "peer", "--", "sleep", "1000")
    wait_for(lambda: seed.task(task)["state"] == "running", 30, "the task to run")
    peer.kill()
    wait_for(lambda: seed.place.of("dead-report") and second.place.of("dead-report"), 60, "the report, at both ends")
    wait_for(lambda: seed.place.of("task-lost"), 60, "the loss to be told")
    peer.start()
    wait_for(lambda: peer.place.of("peer-list") and seed.place.of("member-alive"), 60, "the way back")
    assert peer.stop() == 0
    wait_for(lambda: seed.place.of("member-left"), 30, "the good-bye")
    wait_for(lambda: peer.place.of("node-stopping"), 30, "the peer's own word")
    texts = catalog()
    seen = set()
    for node in nodes:
        for entry in node.place.entries():
            assert entry["SYSLOG_IDENTIFIER"] == "p2pnode" and entry["PRIORITY"] in "34567" and entry["MESSAGE"]
            if "PEER_EVENT" not in entry:
                continue
            seen.add(entry["PEER_EVENT"])
            assert entry["PEER_NODE"] == node.name
            assert texts[entry["MESSAGE_ID"]] <= set(entry), entry
            assert not re.search(r"unknown|\(null\)|: ?$", entry["MESSAGE"]), entry
    assert seen >= set("""node-started node-stopping join-request member-joined member-suspect member-alive member-dead
        member-left dead-report peer-list key-changed gossip message liveness connection task-submitted task-placed
        task-started task-lost task-ended file-stored file-removed mem-changed drain undrain config-reloaded""".split())


def test_the_lines_of_the_first_systems_are_said_word_for_word(make_node):
    """Seed: who asks to join, and the dead; peer: the list it got, gossip, signs of life."""
    seed = make_node("seed", MAKE_RUN, role="seed", log={"subsystems": ["liveness=debug"]})
    peer = make_node("peer", MAKE_RUN)
    lab = seed.lab
    lab.start()
    stamp = r"\d{9,}\.\d{3}"
    mine, others = re.escape(seed.ip), re.escape(peer.ip)

    def said(node, event, pattern, level):
        return [entry for entry in node.place.of(event)
                if re.fullmatch(pattern, entry["MESSAGE"]) and entry["PRIORITY"] == level]
    wait_for(lambda: said(seed, "join-request", rf"join request from peer {re.escape(peer.address)}", "5"), 30, "the request")
    wait_for(lambda: said(peer, "peer-list", rf"peer list from seed: .*seed {re.escape(seed.address)}.*", "6"), 30, "the list")
    wait_for(lambda: said(peer, "gossip", rf"{stamp}:{mine}:\d+", "6"), 30, "gossip of the seed")
    wait_for(lambda: said(seed, "liveness", rf"Liveness Request:{stamp}:({mine}|{others})", "7"), 30, "a request")
    wait_for(lambda: said(seed, "liveness", rf"Liveness Reply:{stamp}:({mine}:{others}|{others}:{mine})", "7"), 30,
             "a reply")
    # Gossip of a node is told at info ten times, then only to who asks for debug.
    wait_for(lambda: len(seed.events("gossip")) > 30, 60, "more gossip")
    told = [int(entry["PEER_NUMBER"]) for entry in peer.place.of("gossip")]
    assert told and max(told) <= 10
    peer.kill()
    lab.wait_state("peer", "dead", 60)
    line = wait_for(lambda: [entry["PEER_LINE"] for entry in seed.place.of("member-dead")], 30, "the word about it")[0]
    assert re.fullmatch(rf"Dead Node:{others}:{stamp}:{mine}", line)


def test_a_dead_report_is_a_notice_at_the_seed(make_node):
    seed = make_node("seed", MAKE_RUN, role="seed")
    other, peer = make_node("other", MAKE_RUN, role="seed"), make_node("peer")
    seed.lab.start()
    peer.kill()

    def reports():
        return [entry for node in (seed, other) for entry in node.place.of("dead-report") if "PEER_LINE" in entry]
    entry = wait_for(reports, 60, "the one seed to report to the other")[0]
    assert entry["PRIORITY"] == "5"
    line = rf"Dead Node:{re.escape(peer.ip)}:\d+\.\d{{3}}:({re.escape(seed.ip)}|{re.escape(other.ip)})"
    assert re.fullmatch(line, entry["PEER_LINE"])
    assert re.fullmatch(rf"{line} \(peer by (seed|other): no answer directly(, nor through [\w, ]+)?\)", entry["MESSAGE"])


def test_levels_of_subsystems_change_under_way(make_node):
    """By SIGHUP and by p2pctl reload; what is on its way to the log is in the log when the command returns."""
    node = make_node("lone", MAKE_RUN, role="seed", log={"level": "notice"}).start()

    def says(key):
        node.ctl("mem", "set", key, "x")
        node.ctl("file", "put", "-", f"lone:{key}", stdin=b"x")
        wait_for(lambda: any(key in event["message"] for event in node.events("file-stored")), 30, "the event")
        # A notice behind them in the same socket: what was said before it has come.
        before = len(node.place.of("drain"))
        node.ctl("drain")
        node.ctl("undrain")
        wait_for(lambda: len(node.place.of("drain")) > before, 30, "a notice")
        return [entry["PEER_EVENT"] for entry in node.place.entries() if key in entry["MESSAGE"]]
    assert says("key-1") == []
    rewrite(node, level="notice", subsystems=["mem=debug"])
    node.signal(signal.SIGHUP)
    wait_for(lambda: len(node.events("config-reloaded")) == 1, 30, "the reload")
    assert says("key-2") == ["mem-changed"]
    rewrite(node, level="info", subsystems=["mem=err"])
    assert node.ctl("reload").stdout == "reloaded: log.level log.subsystems\n"
    assert says("key-3") == ["file-stored"]
    rewrite(node, level="debug")
    node.ctl("reload")
    assert set(says("key-4")) >= {"file-stored", "mem-changed"}


def test_syslog_gets_the_lines_where_there_is_no_journal(make_node):
    node = make_node("lone", MAKE_DEV, role="seed", settings={"tasks": {"enabled": False}}).start()

    def lines(pattern):
        return [data.decode() for data in list(node.place.records) if re.search(pattern, data.decode())]
    line = wait_for(lambda: lines("node lone started"), 30, "the first line")[0]
    # daemon is 3, info 6: 3 * 8 + 6.
    assert re.fullmatch(rf"<30>\w{{3}} [ \d]\d [\d:]{{8}} p2pnode\[{node.pid}\]: node lone started: seed at {node.address}\0?",
                        line)
    rewrite(node, facility="local3")
    node.ctl("reload")
    node.ctl("drain", "--reason", "kernel update")
    line = wait_for(lambda: lines("kernel update"), 30, "a notice")[0]
    assert line.startswith("<157>") and "node lone is draining: kernel update" in line
    node.ctl("drain")


def test_a_plain_file_on_request_has_the_lines_of_the_seeds(make_node):
    path = pathlib.Path(make_node("seed", role="seed").lab.directory, "plain.log")
    node = make_node("lone", log={"subsystems": ["liveness=debug"]})
    lab = node.lab
    lab.start()
    rewrite(node, subsystems=["liveness=debug"], file=str(path))
    assert node.ctl("reload").stdout == "reloaded: log.file\n"
    wait_for(lambda: path.exists() and re.search(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z Liveness Request:\d+\.\d{3}:127\.81\.\d+\.\d+$", path.read_text(), re.M),
        30, "a line in the file")
    rewrite(node, subsystems=["liveness=debug"])
    node.ctl("reload")
    size = path.stat().st_size
    node.ctl("drain")
    assert path.stat().st_size == size
