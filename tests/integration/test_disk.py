# SPDX-License-Identifier: MIT
"""A disk that is full: what is new is refused in words, what is there stays, and all goes on afterwards."""
import contextlib
import json
import os
import re
import resource
import signal
import sqlite3

import pytest

from lib.disk import disk_at, fill, take_inodes
from lib.lab import STEADY
from lib.wait import wait_for

MIB = 1 << 20


def records(node):
    """The ids of the tasks that the database has."""
    with contextlib.closing(sqlite3.connect(f"file:{node.directory / 'state.db'}?mode=ro", uri=True)) as database:
        return {f"{number}@{node.name}" for number, in database.execute("SELECT number FROM task")}


@pytest.fixture
def node(make_lab, small_disk):
    """A node whose state directory is a file system of 24 MiB."""
    node = make_lab(STEADY).node("lone", {"files": {"quota": "1GiB", "reserve": "1MiB"}}, role="seed", types=["a"])
    return small_disk(node, 24).start()


def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(node, tmp_path):
    node.ctl("file", "put", "-", "lone:kept", stdin=b"kept")
    source = tmp_path / "large"
    with open(source, "wb") as file:
        file.truncate(40 * MIB)
    result = node.ctl("file", "put", source, code=1)
    assert "the disk has room for" in result.stderr, result.stderr
    result = node.ctl("file", "put", "-", "lone:piped", stdin=bytes(40 * MIB), code=1)
    assert result.stderr.startswith("p2pctl: ")
    assert [file["name"] for file in node.json("file", "ls")["files"]] == ["kept"]
    assert node.ctl("file", "get", "kept", "-").stdout == "kept"

    def free():
        space = os.statvfs(node.directory)
        return space.f_bavail * space.f_frsize
    wait_for(lambda: free() > 10 * MIB, 5, "what came of it to be removed")


def test_a_get_names_what_it_cannot_write(node, tmp_path):
    node.ctl("file", "put", "-", "lone:large", stdin=os.urandom(2 * MIB))
    with disk_at(tmp_path / "small", 1) as small:
        refused = node.ctl("file", "get", "large", small / "copy", code=1)
        assert refused.stderr == f"p2pctl: cannot write {small}/copy: No space left on device\n"
        assert not list(small.iterdir())


NO_INODE = "no inode left"


def test_a_disk_without_inodes_is_told_from_one_without_room(make_lab, small_disk, tmp_path):
    node = make_lab(STEADY).node("lone", {"files": {"quota": "1GiB", "reserve": "1MiB"}}, role="seed")
    small_disk(node, 24, ",nr_inodes=300").start()
    paths = [tmp_path / f"f{i}" for i in range(6)]
    for path in paths:
        path.write_text("small")
    taken = take_inodes(node.directory)
    one = node.ctl("file", "put", paths[0], code=1)
    assert NO_INODE in one.stderr and one.stderr.count("\n") == 1, one.stderr
    many = node.ctl("file", "put", *paths, code=1)
    assert many.stderr.count(NO_INODE) == len(paths), many.stderr
    refused = node.ctl("--json=short", "file", "put", paths[0], code=1)
    assert json.loads(refused.stderr)["error"]["code"] == "no-space", refused
    for path in taken:
        path.unlink()
    node.ctl("file", "put", *paths)
    assert node.ctl("file", "get", "f5", "-").stdout == "small"


class Inodes:
    """All of a node's disk. What a task or a thread has unlinked may come back a moment later, and is taken as well."""

    def __init__(self, node):
        self.node, self.taken = node, []

    def wait_code(self, code, *words):
        """The command once it ends so."""
        def look():
            self.taken += take_inodes(self.node.directory)
            result = self.node.ctl(*words, code=None)
            return result if result.code == code else None
        return wait_for(look, 20, f"{words} to end with {code}")

    def wait_waiter(self, target, reason):
        """Who waits for a task with results, and is told why."""
        def look():
            self.taken += take_inodes(self.node.directory)
            waiter = self.node.ctl_start("submit", "--wait", "--out", f"made={target}", "--", "touch", "made")
            line = waiter.stderr.readline().decode()
            if line.startswith("waiting: "):
                assert re.fullmatch(rf"waiting: \d+@\S+: {reason}\n", line), line
                return waiter
            return None  # it had its results, or finds those of the one before
        return wait_for(look, 20, "a task to wait")

    def give_back(self):
        for path in self.taken:
            path.unlink()


