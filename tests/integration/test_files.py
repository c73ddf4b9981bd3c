# SPDX-License-Identifier: MIT
"""Files put, got, listed and removed, here and there; whole or not at all."""
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import pwd
import re
import signal
import socket
import stat
import struct
import subprocess
import termios
import time

import pytest

from lib.disk import disk_at
from lib.lab import CTL, STEADY, environment
from lib.process import catches, files_below, sizes
from lib.terminal import read_to_end
from lib.varlink import VarlinkError
from lib.wait import wait_for

MIB = 1 << 20
UMASK = os.umask(0)
os.umask(UMASK)


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.node("lab-02")
    lab.node("small", {"files": {"quota": "3MiB", "file_max": "1MiB"}})
    return lab.start()


@pytest.fixture
def node(lab):
    yield lab["lab-01"]
    for one in lab.running():
        names = [file["name"] for file in one.json("file", "ls")["files"]]
        if names:
            one.ctl("file", "rm", "--yes", *names)


@pytest.fixture(params=["", "lab-02:"], ids=["here", "there"])
def where(request):
    return request.param


@pytest.fixture
def make(tmp_path):
    """make(name, data): a file with this content."""
    def make_file(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path
    return make_file


def stored(node):
    """What is really in the directory: (name, size) of every file that is no index and no part."""
    root = node.directory / "peer_storage"
    return {path.name: status.st_size for path, status in files_below(root)
            if path.parent == root and stat.S_ISREG(status.st_mode) and not path.name.startswith("-")}


def parts(node):
    return [path for path in (node.directory / "peer_storage").glob("-*/*")]


def put(node, path, where="", *options):
    return node.ctl("file", "put", *options, path, *([where] if where else []))


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3 * MIB + 1])
def test_what_was_put_is_got(node, make, where, tmp_path, size):
    data = os.urandom(size)
    put(node, make("data", data), where)
    listed = node.json("file", "ls", *([where] if where else []))["files"]
    assert [(file["name"], file["size_bytes"], file["sha256"]) for file in listed] == \
        [("data", size, hashlib.sha256(data).hexdigest())]
    assert node.ctl("file", "get", f"{where}data", "-").stdout_bytes == data
    target = tmp_path / "back"
    assert node.ctl("file", "get", f"{where}data", target).stdout == ""
    assert target.read_bytes() == data


def test_a_small_file_waits_for_no_timer(make_lab, small_disk, tmp_path):
    """What a put and a get to another node take, beside what `p2pctl status` does; on disks that have nothing to sync."""
    lab = make_lab(STEADY)
    node, _ = [small_disk(lab.node(name, role=role), 24) for name, role in (("lab-01", "seed"), ("lab-02", "peer"))]
    lab.start()

    def least(*words):
        times = []
        for _ in range(15):
            begin = time.monotonic()
            node.ctl(*words)
            times.append(time.monotonic() - begin)
        return min(times)
    with disk_at(tmp_path / "memory", 1) as place:
        source, target = place / "small", place / "back"
        source.write_bytes(b"x" * 4096)
        put(node, source, "lab-02:")
        status = least("status")
        assert least("file", "put", "--overwrite=always", source, "lab-02:") < 5 * status
        assert least("file", "get", "--overwrite=always", "lab-02:small", target) < 4 * status


def test_a_hundred_mebibytes_there_and_back(lab, node, tmp_path):
    source, target = tmp_path / "large", tmp_path / "back"
    block = os.urandom(MIB)
    digest = hashlib.sha256()
    with open(source, "wb") as file:
        for i in range(100):
            piece = bytes([i]) + block[1:]
            digest.update(piece)
            file.write(piece)
    reply = node.json("file", "put", source, "lab-02:", timeout=120)
    assert (reply["size_bytes"], reply["sha256"]) == (100 * MIB, digest.hexdigest())
    node.ctl("file", "get", "lab-02:large", target, timeout=120)
    subprocess.run(["cmp", source, target], check=True)
    assert stored(lab["lab-02"]) == {"large": 100 * MIB} and not parts(lab["lab-02"])


def interrupted_put(node, source, target):
    """A slow put that is killed when some of it has arrived; returns what had."""
    process = node.ctl_start("file", "put", "--rate", "1MiB", source, target)
    holder = node.lab["lab-02"]
    wait_for(lambda: any(size > MIB for size in sizes(parts(holder))), 20, "some of it to arrive")
    return process


def wait_for_quiet(find_parts):
    """Until nobody works on them any more."""
    def is_quiet():
        try:
            for part in find_parts():
                with open(part, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return False
        return True
    wait_for(is_quiet, 20, "the parts to rest")


@pytest.mark.parametrize("victim", ["client", "here", "there"])
def test_an_interrupted_put_is_resumed(lab, node, tmp_path, victim):
    """Also where a daemon is killed."""
    source = tmp_path / "large"
    source.write_bytes(os.urandom(8 * MIB))
    process = interrupted_put(node, source, "lab-02:")
    if victim == "client":
        process.kill()
    else:
        lab["lab-01" if victim == "here" else "lab-02"].kill()
    process.wait(120)
    if victim != "client":
        lab["lab-01" if victim == "here" else "lab-02"].start()
        lab.wait_joined()
    wait_for_quiet(lambda: parts(lab["lab-02"]))
    assert stored(lab["lab-02"]) == {}
    result = node.ctl("file", "put", source, "lab-02:")
    found = re.search(r"large  resumed at (\d+)%", result.stderr)
    assert found and 10 <= int(found[1]) < 100, result
    assert node.ctl("file", "get", "lab-02:large", "-").stdout_bytes == source.read_bytes()
    wait_for(lambda: not parts(lab["lab-02"]), 5, "no part to be left")


@pytest.mark.parametrize("victim", ["client", "here", "there"])
def test_an_interrupted_get_is_resumed(lab, node, tmp_path, victim):
    source, target = tmp_path / "large", tmp_path / "back"
    source.write_bytes(os.urandom(8 * MIB))
    put(node, source, "lab-02:")
    process = node.ctl_start("file", "get", "--rate", "1MiB", "lab-02:large", target)
    wait_for(lambda: any(size > MIB for size in sizes(tmp_path.glob(".p2pctl-*"))), 20, "some of it to arrive")
    if victim == "client":
        process.kill()
    else:
        lab["lab-01" if victim == "here" else "lab-02"].kill()
    process.wait(120)
    assert not target.exists()
    if victim != "client":
        wait_for_quiet(lambda: list(tmp_path.glob(".p2pctl-*")))
        lab["lab-01" if victim == "here" else "lab-02"].start()
        lab.wait_joined()
    result = node.ctl("file", "get", "lab-02:large", target)
    found = re.search(r"large  resumed at (\d+)%", result.stderr)
    assert found and 10 <= int(found[1]) < 100, result
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_time_and_mode_come_along(node, make, where, tmp_path):
    path, target = make("tool", b"#!/bin/sh\n"), tmp_path / "back"
    path.chmod(0o755)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    put(node, path, where)
    assert node.json("file", "ls", *([where] if where else []))["files"][0]["executable"] is True
    node.ctl("file", "get", "--verify", f"{where}tool", target)
    assert target.stat().st_mode & 0o111 == 0o111 and target.stat().st_mtime == 1_700_000_000


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755, 0o4711, 0o666])
def test_permissions_come_along_and_no_more_than_those(node, make, where, tmp_path, mode):
    """All but what the umask denies; rights of somebody else are never lent."""
    path, target = make("data", b"x"), tmp_path / "back"
    path.chmod(mode)
    put(node, path, where)
    assert node.json("file", "ls", *([where] if where else []))["files"][0]["mode"] == mode & 0o777
    node.ctl("file", "put", f"{where or ':'}data", "seed:copy")
    for name in (f"{where}data", "seed:copy"):
        node.ctl("file", "get", "--overwrite=always", name, target)
        assert stat.S_IMODE(target.stat().st_mode) == mode & 0o777 & ~UMASK


def test_a_file_goes_from_any_node_to_any(lab, node, make):
    put(node, make("data", b"x" * 1000), "lab-02:")
    node.ctl("file", "put", "lab-02:data", "small:copy")
    node.ctl("file", "get", "small:copy", "lab-01:again")
    node.ctl("file", "put", "lab-02:data", ":local")
    listed = node.json("file", "ls", "--all-nodes")["files"]
    assert {(file["node"], file["name"]) for file in listed} == \
        {("lab-02", "data"), ("small", "copy"), ("lab-01", "again"), ("lab-01", "local")}
    assert len({file["sha256"] for file in listed}) == 1
    for call in (["put", "lab-02:absent", "small:copy"], ["get", "lab-02:absent", "small:"]):
        assert node.ctl("file", *call, code=4).stderr.startswith('p2pctl: no file "absent" on lab-02\n')
    assert node.ctl("file", "put", "lab-02:d*", "small:other", code=2).stderr == \
        "p2pctl: several files cannot all be called \"other\"\n"
    node.ctl("file", "put", "lab-02:none*", "small:", code=4)
    put(node, make("date", b"z"), "lab-02:")
    node.ctl("file", "put", "lab-02:d*", "small:")
    assert {"data", "date"} <= set(stored(lab["small"]))
    node.ctl("file", "rm", "small:data", "small:date", "--yes")
    node.ctl("file", "put", "lab-02:data", "small:copy")
    assert "already" in node.ctl("file", "put", make("other", b"y" * 1000), "small:copy", code=1).stderr
    node.ctl("file", "put", "nobody:data", "small:", code=4)
    node.ctl("file", "put", "lab-02:data", "nobody:", code=4)


