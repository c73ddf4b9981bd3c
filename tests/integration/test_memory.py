# SPDX-License-Identifier: MIT
"""Values of every node, set and got from any."""
import contextlib
import os
import sqlite3
import subprocess

import pytest

from lib.lab import FAST, STEADY, merge
from lib.varlink import VarlinkError
from lib.wait import wait_for


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab({**STEADY, "mem": {"limit": "256KiB", "value_max": "64KiB", "key_max": 40}})
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.node("lab-02")
    return lab.start()


@pytest.fixture(params=["", "lab-01:", "lab-02:"], ids=["here", "here-by-name", "there"])
def where(request):
    """A prefix of keys, as seen from lab-01: three ways to say where."""
    return request.param


@pytest.fixture
def node(lab):
    yield lab["lab-01"]
    for name in ("lab-01", "lab-02"):
        for key in lab[name].json("mem", "ls")["keys"]:
            lab[name].ctl("mem", "rm", key["key"])


def test_what_was_set_is_got_and_nothing_else(node, where):
    assert node.ctl("mem", "set", f"{where}greeting", "hello").stdout == ""
    assert node.ctl("mem", "get", f"{where}greeting").stdout_bytes == b"hello"
    reply = node.json("mem", "get", f"{where}greeting")
    assert reply["node"] == ("lab-02" if where == "lab-02:" else "lab-01")
    assert (reply["schema"], reply["value"], reply["ttl_s"]) == ("p2pctl.mem/1", "hello", None)
    node.ctl("mem", "set", f"{where}greeting", "good bye")
    assert node.ctl("mem", "get", f"{where}greeting").stdout_bytes == b"good bye"
    assert node.json("mem", "get", f"{where}greeting")["version"] == reply["version"] + 1


def test_any_bytes_are_a_value(node, where, tmp_path):
    data = bytes(range(256)) * 200 + b"\n"
    path = tmp_path / "value"
    path.write_bytes(data)
    node.ctl("mem", "set", f"{where}bytes", f"@{path}")
    assert node.ctl("mem", "get", f"{where}bytes").stdout_bytes == data
    node.ctl("mem", "set", f"{where}piped", "-", stdin=data)
    assert node.ctl("mem", "get", f"{where}piped").stdout_bytes == data
    reply = node.json("mem", "get", f"{where}piped")
    assert "value" not in reply and "value_b64" in reply
    node.ctl("mem", "set", f"{where}empty", "")
    assert node.ctl("mem", "get", f"{where}empty").stdout_bytes == b""


def test_an_absent_key_is_4_or_the_default(node, where):
    assert node.ctl("mem", "get", f"{where}absent", code=4).stdout == ""
    assert node.ctl("mem", "get", f"{where}absent", "--default", "nothing").stdout == "nothing"
    assert node.ctl("mem", "rm", f"{where}absent", code=4).stdout == ""


def test_conditions_are_kept(node, where):
    node.ctl("mem", "set", f"{where}lock", "mine", "--if-absent")
    result = node.ctl("mem", "set", f"{where}lock", "yours", "--if-absent", code=1)
    assert result.stderr.startswith("p2pctl: ")
    assert node.ctl("mem", "get", f"{where}lock").stdout == "mine"
    version = str(node.json("mem", "get", f"{where}lock")["version"])
    node.ctl("mem", "set", f"{where}lock", "next", "--if-version", version)
    late = node.ctl("mem", "set", f"{where}lock", "late", "--if-version", version, code=1)
    assert late.stderr == f'p2pctl: "lock" has version {int(version) + 1} now, not {version}\n'
    late = node.ctl("mem", "set", f"{where}lock", "late", "--if-version", "0", code=1)
    assert late.stderr == f'p2pctl: "lock" is there already, with version {int(version) + 1}\n'
    assert node.ctl("mem", "get", f"{where}lock").stdout == "next"
    late = node.ctl("mem", "set", f"{where}other", "x", "--if-version", "1", code=1)
    assert '"other" is not there any more\n' in late.stderr
    both = node.ctl("mem", "set", f"{where}other", "x", "--if-absent", "--if-version", "3", code=2)
    assert both.stderr.startswith("p2pctl: --if-absent or --if-version, but not both\n")
    with pytest.raises(VarlinkError) as refused:
        node.call("SetMemory", key="lock", value="x", if_absent=True, if_version=1)
    assert refused.value.name == "org.varlink.service.InvalidParameter"