def test_a_disk_without_inodes_is_a_problem_as_a_full_one_is(make_lab, small_disk, tmp_path):
    node = make_lab(STEADY).node("lone", {"files": {"quota": "1GiB", "reserve": "1MiB"}}, role="seed")
    small_disk(node, 24, ",nr_inodes=300").start()
    source = tmp_path / "source"
    source.write_text("small")
    running = node.submit("--", "sleep", "600")  # what runs tasks has begun
    node.wait_task(running, "running")
    inodes = Inodes(node)
    problems = json.loads(inodes.wait_code(5, "status", "--check", "--json").stdout)["problems"]
    assert [one["message"] for one in problems if one["code"] == "disk-full"] == ["the disk of stored files has no inode left"]
    checks = json.loads(inodes.wait_code(5, "doctor", "disk", "--json").stdout)["checks"]
    assert [(one["status"], one["fix"]) for one in checks] == [("failed", "df -i; remove small files there")]
    refused = inodes.wait_code(1, "submit", "--in", source, "--", "true").stderr
    assert refused.startswith("p2pctl: cannot keep the files: the disk has no inode left: remove small files there (df -i)\n")
    waiter = inodes.wait_waiter(tmp_path / "made", "not taken by lone: its disk is full")
    inodes.give_back()
    assert waiter.wait(60) in (0, 125)
    assert (tmp_path / "made").exists() and node.ctl("status", "--check").code == 0
    node.ctl("task", "cancel", running)


def test_who_waits_for_results_hears_that_the_disk_has_no_inode(make_lab, small_disk, tmp_path):
    lab = make_lab(STEADY)
    origin = small_disk(lab.node("origin", {"tasks": {"enabled": False}}, role="seed"), 24, ",nr_inodes=300")
    lab.node("worker")
    lab.start()
    inodes = Inodes(origin)
    waiter = inodes.wait_waiter(
        tmp_path / "made", r"its results wait for space on origin: the disk has no inode left: remove small files there \(df -i\)")
    inodes.give_back()
    assert waiter.wait(60) in (0, 125) and (tmp_path / "made").exists()


def test_a_get_onto_a_disk_without_inodes_says_so(node, tmp_path):
    paths = [tmp_path / f"f{i}" for i in range(6)]
    for path in paths:
        path.write_text("small")
    node.ctl("file", "put", *paths)
    with disk_at(tmp_path / "small", 2, ",nr_inodes=20") as small:
        taken = take_inodes(small)
        for pattern, count in (("f0", 1), ("f*", len(paths))):
            refused = node.ctl("file", "get", pattern, small, code=1).stderr
            assert refused.count("No space left on device") == count and NO_INODE in refused, refused
        taken[0].unlink()
        node.ctl("file", "get", "f0", small)