def test_several_are_got_in_one_go_and_by_glob(node, make, where, tmp_path):
    for name in ("a.csv", "b.csv", "c.txt"):
        put(node, make(name, name.encode()), where)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    node.ctl("file", "get", f"{where}a.csv", f"{where}c.txt", one)
    assert {path.name: path.read_text() for path in one.iterdir()} == {"a.csv": "a.csv", "c.txt": "c.txt"}
    node.ctl("file", "get", f"{where}*.csv", two)
    assert {path.name for path in two.iterdir()} == {"a.csv", "b.csv"}
    assert "directory" in node.ctl("file", "get", f"{where}a.csv", f"{where}c.txt", tmp_path / "none", code=2).stderr


def test_a_name_may_look_like_a_glob(lab, node, make, where, tmp_path):
    """Who is called exactly so is meant alone; a backslash takes a sign's meaning away."""
    names = ["data[1].csv", "data1.csv", "a*", "ab", "a\\b"]
    for name in names:
        put(node, make(name, name.encode()), where)
    assert node.ctl("file", "get", f"{where}data[1].csv", "-").stdout == "data[1].csv"
    assert node.ctl("file", "get", "data[1].csv", "-").stdout == "data[1].csv"  # wherever it is
    back = tmp_path / "back"
    node.ctl("file", "get", f"{where}a*", back)
    assert back.read_text() == "a*"
    node.ctl("file", "get", f"{where}nothing[1]", back, "--overwrite=always", code=4)
    node.ctl("file", "get", "nothing[1]", back, "--overwrite=always", code=4)

    def listed(glob):
        return [file["name"] for file in node.json("file", "ls", f"{where}{glob}")["files"]]

    assert listed("a\\*") == ["a*"] and listed("data\\[1\\].csv") == ["data[1].csv"]
    assert listed("a\\b") == ["a\\b", "ab"] and listed("a\\\\*") == ["a\\b"] and listed("data[1].csv") == ["data1.csv", "data[1].csv"]
    into = tmp_path / "into"
    into.mkdir()
    node.ctl("file", "get", f"{where}a\\**", into)
    assert [path.name for path in into.iterdir()] == ["a*"]
    assert node.ctl("file", "rm", f"{where}a*").stdout.startswith("removed a* from")
    assert node.ctl("file", "rm", f"{where}data[1].csv").stdout.startswith("removed data[1].csv from")
    assert listed("*") == ["a\\b", "ab", "data1.csv"]
    node.ctl("file", "rm", "--yes", f"{where}a*")
    assert listed("*") == ["data1.csv"]


def test_others_than_those_in_brackets_are_removed(node, make, where):
    """[!f] is "not f", as in a shell: what is to stay stays."""
    for name in ("f1", "f2", "g1", "!1", "\u00e91"):
        put(node, make(name, name.encode()), where)

    def listed(glob="*"):
        return sorted(file["name"] for file in node.json("file", "ls", f"{where}{glob}")["files"])

    others = ["!1", "g1", "\u00e91"]
    assert listed("[!f]*") == listed("[^f]*") == listed("[!e-f]1") == others
    assert listed("[f!]1") == ["!1", "f1"] and listed("[![:alpha:]]1") == ["!1", "\u00e91"]
    node.ctl("file", "rm", "--yes", f"{where}[!f]*")
    assert listed() == ["f1", "f2"]


def test_one_of_many_that_is_refused_does_not_hinder_the_others(node, make, where):
    paths = [make(f"f{i:02}", b"%d" % i) for i in range(40)]
    put(node, paths[2], where)
    paths[2].write_bytes(b"x")
    result = node.ctl("file", "put", *paths, tmp := paths[0].parent / "absent", *([where] if where else []), code=1)
    assert "\"f02\" is on lab-0" in result.stderr and str(tmp) in result.stderr
    listed = node.json("file", "ls", *([where] if where else []))["files"]
    assert [file["name"] for file in listed] == [path.name for path in paths]


@pytest.mark.parametrize("count", [2, 40])
def test_one_of_many_whose_name_cannot_be_stored_does_not_hinder_the_others(node, make, where, count):
    paths = [make(f"f{i:02}", b"%d" % i) for i in range(count)]
    odd = make("g\x01", b"x")
    result = node.ctl("file", "put", odd, *paths, *([where] if where else []), code=2)
    assert result.stderr.count("is no name for a stored file") == 1 and "\x01" not in result.stderr
    listed = node.json("file", "ls", *([where] if where else []))["files"]
    assert [file["name"] for file in listed] == [path.name for path in paths]


def test_put_without_waiting_is_done_by_the_daemon(lab, node, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(5 * MIB))
    node.ctl("file", "put", "--no-wait", source, "lab-02:")
    # In the list it is a moment after it is on the disk.
    wait_for(lambda: [file["size_bytes"] for file in lab["lab-02"].json("file", "ls")["files"]] == [5 * MIB], 20,
             "the file to be stored")
    assert stored(lab["lab-02"]) == {"large": 5 * MIB}
    assert "--no-wait" in node.ctl("file", "put", "--no-wait", "-", "lab-02:piped", stdin=b"x", code=2).stderr


def test_a_put_without_waiting_that_fails_is_an_event(node, make):
    def told():
        return [event["message"] for event in node.json("events", "--type", "problem")["events"]]
    node.ctl("file", "put", "--no-wait", make("giant", bytes(2 * MIB)), "small:")
    wait_for(lambda: any(message.startswith('cannot put "giant" to small: "giant" has 2.0 MiB') for message in told()), 20,
             "the refusal to be told")
    many = [make(f"s{i:02}", bytes(250_000)) for i in range(20)]
    node.ctl("file", "put", "--no-wait", *many, "small:")
    wait_for(lambda: any(re.match(r'cannot put \d+ of 20 files to small: "s\d\d" has 244.1 KiB', message)
                         for message in told()), 20, "the refusals to be told")


def test_what_is_on_its_way_is_in_the_status_and_on_the_screen(lab, node, make):
    source = make("large.bin", os.urandom(20 * MIB))
    process = node.ctl_start("file", "put", "--rate", "500KiB", source, "lab-02:")

    def under_way():
        return [one for one in node.call("Status")["transfers"] if one["done_bytes"] > 0 and one["rate_bytes_s"]]
    one = wait_for(under_way, 20, "some of it to be there")[0]
    assert (one["name"], one["files"], one["node"], one["direction"], one["total_bytes"]) == \
        ("large.bin", 1, "lab-02", "out", 20 * MIB)
    assert 0 < one["done_bytes"] < 20 * MIB and one["rate_bytes_s"] < 20 * MIB

    def picture():
        return node.ctl("top", env=environment(COLUMNS="120", LINES="30")).stdout
    # The rate is that of the last moments, in which nothing may have come.
    wait_for(lambda: re.search(r"large\.bin → lab-02 .*\d+% +[\d.]+ [KM]iB/s", picture()), 20, "it to be on the screen")
    assert re.search(r"TRANSFERS *$", picture(), re.M)
    process.kill()
    wait_for(lambda: node.call("Status")["transfers"] == [], 20, "nothing to be on its way")
    wait_for_quiet(lambda: parts(lab["lab-02"]))
    node.ctl("file", "put", source, "lab-02:")  # so that no part waits there to be resumed
    wait_for(lambda: not parts(lab["lab-02"]), 5, "no part to be left")


def test_a_rate_is_kept(node, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(2 * MIB))
    reply = node.json("file", "put", "--rate", "4MiB", source, "lab-02:")
    assert reply["elapsed_ms"] >= 400
    assert "--rate" in node.ctl("file", "put", "--rate", "fast", source, "lab-02:", code=2).stderr
    assert "1KiB" in node.ctl("file", "put", "--rate", "8", source, "lab-02:", code=2).stderr


