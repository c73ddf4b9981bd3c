# SPDX-License-Identifier: MIT
"""The features of the task execution system of seed 0 and the five testing scenarios of seed 4, by their names."""
import re

import pytest

from lib.lab import STEADY
from lib.wait import wait_for


@pytest.fixture(scope="module")
def lab(make_module_lab):
    """Two peers and the node that both know; each of them could be a machine of its own."""
    lab = make_module_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("peer1", types=["a"])
    lab.node("peer2", types=["a"])
    return lab.start()


def test_scenario_1_basic_cpu_execution(lab):
    """A non-confidential task is routed to the least loaded peer, and the result returned to the client."""
    client = lab["seed"]
    chosen = client.json("submit", "--dry-run", "a1")
    loads = {entry["name"]: entry["load"] for entry in chosen["candidates"] if entry["name"] != "seed"}
    assert chosen["node"] in loads and loads[chosen["node"]] == min(loads.values())
    assert client.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert client.ctl("submit", "--wait", "--", "sh", "-c", "echo $((6 * 7))").stdout == "42\n"
    assert client.tasks()[-1]["node"] in ("peer1", "peer2")


def test_scenario_2_confidential_task(lab):
    """It runs locally, nobody is contacted, and the result is returned."""
    client = lab["peer1"]
    others = [lab["seed"], lab["peer2"]]

    def contacts():
        """Tasks of this node that the others hear of, and connections that are opened; one of before may end at any moment."""
        return [sum(event["task"].endswith("@peer1") for event in other.events("task-*")) for other in others], \
            [sum(is_open for _, is_open in connections(one)) for one in lab.nodes.values()]
    before = contacts()
    assert client.ctl("submit", "--confidential", "--wait", "--", "echo", "secret").stdout == "secret\n"
    assert client.tasks()[-1]["node"] == "peer1" and client.tasks()[-1]["confidential"]
    assert contacts() == before


def test_scenario_3_multi_machine_testing(lab, tmp_path):
    """Tasks from any machine are distributed across the network, and all operations work across it."""
    path = tmp_path / "data"
    path.write_bytes(b"data of all machines")
    names = list(lab.nodes)
    for name, node in lab.nodes.items():
        for other in names:
            if other != "seed":
                result = node.ctl("submit", "-N", other, "--wait", "--", "sh", "-c", "echo $P2P_ORIGIN $P2P_NODE")
                assert result.stdout == f"{name} {other}\n"
            node.ctl("mem", "set", f"{other}:from-{name}", name)
            node.ctl("file", "put", path, f"{other}:from-{name}")
    for node in lab.nodes.values():
        for other in names:
            for name in names:
                assert node.ctl("mem", "get", f"{other}:from-{name}").stdout == name
                assert node.ctl("file", "get", f"{other}:from-{name}", "-").stdout_bytes == path.read_bytes()


def test_scenario_4_memory_sharing(lab):
    """Store a value on peer 1, retrieve it from peer 1; each peer has an independent store."""
    client = lab["seed"]
    client.ctl("mem", "set", "peer1:greeting", "hello")
    assert client.ctl("mem", "get", "peer1:greeting").stdout == "hello"
    assert lab["peer1"].ctl("mem", "get", "greeting").stdout == "hello"
    client.ctl("mem", "get", "peer2:greeting", code=4)
    lab["peer2"].ctl("mem", "set", "greeting", "salut")
    assert client.ctl("mem", "get", "peer1:greeting").stdout == "hello"
    assert client.ctl("mem", "get", "peer2:greeting").stdout == "salut"


def test_scenario_5_file_sharing(lab, tmp_path):
    """Upload a file to peer 1, download it from peer 1; it is stored in peer_storage."""
    client, source, target = lab["seed"], tmp_path / "picture.bin", tmp_path / "back.bin"
    source.write_bytes(bytes(range(256)) * 1000)
    client.ctl("file", "put", source, "peer1:")
    client.ctl("file", "get", "peer1:picture.bin", target)
    assert target.read_bytes() == source.read_bytes()
    stored = lab["peer1"].directory / "peer_storage"
    assert any(path.is_file() and path.read_bytes() == source.read_bytes() for path in stored.rglob("*"))
    listed = client.ctl("file", "ls", "peer1:").stdout
    assert re.search(r"^picture\.bin +250\.0 KiB +peer1 ", listed, re.M), listed


# ---- seed 0: "handle tasks across multiple nodes in a specified order"

LIST = "a1 a2 c1 b1 c2 a3 b2 b3 a4 c3 b4"


@pytest.fixture(scope="module")
def nodes(make_module_lab):
    """One node per type; connections that nobody needs end soon."""
    lab = make_module_lab({**STEADY, "net": {"tcp_idle": "1s"}})
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    for name in "abc":
        lab.node(f"node-{name}", types=[name])
    return lab.start()


def run_list(node, tmp_path):
    (tmp_path / "tasks.txt").write_text(LIST + "\n")
    return node.ctl("run", cwd=tmp_path).stdout.splitlines()


def test_feature_node_discovery(nodes):
    """Each node discovers other nodes running the same application and registers them."""
    for node in nodes.nodes.values():
        assert {peer["name"] for peer in node.json("peers")["peers"]} == set(nodes.nodes) - {node.name}
        assert {kind["name"]: kind["nodes"] for kind in node.json("types")["types"]} == {
            name: [f"node-{name}"] for name in "abc"}


def test_feature_connection_management(nodes, tmp_path):
    """Establishes connections to required nodes based on task type: to those that a list needs, and no others."""
    node = nodes["node-a"]
    wait_for(lambda: not open_connections(node), 10, "connections of before to end")
    before = len(connections(node))
    (tmp_path / "tasks.txt").write_text("a1 b1 b2\n")
    node.ctl("run", cwd=tmp_path)
    assert {name for name, is_open in connections(node)[before:] if is_open} == {"node-b"}


def connections(node):
    """(name, whether it was opened or else closed) of every event about a connection."""
    found = []
    for event in node.events("connection"):
        if name := re.search(r"connection with (\S+) ", event["message"]):
            found.append((name[1], "opened" in event["message"]))
    return found


def open_connections(node):
    """Nodes that it has a connection with, by the last event about each."""
    return {name for name, is_open in dict(connections(node)).items() if is_open}


def test_feature_task_execution(nodes, tmp_path):
    """Executes tasks across nodes in the order specified by the user, and says so on the console."""
    node = nodes["seed"]
    lines = run_list(node, tmp_path)
    assert [line.split(": ")[1] for line in lines if line.startswith("Executing task: ")] == LIST.split()
    assert lines[:3] == ["Discovering peers...", "Initiating connections...", "Assigning tasks..."]
    ran = node.tasks()[-11:]
    assert [(task["name"], task["node"]) for task in ran] == [(name, f"node-{name[0]}") for name in LIST.split()]


def test_feature_connection_termination(nodes, tmp_path):
    """Cleanly disconnects from peers after task completion: the console's last lines, and no connection is left."""
    node = nodes["seed"]
    assert run_list(node, tmp_path)[-2:] == ["Terminating connections...", "Disconnected from all nodes."]
    assert connections(node)
    wait_for(lambda: not open_connections(node), 10, "all connections to end")
    assert not [event for event in node.events("problem")]