def test_a_descriptor_that_could_hold_up_the_daemon_is_refused(node):
    """Files in memory never do; those of /proc stand for all that are on the disk of another machine."""
    with open("/proc/self/comm", "r+b", buffering=0) as file, node.varlink() as client:
        name = file.read()
        for method, node_name in [(method, name) for method in ("SetMemory", "GetMemory") for name in (None, "lab-02")]:
            node.ctl("mem", "set", "key" if node_name is None else "lab-02:key", "kept")
            client.send(method, {"key": "key", "node": node_name}, descriptors=[file.fileno()])
            assert client.receive()["error"] in ("org.varlink.service.InvalidParameter", "org.p2pnode.Usage")
        file.seek(0)
        assert file.read() == name
    assert node.ctl("mem", "get", "key").stdout == node.ctl("mem", "get", "lab-02:key").stdout == "kept"


def test_one_of_many_wins(node, where):
    """--if-absent is a lock: of twenty that want it, one has it."""
    clients = [node.ctl_start("mem", "set", f"{where}lock", str(i), "--if-absent") for i in range(20)]
    codes = [client.wait(60) for client in clients]
    assert sorted(codes) == [0] + [1] * 19
    assert node.ctl("mem", "get", f"{where}lock").stdout == str(codes.index(0))


def test_a_value_with_a_ttl_goes_away(node, where):
    assert "a ttl is above 0\n" in node.ctl("mem", "set", f"{where}brief", "x", "--ttl", "0", code=2).stderr
    node.ctl("mem", "set", f"{where}brief", "x", "--ttl", "300ms")
    node.ctl("mem", "set", f"{where}long", "x", "--ttl", "1h")
    assert 3590 < node.json("mem", "get", f"{where}long")["ttl_s"] <= 3600
    wait_for(lambda: node.ctl("mem", "get", f"{where}brief", code=None).code == 4, 5, "the end of its time")
    assert "brief" not in [key["key"] for key in node.json("mem", "ls", where)["keys"]]


def test_list_and_remove(node, where):
    versions = {key: node.json("mem", "set", f"{where}{key}", "12345")["version"] for key in ("b", "a", "ab")}
    keys = node.json("mem", "ls", *([where] if where else []))["keys"]
    assert [(key["key"], key["size_bytes"]) for key in keys] == [("a", 5), ("ab", 5), ("b", 5)]
    assert {key["key"]: key["version"] for key in keys} == versions
    assert [key["key"] for key in node.json("mem", "ls", f"{where}a")["keys"]] == ["a", "ab"]
    lines = node.ctl("mem", "ls", f"{where}a").stdout.splitlines()
    assert lines[0].split() == ["KEY", "SIZE", "VERSION", "TTL", "MODIFIED"] and lines[1].startswith("a ")
    node.ctl("mem", "rm", f"{where}a")
    node.ctl("mem", "get", f"{where}a", code=4)
    result = node.ctl("mem", "rm", f"{where}ab", f"{where}a", f"{where}b", code=4)
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["ab", "b"] and '"a"' in result.stderr


def test_each_node_has_its_own_store(node):
    node.ctl("mem", "set", "key", "one")
    node.ctl("mem", "set", "lab-02:key", "two")
    assert node.ctl("mem", "get", "key").stdout == "one"
    assert node.ctl("mem", "get", "lab-02:key").stdout == "two"
    node.ctl("mem", "get", "seed:key", code=4)
    assert node.ctl("mem", "get", "--any", "key").stdout == "one"
    node.ctl("mem", "set", "lab-02:only-there", "x")
    assert node.ctl("mem", "get", "--any", "only-there").stdout == "x"
    # Where a node is named, too: it is first.
    assert node.ctl("mem", "get", "--any", "seed:only-there").stdout == "x"
    assert node.ctl("mem", "get", "--any", "lab-02:key").stdout == "two"
    for key in ("nowhere", "lab-02:nowhere"):
        result = node.ctl("mem", "get", "--any", key, code=4)
        assert result.stderr.startswith('p2pctl: no node has a value called "nowhere"\n')
        assert node.ctl("mem", "get", "--any", "--default", "none", key).stdout == "none"