def test_of_many_small_files_those_that_do_not_fit_are_refused(node, tmp_path):
    paths = [tmp_path / f"f{i:03}" for i in range(150)]
    for path in paths:
        path.write_bytes(os.urandom(200_000))
    result = node.ctl("file", "put", *paths, code=1)
    stored = node.json("file", "ls")["files"]
    # Whose turn it was first, of two packs on their way beside each other, is not said.
    for name in {path.name for path in paths} - {file["name"] for file in stored}:
        assert f'"{name}" has 195.3 KiB, and the disk has room for' in result.stderr, result.stderr
    assert 20 <= len(stored) < 150 and all(file["size_bytes"] == 200_000 and file["sha256"] for file in stored)
    for file in stored[:: len(stored) // 5]:
        assert node.ctl("file", "get", file["name"], "-").stdout_bytes == (tmp_path / file["name"]).read_bytes()
    wait_for(lambda: not list((node.directory / "peer_storage" / "-parts").iterdir()), 5, "no part to be left")


def test_a_node_starts_on_a_disk_that_its_own_records_have_filled(make_lab, small_disk):
    node = make_lab(STEADY).node("lone", {"files": {"reserve": "0B"}}, role="seed", types=["a"])
    small_disk(node, 3).start()
    task = node.submit("a1")
    node.wait_task(task, "succeeded")
    for _ in range(400):  # until its log has no room
        if node.ctl("mem", "set", "lone:key", "-", stdin=os.urandom(30_000), code=None).code:
            break
    filler = fill(node)
    node.kill()
    node.launch()
    node.wait_ready()
    assert node.task(task)["state"] == "succeeded"
    filler.unlink()
    wait_for(lambda: node.ctl("submit", "--wait", "a1", code=None).code == 0, 15, "tasks to be taken again")


def test_a_task_that_cannot_be_recorded_is_refused_and_the_rest_goes_on(node):
    before = node.submit("--", "echo", "before")
    node.wait_task(before, "succeeded")
    filler = fill(node)

    def refused():
        result = node.ctl("submit", "--", "true", code=None)
        return result if result.code else None

    result = wait_for(refused, 15, "a submit to be refused")
    assert result.code == 1 and result.stdout == "" and "saved" in result.stderr, result
    assert node.ctl("task", "logs", before).stdout == "before\n"
    wait_for(lambda: any(problem["code"] == "disk-full" for problem in node.call("Status")["problems"]), 5, "the problem")
    assert node.ctl("status", "--check", code=5).stdout
    filler.unlink()
    wait_for(lambda: node.ctl("submit", "--wait", "a1", code=None).code == 0, 15, "tasks to be taken again")
    numbers = [int(task["id"].split("@")[0]) for task in node.tasks()]
    assert len(numbers) == len(set(numbers))


def test_the_output_of_a_task_that_no_longer_fits_ends_and_the_task_too(node):
    result = node.ctl("submit", "--wait", "--", "sh", "-c", "head -c 60000000 /dev/zero; echo end >&2", code=None, timeout=60)
    assert result.code in (0, 125), result
    assert node.call("Status")["running"]
    task = node.tasks()[-1]
    assert task["state"] in ("succeeded", "failed", "lost"), task


def test_ends_that_a_worker_cannot_write_are_written_when_there_is_room(make_lab, small_disk):
    """What could not be written once was taken as written, and went with the worker."""
    lab = make_lab(STEADY)
    go = lab.directory / "marks" / "go"
    go.parent.mkdir()
    lab.settings = {**lab.settings, "sandbox": {"write": [str(go.parent)]}}
    origin = lab.node("origin", {"tasks": {"enabled": False}}, role="seed")
    worker = small_disk(lab.node("worker", {"tasks": {"slots": 16}}), 24)
    lab.start()
    # More than what the log of the database has room for already.
    command = f"until test -e {go}; do sleep 0.05; done; head -c 50000 /dev/zero | tr '\\0' x"
    tasks = [origin.submit("--", "sh", "-c", command) for _ in range(16)]
    for task in tasks:
        origin.wait_task(task, "running")
    origin.pause()
    filler = fill(worker)
    go.touch()
    wait_for(lambda: "Cannot keep how tasks of other nodes ended" in worker.log_text(), 20, "the disk to be too small")
    filler.unlink()
    wait_for(lambda: worker.kept_ends() == 16, 20, "all ends on the disk")
    worker.kill()
    worker.start()
    origin.resume()
    for task in tasks:
        assert origin.wait_task(task, "succeeded")["attempt"] == 1
        assert origin.ctl("task", "logs", task).stdout == "x" * 50000


def values(node):
    """What of memory the disk has."""
    with contextlib.closing(sqlite3.connect(f"file:{node.directory / 'state.db'}?mode=ro", uri=True)) as database:
        return {key: data.decode() for key, data in database.execute("SELECT key, data FROM value WHERE key NOT LIKE 'big%'")}


def unsaved(node):
    return [problem for problem in node.call("Status")["problems"] if problem["code"] == "memory-unsaved"]


def refused(node, words):
    result = node.ctl(*words, stdin=os.urandom(900_000), code=None)
    return result if result.code else None


def test_values_are_kept_in_memory_and_saved_when_there_is_room(node):
    filler = fill(node)
    node.ctl("mem", "set", "key", "value", code=None)
    filler.unlink()
    wait_for(lambda: node.ctl("mem", "set", "other", "value", code=None).code == 0, 15, "the room to be seen")
    node.restart()
    assert node.ctl("mem", "get", "other").stdout == "value"


def test_values_that_have_no_room_are_told_and_refused(node):
    node.ctl("mem", "set", "old", "v1")
    node.ctl("mem", "set", "gone", "x")
    wait_for(lambda: values(node) == {"old": "v1", "gone": "x"}, 10, "values on the disk")
    filler = fill(node)
    result = wait_for(lambda: refused(node, ["mem", "set", f"big{os.urandom(4).hex()}", "-"]), 20, "a value to be refused")
    assert "has no room on the disk of lone" in result.stderr, result
    node.ctl("mem", "set", "old", "v2")
    node.ctl("mem", "rm", "gone")
    wait_for(lambda: values(node) == {"old": "v2"}, 20, "what is small, and the removal, on the disk")
    assert unsaved(node)[0]["since"] and "No space left on device" in unsaved(node)[0]["message"]
    assert "memory cannot be saved" in node.log_text()
    doctor = node.ctl("doctor", code=None)
    assert doctor.code and "memory cannot be saved" in doctor.stdout, doctor
    filler.unlink()
    # There may be more of them than the whole disk has room for.
    node.ctl("mem", "rm", *(row["key"] for row in node.json("mem", "ls", "big")["keys"]))
    wait_for(lambda: not unsaved(node), 30, "all of memory on the disk")
    node.ctl("mem", "set", "big", "-", stdin=bytes(900_000))


def test_a_stop_says_what_it_could_not_save_and_saves_what_it_can(node):
    """All of it was acknowledged within the second before."""
    node.ctl("mem", "set", "old", "v1")
    node.ctl("mem", "set", "gone", "x")
    wait_for(lambda: values(node) == {"old": "v1", "gone": "x"}, 10, "values on the disk")
    filler = fill(node)
    for i in range(15):
        node.ctl("mem", "set", f"big{i}", "-", stdin=os.urandom(900_000), code=None)
    node.ctl("mem", "set", "old", "v2")
    node.ctl("mem", "rm", "gone")
    assert node.stop() == 0
    assert "could not be saved" in node.log_text()
    filler.unlink()
    node.start()
    assert node.ctl("mem", "get", "old").stdout == "v2"
    node.ctl("mem", "get", "gone", code=4)


def test_a_node_starts_on_a_disk_that_others_have_filled(node):
    """What it opens its databases with has room where it keeps some for itself."""
    node.ctl("file", "put", "-", "lone:kept", stdin=b"kept")
    node.ctl("mem", "set", "key", "value")
    assert node.stop() == 0
    filler = fill(node)
    node.start()
    assert node.ctl("file", "get", "kept", "-").stdout == "kept"
    assert node.ctl("mem", "get", "key").stdout == "value"
    filler.unlink()


def test_a_node_that_has_no_room_to_start_says_so(node):
    node.ctl("file", "put", "-", "lone:kept", stdin=b"kept")
    assert node.stop() == 0
    (node.directory / "state.reserve").unlink()
    filler = fill(node)
    node.launch()
    assert node.wait_end() == 1
    assert "No space left on device" in node.log_text() and "make room on its disk" in node.log_text()
    filler.unlink()
    node.start()


def test_a_limit_of_the_size_of_files_is_a_full_disk(make_lab):
    node = make_lab(STEADY).node("lone", {"tasks": {"slots": 4}}, role="seed", types=["a"]).start()
    limit = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    for size in (2_000_000, 1_000_000):
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (size, limit[1]))
        wait_for(lambda: refused(node, ["mem", "set", f"big{os.urandom(4).hex()}", "-"]), 20, "a value to be refused")
    wait_for(lambda: unsaved(node), 10, "the problem")
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, limit)
    wait_for(lambda: not unsaved(node), 30, "all of memory on the disk")
    for words in (["--", "grep", "SigIgn", "/proc/self/status"], ["--", "sh", "-c", "grep SigIgn /proc/$$/status"]):
        ignored = int(node.ctl("submit", "--wait", *words).stdout.split()[1], 16)
        assert not ignored & (1 << (signal.SIGXFSZ - 1) | 1 << (signal.SIGPIPE - 1)), words