def test_a_rate_is_that_of_all_files_together(node, make, tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    paths = [make(f"slow{i:03}", bytes(4096)) for i in range(768)]
    for words in (["put", *paths, "lab-02:"], ["get", "lab-02:slow*", into]):
        begin = time.monotonic()
        node.ctl("file", words[0], "--rate", "2MiB", *words[1:])
        assert time.monotonic() - begin >= 1.3  # 3 MiB


def test_progress_has_rate_and_rest_on_a_terminal_and_nowhere_else(node, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(6 * MIB))
    for words in (("put", source, "lab-02:"), ("get", "lab-02:large", tmp_path / "back")):
        master, slave = pty.openpty()
        process = node.ctl_start("file", *words, "--rate", "3MiB", stderr=slave)
        os.close(slave)
        shown = read_to_end(master).decode()
        os.close(master)
        assert process.wait(60) == 0, shown
        assert re.search(r"large  \d+\.\d MiB of 6\.0 MiB +\d+%  \d+\.\d (K|M)iB/s  ETA \S+", shown), shown
        assert shown.rstrip().rsplit("\r", 1)[-1].startswith("\x1b[Klarge  6.0 MiB of 6.0 MiB  100%"), shown
    quiet = node.ctl("file", "put", "--overwrite=always", "--rate", "6MiB", source, "lab-02:")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_progress_is_never_wider_than_the_terminal(node, tmp_path):
    """A line that wraps is not wiped by the next one."""
    source = tmp_path / ("ж" * 90)
    source.write_bytes(bytes(6 * MIB))
    for columns in (60, 20):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        process = node.ctl_start("file", "put", source, "lab-02:", "--rate", "3MiB", "--overwrite=always", stderr=slave)
        os.close(slave)
        shown = read_to_end(master).decode()
        os.close(master)
        assert process.wait(60) == 0, shown
        lines = [line.removeprefix("\x1b[K") for line in shown.split("\r") if " MiB" in line and "sha256" not in line]
        assert lines and all(len(line) < columns and line.startswith("жжж") for line in lines), lines
        assert columns < 60 or all(re.search(r"…  \d+\.\d [KM]iB of 6\.0 MiB +\d+%", line) for line in lines), lines


def test_stdin_is_stored_under_a_name(node, where):
    node.ctl("file", "put", "-", f"{where}piped" if where else "lab-01:piped", stdin=b"from a pipe")
    assert node.ctl("file", "get", f"{where}piped", "-").stdout_bytes == b"from a pipe"
    node.ctl("file", "put", "-", f"{where or 'lab-01:'}piped", stdin=b"from a pipe")
    assert "already" in node.ctl("file", "put", "-", f"{where or 'lab-01:'}piped", stdin=b"from a tube", code=1).stderr


@pytest.mark.parametrize("kind", ["device", "pipe", "socket"])
def test_what_is_no_file_is_refused_before_it_is_opened(node, where, tmp_path, kind):
    path, server = tmp_path / "source", socket.socket(socket.AF_UNIX)
    if kind == "device":
        path = pathlib.Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)  # and nobody ever writes to it
    else:
        server.bind(str(path))
    words = [where] if where else []
    result = node.ctl("file", "put", path, *words, code=2)
    server.close()
    assert f"{path} is a {kind}; only files can be stored" in result.stderr
    assert "hint: what it gives can be stored: p2pctl file put - NODE:NAME < FILE" in result.stderr
    assert node.json("file", "ls", *words)["files"] == []


def test_several_files_in_one_go(node, make, where):
    paths = [make(f"file-{i}", bytes([i]) * 1000) for i in range(5)]
    node.ctl("file", "put", *paths, *([where] if where else []))
    names = [file["name"] for file in node.json("file", "ls", *([where] if where else []))["files"]]
    assert names == [path.name for path in paths]


def test_many_small_files(node, make, where):
    paths = [make(f"small-{i:03}", b"%d" % i) for i in range(200)]
    node.ctl("file", "put", *paths, *([where] if where else []), timeout=60)
    assert len(node.json("file", "ls", *([where] if where else []))["files"]) == 200
    for i in (0, 99, 199):
        assert node.ctl("file", "get", f"{where}small-{i:03}", "-").stdout == str(i)
    node.ctl("file", "rm", "--yes", *[where + path.name for path in paths], timeout=60)
    assert node.json("file", "ls", *([where] if where else []))["files"] == []


def test_more_files_than_one_answer_or_one_pack_holds(lab, node, make, where):
    """Listed and removed in many parts; each is there, and no part of one is left."""
    paths = [make(f"tiny-{i:04}", b"%d" % i if i % 7 else b"") for i in range(1300)]
    node.ctl("file", "put", *paths, *([where] if where else []), timeout=60)
    listed = node.json("file", "ls", *([where] if where else []))["files"]
    assert [(file["name"], file["size_bytes"]) for file in listed] == [(path.name, path.stat().st_size) for path in paths]
    assert len(node.json("file", "ls", "--all-nodes")["files"]) == 1300
    holder = lab["lab-02" if where else "lab-01"]
    assert len(stored(holder)) == 1300 and not parts(holder)
    assert len(node.call("ListFiles", **({"node": "lab-02"} if where else {}))["files"]) == 1300
    node.ctl("file", "rm", "--yes", f"{where}tiny-*", timeout=120)
    assert stored(holder) == {}


def test_among_many_each_goes_as_its_size_demands(node, make, where, tmp_path):
    """Small ones together, a large one and one that does not tell its size alone; and what is no file is refused."""
    paths = [make(f"mixed{i:02}", b"%d" % i if i % 3 else b"") for i in range(30)]
    paths[11].write_bytes(bytes(300000))
    os.mkfifo(tmp_path / "fifo")
    words = [*paths[:20], tmp_path / "nothing", "/proc/version", tmp_path / "fifo", *paths[20:]]
    errors = node.ctl("file", "put", *words, *([where] if where else []), code=None).stderr
    assert f"{tmp_path}/nothing" in errors
    assert "is a pipe; only files can be stored" in errors
    listed = node.json("file", "ls", *([where] if where else []))["files"]
    expected = {path.name: path.read_bytes() for path in [*paths, pathlib.Path("/proc/version")]}
    assert {file["name"]: file["size_bytes"] for file in listed} == {name: len(data) for name, data in expected.items()}
    for name in ("mixed11", "mixed12", "version"):
        assert node.ctl("file", "get", f"{where}{name}", "-").stdout.encode() == expected[name]


