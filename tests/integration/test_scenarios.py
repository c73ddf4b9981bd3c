# SPDX-License-Identifier: MIT
"""The five testing scenarios of the resource sharing system of seed 4, by their names, without its tracker."""
import re

import pytest

from lib.lab import FAST


@pytest.fixture(scope="module")
def lab(make_module_lab):
    """Two peers and the node that both know; each of them could be a machine of its own."""
    lab = make_module_lab(FAST)
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
    before = [len(other.events("task-*", "connection")) for other in others]
    connections = len(client.events("connection"))
    assert client.ctl("submit", "--confidential", "--wait", "--", "echo", "secret").stdout == "secret\n"
    assert client.tasks()[-1]["node"] == "peer1" and client.tasks()[-1]["confidential"]
    assert len(client.events("connection")) == connections
    assert [len(other.events("task-*", "connection")) for other in others] == before


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
