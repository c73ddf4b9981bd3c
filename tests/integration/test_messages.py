# SPDX-License-Identifier: MIT
"""What is said and what happened, seen by real daemons: messages to all, the history of events."""
import json
import re
import select
import signal
import sqlite3
import threading

import pytest

from lib.lab import FAST
from lib.process import resident_bytes
from lib.wait import PATIENCE, holds_for, wait_for


def inbox(node):
    return [(entry["sender"], entry["msg"]) for entry in node.json("inbox")["messages"]]


def test_who_joins_later_hears_what_was_said_to_all_once(lab):
    lab["lab-01"].ctl("message", "--all", "reboot at 18:00")
    lab["lab-01"].kill()
    lab.wait_state("lab-01", "dead")
    late = lab.node("lab-03")
    late.start()
    wait_for(lambda: inbox(late) == [("lab-01", "reboot at 18:00")], 15, "the message at lab-03")
    holds_for(lambda: inbox(late) == [("lab-01", "reboot at 18:00")], 2)
    assert inbox(lab["lab-02"]) == [("lab-01", "reboot at 18:00")]


def test_who_was_stopped_for_long_hears_what_was_said_to_all(lab):
    lab["lab-02"].pause()
    wait_for(lambda: lab["lab-01"].state_of("lab-02") == "dead", 20, "lab-02 to be dead")
    lab["lab-01"].ctl("message", "--all", "while you were out")
    lab["lab-02"].resume()
    wait_for(lambda: inbox(lab["lab-02"]) == [("lab-01", "while you were out")], 20, "the message at lab-02")


def stored(node):
    """Types of the events on the disk."""
    database = sqlite3.connect(f"file:{node.directory}/state.db?mode=ro", uri=True)
    try:
        return [row[0] for row in database.execute("SELECT type FROM event ORDER BY sequence")]
    finally:
        database.close()


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_events_are_there_after_a_restart(lab, way):
    seed = lab["seed"]
    lab["lab-02"].kill()
    lab.wait_state("lab-02", "dead")
    before = seed.events("member-dead")
    assert [event["node"] for event in before] == ["lab-02"]
    if way == "kill":
        wait_for(lambda: "member-dead" in stored(seed), 10, "the death on the disk")
    getattr(seed, way)()
    seed.start()
    assert seed.events("member-dead") == before
    assert seed.events("node-started")[0]["seq"] < before[0]["seq"] < seed.events("node-started")[1]["seq"]
    # What comes every second is not written down.
    assert not {"liveness", "gossip"} & set(stored(seed))


def read_until(process, is_done, timeout=15):
    """Lines of a running p2pctl, up to the one that is_done says; None where it never comes."""
    watchdog = threading.Timer(timeout * PATIENCE, process.kill)
    watchdog.start()
    lines = []
    for line in iter(process.stdout.readline, b""):
        lines.append(line.decode().rstrip("\n"))
        if is_done(lines):
            watchdog.cancel()
            return lines
    watchdog.cancel()
    return None


def end(process):
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0 and stderr == b""
    return stdout.decode()


TIME = r"\d{10}\.\d{3}"


def test_monitor_shows_the_wire_in_the_exact_texts(make_lab):
    lab = make_lab(FAST | {"log": {"level": "warning"}})
    seed, peer = lab.node("seed", role="seed"), lab.node("lab-01")
    lab.start()
    there = peer.ctl_start("monitor", "--wire")
    assert read_until(there, bool), "it to be watched from there"  # before it is from here: what is seen here is seen there
    here = seed.ctl_start("monitor", "--wire")
    own, other = re.escape(seed.ip), re.escape(peer.ip)
    wanted = {f"Liveness Request:{TIME}:{own}", f"Liveness Request:{TIME}:{other}",
              f"Liveness Reply:{TIME}:{own}:{other}", f"Liveness Reply:{TIME}:{other}:{own}"}

    def has_all(lines):
        return all(any(re.fullmatch(pattern, line) for line in lines) for pattern in wanted)

    seen = read_until(here, has_all)
    assert seen, "requests and replies in both directions"
    # The same text on both sides: it is the request that was sent which is received and answered.
    common = set(seen)
    assert read_until(there, lambda lines: len(common & set(lines)) >= 2)
    peer.kill()
    death = rf"Dead Node:{other}:{TIME}:{own}"
    rest = read_until(here, lambda lines: re.fullmatch(death, lines[-1]))
    assert rest, "the report of the death"
    every = wanted | {death, rf"{TIME}:({own}|{other}):\d+"}
    assert [line for line in seen + rest if not any(re.fullmatch(pattern, line) for pattern in every)] == []
    assert "Liveness" not in seed.log_text(), "the log itself stays as it is configured"
    end(here)
    there.kill()
    there.wait()


