# SPDX-License-Identifier: MIT
"""Commands at events: what they get, where they run, and that nothing waits for them."""
import pathlib
import re

import pytest

from lib.lab import FAST, STEADY
from lib.process import content
from lib.wait import wait_for
from test_reload import reload

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def make_node(make_lab):
    """make_node(…): a node with scripts beside it, and a folder that hooks may write to."""
    lab = make_lab(STEADY)
    out = lab.directory / "out"
    out.mkdir()
    out.chmod(0o777)

    def make(name="lone", **settings):
        node = lab.node(name, {"sandbox": {"read": ["/usr", "/lib", "/lib64", "/bin", "/etc/alternatives",
                                                    str(lab.directory / "bin")], "write": [str(out)]}, **settings},
                        role="seed", types=["a"])
        node.out, node.bin = out, lab.directory / "bin"
        node.bin.mkdir(exist_ok=True)
        node.bin.chmod(0o755)
        return node
    return make


def script(node, name, text):
    path = node.bin / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_hook_gets_the_event_in_its_environment_and_its_words(make_node):
    node = make_node()
    hook = script(node, "hook", f'env | grep ^PEER_ | sort > {node.out}/"$1.$$"; echo "$#" "$2" >> {node.out}/"$1.$$"; id -u >> {node.out}/"$1.$$"')
    node.settings["hooks"] = [{"event": "file-stored", "command": f"{hook} stored  two"}]
    node.start()
    node.ctl("file", "put", "-", "lone:note", stdin=b"x")
    path = wait_for(lambda: [one for one in node.out.iterdir() if re.search(r"^\d+\n\Z", one.read_text(), re.M)], 10, "the hook")[0]
    lines = path.read_text().splitlines()
    assert "PEER_EVENT=file-stored" in lines and "PEER_NODE=lone" in lines and "PEER_FILE=note" in lines
    assert any(line.startswith("PEER_MESSAGE=file note stored") for line in lines)
    assert lines[-2] == "2 two" and lines[-1] != "0"


def test_no_shell_sees_the_command_or_what_comes_from_elsewhere(make_node):
    node = make_node()
    hook = script(node, "hook", f'printf "%s|" "$@" "$PEER_TEXT" > {node.out}/said')
    node.settings["messages"] = {"handler": f"{hook} $HOME;id `id`"}
    node.start()
    node.ctl("message", "lone", "$(touch x); 'hi'\n\"there\"")
    wait_for(lambda: (node.out / "said").exists() and (node.out / "said").read_text().count("|") == 3, 10, "the handler")
    assert (node.out / "said").read_text().split("|")[:2] == ["$HOME;id", "`id`"]
    assert "$(touch x); 'hi'" in (node.out / "said").read_text()


def test_a_node_that_runs_no_tasks_has_hooks_too(make_node):
    node = make_node(tasks={"enabled": False}, membership=FAST["membership"])
    hook = script(node, "hook", f"echo $PEER_EVENT $PEER_MEMBER >> {node.out}/said")
    node.start()
    reload(node, {"hooks": [{"event": "member-joined", "command": hook}, {"event": "member-dead", "command": hook}]})
    other = node.lab.node("other", seeds=[node.address]).start()
    said = lambda: content(node.out / "said").decode().splitlines()
    wait_for(lambda: "member-joined other" in said(), 10, "the first")
    other.kill()
    wait_for(lambda: "member-dead other" in said(), 15, "the second")


def test_what_fails_is_logged_with_what_it_said(make_node):
    node = make_node()
    bad = script(node, "bad", 'echo "no paper" >&2; exit 3')
    node.settings["hooks"] = [{"event": "file-stored", "command": bad}, {"event": "file-stored", "command": "/no/such/thing"}]
    node.start()
    node.ctl("file", "put", "-", "lone:note", stdin=b"x")
    wait_for(lambda: f"The hook for file-stored, {bad}, failed with 3; it said: no paper\n" in node.log_text(), 10, "a line")
    wait_for(lambda: "The hook for file-stored, /no/such/thing, " in node.log_text(), 10, "a line of the other")
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_a_storm_of_events_is_bounded_and_told(make_node):
    """Four run, 64 wait; nothing waits for them, and the rest is dropped and counted."""
    node = make_node()
    gate = node.out / "gate"
    hook = script(node, "slow", f"echo x >> {node.out}/begun; while [ ! -e {gate} ]; do sleep 0.05; done")
    node.settings["hooks"] = [{"event": "mem-changed", "command": hook}]
    node.start()
    for number in range(100):
        node.call("SetMemory", key=f"key{number}", value="x")
    wait_for(lambda: "hooks were not run: events come faster" in node.log_text(), 10, "the word about it")
    begun = node.out / "begun"
    wait_for(lambda: begun.exists() and begun.read_text().count("x") == 4, 10, "four to run")
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert node.call("Status")["tasks"]["running"] == 0
    gate.touch()

    def dropped():
        return sum(int(line.split()[1]) for line in node.log_text().splitlines() if "hooks were not run" in line)
    wait_for(lambda: begun.read_text().count("x") + dropped() == 100, 20,
             lambda: f"all to be run or counted: {begun.read_text().count('x')}, {dropped()}")
    assert 32 <= dropped() <= 36


def test_it_stops_with_hooks_under_way(make_node):
    node = make_node()
    hook = script(node, "long", f"touch {node.out}/begun; exec sleep 1000")
    node.settings["hooks"] = [{"event": "file-stored", "command": hook}]
    node.start()
    node.ctl("file", "put", "-", "lone:note", stdin=b"x")
    wait_for((node.out / "begun").exists, 10, "the hook")
    assert node.stop() == 0
    node.start()


def test_every_event_may_have_a_hook(make_node):
    """All of them at once, the frequent ones too, through a life of a node; each is run under its own name."""
    words = re.findall(r'= \{"([a-z-]+)", "[0-9a-f]{32}"', (ROOT / "daemon/config/events.c").read_text())
    assert len(words) == 33
    node = make_node(membership=FAST["membership"])
    hook = script(node, "hook", f'[ "$PEER_EVENT" = "$1" ] && [ "$PEER_MESSAGE" ] && : > {node.out}/"$1"')
    node.settings["hooks"] = [{"event": word, "command": f"{hook} {word}"} for word in words]
    node.start()
    other = node.lab.node("other", seeds=[node.address]).start()
    node.lab.wait_joined()

    def has_run(*names):
        wait_for(lambda: set(names) <= {one.name for one in node.out.iterdir()}, 60, f"hooks for {names}")
    has_run("node-started", "join-request", "member-joined", "liveness", "gossip")
    node.ctl("submit", "--wait", "a1")
    has_run("task-submitted", "task-placed", "task-started", "task-ended")
    node.ctl("file", "put", "-", "lone:note", stdin=b"x")
    node.ctl("file", "rm", "--yes", "lone:note")
    node.ctl("mem", "set", "key", "x")
    other.ctl("message", "lone", "hello")
    node.ctl("-N", "other", "status")
    has_run("file-stored", "file-removed", "mem-changed", "message", "connection")
    node.ctl("drain")
    node.ctl("undrain")
    node.ctl("reload")
    node.ctl("keys", "rotate")
    has_run("drain", "undrain", "config-reloaded", "key-changed")
    other.kill()
    has_run("member-suspect", "member-dead")
    node.lab["other"].start()
    has_run("member-alive")
    assert other.stop() == 0
    has_run("member-left")