BY_LIMIT = "more than a file may have there by a limit of the process or the file system"


def limit_files(process, size):
    """The one limit of the size of files goes, the other stays."""
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, most))


def test_a_limit_of_the_size_of_files_is_named(make_lab, tmp_path):
    node = make_lab(STEADY).node("lone", role="seed").start()
    source = tmp_path / "source"
    source.write_bytes(bytes(3_000_000))
    limit_files(node.process.pid, 1_000_000)
    for option in ("--in", "--stdin"):
        refused = node.ctl("submit", option, source, "--", "true", code=1).stderr
        name = "source" if option == "--in" else "standard input"
        assert refused == f"p2pctl: cannot keep {name}: {BY_LIMIT}\n"
    task = node.submit("--", "head", "-c", "3000000", "/dev/zero")
    node.wait_task(task, "succeeded")
    wait_for(lambda: node.task(task)["output_lost"] == f"{BY_LIMIT} on lone", 10, "the loss to be told")
    assert "tasks.output_max" not in node.ctl("task", "logs", task).stderr


def test_a_limit_of_the_size_of_results_is_named(make_lab):
    """Of what collects them, which has it from the node that has started it."""
    node = make_lab(STEADY).node("lone", role="seed")
    before, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit_files(0, 1_000_000)
    try:
        node.start()
    finally:
        limit_files(0, before)
    task = node.submit("--retries", "0", "--out", "big*", "--", "sh", "-c",
                       "for i in 1 2 3; do head -c 600000 /dev/zero > big$i; done")
    assert node.wait_task(task, "failed")["reason"] == f"exit 0, but its results are lost: {BY_LIMIT}"