@pytest.mark.parametrize("types", ["member-ded", "", ",", "member-*,nonsense"])
def test_a_type_that_no_event_has_is_not_waited_for(lab, types):
    result = lab["lab-01"].ctl("events", "-f", "--type", types, code=2)
    assert result.stdout == "" and "no event is of type" in result.stderr


def test_monitor_tells_more_than_the_log_and_ends_with_an_object(steady_lab):
    lab = steady_lab
    watcher = lab["lab-01"].ctl_start("monitor", "--subsystem", "messages", "--json")
    lab["lab-02"].ctl("message", "--all", "are you watching?")
    # The message may have come before the watcher did.
    def said():
        lab["lab-02"].ctl("message", "lab-01", "and now?")
        return watched.is_set()

    watched, lines = threading.Event(), []
    def read():
        lines.append(json.loads(watcher.stdout.readline()))
        watched.set()
    threading.Thread(target=read, daemon=True).start()
    wait_for(said, 10, "a line")
    assert lines[0]["type"] == "log" and lines[0]["event"] == "message" and lines[0]["subsystem"] == "messages"
    assert json.loads(end(watcher).splitlines()[-1]) == {"type": "end"}


def test_monitor_of_another_node(lab):
    watcher = lab["lab-01"].ctl_start("-N", "lab-02", "monitor", "--wire")
    ip = re.escape(lab["lab-02"].ip)
    assert read_until(watcher, lambda lines: any(re.fullmatch(f"Liveness Request:{TIME}:{ip}", line)
                                                 for line in lines))
    end(watcher)


def test_watchers_that_never_read_slow_nobody_down(steady_lab):
    node = steady_lab["lab-01"]
    clients = [node.varlink() for _ in range(8)]
    for client in clients:
        client.send("Monitor", {"subsystem": "mem"}, more=True)
    clients[0].socket.close()
    before = resident_bytes(node.pid)
    with node.varlink() as busy:
        for i in range(5000):
            busy.call("SetMemory", {"key": "k", "value": str(i)})
        assert resident_bytes(node.pid) < before + 16 * 2**20
        assert {node.state_of(other) for other in ("seed", "lab-02")} == {"alive"}
        assert node.events("member-suspect") == []
        # Who reads on is told how much it has missed.
        slow, lines = clients[1], []
        while not lines or lines[-1]["type"] != "missed":
            if not select.select([slow.socket], [], [], 0)[0] and b"\0" not in slow.buffer:
                busy.call("SetMemory", {"key": "k", "value": "more"})
            else:
                lines.append(slow.receive()["parameters"])
    assert 0 < lines[-1]["count"] < 5000 and len(lines) > 100
    for client in clients[1:]:
        client.socket.close()


@pytest.mark.parametrize("size", [1024, 1025, 200_000])
def test_a_long_text_goes_as_a_file_with_a_message_that_says_where(steady_lab, size):
    lab = steady_lab
    text = ("Grüße! " * size).encode()[:size].decode(errors="ignore").strip()
    text += "x" * (size - len(text.encode()))
    answer = lab["lab-01"].json("message", "--all", "-", stdin=text.encode())
    assert answer["status"] == "received"
    [(sender, heard)] = wait_for(lambda: inbox(lab["lab-02"]), 5, "the message")
    assert sender == "lab-01"
    if size <= 1024:
        assert heard == text and answer["file"] is None
        return
    place = answer["file"]
    assert re.fullmatch(r"lab-01:message-\d+\.txt", place)
    assert len(heard.encode()) <= 1024 and heard.startswith("Grüße! Grüße! ")
    assert heard.endswith(f"... ({size} bytes: p2pctl file get {place} -)")
    assert lab["lab-02"].ctl("file", "get", place, "-").stdout == text


def test_a_long_text_to_one_node(lab):
    result = lab["lab-01"].ctl("message", "lab-02", "a" * 5000)
    assert re.fullmatch(r"received by lab-02 \(\d+\.\d ms\)\n", result.stdout)
    assert re.fullmatch(r"the text is long and goes as a file, lab-01:message-\d+\.txt\n", result.stderr)
    assert lab["lab-01"].ctl("message", "nobody", "a" * 5000, code=4).stdout == ""
    lab["lab-02"].kill()
    lab.wait_state("lab-02", "dead")
    before = len(lab["lab-01"].json("file", "ls")["files"])
    assert lab["lab-01"].ctl("message", "lab-02", "a" * 5000, code=7).stdout == ""
    assert len(lab["lab-01"].json("file", "ls")["files"]) == before == 1
