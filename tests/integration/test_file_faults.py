# SPDX-License-Identifier: MIT
"""Files when something goes wrong on the way: nodes that stall, sources that change, full disks, very many of them."""
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from fake_daemon import FakeDaemon
from lib.disk import disk_at
from lib.lab import CTL, FAST, STEADY, environment, merge
from lib.wait import wait_for

MIB = 1 << 20
MANY = int(os.environ.get("P2PNODE_FILES", "20000"))
SCRIPTS = {
    "latin": "ä", "cyrillic": "ж", "greek": "ω", "han": "測", "hangul": "한", "thai": "ก", "devanagari": "नि",
    "arabic": "ع", "hebrew": "ש", "mixed directions": "אa1ب", "combining": "e\u0301\u0323", "emoji": "🧪",
    "joined emoji": "👩\u200d🔬", "flags": "🇩🇪", "beyond the first plane": "𝛼",
}


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.node("lab-02")
    return lab.start()


@pytest.fixture
def node(lab):
    yield lab["lab-01"]
    for one in lab.running():
        if one.json("file", "ls")["files"]:
            one.ctl("file", "rm", "--yes", "*", timeout=600)


@pytest.fixture(params=["", "lab-02:"], ids=["here", "there"])
def where(request):
    return request.param


def stored(node):
    return sorted(path.name for path in (node.directory / "peer_storage").iterdir()
                  if path.is_file() and not path.name.startswith("-"))


def parts(node):
    return list((node.directory / "peer_storage").glob("-*/*"))


def size_of(path):
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def arrived(paths):
    """The bytes of the largest; a part may go at any moment."""
    return max((size_of(path) for path in paths), default=0)