def test_what_is_cleaned_on_a_full_disk_stays_away(make_lab, small_disk):
    lab = make_lab(STEADY)
    node = lab.node("lone", {"files": {"reserve": "1MiB"}, "tasks": {"slots": 8}}, role="seed", types=["a"])
    small_disk(node, 24).start()
    tasks = [node.submit("--", "sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x") for _ in range(150)]
    for task in tasks:
        node.wait_task(task, "succeeded")
    filler = fill(node)
    wait_for(lambda: node.ctl("submit", "--", "true", code=None).code, 15, "a submit to be refused")
    answer = json.loads(node.ctl("task", "clean", "--yes", "--state", "succeeded", "--json").stdout)
    assert answer["cleaned"] >= 150, answer
    left = {task["id"] for task in node.tasks()}
    assert not left & set(tasks)
    node.kill()
    filler.unlink()
    node.start()
    assert {task["id"] for task in node.tasks()} <= left


def test_what_is_cleaned_where_not_even_that_has_room_goes_when_there_is(make_lab, small_disk):
    """The space that is kept for it is gone, too."""
    node = small_disk(make_lab(STEADY).node("lone", {"files": {"reserve": "1MiB"}}, role="seed"), 24).start()
    tasks = [node.submit("--", "head", "-c", "20000", "/dev/zero") for _ in range(20)]
    for task in tasks:
        node.wait_task(task, "succeeded")
    os.truncate(node.directory / "state.reserve", 0)
    filler = fill(node)
    wait_for(lambda: node.ctl("submit", "--", "true", code=None).code, 15, "a submit to be refused")
    result = node.ctl("task", "clean", "--yes", "--state", "succeeded", code=None)
    assert result.code in (0, 1), result
    left = {task["id"] for task in node.tasks()}
    assert not left & set(tasks)
    filler.unlink()
    wait_for(lambda: not records(node) & set(tasks), 15, "the records to go")