def test_any_names_who_did_not_answer(make_lab):
    """Who is held up may have it: that nobody has is not known then."""
    lab = make_lab(merge(STEADY, {"membership": {"probe_interval": "60s", "probe_timeout": "30s"}}))
    node, other, mute = lab.node("seed", role="seed"), lab.node("lab-01"), lab.node("mute")
    lab.start()
    other.ctl("mem", "set", "there", "x")
    mute.ctl("mem", "set", "hidden", "y")
    mute.pause()
    try:
        result = node.ctl("mem", "get", "--any", "hidden", code=7)
        assert result.stdout == "" and "no answer from mute" in result.stderr and "lab-01" not in result.stderr
        assert node.ctl("mem", "get", "--any", "hidden", "--default", "none", code=7).stdout == ""
        assert node.ctl("mem", "get", "--any", "there").stdout == "x"
        assert "no answer from mute" in node.ctl("file", "get", "nowhere", "-", code=7).stderr
    finally:
        mute.resume()
    wait_for(lambda: node.ctl("mem", "get", "--any", "hidden", code=None).stdout == "y", 10, "the value")
    node.ctl("mem", "get", "--any", "nowhere", code=4)


def test_a_node_that_is_not_there_is_4_and_one_that_is_dead_7_where_it_is_named(make_lab):
    lab = make_lab(FAST)
    node, late = lab.node("seed", role="seed"), lab.node("late")
    lab.start()
    for options in ([], ["--default", "x"]):
        result = node.ctl("mem", "get", "nobody:key", *options, code=4)
        assert result.stdout == "" and 'no node is called "nobody"' in result.stderr
    late.kill()
    lab.wait_state("late", "dead")
    assert node.ctl("mem", "get", "late:key", code=7).stdout == ""
    # It may have what the others have not, until it is known to be gone for good: that is said.
    for words in (["mem", "get", "--any", "key"], ["file", "get", "key", "-"]):
        refused = node.ctl(*words, code=4).stderr
        assert 'no node that lives has a ' in refused and '"key"; dead: late\n' in refused
    assert node.ctl("mem", "get", "--any", "key", "--default", "x").stdout == "x"
    for noun in ("file", "task"):
        assert node.json(noun, "list", "--all-nodes")["unanswered"] == ["late"]
        assert node.ctl(noun, "list", "--all-nodes").stderr == "no answer: late\n"
    node.ctl("forget", "--yes", "late")
    for words in (["mem", "get", "--any", "key"], ["file", "get", "key", "-"]):
        assert "no node has a" in node.ctl(*words, code=4).stderr
    assert node.json("file", "list", "--all-nodes")["unanswered"] == []


def test_limits_are_kept_and_told(node, where, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(64 << 10))
    node.ctl("mem", "set", f"{where}exact", f"@{path}")
    path.write_bytes(os.urandom((64 << 10) + 1))
    result = node.ctl("mem", "set", f"{where}more", f"@{path}", code=1)
    assert "a value of 65537 bytes is larger than mem.value_max (64KiB)" in result.stderr
    node.ctl("mem", "get", f"{where}more", code=4)
    path.write_bytes(os.urandom(300 << 10))
    result = node.ctl("mem", "set", f"{where}more", f"@{path}", code=1)
    assert "large (307200 bytes) is larger than 64KiB\n" in result.stderr and "file put" in result.stderr
    result = node.ctl("mem", "set", f"{where}more", "-", stdin=path.read_bytes(), code=1)
    assert "standard input is larger than 64KiB\n" in result.stderr
    node.ctl("mem", "set", where + "k" * 40, "x")
    assert "longer than mem.key_max" in node.ctl("mem", "set", where + "k" * 41, "x", code=1).stderr
    node.ctl("mem", "get", where + "k" * 41, code=4)


def test_a_list_has_its_total_with_a_legend_and_an_at_alone_is_no_file(node):
    node.ctl("mem", "set", "total-a", "x" * 1000)
    node.ctl("mem", "set", "total-b", "x" * 1048)
    assert node.ctl("mem", "ls", "--legend", ":total-").stdout.endswith("\n\n2 keys, 2.0 KiB.\n")
    assert "keys," not in node.ctl("mem", "ls", ":total-").stdout
    node.ctl("mem", "rm", "total-a", "total-b")
    assert '"@" names no file' in node.ctl("mem", "set", "k", "@", code=2).stderr