def long_name(letters):
    """As near to 255 bytes as the script allows, and then exactly."""
    size = len(letters.encode())
    return letters * (255 // size) + "x" * (255 % size)


# ---- nodes that stall

def test_a_node_that_stalls_is_told_and_what_came_is_of_use(lab, node, tmp_path):
    """It accepts, and then neither sends nor takes: both directions at once, since each takes its half minute."""
    source, target = tmp_path / "large", tmp_path / "back"
    source.write_bytes(os.urandom(24 * MIB))
    late = lab["lab-02"]
    node.ctl("file", "put", source, "lab-02:stored")
    put = node.ctl_start("file", "put", "--rate", "2MiB", source, "lab-02:")
    get = node.ctl_start("file", "get", "--rate", "2MiB", "lab-02:stored", target)
    wait_for(lambda: arrived(parts(late)) > 2 * MIB and arrived(tmp_path.glob(".p2pctl-*")) > 2 * MIB, 30,
             "some of both to arrive")
    late.pause()
    try:
        for process in (put, get):
            _, stderr = process.communicate(timeout=240)
            assert process.returncode == 7, stderr
            # Whichever is known first.
            assert b"the other node has stalled" in stderr or b"lab-02 is dead" in stderr, stderr
    finally:
        late.resume()
    assert not target.exists()
    lab.wait_joined(30)
    wait_for(lambda: late.call("Status")["files"]["count"] == 1, 10, "the other node to answer")
    assert stored(late) == ["stored"]
    wait_for(lambda: "resumed at" in node.ctl("file", "put", source, "lab-02:", "--overwrite=always").stderr, 60,
             "the put to be resumed")
    assert "resumed at" in node.ctl("file", "get", "lab-02:stored", target).stderr
    assert target.read_bytes() == source.read_bytes()
    assert node.ctl("file", "get", "lab-02:large", "-").stdout_bytes == source.read_bytes()


def test_a_node_that_dies_is_told_when_it_is_declared_dead(make_lab, tmp_path):
    source = tmp_path / "large"
    source.write_bytes(bytes(24 * MIB))
    lab = make_lab(FAST)
    node, late = lab.node("seed", role="seed"), lab.node("lab-01")
    lab.start()
    put = node.ctl_start("file", "put", "--rate", "2MiB", source, "lab-01:")
    wait_for(lambda: arrived(parts(late)) > 2 * MIB, 30, "some to arrive")
    late.pause()
    try:
        _, stderr = put.communicate(timeout=120)
    finally:
        late.resume()
    assert put.returncode == 7 and b'cannot put "large" to lab-01: lab-01 is dead' in stderr, stderr
    assert b"hint: to go on from where it was: repeat the command\n" in stderr


def test_what_a_node_may_have_done_that_is_told_dead_is_not_told_as_undone(make_lab):
    lab = make_lab(merge(FAST, {"membership": {"probe_interval": "2s", "probe_timeout": "1s"}}))  # time to ask before
    node, late = lab.node("seed", role="seed"), lab.node("late")
    lab.start()
    node.ctl("mem", "set", "late:k", "before")
    node.ctl("file", "put", "-", "late:r", stdin=b"r")
    late.pause()
    try:
        asked = [node.ctl_start(*words, "--request-timeout", "60s")
                 for words in (("mem", "set", "late:k", "after", "--if-version", "1"), ("file", "rm", "late:r"),
                               ("mem", "get", "late:k"))]
        said = [process.communicate(timeout=60)[1].decode().splitlines()[0] for process in asked]
    finally:
        late.resume()
    may = "p2pctl: cannot reach late: it is dead; what was asked for may have been done"
    assert said == [may, may, "p2pctl: cannot reach late: it is dead"]


def test_a_put_that_nobody_waits_for_is_told_when_its_daemon_stops(lab, node, tmp_path):
    source, late = tmp_path / "unwaited", lab["lab-02"]
    source.write_bytes(os.urandom(24 * MIB))
    node.ctl("file", "put", "--no-wait", "--rate", "2MiB", source, "lab-02:")
    node.ctl("file", "put", "--no-wait", "--rate", "2MiB", source, "seed:other")
    wait_for(lambda: min(arrived(parts(late)), arrived(parts(lab["seed"]))) > 2 * MIB, 30, "some to arrive")
    node.restart()
    told = [event["message"] for event in node.json("events", "--type", "problem")["events"]]
    there, other = ([text for text in told if text.startswith(f'cannot put "{name}" to {place}: p2pnode stopped after ')
                     and text.endswith("of 24.0 MiB; repeat the command to go on from there")]
                    for name, place in (("unwaited", "lab-02"), ("other", "seed")))
    assert len(there) == 1 and len(other) == 1, told
    assert there[0] in node.log_text()
    lab.wait_joined(30)
    assert "resumed at" in node.ctl("file", "put", source, "lab-02:").stderr
    assert "resumed at" in node.ctl("file", "put", source, "seed:other").stderr


# ---- a store that is gone

@pytest.mark.parametrize("size", [7, 3 * MIB])
@pytest.mark.parametrize("count", [1, 2])
def test_a_store_that_is_gone_is_told_and_stops_nobody(make_lab, tmp_path, size, count):
    lab = make_lab(STEADY)
    node, other = lab.node("lone", role="seed"), lab.node("other")
    lab.start()
    paths = [tmp_path / f"f{i}" for i in range(count)]
    for path in paths:
        path.write_bytes(bytes(size))
    shutil.rmtree(node.directory / "peer_storage")
    why = f"{node.directory}/peer_storage: No such file or directory"
    for one, place in ((node, []), (other, ["lone:"])):
        stderr = one.ctl("file", "put", *paths, *place, code=1).stderr
        for path in paths:
            assert f'cannot store "{path.name}": the directory of files {why}' in stderr, stderr
    wait_for(lambda: not node.call("Status")["transfers"], 10, "nothing to be under way")
    status = node.json("status", "--check", code=5)
    assert [problem["message"] for problem in status["problems"] if problem["code"] == "files-dir"] == [
        f"no file can be stored: {why}"]
    assert any("files-dir" in check.get("name", "") or why in check["message"]
               for check in node.json("doctor", code=5)["checks"])
    node.restart()
    node.ctl("file", "put", *paths)


# ---- clients that take their time

def test_clients_that_say_nothing_stop_nobody(lab, node, tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"small")
    for place in ("", "lab-02:"):
        for i in range(8):
            node.ctl_start("file", "put", "-", f"{place or 'lab-01:'}silent{i}", stdin=subprocess.PIPE)
    wait_for(lambda: len(node.call("Status")["transfers"]) == 16, 10, "all to be under way")
    node.ctl("file", "put", small)
    for place in ("lab-02:", "seed:"):
        node.ctl("file", "put", small, place)
    lab["seed"].ctl("file", "put", small, "lab-02:other")
    for process in lab.helpers:
        process.kill()
    wait_for(lambda: not node.call("Status")["transfers"], 10, "them to end")


def test_who_waits_for_a_turn_is_told_so(lab, node, tmp_path):
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(bytes(16 * MIB))
    small.write_bytes(b"small")
    slow = [node.ctl_start("file", "put", "--rate", "100KiB", large, f"lab-02:large{i}") for i in range(3)]
    wait_for(lambda: sum(one["done_bytes"] > 0 for one in node.call("Status")["transfers"]) == 3, 10, "three to begin")
    late = node.ctl_start("file", "put", small, "seed:")
    assert late.stderr.readline() == b"small  waits: 3 transfers are under way\n"
    slow[0].kill()
    assert late.wait(30) == 0
    for process in slow:
        process.kill()
    wait_for(lambda: not node.call("Status")["transfers"], 10, "them to end")


# ---- sources that change

def change_length(path):
    with open(path, "ab") as file:
        file.write(b"more")


def change_bytes(path):
    with open(path, "r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize("change", [change_length, change_bytes])
def test_a_file_that_changes_while_it_is_read_is_not_stored(lab, node, tmp_path, change):
    source = tmp_path / "large"
    source.write_bytes(os.urandom(16 * MIB))
    holder = lab["lab-02"]
    process = node.ctl_start("file", "put", "--rate", "2MiB", source, "lab-02:")
    wait_for(lambda: arrived(parts(holder)) > MIB, 20, "some of it to arrive")
    change(source)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and b'"large" changed while it was read' in stderr, stderr
    assert stored(holder) == []
    # Put once more, it is what it is now.
    node.ctl("file", "put", source, "lab-02:")
    assert node.ctl("file", "get", "lab-02:large", "-").stdout_bytes == source.read_bytes()


# ---- full disks

@pytest.fixture
def small(tmp_path):
    with disk_at(tmp_path / "small", 2) as path:
        yield path


def test_a_get_onto_a_full_disk_leaves_nothing(node, where, tmp_path, small):
    source = tmp_path / "large"
    source.write_bytes(os.urandom(8 * MIB))
    node.ctl("file", "put", source, *([where] if where else []))
    result = node.ctl("file", "get", f"{where}large", small / "large", code=1)
    assert "No space left on device" in result.stderr and result.stderr.startswith("p2pctl: "), result.stderr
    assert list(small.iterdir()) == []


def test_of_many_got_onto_a_full_disk_those_that_fit_are_whole(node, where, tmp_path, small):
    paths = [tmp_path / f"f{i:02}" for i in range(40)]
    for path in paths:
        path.write_bytes(os.urandom(100_000))
    node.ctl("file", "put", *paths, *([where] if where else []))
    result = node.ctl("file", "get", f"{where}f*", small, code=1)
    assert "No space left on device" in result.stderr, result.stderr
    found = sorted(small.iterdir())
    assert 10 <= len(found) < 40
    for path in found:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


# ---- many at once

def test_many_are_got_together_whole_with_time_and_mode(node, where, tmp_path):
    target = tmp_path / "back"
    target.mkdir()
    paths = [tmp_path / f"f{i:03}" for i in range(400)]
    for i, path in enumerate(paths):
        path.write_bytes(os.urandom(i * 7))
        path.chmod((0o755, 0o644, 0o600, 0o400)[i % 4])
        os.utime(path, (1_700_000_000 + i, 1_700_000_000 + i))
    paths[7].write_bytes(os.urandom(600_000))  # one that goes alone
    node.ctl("file", "put", *paths, *([where] if where else []))
    result = node.ctl("file", "get", "--verify", f"{where}f*", target)
    assert result.stdout == "", result
    assert sorted(path.name for path in target.iterdir()) == [path.name for path in paths]
    for path in paths:
        back = target / path.name
        assert back.read_bytes() == path.read_bytes()
        assert back.stat().st_mode == path.stat().st_mode
        assert int(back.stat().st_mtime) == int(path.stat().st_mtime)
    # Nothing is overwritten unasked, and by name they come as well.
    paths[3].write_bytes(b"mine")
    (target / "f003").write_bytes(b"mine")
    (target / "f005").unlink()
    result = node.ctl("file", "get", *[where + path.name for path in paths], target, code=1)
    assert result.stderr.count("exists already") == 399, result.stderr[:1000]
    assert (target / "f003").read_bytes() == b"mine" and (target / "f005").read_bytes() == paths[5].read_bytes()
    replies = node.ctl("--json=lines", "file", "get", "--overwrite=always", f"{where}f00*", f"{where}f01*", target)
    assert replies.stdout.count("p2pctl.file-get/1") == 20


def test_one_of_many_that_cannot_be_got_does_not_hinder_the_others(lab, node, where, tmp_path):
    target = tmp_path / "back"
    target.mkdir()
    paths = [tmp_path / f"f{i:02}" for i in range(30)]
    for path in paths:
        path.write_bytes(b"a" * 1000)
    node.ctl("file", "put", *paths, *([where] if where else []))
    rotten = lab["lab-02" if where else "lab-01"].directory / "peer_storage" / "f11"
    status = rotten.stat()
    with open(rotten, "r+b") as file:
        file.write(b"b")
    os.utime(rotten, ns=(status.st_atime_ns, status.st_mtime_ns))
    names = [where + path.name for path in paths] + [f"{where}absent"]
    result = node.ctl("file", "get", *names, target, code=None)
    assert result.code in (1, 4) and "absent" in result.stderr and '"f11" on ' in result.stderr, result
    assert sorted(path.name for path in target.iterdir()) == [path.name for path in paths if path.name != "f11"]


def test_many_without_a_node_come_from_whoever_has_them(node, tmp_path):
    target = tmp_path / "back"
    target.mkdir()
    paths = [tmp_path / f"f{i:02}" for i in range(20)]
    for path in paths:
        path.write_bytes(path.name.encode())
    node.ctl("file", "put", *paths[:10])
    node.ctl("file", "put", *paths[10:], "lab-02:")
    node.ctl("file", "get", *[path.name for path in paths], target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {path.name: path.name for path in paths}


def test_names_of_255_bytes_in_every_script_together(node, where, tmp_path):
    target = tmp_path / "back"
    target.mkdir()
    names = [long_name(letters) for letters in SCRIPTS.values()] + [f"{letters}-{i}" for letters in SCRIPTS.values() for i in range(3)]
    for name in names:
        (tmp_path / name).write_text(name)
    node.ctl("file", "put", *[tmp_path / name for name in names], *([where] if where else []))
    assert {file["name"] for file in node.json("file", "ls", *([where] if where else []))["files"]} == set(names)
    node.ctl("file", "get", *[where + name for name in names], target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {name: name for name in names}
    node.ctl("file", "rm", "--yes", *[where + name for name in names])
    assert node.json("file", "ls", *([where] if where else []))["files"] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_name_of_255_bytes_goes_everywhere_alone(node, tmp_path, script):
    name = long_name(SCRIPTS[script])
    assert len(name.encode()) == 255
    (tmp_path / name).write_text("x")
    node.ctl("file", "put", tmp_path / name, "lab-02:")
    assert node.ctl("file", "get", f"lab-02:{name}", tmp_path / "back").code == 0
    assert (tmp_path / "back").read_text() == "x"
    assert name in node.ctl("file", "ls", "--no-legend", "lab-02:").stdout
    assert node.ctl("file", "rm", f"lab-02:{name}").stdout.startswith(f"removed {name} from lab-02")


class Growth:
    """By how many KiB the peak of a daemon's memory grew since."""

    def __init__(self, node):
        self.node, self.before = node, self.read(node, "VmRSS")
        pathlib.Path(f"/proc/{node.pid}/clear_refs").write_text("5")

    @staticmethod
    def read(node, key):
        for line in pathlib.Path(f"/proc/{node.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise KeyError(key)

    def get(self):
        return self.read(self.node, "VmHWM") - self.before


PEAK = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); " \
       "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


@pytest.mark.parametrize("options", [[], ["--json=lines"]], ids=["table", "lines"])
def test_a_list_of_very_many_files_is_not_held(tmp_path, options):
    def peak(parts):
        daemon.answers["ListFiles"] = [{"schema": "p2pctl.files/1", "files": files}] * parts
        command = [CTL, "--socket", daemon.path, "file", "ls", *options]
        return int(subprocess.check_output([sys.executable, "-IS", "-c", PEAK, *command], env=environment(), timeout=120))

    files = [{"name": f"f{i:05}", "node": "lab-01", "size_bytes": i, "sha256": f"{i:064}", "owner": "ann",
              "modified": "2026-01-02T03:04:05.000Z", "executable": False} for i in range(500)]
    daemon = FakeDaemon(tmp_path / "p2pnode" / "lab.sock", {})
    try:
        few, many = peak(2), peak(80)
    finally:
        daemon.close()
    assert many <= few + 4096, f"{few} KiB for 1,000 files, {many} KiB for 40,000"


def test_a_node_that_dies_among_many_files_is_told_with_how_many_are_missing(make_lab, tmp_path):
    lab = make_lab(FAST)
    node, victim = lab.node("seed", role="seed"), lab.node("victim")
    lab.start()
    paths = [tmp_path / f"f{i:04}" for i in range(1000)]
    for path in paths:
        path.write_bytes(os.urandom(1000))
    process = node.ctl_start("file", "put", "--rate", "100KiB", *paths, "victim:")
    wait_for(lambda: (victim.directory / "peer_storage" / "f0000").exists(), 20, "the first pack")
    victim.kill()
    said = process.stderr.read().decode()
    assert process.wait(60) == 7
    missing = re.search(r"^of 1000 files (\d+) are not known to be stored; repeat", said, re.MULTILINE)
    assert missing and 0 < int(missing[1]) <= 1000, said


def test_very_many_tiny_files_in_bounded_memory(lab, node, tmp_path):
    """P2PNODE_FILES=1000000 for a million."""
    holder = lab["lab-02"]
    source, target = tmp_path / "source", tmp_path / "back"
    source.mkdir()
    target.mkdir()
    names = [f"tiny-{i:07}" for i in range(MANY)]
    digest = hashlib.sha256()
    for name in names:
        (source / name).write_bytes(name.encode() if int(name[5:]) % 5 else b"")
    kept = parts(holder)  # for a resume that never came, of another test
    growth = {one.name: Growth(one) for one in (node, holder)}
    for first in range(0, MANY, 10000):
        node.ctl("file", "put", *names[first:first + 10000], "lab-02:", cwd=source, timeout=300)
    count = 0
    for prefix in sorted({name[:8] for name in names}):
        listed = node.json("file", "ls", f"lab-02:{prefix}*", timeout=300)["files"]
        for file in listed:
            digest.update(file["name"].encode())
        count += len(listed)
        node.ctl("file", "get", f"lab-02:{prefix}*", target, timeout=300)
        node.ctl("file", "rm", "--yes", f"lab-02:{prefix}*", timeout=300)
    assert count == MANY and digest.hexdigest() == hashlib.sha256("".join(names).encode()).hexdigest()
    assert sum(1 for _ in os.scandir(target)) == MANY
    for name in names[::997]:
        assert (target / name).read_bytes() == (source / name).read_bytes()
    assert stored(holder) == [] and set(parts(holder)) <= set(kept)
    assert holder.call("Status")["files"]["used_bytes"] == 0 or kept
    grown = {name: one.get() for name, one in growth.items()}
    print(f"{MANY} files; peaks grew by {grown} KiB")
    assert max(grown.values()) <= 16 * 1024, grown
