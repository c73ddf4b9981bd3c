# SPDX-License-Identifier: MIT
"""What the daemon counts: the text that Prometheus reads, and that the figures are those of what happened."""
import re
import shutil
import stat
import subprocess

import pytest

from lib.lab import FAST, STEADY, merge
from lib.wait import wait_for

# The families that the manual promises.
FAMILIES = """build_info up_seconds members load slots tasks tasks_total task_wait_seconds task_run_seconds
datagrams_total datagram_errors_total gossip_duplicate_total probe_rtt_seconds suspicions_total flaps_total
transfer_bytes_total transfers files_bytes mem_bytes mem_keys control_requests_total loop_lag_seconds""".split()
SAMPLE = re.compile(r'^(\w+)(?:\{([^}]*)\})? ([0-9.e+-]+)$')


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(merge(STEADY, {"gossip": {"message_interval": "200ms"}}))
    lab.node("seed", role="seed")
    lab.node("work", types=["a", "b"])
    return lab.start()


def samples(text):
    """{(name, labels): value}, labels as they stand there."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            assert (name, labels) not in found, line
            found[(name, labels)] = float(value)
    return found


def read(node):
    return samples(node.ctl("metrics").stdout)


def test_promtool_has_nothing_to_say(lab):
    """Needs promtool (package prometheus); of nodes that did something and of one that did not."""
    assert shutil.which("promtool"), "promtool is missing: make deps"
    lab["seed"].submit("a1")
    for node in lab.nodes.values():
        text = node.ctl("metrics").stdout
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_family_is_there_with_help_and_type(lab):
    lab["seed"].ctl("submit", "--wait", "a1")
    text = lab["seed"].ctl("metrics").stdout
    types = dict(re.findall(r"^# TYPE p2pnode_(\w+) (\w+)$", text, re.M))
    helps = dict(re.findall(r"^# HELP p2pnode_(\w+) (.+)$", text, re.M))
    assert set(FAMILIES) <= set(types) and set(types) == set(helps)
    assert all(help.endswith(".") for help in helps.values())
    for name, kind in types.items():
        assert kind in ("gauge", "counter", "histogram") and (kind == "counter") == name.endswith("_total"), name
        assert re.search(rf"^p2pnode_{name}(_bucket|\{{| )", text, re.M), f"no sample of {name}"


def test_tasks_are_counted_by_type_and_result(lab):
    node = lab["work"]
    before = read(node)
    node.ctl("submit", "--wait", "a1")
    node.ctl("submit", "--wait", "a2")
    node.ctl("submit", "--wait", "--", "sh", "-c", "exit 3", code=3)
    after = read(node)

    def grown(name, labels):
        return after[(name, labels)] - before.get((name, labels), 0)
    assert grown("p2pnode_tasks_total", 'type="a",result="succeeded"') == 2
    assert grown("p2pnode_tasks_total", 'type="cmd",result="failed"') == 1
    for family in ("run", "wait"):
        name = f"p2pnode_task_{family}_seconds"
        assert grown(f"{name}_count", 'type="a"') == 2
        assert grown(f"{name}_bucket", 'type="a",le="+Inf"') == 2
        assert after[(f"{name}_sum", 'type="a"')] < 30


def test_buckets_are_cumulated_and_end_with_all(lab):
    found = read(lab["seed"])
    rows = [(labels, value) for (name, labels), value in found.items() if name == "p2pnode_probe_rtt_seconds_bucket"]
    values = [value for _, value in rows]
    assert values == sorted(values) and rows[-1][0] == 'le="+Inf"' and len(rows) == 16
    wait_for(lambda: read(lab["seed"])[("p2pnode_probe_rtt_seconds_count", None)] > 2, 10, "some round trips")
    assert values[-1] == found[("p2pnode_probe_rtt_seconds_count", None)]


def test_members_bytes_and_calls_are_those_of_the_lab(lab):
    node = lab["work"]
    node.ctl("file", "put", "-", "seed:big", stdin=b"x" * 300_000)
    node.ctl("mem", "set", "key", "value")
    node.ctl("task", "show", "999", code=4)
    found = read(node)
    assert found[("p2pnode_members", 'state="alive"')] == 2 and found[("p2pnode_members", 'state="dead"')] == 0
    assert found[("p2pnode_transfer_bytes_total", 'dir="out",kind="file"')] > 300_000
    assert read(lab["seed"])[("p2pnode_transfer_bytes_total", 'dir="in",kind="file"')] > 300_000
    assert found[("p2pnode_mem_keys", None)] == 1 and found[("p2pnode_mem_bytes", None)] > 8
    assert read(lab["seed"])[("p2pnode_files_bytes", None)] == 300_000
    assert found[("p2pnode_control_requests_total", 'cmd="ShowTask",result="not-found"')] >= 1
    assert found[("p2pnode_control_requests_total", 'cmd="PutFile",result="ok"')] >= 1
    # What is counted now and then, or with every probe.
    for sample in (("p2pnode_datagrams_total", 'dir="in",type="data"'), ("p2pnode_frames_total", 'dir="out",type="ping"'),
                   ("p2pnode_loop_lag_seconds_count", None)):
        wait_for(lambda sample=sample: read(node).get(sample, 0) > 0, 20, f"some of {sample}")
    assert lab["seed"].ctl("-N", "work", "metrics").stdout.count("p2pnode_mem_keys 1\n") == 1


def test_strangers_and_garbage_are_errors(lab):
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"nonsense", (lab["seed"].ip, 7717))
    wait_for(lambda: read(lab["seed"])[("p2pnode_datagram_errors_total", 'reason="malformed"')] >= 1, 5, "the count")


def test_deaths_and_suspicions_are_counted(make_lab):
    lab = make_lab(FAST)
    lab.node("seed", role="seed")
    lab.node("gone")
    lab.start()
    lab["gone"].kill()
    lab.wait_state("gone", "dead")
    found = read(lab["seed"])
    assert found[("p2pnode_suspicions_total", 'outcome="dead"')] == 1
    assert found[("p2pnode_members", 'state="dead"')] == 1


def test_a_client_writes_a_textfile_whole(lab, tmp_path):
    path = tmp_path / "p2pnode.prom"
    path.write_text("old")
    result = lab["seed"].ctl("metrics", "--textfile", path)
    assert result.stdout == "" and "p2pnode_build_info" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and list(tmp_path.iterdir()) == [path]
    missing = lab["seed"].ctl("metrics", "--textfile", tmp_path / "no" / "x.prom", code=1)
    assert missing.stderr == f"p2pctl: cannot write {tmp_path}/no/x.prom: No such file or directory\n"
    path.unlink()
    path.mkdir()
    assert lab["seed"].ctl("metrics", "--textfile", path, code=1).code == 1
    assert list(tmp_path.iterdir()) == [path] and list(path.iterdir()) == []


def test_the_daemon_writes_a_textfile_now_and_then(make_lab):
    lab = make_lab()
    path = lab.directory / "p2pnode.prom"
    node = lab.node("lone", {"metrics": {"textfile": str(path), "interval": "1s"}}, role="seed").start()
    wait_for(path.exists, 10, "the file")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    node.ctl("mem", "set", "key", "value")
    wait_for(lambda: "p2pnode_mem_keys 1\n" in path.read_text(), 10, "a newer file")
    # To another place, and to none, by a reload; a place where it cannot write is told, once.
    from test_reload import reload
    other = lab.directory / "no" / "such.prom"
    reload(node, {"metrics": {"textfile": str(other)}})
    wait_for(lambda: "Cannot write" in node.log_text(), 10, "a warning")
    path.unlink()
    reload(node, {"metrics": {"textfile": ""}})
    node.ctl("mem", "set", "other", "value")
    assert node.log_text().count("Cannot write") == 1 and not path.exists()


def test_types_that_users_invent_do_not_make_it_grow_without_end(make_lab):
    """64 types are told apart; all others share one name."""
    lab = make_lab(STEADY)
    names = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(48)]
    node = lab.node("lone", role="seed", types=names).start()
    from test_reload import reload
    for half in (names, ["z" + name for name in names]):
        reload(node, {"tasks": {"types": [{"name": name} for name in half]}})
        text = " ".join(f"{name}1" for name in half)
        node.ctl("run", "--order=free", "-", stdin=text.encode(), timeout=60)
    found = read(node)
    types = {re.search('type="(\\w+)"', labels)[1] for name, labels in found if name == "p2pnode_tasks_total"}
    assert len(types) == 64 and "other" in types
    total = sum(value for (name, labels), value in found.items()
                if name == "p2pnode_tasks_total" and labels.endswith('"succeeded"'))
    assert total == 96