def test_the_largest_value_that_may_be_configured_goes_everywhere(make_lab, tmp_path):
    lab = make_lab(merge(STEADY, {"mem": {"value_max": "2MiB"}}))
    node = lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.start()
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 << 20))
    for place in ("", "lab-01:"):
        node.ctl("mem", "set", f"{place}large", f"@{path}")
        assert node.ctl("mem", "get", f"{place}large").stdout_bytes == path.read_bytes()
    node.ctl("mem", "rm", "large")
    assert node.ctl("mem", "get", "--any", "large").stdout_bytes == path.read_bytes()
    file = tmp_path / "p2pnode.conf"
    file.write_text('mem: { value_max = "2097153"; };\n')
    assert "mem.value_max" in node.ctl("config", "check", file, code=2).stderr


def test_no_more_is_read_than_may_be_kept(node, where):
    """The writer is not kept busy with what nobody takes, and p2pctl not with holding it."""
    written = 0
    process = node.ctl_start("mem", "set", f"{where}endless", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    with pytest.raises(BrokenPipeError):
        while written < 64 << 20:
            written += os.write(process.stdin.fileno(), bytes(64 << 10))
    assert process.wait(60) == 1 and b"larger than 64KiB" in process.stderr.read()
    assert written < 1 << 20  # the limit is asked for after 256 KiB; and what the pipe holds


def test_the_store_is_bounded_as_a_whole(node, where, tmp_path):
    path = tmp_path / "value"
    path.write_bytes(b"x" * (60 << 10))
    codes = [node.ctl("mem", "set", f"{where}key-{i}", f"@{path}", code=None).code for i in range(8)]
    assert codes == [0] * 4 + [1] * 4
    result = node.ctl("mem", "set", f"{where}key-8", f"@{path}", code=1)
    assert "a value of 61440 bytes has no room on lab-0" in result.stderr
    assert ": 240." in result.stderr and " KiB of mem.limit (256KiB) are in use\n" in result.stderr
    there = "lab-02:" if where == "lab-02:" else ""
    assert f"hint: make room: p2pctl mem ls {there}".rstrip() + f"; p2pctl mem rm {there}KEY\n" in result.stderr
    used = sum(key["size_bytes"] for key in node.json("mem", "ls", where)["keys"])
    assert used <= 256 << 10


def test_what_is_not_there_is_looked_for_where_it_was_asked_for(node, where):
    there = " lab-02:" if where == "lab-02:" else ""
    assert node.ctl("mem", "get", f"{where}nokey", code=4).stderr.endswith(f"\nhint: p2pctl mem ls{there}\n")
    assert node.ctl("mem", "rm", f"{where}nokey", code=4).stderr.endswith(f"\nhint: p2pctl mem ls{there}\n")
    assert node.ctl("mem", "set", "--if-version", "3", f"{where}nokey", "x", code=1).stderr.endswith(f"\nhint: p2pctl mem ls{there}\n")


def test_values_survive_a_restart_with_their_version_and_time(make_lab, tmp_path):
    node = make_lab().node("lone", role="seed").start()
    data = bytes(range(256))
    path = tmp_path / "value"
    path.write_bytes(data)
    node.ctl("mem", "set", "bytes", f"@{path}")
    node.ctl("mem", "set", "twice", "one")
    node.ctl("mem", "set", "twice", "two")
    node.ctl("mem", "set", "timed", "x", "--ttl", "1h")
    node.ctl("mem", "set", "gone", "x")
    node.ctl("mem", "rm", "gone")
    node.restart()
    assert node.ctl("mem", "get", "bytes").stdout_bytes == data
    assert node.json("mem", "get", "twice")["version"] == 2
    assert 3500 < node.json("mem", "get", "timed")["ttl_s"] <= 3600
    node.ctl("mem", "get", "gone", code=4)
    assert node.json("mem", "set", "twice", "three")["version"] == 3


def test_a_value_that_the_disk_changed_is_not_given(make_lab):
    node = make_lab().node("lone", role="seed").start()
    for key in ("flipped", "flipped", "flipped", "whole", "older"):
        node.ctl("mem", "set", key, f"the text of what is {key}")
    node.stop()
    path = node.directory / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE value SET sum = NULL WHERE key = 'older'")  # from before there were any
    data = path.read_bytes()
    assert data.count(b"what is flipped") == 1
    path.write_bytes(data.replace(b"what is flipped", b"what is flippet"))
    node.start()
    node.ctl("mem", "get", "flipped", code=4)
    assert 'The value "flipped" is damaged on the disk' in node.log_text()
    assert node.ctl("mem", "get", "whole").stdout == "the text of what is whole"
    assert node.ctl("mem", "get", "older").stdout == "the text of what is older"
    node.restart()
    assert node.log_text().count('The value "flipped" is damaged') == 1  # its row is gone
    assert node.json("mem", "set", "flipped", "anew")["version"] == 4
    node.restart()
    assert node.ctl("mem", "get", "flipped").stdout == "anew"


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "not-kept"])
def test_no_version_is_given_twice(make_lab, keeps):
    """Whoever read a value long ago and writes if it has not changed since never overwrites another."""
    node = make_lab({"mem": {"persist": keeps}}).node("lone", role="seed").start()
    seen = set()

    def set_new():
        version = node.json("mem", "set", "key", "x")["version"]
        assert version not in seen
        seen.add(version)

    set_new()
    set_new()
    node.ctl("mem", "rm", "key")
    set_new()
    node.ctl("mem", "set", "key", "x", "--ttl", "1ms")
    seen.add(max(seen) + 1)
    wait_for(lambda: node.ctl("mem", "get", "key", code=None).code == 4, 5, "the end of its time")
    set_new()
    for end in (node.kill, node.stop, node.kill):
        set_new()
        end()
        node.start()
        set_new()
        node.ctl("mem", "rm", "key")
        set_new()
        stale = [str(version) for version in seen if version != max(seen)][-1]
        node.ctl("mem", "set", "key", "late", "--if-version", stale, code=1)