def test_of_more_than_twenty_only_what_failed_and_a_sum_is_told(node, make, where, tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    paths = [make(f"many{i:02}", b"%d" % i) for i in range(30)]
    paths[3].chmod(0o755)
    paths[4].chmod(0o640)
    os.utime(paths[5], ns=(0, 1234567890_123000000))
    to = where or "lab-01:"
    assert node.ctl("file", "put", *paths, to).stderr == ""
    kept = "30 files are as new, and were kept\n"
    assert node.ctl("file", "put", "--overwrite=newer", *paths, to).stderr == kept
    paths[7].write_bytes(b"another")
    put_again = node.ctl("file", "put", *paths, to, code=1).stderr
    assert f'"many07" is on {to[:-1]} already' in put_again and "many08" not in put_again
    (into / "many09").write_bytes(b"mine")
    got = node.ctl("file", "get", f"{to}many*", into, code=1).stderr
    assert f"{into}/many09 exists already" in got and "many10" not in got
    for i, path in enumerate(paths):
        here, expected = into / path.name, b"mine" if i == 9 else b"%d" % i
        assert here.read_bytes() == expected
        if i != 9 and i != 7:
            assert stat.S_IMODE(here.stat().st_mode) == stat.S_IMODE(path.stat().st_mode)
            assert here.stat().st_mtime_ns // 10**6 == path.stat().st_mtime_ns // 10**6
    assert node.ctl("file", "get", "--overwrite=newer", f"{to}many*", into).stderr == kept
    assert not list(into.glob(".p2pctl*"))


def test_put_names_the_file_anew(node, make, where):
    node.ctl("file", "put", make("old", b"x"), f"{where or 'lab-01:'}new")
    assert [file["name"] for file in node.json("file", "ls", where or "lab-01:")["files"]] == ["new"]


@pytest.mark.parametrize("name", ["../x", "..", ".", "a/b", "/etc/passwd", "-x", "a" * 256, "a\nb", "a\x1bb", "a\x7f"])
def test_a_name_that_could_escape_is_refused(lab, node, make, name):
    path = make("data", b"x")
    for place in ("lab-01:", "lab-02:"):
        result = node.ctl("file", "put", path, place + name, code=2)
        assert "no name for a stored file" in result.stderr and "\x1b" not in result.stderr
        assert node.ctl("file", "get", place + name, "-", code=None).code in (2, 4)
        assert node.ctl("file", "rm", place + name, code=None).code in (2, 4)
    for one in (lab["lab-01"], lab["lab-02"]):
        assert stored(one) == {}


def test_a_name_of_255_bytes_and_any_script_is_good(node, make, where):
    path = make("data", b"x")
    scripts = ("a", "ä", "ж", "ع", "測", "한", "ก", "𝛼", "🧪", "e\u0301")
    longest = [letter * (255 // len(letter.encode())) for letter in scripts]
    for name in (*longest, "Messung Nr. 7 – 20 °C.csv", ".hidden"):
        node.ctl("file", "put", path, f"{where or 'lab-01:'}{name}")
        assert node.ctl("file", "get", f"{where or 'lab-01:'}{name}", "-").stdout == "x"


def test_nothing_is_overwritten_unasked(node, make, where):
    put(node, make("data", b"first"), where)
    result = node.ctl("file", "put", make("data", b"second"), *([where] if where else []), code=1)
    assert "already" in result.stderr and "--overwrite=always" in result.stderr
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "first"
    put(node, make("data", b"third"), where, "--overwrite=always")
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "third"


def test_a_file_of_proc_has_a_content_but_no_size(node, make, where):
    """Alone, among many small ones, and where it is standard input."""
    place, content = [where] if where else [], pathlib.Path("/proc/filesystems").read_bytes()
    many = [make(f"s{i:02}", b"%d" % i * (i % 3)) for i in range(20)]
    node.ctl("file", "put", "/proc/filesystems", *place)
    assert node.ctl("file", "get", f"{where}filesystems", "-").stdout_bytes == content
    for _ in range(2):
        node.ctl("file", "put", make("empty", b""), *place)
    node.ctl("file", "rm", f"{where}filesystems")
    node.ctl("file", "put", *many, "/proc/filesystems", *place)
    assert node.ctl("file", "get", f"{where}filesystems", "-").stdout_bytes == content
    with open("/proc/version", "rb") as version:
        subprocess.run([CTL, "--socket", node.socket, "file", "put", "-", f"{where or 'lab-01:'}version"], stdin=version,
                       env=environment(), check=True)
    assert node.ctl("file", "get", f"{where}version", "-").stdout == pathlib.Path("/proc/version").read_text()
    assert "--no-wait" in node.ctl("file", "put", "--no-wait", "/proc/filesystems", *place, code=2).stderr


def test_a_file_of_sys_has_less_than_it_says(node, make, where):
    """Four kilobytes, which are a line."""
    place, path = [where] if where else [], pathlib.Path("/sys/class/net/lo/mtu")
    assert path.stat().st_size > len(path.read_bytes()) > 0
    node.ctl("file", "put", path, *place)
    assert node.ctl("file", "get", f"{where}mtu", "-").stdout_bytes == path.read_bytes()
    node.ctl("file", "rm", f"{where}mtu")
    many = [make(f"s{i:02}", b"%d" % i * (i % 3)) for i in range(20)]
    node.ctl("file", "put", *many, path, *place)
    assert node.ctl("file", "get", f"{where}mtu", "-").stdout_bytes == path.read_bytes()
    with open(path, "rb") as mtu:
        subprocess.run([CTL, "--socket", node.socket, "file", "put", "-", f"{where or 'lab-01:'}stdin"], stdin=mtu,
                       env=environment(), check=True)
    assert node.ctl("file", "get", f"{where}stdin", "-").stdout_bytes == path.read_bytes()


def test_a_source_that_cannot_be_read_is_named(node, make, where):
    """Some files of /sys are there, and cannot be read."""
    speed = "/sys/class/net/lo/speed"
    with pytest.raises(OSError) as error:
        pathlib.Path(speed).read_bytes()
    refused = f"p2pctl: cannot read {speed}: {os.strerror(error.value.errno)}\n"
    place, many = [where] if where else [], [make(f"s{i:02}", b"%d" % i) for i in range(20)]
    for sources in ([speed], [speed, many[0]], [*many, speed]):
        assert node.ctl("file", "put", "--overwrite=always", *sources, *place, code=None).stderr == refused
    with open(speed, "rb") as file:
        done = subprocess.run([CTL, "--socket", node.socket, "file", "put", "-", f"{where or 'lab-01:'}speed"], stdin=file,
                              env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, refused.replace(speed, "standard input"))


def test_what_is_as_new_is_kept_and_told(node, make, where, tmp_path):
    """A script's log tells it, too: the content may be another one."""
    path, into = make("data", b"first"), tmp_path / "into"
    many = [make(f"s{i:02}", b"%d" % i) for i in range(30)]
    put(node, path, where)
    node.ctl("file", "put", *many, *([where] if where else []))
    path.write_bytes(b"other")
    os.utime(path, (1, 1))
    newer = "--overwrite=newer"
    assert put(node, path, where, newer).stderr == "data  is as new, and was kept\n"
    assert put(node, path, where, newer, "--quiet").stderr == ""
    for i in (2, 25):
        result = node.ctl("file", "put", newer, *many[:i], *([where] if where else []))
        assert result.stderr == "".join(f"s{j:02}  is as new, and was kept\n" for j in range(i)) or \
            i > 20 and result.stderr == f"{i} files are as new, and were kept\n"
    path.write_bytes(b"mine")
    assert node.ctl("file", "get", newer, f"{where}data", path).stderr == f"{path}  is as new, and was kept\n"
    assert path.read_bytes() == b"mine" and not into.exists()


def test_a_disk_that_is_full_is_told_with_the_file(lab, node, make, where):
    put(node, make("data", b"x" * 100000), where)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "--socket", node.socket, "file", "get", f"{where}data", "-"], stdout=full,
                              stderr=subprocess.PIPE, env=environment(), check=False, text=True)
    assert done.returncode == 1
    holder = "lab-02" if where else "lab-01"
    assert done.stderr == f'p2pctl: cannot get "data" from {holder}: cannot write the content: No space left on device\n'


@pytest.mark.parametrize("count", [5, 40])
def test_of_a_name_that_stands_twice_the_last_one_is_stored(node, make, where, tmp_path, count):
    files = [make(f"n{i:02}", b"%d" % i) for i in range(count)]
    other = tmp_path / "other" / "n03"
    other.parent.mkdir()
    other.write_bytes(b"other")
    place = [where] if where else []
    node.ctl("file", "put", *files, files[3], *place)
    assert node.ctl("file", "get", f"{where}n03", "-").stdout == "3"
    node.ctl("file", "put", "--overwrite=always", *files, other, *place)
    assert node.ctl("file", "get", f"{where}n03", "-").stdout == "other"


@pytest.fixture
def many(node, make, tmp_path):
    """The names of 40 stored files, and an empty directory."""
    files = [make(f"m{i:02}", b"%d" % i * 2000) for i in range(40)]
    node.ctl("file", "put", *files)
    into = tmp_path / "into"
    into.mkdir()
    return [path.name for path in files], into


def test_a_default_acl_changes_nothing_of_the_permissions(node, many):
    names, into = many
    entries = b"".join(struct.pack("<HHI", tag, 7, 0xffffffff) for tag in (0x01, 0x04, 0x20))
    os.setxattr(into, "system.posix_acl_default", struct.pack("<I", 2) + entries)
    node.ctl("file", "get", "m*", f"{into}/", umask=0o077)
    assert {stat.S_IMODE((into / name).stat().st_mode) for name in names} == {0o600}


def test_only_a_file_can_be_as_new(node, many):
    names, into = many
    (into / names[0]).mkdir()
    (into / names[1]).symlink_to("/nonexistent")
    result = node.ctl("file", "get", "m*", f"{into}/", "--overwrite=newer", code=None)
    assert result.code == 1 and result.stderr.count(f"{names[0]} is a directory, and is not replaced") == 1
    assert not (into / names[1]).is_symlink() and len(list(into.iterdir())) == 40
    result = node.ctl("file", "get", names[0], f"{into}/", "--overwrite=newer", code=None)
    assert result.code == 1 and "is a directory, and is not replaced" in result.stderr


@pytest.mark.parametrize("asked", ["m*", "one"])
def test_nobody_is_told_to_overwrite_a_directory(node, many, asked):
    names, into = many
    (into / names[0]).mkdir()
    result = node.ctl("file", "get", names[0] if asked == "one" else asked, f"{into}/", code=1)
    assert result.stderr.splitlines()[0] == f"p2pctl: {into}/{names[0]} is a directory, and is not replaced"
    assert "--overwrite" not in result.stderr and (into / names[0]).is_dir()


def test_who_reads_no_further_or_may_write_no_more_leaves_no_parts(node, many):
    names, into = many
    command = f"{CTL} --socket {node.socket} file get 'm*' {into}/"
    subprocess.run(["bash", "-c", f"{command} --json=lines | head -1"], check=True, env=environment(),
                   stdout=subprocess.DEVNULL)
    assert sorted(path.name for path in into.iterdir()) == names
    done = subprocess.run(["bash", "-c", f"ulimit -f 3; {command} --overwrite=always"], env=environment(), check=False,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and f"{into}/m10: File too large" in done.stderr
    assert sorted(path.name for path in into.iterdir()) == names


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file that is hashed after it was stored where nobody looks at its hash, and that hash."""
    path = tmp_path_factory.mktemp("large") / "large"
    path.write_bytes(os.urandom(MIB) * 128)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_large_file_has_its_hash_for_whoever_asks(lab, node, where, large):
    path, sha256 = large
    holder = lab["lab-02" if where else "lab-01"]
    place = [where] if where else []
    for _ in range(2):
        put(node, path, where)
        assert [file["sha256"] for file in node.json("file", "ls", *place)["files"]] == [sha256]
        # What was put before its answer came, is put again.
        assert json.loads(put(node, path, where, "--json=short").stdout)["kept"] is True
        node.ctl("file", "rm", "--yes", f"{where}large")
        assert json.loads(put(node, path, where, "--json=short").stdout)["sha256"] == sha256
        node.ctl("file", "rm", "--yes", f"{where}large")
    put(node, path, where)
    assert put(node, path, where).stderr == "", "it is known although its hash may not be"
    assert stored(holder) == {"large": 128 * MIB}


def test_a_large_file_is_got_before_it_was_hashed(lab, node, where, large, tmp_path):
    path, sha256 = large
    holder = lab["lab-02" if where else "lab-01"]
    with open(tmp_path / "larger", "wb") as file:
        file.truncate(1024 * MIB)

    def awaits_hash():
        """It waits for the larger one to be hashed, unless this machine was slow to put it."""
        put(node, tmp_path / "larger", where, "--overwrite=always")
        put(node, path, where, "--overwrite=always")
        return holder.call("ListFiles", glob="large")["files"][0]["sha256"] is None
    wait_for(awaits_hash, 60, "a file without its hash")
    # Who puts something else there does not wait for it.
    other = tmp_path / "other" / "large"
    other.parent.mkdir()
    other.write_bytes(b"other")
    assert "is on" in put_fails(node, other, where)
    node.ctl("file", "get", f"{where}large", tmp_path / "copy")
    node.ctl("file", "rm", "--yes", f"{where}larger")
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).hexdigest() == sha256
    # From store to store its hash goes along where it is known.
    other = "lab-02:copy" if not where else "lab-01:copy"
    node.ctl("file", "put", f"{where or 'lab-01:'}large", other)
    assert [file["sha256"] for file in node.json("file", "ls", other)["files"]] == [sha256]


def test_a_hash_that_a_kill_left_out_comes_after_the_start(make_lab, large):
    path, sha256 = large
    lab = make_lab(STEADY)
    node = lab.node("seed", role="seed")
    lab.start()
    node.ctl("file", "put", path)
    node.kill()
    node.start()
    assert [file["sha256"] for file in node.json("file", "ls")["files"]] == [sha256]


def test_what_is_there_with_the_same_content_is_stored(lab, node, make, where):
    """Whoever was not told that his file is stored says it again."""
    holder = lab["lab-02" if where else "lab-01"]
    path = make("data", b"x" * 100000)
    small = [make(f"s{i:02}", b"%d" % i) for i in range(20)]
    for _ in range(2):
        put(node, path, where)
        node.ctl("file", "put", *small, *([where] if where else []))
    assert len(stored(holder)) == 21
    assert json.loads(put(node, path, where, "--json=short").stdout)["kept"] is True
    assert put(node, path, where, "--no-wait").stdout == ""
    end, begun = (json.loads(put(node, path, where, "--json=short", *more).stdout) for more in ([], ["--no-wait"]))
    assert end.keys() == begun.keys() and (begun["name"], begun["sha256"]) == ("data", None)
    path.write_bytes(b"y" * 100000)
    assert "is on" in put_fails(node, path, where)
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "x" * 100000


def put_fails(node, path, where):
    return node.ctl("file", "put", path, *([where] if where else []), code=1).stderr


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_get_never_replaces_a_device_or_a_pipe(node, make, where, tmp_path, kind):
    put(node, make("data", b"x"), where)
    many = [make(f"s{i:02}", b"%d" % i) for i in range(20)]
    node.ctl("file", "put", *many, *([where] if where else []))
    inside = tmp_path / "inside"
    inside.mkdir()
    for target in (tmp_path / "target", inside / "s03"):
        if kind == "pipe":
            os.mkfifo(target)
        else:
            target.symlink_to("/dev/null")
    result = node.ctl("file", "get", "--overwrite=always", f"{where}data", tmp_path / "target", code=1)
    assert f"{tmp_path}/target is no regular file, and is not replaced" in result.stderr
    assert f"hint: to write into it: p2pctl file get {where}data - > {tmp_path}/target\n" in result.stderr
    result = node.ctl("file", "get", "--overwrite=always", f"{where}s*", inside, code=1)
    assert f"{inside}/s03 is no regular file, and is not replaced" in result.stderr
    assert f"p2pctl file get {where}s03 - > {inside}/s03\n" in result.stderr
    for target in (tmp_path / "target", inside / "s03"):
        assert not target.is_file()
    assert len(list(inside.iterdir())) == 20


@pytest.mark.parametrize("chain", [["/proc/self/fd/1"], ["/dev/stdout"], ["/dev/fd/1"], ["next", "/dev/stdout"], ["/proc/self/comm"],
                                   ["below/1", "/proc/self/fd"]], ids=" ".join)
def test_a_get_never_replaces_a_link_to_its_own_descriptor(node, make, tmp_path, chain):
    """Also where that is a file, to which stat() sees nothing but a link."""
    put(node, make("data", b"x"), "")
    for name, to in zip(["target", chain[0].partition("/")[0]], chain):
        (tmp_path / name).symlink_to(to)
    with open(tmp_path / "output", "wb") as output:
        process = node.ctl_start("file", "get", "--overwrite=always", "data", "target", cwd=tmp_path, stdout=output)
        assert process.wait(60) == 1
    assert process.stderr.read() == (b"p2pctl: target is no regular file, and is not replaced\n"
                                     b"hint: to write into it: p2pctl file get data - > target\n")
    assert os.readlink(tmp_path / "target") == chain[0] and not (tmp_path / "output").read_bytes()


def test_a_get_replaces_a_link_to_a_file(node, make, tmp_path):
    put(node, make("data", b"x"), "")
    (tmp_path / "target").symlink_to("data")
    node.ctl("file", "get", "--overwrite=always", "data", "target", cwd=tmp_path)
    assert not (tmp_path / "target").is_symlink() and (tmp_path / "target").read_bytes() == b"x"


def test_what_is_no_name_of_a_file_is_told_as_what_it_is(node, make, tmp_path):
    make("a.txt", b"x")
    (tmp_path / "d").mkdir()
    for word in ("d", "d/", "."):
        assert node.ctl("file", "put", word, cwd=tmp_path, code=2).stderr == \
            f"p2pctl: {word} is a directory; only files can be stored\n"
    assert node.ctl("file", "put", "a.txt/", cwd=tmp_path, code=1).stderr == \
        "p2pctl: cannot read a.txt/: Not a directory\n"
    assert node.ctl("file", "put", "none/", cwd=tmp_path, code=4).stderr == \
        "p2pctl: cannot read none/: No such file or directory\n"
    assert node.ctl("file", "get", "a", "", code=2).stderr == \
        'p2pctl: the name of the file to be written is empty: ""\n'
    for odd, shown in (("a\u00ad", "\\xc2\\xad"), ("a\ufffe", "\\xef\\xbf\\xbe")):
        assert f'"a{shown}" is no name' in node.ctl("file", "put", "a.txt", f":{odd}", cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize("name", ["   ", "\u0301", "\ue000"])
def test_a_name_of_which_nothing_can_be_seen_is_none_for_what_is_new(node, make, where, name):
    refused = node.ctl("file", "put", make("data", b"x"), f"{where or 'lab-01:'}{name}", code=2)
    assert "nothing that cannot be seen" in refused.stderr
    refused = node.ctl("mem", "set", f"{where}{name}", "v", code=2)
    assert "nothing that cannot be seen" in refused.stderr
    many = [make(f"f{i:02}", b"x") for i in range(20)] + [make(name, b"x")]
    refused = node.ctl("file", "put", *many, *([where] if where else []), code=2)
    assert refused.stderr == f'p2pctl: "{name}": nothing that can name a file\n'
    assert len(node.json("file", "ls", *([where] if where else []))["files"]) == 20
    (node.lab["lab-02" if where else "lab-01"].directory / "peer_storage" / name).write_bytes(b"by hand")
    assert node.ctl("file", "get", f"{where or 'lab-01:'}{name}", "-").stdout == "by hand"
    node.ctl("file", "rm", f"{where or 'lab-01:'}{name}")


def test_quiet_says_nothing_of_what_was_removed(node, make, where):
    for name in "abcd":
        put(node, make(name, b"x"), where)
        node.ctl("mem", "set", f"{where}{name}", "v")
    for noun in ("file", "mem"):
        assert node.ctl("-q", noun, "rm", f"{where}a").stdout == ""
        assert node.ctl("-q", noun, "rm", "--yes", f"{where}b", f"{where}c").stdout == ""
        assert node.ctl(noun, "rm", f"{where}d").stdout.startswith("removed d from ")
    assert not node.json("file", "ls", *([where] if where else []))["files"]


def test_sizes_are_shown_in_one_way_and_columns_tell_mode_and_damage(node, make):
    path = make("data", b"x")
    path.chmod(0o640)
    put(node, path, "")
    assert "not both" in node.ctl("file", "ls", "--human", "--bytes", code=2).stderr
    assert node.ctl("file", "ls", "-o", "name,mode,damaged", "--no-legend").stdout.split() == ["data", "0640", "no"]


def test_newer_overwrites_only_what_is_older(node, make, where):
    path = make("data", b"first")
    os.utime(path, (2_000_000_000, 2_000_000_000))
    put(node, path, where)
    path.write_bytes(b"older")
    os.utime(path, (1_900_000_000, 1_900_000_000))
    node.ctl("file", "put", "--overwrite=newer", path, *([where] if where else []), code=None)
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "first"
    path.write_bytes(b"newer")
    os.utime(path, (2_100_000_000, 2_100_000_000))
    put(node, path, where, "--overwrite=newer")
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "newer"


def test_get_overwrites_nothing_unasked(node, make, where, tmp_path):
    put(node, make("data", b"stored"), where)
    target = tmp_path / "there"
    target.write_bytes(b"mine")
    assert node.ctl("file", "get", f"{where}data", target, code=1).stdout == ""
    assert target.read_bytes() == b"mine"
    node.ctl("file", "get", "--overwrite=always", f"{where}data", target)
    assert target.read_bytes() == b"stored"


@pytest.mark.parametrize("count", [1, 20], ids=["alone", "together"])
def test_what_appears_during_a_get_is_not_replaced_unasked(node, make, tmp_path, count):
    into = tmp_path / "into"
    into.mkdir()
    node.ctl("file", "put", *[make(f"slow{i:02}", b"x" * (200000 // count)) for i in range(count)], "lab-02:")
    process = node.ctl_start("file", "get", "--rate", "100KiB", "lab-02:slow*", into)
    wait_for(lambda: node.call("Status")["transfers"], 10, "it to begin")
    (into / "slow00").write_text("precious")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and f"{into}/slow00 exists already\nhint: to replace it: " in errors.decode()
    assert (into / "slow00").read_text() == "precious"
    assert len(list(into.iterdir())) == count


def test_newer_goes_by_more_than_seconds(node, make, where, tmp_path):
    path, into = make("often", b"first"), tmp_path / "into"
    into.mkdir()
    os.utime(path, ns=(0, 1700000000_100000000))
    put(node, path, where)
    node.ctl("file", "get", f"{where}often", into)
    path.write_bytes(b"second")
    os.utime(path, ns=(0, 1700000000_900000000))
    put(node, path, where, "--overwrite=newer")
    for kept in (False, True):
        reply = node.json("file", "get", "--overwrite=newer", f"{where}often", f"{into}/")
        assert reply["kept"] == kept and (into / "often").read_bytes() == b"second"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_an_ended_get_of_many_leaves_nothing(node, make, tmp_path, number):
    into = tmp_path / "into"
    into.mkdir()
    node.ctl("file", "put", *[make(f"small{i:03}", b"x" * 1000) for i in range(600)], "lab-02:")
    process = node.ctl_start("file", "get", "--rate", "200KiB", "lab-02:small*", into,
                             preexec_fn=lambda: number == signal.SIGKILL or signal.signal(number, signal.SIG_DFL))
    wait_for(lambda: list(into.iterdir()), 10, "the first to be there")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert not list(into.glob(".p2pctl*"))
    node.ctl("file", "get", "--overwrite=newer", "lab-02:small*", into)
    assert len(list(into.iterdir())) == 600


def test_many_go_over_one_connection_where_there_is_no_place_for_two(make_lab, make, tmp_path):
    into = tmp_path / "into"
    into.mkdir()
    node = make_lab({"control": {"clients_max": 1}}).node("narrow", role="seed").start()
    node.ctl("file", "put", *[make(f"small{i:03}", b"%d" % i) for i in range(900)])
    assert len(stored(node)) == 900
    node.ctl("file", "get", "small*", into)
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {f"small{i:03}": b"%d" % i for i in range(900)}


def test_get_finds_the_holder_by_itself(node, make):
    put(node, make("only-there", b"x"), "lab-02:")
    assert node.ctl("file", "get", "only-there", "-").stdout == "x"
    assert node.ctl("file", "get", "nowhere", "-", code=4).stdout == ""
    assert node.ctl("file", "get", "lab-02:nowhere", "-", code=4).stdout == ""
    assert node.ctl("file", "get", "nobody:data", "-", code=4).stdout == ""


def test_what_goes_to_a_store_comes_from_whoever_has_it(lab, node, make):
    for name in ("first", "second"):
        put(node, make(name, name.encode()), "lab-02:")
    node.ctl("file", "get", "first", "small:")
    node.ctl("file", "get", "first", ":")
    node.ctl("file", "get", "second", "small:other")
    node.ctl("file", "get", "first", "second", "seed:")
    held = {one: stored(lab[one]) for one in ("lab-01", "seed", "small")}
    assert held == {"lab-01": {"first": 5}, "seed": {"first": 5, "second": 6}, "small": {"first": 5, "other": 6}}
    assert node.ctl("file", "get", "nowhere", "small:", code=4).stderr.startswith('p2pctl: no node has a file "nowhere"\n')
    # What is here is taken first; what a node was named for, from there alone; and a put means this node.
    put(node, make("both", b"here"))
    put(node, make("both", b"there!"), "lab-02:")
    node.ctl("file", "get", "both", "small:")
    assert stored(lab["small"])["both"] == 4
    for call in (["get", "seed:both", "small:"], ["put", "seed:both", "small:"]):
        assert node.ctl("file", *call, code=4).stderr.startswith('p2pctl: no file "both" on seed\n')
    assert node.ctl("-N", "seed", "file", "get", "both", "small:", code=4).stderr.startswith('p2pctl: no file "both" on seed\n')
    assert node.ctl("file", "put", ":second", "small:", code=4).stderr.startswith('p2pctl: no file "second" on lab-01\n')


def test_the_owner_is_the_user_whichever_node_stores_for_him(lab, node, make):
    user = pwd.getpwuid(os.getuid()).pw_name
    put(node, make("here", b"x"))
    put(node, make("there", b"x"), "lab-02:")
    node.ctl("file", "put", "lab-02:there", "lab-02:again")
    node.ctl("file", "put", "lab-02:there", "small:beyond")
    node.ctl("file", "get", "lab-02:there", ":")
    listed = node.json("file", "ls", "--all-nodes")["files"]
    assert sorted((file["name"], file["owner"]) for file in listed) == \
        [(name, user) for name in ("again", "beyond", "here", "there", "there")]


def test_list_of_all_nodes_and_globs(node, make):
    for name, place in (("a.csv", ""), ("b.csv", "lab-02:"), ("c.txt", "lab-02:")):
        put(node, make(name, b"12345"), place)
    listed = node.json("file", "ls", "--all-nodes")
    assert {(file["name"], file["node"]) for file in listed["files"]} == \
        {("a.csv", "lab-01"), ("b.csv", "lab-02"), ("c.txt", "lab-02")} and listed["unanswered"] == []
    assert {file["name"] for file in node.json("file", "ls", "--all-nodes", "*.csv")["files"]} == {"a.csv", "b.csv"}
    assert [file["name"] for file in node.json("file", "ls", "lab-02:c*")["files"]] == ["c.txt"]


def test_a_brief_list_says_what_a_get_needs(node, make):
    put(node, make("brief", b"12345"), "lab-02:")
    files = node.call("ListFiles", node="lab-02", glob="b*", brief=True)["files"]
    assert files == [{"name": "brief", "size_bytes": 5}]
    with pytest.raises(VarlinkError, match="InvalidParameter"):
        node.call("ListFiles", glob="b*", brief=True, all_nodes=True)


def test_a_removed_file_is_gone(lab, node, make, where):
    put(node, make("data", b"12345"), where)
    holder = lab["lab-02" if where else "lab-01"]
    assert node.ctl("file", "rm", f"{where}data").stdout == f"removed data from {holder.name} (5 B)\n"
    node.ctl("file", "get", f"{where}data", "-", code=4)
    node.ctl("file", "rm", f"{where}data", code=4)
    assert stored(holder) == {} and holder.call("Status")["files"]["used_bytes"] == 0


def test_one_of_many_that_cannot_be_removed_does_not_hinder_the_others(lab, node, make, where):
    holder = lab["lab-02" if where else "lab-01"]
    put(node, make("f1", b"x"), where)
    put(node, make("f2", b"x"), where)
    result = node.ctl("file", "rm", "--yes", f"{where}f1", f"{where}absent", f"{where}none*", f"{where}f2", code=4)
    assert f'no file "absent" on {holder.name}' in result.stderr and f'no file of {holder.name if where else "this node"} matches "none*"' in result.stderr
    assert "hint: other nodes are not asked; they are by: p2pctl file ls --all-nodes 'none*'\n" in result.stderr
    assert stored(holder) == {}


def test_files_are_removed_from_all_nodes(lab, node, make):
    rm = ["file", "rm", "--all-nodes"]
    for name, places in (("a*", ["", "seed:"]), ("ab", ["", "lab-02:"]), ("b\\c", ["small:"]), ("one", ["lab-02:"])):
        for place in places:
            put(node, make(name, b"12345"), place)
    result = node.ctl(*rm, "a*", code=2)
    assert (result.stdout, result.stderr.splitlines()[0]) == ("", "p2pctl: nobody can be asked whether to remove 2 files from 2 nodes")
    # Where a file is called exactly like a glob, that one goes.
    assert sorted(node.ctl(*rm, "--yes", "a*").stdout.splitlines()) == \
        ["removed a* from lab-01 (5 B)", "removed a* from seed (5 B)"]
    assert node.ctl(*rm, "one").stdout == "removed one from lab-02 (5 B)\n"
    result = node.ctl(*rm, "--yes", "--json=short", "absent", "ab", "b\\c", code=4)
    assert json.loads(result.stderr)["error"]["message"] == 'no node has a file "absent"'
    removed = json.loads(result.stdout)
    assert removed["schema"] == "p2pctl.file-rm/1"
    assert sorted((file["name"], file["node"], file["size_bytes"]) for file in removed["files"]) == \
        [("ab", "lab-01", 5), ("ab", "lab-02", 5), ("b\\c", "small", 5)]
    assert all(stored(one) == {} for one in lab.running())
    assert node.ctl(*rm, "a*", code=4).stderr.startswith('p2pctl: no file of any node matches "a*"\n')
    for words in (["lab-02:ab"], ["-N", "lab-02", "ab"]):
        assert node.ctl(*rm, *words, code=2).stderr.startswith("p2pctl: name a node, or say --all-nodes, but not both\n")


def test_who_cannot_be_asked_to_remove_files_is_named(lab, node, make):
    rm = ["file", "rm", "--all-nodes", "--yes"]
    for name, places in (("first", ["", "lab-02:"]), ("second", ["seed:"])):
        for place in places:
            put(node, make(name, b"12345"), place)
    lab["lab-02"].kill()
    result = node.ctl(*rm, "first", "second", code=7)
    assert result.stdout == "removed first from lab-01 (5 B)\nremoved second from seed (5 B)\n"
    assert [line for line in result.stderr.splitlines() if line.startswith("p2pctl: ")] == [
        f'p2pctl: no answer from lab-02, where "{name}" may still be' for name in ("first", "second")]
    assert "no answer from lab-02" in node.ctl(*rm, "absent", code=7).stderr
    lab["lab-02"].start()
    lab.wait_joined()
    assert stored(lab["lab-02"]) == {"first": 5}


def test_too_large_a_file_is_refused_with_the_sizes(lab, node, make):
    small = lab["small"]
    put(node, make("fits", bytes(MIB)), "small:")
    for origin, place in ((node, "small:"), (small, "")):
        result = origin.ctl("file", "put", make("large", bytes(MIB + 1)), *([place] if place else []), code=1)
        assert result.stderr == 'p2pctl: "large" has 1048577 bytes, and files.file_max is 1048576 bytes\n'
    assert stored(small) == {"fits": MIB} and not parts(small)


def test_a_full_quota_is_refused_with_the_sizes(lab, node, make):
    small = lab["small"]
    for i in range(3):
        put(node, make(f"file-{i}", bytes(MIB - 10)), "small:")
    result = node.ctl("file", "put", make("more", bytes(1000)), "small:", code=1)
    assert result.stderr == 'p2pctl: "more" has 1000 B, and of files.quota (3.0 MiB) 30 B are left\n'
    assert set(stored(small)) == {"file-0", "file-1", "file-2"} and not parts(small)
    status = small.call("Status")["files"]
    assert (status["count"], status["quota_bytes"]) == (3, 3 * MIB) and status["used_bytes"] <= 3 * MIB
    result = node.ctl("file", "put", "-", "small:piped", stdin=bytes(2000), code=1)
    assert '"piped" has at least ' in result.stderr
    assert set(stored(small)) == {"file-0", "file-1", "file-2"}
    wait_for(lambda: not parts(small), 5, "no part to be left")


def test_of_very_many_each_is_refused_with_the_sizes(node, make):
    """More than one answer has sentences for."""
    for i in range(3):
        put(node, make(f"file-{i}", bytes(MIB - 10)), "small:")
    paths = [make(f"more-{i:04}", bytes(1000)) for i in range(3000)]
    result = node.ctl("file", "put", *paths, "small:", code=1)
    assert [line for line in result.stderr.splitlines() if line.startswith("p2pctl: ")] == [
        f'p2pctl: "{path.name}" has 1000 B, and of files.quota (3.0 MiB) 30 B are left' for path in paths]


def test_what_fits_is_stored_however_much_of_it_is_under_way(lab, node, make):
    """Of many in several packs, and once more in the place of the same."""
    paths = [make(f"f{i:04}", bytes(512 + i * 2819 % 4201)) for i in range(1190)]
    assert 3 * MIB - 50000 < sum(path.stat().st_size for path in paths) <= 3 * MIB
    for _ in range(2):
        node.ctl("file", "put", "--overwrite=always", *paths, "small:")
        assert lab["small"].call("Status")["files"]["count"] == len(paths)


def start_endless_put(node, target):
    """A put of which there is always more to come; returns it and the end to write into."""
    reader, writer = os.pipe()
    process = subprocess.Popen([str(word) for word in (node.ctl_path, "--socket", node.socket, "file", "put", "-", target)],
                               stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    os.close(reader)
    node.lab.helpers.append(process)
    os.write(writer, bytes(60000))
    return process, writer


@pytest.mark.parametrize("count", [1, 600])
@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",)])
def test_ctrl_c_of_a_transfer_is_told_as_any_failure(lab, node, make, count, options):
    paths = [make(f"large{i}", b"x" * (4 * MIB // count)) for i in range(count)]
    process = node.ctl_start(*options, "file", "put", "--rate", "200KiB", *paths, "lab-02:",
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for(lambda: catches(process.pid, signal.SIGINT), 20, "the transfer to begin")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    if "--json" in options:
        (line,) = stderr.decode().splitlines()
        error = json.loads(line)["error"]
        assert error["exit"] == 130 and error["detail"] == "interrupted"
    else:
        assert re.fullmatch(r"p2pctl: [^:\n]+: interrupted\n" if not options else "", stderr.decode()), stderr
    wait_for_quiet(lambda: parts(lab["lab-02"]))
    node.ctl("file", "put", *paths, "lab-02:")  # what was kept to be resumed is needed no more
    wait_for(lambda: not parts(lab["lab-02"]), 10, "no part to be left")


def test_a_put_that_is_interrupted_leaves_nothing(lab, node, where):
    holder = lab["lab-02" if where else "lab-01"]
    process, writer = start_endless_put(node, f"{where or 'lab-01:'}half")
    wait_for(lambda: parts(holder), 10, "the part to be there")
    process.kill()
    process.wait(60)
    os.close(writer)
    wait_for(lambda: not parts(holder), 10, "the part to be gone")
    assert stored(holder) == {}
    node.ctl("file", "get", f"{where}half", "-", code=4)


def test_the_death_of_the_receiver_leaves_nothing_visible(lab, node, make):
    """Neither at the sender, whose command says so, nor at the receiver when it is back."""
    late = lab["lab-02"]
    process, writer = start_endless_put(node, "lab-02:half")
    wait_for(lambda: parts(late), 10, "the part to be there")
    late.kill()
    try:
        while process.poll() is None:
            os.write(writer, bytes(60000))
    except BrokenPipeError:
        pass
    os.close(writer)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (1, 7) and stderr.startswith(b"p2pctl: "), stderr
    late.start()
    lab.wait_joined()
    assert stored(late) == {} and late.json("file", "ls")["files"] == []
    put(node, make("data", b"x"), "lab-02:")
    assert node.ctl("file", "get", "lab-02:data", "-").stdout == "x"


def test_the_death_of_the_holder_during_a_get_leaves_no_half_file(lab, node, tmp_path):
    holder = lab["lab-02"]
    source, target = tmp_path / "large", tmp_path / "back"
    with open(source, "wb") as file:
        file.truncate(64 * MIB)
    put(node, source, "lab-02:")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [str(word) for word in (node.ctl_path, "--socket", node.socket, "file", "get", "lab-02:large", "-")],
        stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, env=environment())
    node.lab.helpers.append(process)
    os.close(writer)
    assert os.read(reader, 1000)
    holder.kill()
    with open(reader, "rb") as stream:
        size = 1000 + len(stream.read())
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (1, 7) and size < 64 * MIB, stderr
    result = node.ctl("file", "get", "lab-02:large", target, code=None)
    assert result.code == 7 and not target.exists()
    holder.start()
    lab.wait_joined()
    node.ctl("file", "get", "lab-02:large", target)
    assert target.stat().st_size == 64 * MIB


def test_files_survive_a_restart_and_a_crash(lab, node, make, tmp_path):
    holder = lab["lab-02"]
    put(node, make("data", b"x" * 1000), "lab-02:")
    holder.kill()
    holder.start()
    holder.restart()
    lab.wait_joined()
    listed = holder.json("file", "ls")["files"]
    assert [(file["name"], file["sha256"]) for file in listed] == [("data", hashlib.sha256(b"x" * 1000).hexdigest())]


def append(path):
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path):
    other = path.with_name("other")
    other.write_bytes(b"A" * path.stat().st_size)
    other.rename(path)


def rot(path):
    """One bit, and no sign of a change: only the hash can tell."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(50000)
        file.write(b"`")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [append, replace, rot])
def test_a_file_that_was_changed_in_the_store_is_not_handed_out(lab, node, make, where, tmp_path, change):
    holder = lab["lab-02" if where else "lab-01"]
    put(node, make("data", b"a" * 100000), where)
    change(holder.directory / "peer_storage" / "data")
    target = tmp_path / "back"
    said = f'p2pctl: "data" on {holder.name} is damaged: it was changed since it was stored\n'
    for options in ([], ["--verify"]):
        result = node.ctl("file", "get", *options, f"{where}data", target, code=1)
        assert result.stderr.startswith(said) and not target.exists()
        assert f"p2pctl file rm {holder.name}:data" in result.stderr
    # To no other node either.
    result = node.ctl("file", "put", f"{holder.name}:data", "seed:copy", code=1)
    assert result.stderr.startswith(said)
    assert "copy" not in stored(lab["seed"])
    told = [event["message"] for event in holder.json("events", "--type", "problem")["events"]]
    assert 'the stored file "data" is damaged: it was changed since it was stored' in told
    if change is not rot:
        listed = node.json("file", "ls", where)["files"][0]
        assert listed["damaged"] is True and listed["sha256"] is None
        assert "damaged" in node.ctl("file", "ls", where).stdout
    # A new one is good, also where the damaged one seems to be as new.
    put(node, make("data", b"new"), where, "--overwrite=newer" if change is not rot else "--overwrite=always")
    assert node.ctl("file", "get", f"{where}data", "-").stdout == "new"
    assert node.json("file", "ls", where)["files"][0]["damaged"] is False


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_took_the_place_of_a_file_is_damage_that_can_be_mended(lab, node, make, where, tmp_path, kind):
    holder = lab["lab-02"] if where else node
    source, target, outside = make("vic", b"first"), tmp_path / "got", make("outside", b"not ours")
    victim = holder.directory / "peer_storage" / "vic"

    def plant():
        victim.unlink(missing_ok=True)
        if kind == "link":
            victim.symlink_to(outside)
        elif kind == "pipe":
            os.mkfifo(victim)
        else:
            victim.mkdir()

    put(node, source, where)
    plant()
    assert [file["damaged"] for file in node.json("file", "ls", where)["files"]] == [True]
    result = node.ctl("file", "get", f"{where}vic", target, code=1)
    assert result.stderr.startswith(f'p2pctl: "vic" on {holder.name} is damaged: it was changed since it was stored\n')
    assert not target.exists()
    if kind == "directory":
        said = f'p2pctl: what is called "vic" on {holder.name} is no file, and stays there\n'
        many = [f"{where}{name}" for name in ("vic", *range(20))]
        for call in (["put", "--overwrite=always", source, *filter(None, [where])], ["rm", many[0]], ["rm", "--yes", *many]):
            assert said in node.ctl("file", *call, code=None if "--yes" in call else 1).stderr
        victim.rmdir()
        node.ctl("file", "rm", many[0], code=4)
        return
    put(node, source, where, "--overwrite=always")
    assert node.json("file", "ls", where)["files"][0]["damaged"] is False and not victim.is_symlink()
    plant()
    assert node.ctl("file", "rm", f"{where}vic").stdout == f"removed vic from {holder.name} (5 B)\n"
    assert not os.path.lexists(victim) and outside.read_bytes() == b"not ours"


def test_an_intact_copy_is_found_beside_damaged_ones(lab, node, make, tmp_path):
    for place in ("seed:", "lab-02:"):
        put(node, make("copied", b"a" * 100000), place)
    append(lab["seed"].directory / "peer_storage" / "copied")
    # Who answers first is chance.
    for _ in range(10):
        assert node.ctl("file", "get", "copied", "-").stdout == "a" * 100000
    append(lab["lab-02"].directory / "peer_storage" / "copied")
    result = node.ctl("file", "get", "copied", tmp_path / "back", code=1)
    assert "is damaged: it was changed since it was stored" in result.stderr


@pytest.mark.parametrize("change", [append, replace])
def test_an_intact_copy_is_found_beside_a_damaged_one_here(lab, node, make, tmp_path, change):
    for place in ("", "lab-02:"):
        put(node, make("copied", b"a" * 100000), place)
    change(node.directory / "peer_storage" / "copied")
    assert node.ctl("file", "get", "copied", "-").stdout == "a" * 100000
    node.ctl("file", "get", "copied", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"a" * 100000
    said = 'p2pctl: "copied" on lab-01 is damaged: it was changed since it was stored\n'
    result = node.ctl("file", "get", "lab-01:copied", tmp_path / "named", code=1)
    assert result.stderr.startswith(said) and not (tmp_path / "named").exists()
    node.ctl("file", "rm", "lab-02:copied")
    result = node.ctl("file", "get", "copied", tmp_path / "none", code=1)
    assert result.stderr.startswith(said) and not (tmp_path / "none").exists()


@pytest.mark.parametrize("change", [append, replace, rot])
def test_what_is_damaged_here_goes_to_a_store_from_elsewhere(lab, node, make, change):
    for place in ("", "lab-02:"):
        put(node, make("copied", b"a" * 100000), place)
    change(node.directory / "peer_storage" / "copied")
    node.ctl("file", "get", "copied", "small:")
    assert node.ctl("file", "get", "small:copied", "-").stdout == "a" * 100000
    node.ctl("file", "rm", "lab-02:copied", "small:copied", "--yes")
    said = 'p2pctl: "copied" on lab-01 is damaged: it was changed since it was stored\n'
    for place in ("small:", "lab-02:"):
        assert node.ctl("file", "get", "copied", place, code=1).stderr.startswith(said)


def test_of_many_an_intact_copy_is_found_beside_a_damaged_one_here(lab, node, make, tmp_path):
    names = [f"copied{i:02}" for i in range(20)]
    for place in ("", "lab-02:"):
        node.ctl("file", "put", *[make(name, name.encode()) for name in names], *([place] if place else []))
    append(node.directory / "peer_storage" / names[7])
    for i, words in enumerate((["copied*"], names)):
        target = tmp_path / f"back{i}"
        target.mkdir()
        node.ctl("file", "get", *words, target)
        assert {path.name: path.read_text() for path in target.iterdir()} == {name: name for name in names}


@pytest.mark.parametrize("count", [1, 20], ids=["alone", "together"])
def test_a_file_of_1970_or_before_is_of_1970(node, make, where, tmp_path, count):
    paths = [make(f"old{i:02}", b"text") for i in range(count)]
    for i, path in enumerate(paths):
        os.utime(path, (-86400 * (i % 3), -86400 * (i % 3)))
    node.ctl("file", "put", *paths, *([where] if where else []))
    listed = node.json("file", "ls", where)["files"]
    assert [file["modified"] for file in listed] == ["1970-01-01T00:00:00.000Z"] * count
    target = tmp_path / "back"
    target.mkdir()
    node.ctl("file", "get", *[where + path.name for path in paths], target)
    assert [int(path.stat().st_mtime) for path in target.iterdir()] == [0] * count
    make("old00", b"newer")
    node.ctl("file", "put", "--overwrite=newer", paths[0], *([where] if where else []))
    assert node.ctl("file", "get", f"{where}old00", "-").stdout == "newer"


def test_a_mode_that_nobody_told_stays_unknown(lab, node, where):
    holder = lab["lab-02" if where else "lab-01"]
    names = [f"f{i}" for i in range(3)]
    with node.varlink() as client:
        for name in names:
            with open(__file__, "rb") as source:
                client.call("PutFile", {"name": name, "node": holder.name}, [source.fileno()])
        with open(lab.directory / "got", "w+b") as got:
            reply = client.call("GetFile", {"names": names, "node": holder.name}, [got.fileno()])
    assert [file["mode"] for file in reply["files"]] == [None] * 3
    assert [file["mode"] for file in node.json("file", "ls", where)["files"]] == [None] * 3


def test_of_a_damaged_file_one_is_told_once(lab, node, make, where, tmp_path):
    holder = lab["lab-02" if where else "lab-01"]
    name = "wanted-there" if where else "wanted-here"
    put(node, make(name, b"a" * 100000), where)
    append(holder.directory / "peer_storage" / name)
    for _ in range(3):
        node.ctl("file", "get", f"{where}{name}", tmp_path / "back", code=1)
    def told(one):
        events = one.json("events", "--type", "problem")["events"]
        return [event for event in events if f'the stored file "{name}" is damaged' in event["message"]]
    for one in {holder, node}:
        wait_for(lambda one=one: told(one), 10, "the damage to be told")
        assert len(told(one)) == 1


def test_of_many_those_that_were_changed_in_the_store_are_not_handed_out(lab, node, make, where, tmp_path):
    holder = lab["lab-02" if where else "lab-01"]
    paths = [make(f"f{i:02}", b"a" * 60000) for i in range(20)]
    node.ctl("file", "put", *paths, *([where] if where else []))
    for name, change in (("f03", append), ("f11", rot)):
        change(holder.directory / "peer_storage" / name)
    target = tmp_path / "back"
    target.mkdir()
    result = node.ctl("file", "get", f"{where}f*", target, code=1)
    for name in ("f03", "f11"):
        assert f'"{name}" on {holder.name} is damaged' in result.stderr
    assert sorted(path.name for path in target.iterdir()) == sorted({path.name for path in paths} - {"f03", "f11"})


def test_a_file_that_was_put_into_the_store_by_hand_is_handed_out(lab, node, where):
    holder = lab["lab-02" if where else "lab-01"]
    (holder.directory / "peer_storage" / "dropped").write_bytes(b"by hand")
    try:
        assert node.ctl("file", "get", f"{where}dropped", "-").stdout == "by hand"
    finally:
        node.ctl("file", "rm", f"{holder.name}:dropped")


@pytest.mark.parametrize("command", [
    ["file", "rm", "lab-02:data"], ["file", "ls", "lab-02:"], ["mem", "get", "lab-02:key"], ["-N", "lab-02", "status"]])
def test_a_node_that_does_not_answer_is_named(lab, node, make, command):
    put(node, make("data", b"x"), "lab-02:")
    late = lab["lab-02"]
    late.pause()
    try:
        result = node.ctl("--request-timeout", "1s", *command, code=7)
    finally:
        late.resume()
        lab.wait_joined()
    # Where this machine is slower than the verdict of the others, it is that.
    assert re.match("p2pctl: (lab-02 gave no answer in time|cannot reach lab-02: .*)\n", result.stderr)


def test_a_daemon_that_does_not_answer_is_not_mistaken_for_the_other_node(lab, node):
    node.pause()
    try:
        result = node.ctl("--request-timeout", "1s", "file", "ls", "lab-02:", code=1)
    finally:
        node.resume()
        lab.wait_joined()
    assert result.stderr.startswith('p2pctl: p2pnode "lab-01" gave no answer in time\n')