def test_a_crash_loses_at_most_the_last_second(make_lab):
    """What the manual promises: values are saved in the background within a second."""
    node = make_lab().node("lone", role="seed").start()
    node.ctl("mem", "set", "key", "kept")

    def saved():
        """What is committed; bytes in the files may be of what is only just being written."""
        with contextlib.closing(sqlite3.connect(f"file:{node.directory}/state.db?mode=ro", uri=True)) as database:
            return database.execute("SELECT count(*) FROM value").fetchone()[0]
    wait_for(saved, 2, "the value to be on disk")
    node.kill()
    node.start()
    assert node.ctl("mem", "get", "key").stdout == "kept"


def test_a_kill_in_a_stream_of_sets_tears_none(make_lab):
    """What is behind a value that is on the disk is there too, and no version comes twice."""
    node = make_lab().node("lone", role="seed").start()
    database = f"file:{node.directory}/state.db?mode=ro"
    count, hot, values = 0, 0, set()

    def text(number):
        return f"{number}:" + "v" * (number * 7919 % 3000)

    def saved():
        with contextlib.closing(sqlite3.connect(database, uri=True)) as state:
            return {key for (key,) in state.execute("SELECT key FROM value")}

    for _ in range(3):
        before = count
        with node.varlink() as client:
            while not (last := max((int(key[1:]) for key in saved() if key[0] == "k"), default=-1)) >= before + 300:
                for _ in range(100):
                    client.call("SetMemory", {"key": f"k{count}", "value": text(count)})
                    version = client.call("SetMemory", {"key": "hot", "value": text(count)})["version"]
                    assert version > hot
                    hot, count = version, count + 1
            node.kill()
        node.start()
        with node.varlink() as client:
            expected = values | {f"k{number}" for number in range(before, last + 1)}
            values = {item["key"] for item in node.json("mem", "ls")["keys"]}
            assert values >= expected
            for number in (int(key[1:]) for key in values - {"hot"}):
                assert client.call("GetMemory", {"key": f"k{number}"})["value"] == text(number)
            value = client.call("GetMemory", {"key": "hot"})
            assert value["version"] <= hot and value["value"] == text(int(value["value"].split(":")[0]))
