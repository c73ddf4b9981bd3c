# SPDX-License-Identifier: MIT
"""Files of tasks when something goes wrong on the way: full disks, deaths, kills, cancelling."""
import hashlib
import json
import os
import re
from datetime import datetime, timezone

import pytest

from lib.disk import fill
from lib.gate import Gate
from lib.lab import FAST, STEADY, merge
from lib.wait import wait_for

MIB = 1 << 20
ROOMY = merge(FAST, {"tasks": {"result_max": "4GiB", "slots": 2, "lease": "3s"}})


def sh(script):
    return ("--", "sh", "-c", script)


def write_large(path, size):
    """A file that no compression and no hole makes small; returns its SHA-256."""
    digest, block = hashlib.sha256(), os.urandom(MIB)
    with open(path, "wb") as file:
        for i in range(size // MIB):
            file.write(block[i % 64:] + block[:i % 64])
            digest.update(block[i % 64:] + block[:i % 64])
    return digest.hexdigest()


def size_of_part(node):
    """Bytes of the largest bundle that the node is just writing."""
    sizes = [0]
    for entry in os.listdir(f"/proc/{node.pid}/fd"):
        path = f"/proc/{node.pid}/fd/{entry}"
        try:
            if "/taskfiles/part." in os.readlink(path):
                sizes.append(os.stat(path).st_size)
        except OSError:
            pass
    return max(sizes)


def kept_files(node):
    return sorted(os.listdir(node.directory / "taskfiles"))


def catch(nodes, size, begin, is_over):
    """Begins something until one of the nodes is seen in the middle of writing so many bytes, and stops that process.

    Returns what begin() returned, and the node, which is to be killed or resumed. What was too quick is over.
    """
    def find(thing):
        return next((node for node in nodes if 0 < size_of_part(node) < size), None) or is_over(thing)

    for _ in range(20):
        thing = begin()
        found = wait_for(lambda: find(thing), 60, "it to be on its way")
        if found is not True:
            found.pause()
            if 0 < size_of_part(found) < size:
                return thing, found
            found.resume()
            wait_for(lambda: is_over(thing), 60, "its end")
    raise AssertionError("it was never seen on its way")


def is_final(node, task):
    return node.task(task)["ended"] is not None


@pytest.fixture
def pair(make_lab):
    """An origin without slots of its own, and two workers."""
    lab = make_lab(ROOMY)
    lab.gate = Gate(lab)
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-02")
    lab.node("lab-03")
    return lab.start()


# ---- full disks

def test_a_full_disk_at_the_origin_refuses_the_task_and_keeps_nothing(make_lab, small_disk, tmp_path):
    lab = make_lab(STEADY)
    node = small_disk(lab.node("lone", role="seed"), 24).start()
    write_large(tmp_path / "large", 40 * MIB)
    result = node.ctl("submit", "--in", tmp_path / "large", "--", "true", code=1)
    assert "this node has no space for large" in result.stderr
    assert node.tasks() == []
    wait_for(lambda: kept_files(node) == [], 5, "the part to go")
    write_large(tmp_path / "fits", 4 * MIB)
    node.ctl("submit", "--wait", "--in", tmp_path / "fits", "--", "true")


def test_a_worker_without_space_for_the_inputs_is_left_for_another(make_lab, small_disk, tmp_path):
    lab = make_lab(merge(ROOMY, STEADY))
    origin = lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    small_disk(lab.node("lab-02"), 24)
    lab.start()
    write_large(tmp_path / "large", 40 * MIB)
    task = origin.submit("--in", tmp_path / "large", "--", "wc", "-c", "large")
    waiting = wait_for(lambda: (origin.task(task)["reason"] or "").endswith("its disk is full") and origin.task(task),
                       10, "the worker to refuse")
    assert waiting["state"] == "pending"
    waiter = origin.ctl_start("task", "wait", task)
    assert waiter.stderr.readline().decode() == f"waiting: {task}: not taken by lab-02: its disk is full\n"
    lab.node("lab-03").start()
    assert origin.wait_task(task, "succeeded", timeout=30)["node"] == "lab-03"
    assert waiter.wait(60) == 0
    assert origin.task(task)["attempt"] == 1, "a refusal counts as no attempt"
    assert origin.ctl("task", "logs", task).stdout == f"{40 * MIB} large\n"


def test_results_without_space_at_the_worker_fail_the_task(make_lab, small_disk):
    lab = make_lab(STEADY)
    node = small_disk(lab.node("lone", role="seed"), 24).start()
    task = node.submit("--retries", "0", "--out", "big", *sh("head -c 12000000 /dev/zero > big"))
    ended = node.wait_task(task, "failed")
    assert ended["reason"] == "exit 0, but its results are lost: the disk of lone is full"
    wait_for(lambda: kept_files(node) == [], 5, "the part to go")
    assert node.ctl("submit", "--wait", "--", "true").code == 0


def test_results_wait_at_the_worker_while_the_disk_of_the_origin_is_full(make_lab, small_disk, tmp_path):
    lab = make_lab(STEADY)
    gate = Gate(lab)
    origin = small_disk(lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed"), 24)
    lab.node("lab-02")
    lab.start()
    task = origin.submit("--out", "big", *sh(f"head -c 4000000 /dev/zero > big; {gate.wait}"))
    origin.wait_task(task, "running")
    filler = fill(origin)
    gate.open()
    waiting = wait_for(lambda: "results wait for space on lab-01" in (origin.task(task)["reason"] or "") and
                       origin.task(task), 20, "the results to wait")
    assert waiting["state"] in ("pending", "running")
    filler.unlink()
    origin.wait_task(task, "succeeded", timeout=30)
    origin.ctl("task", "get", task, tmp_path)
    assert (tmp_path / "big").stat().st_size == 4000000


def has_waiting_results(origin, task):
    return (origin.task(task)["reason"] or "").startswith("its results wait for space on lab-01") and origin.task(task)


def leave_little(node):
    """Takes the space that there is, but for what records of tasks need."""
    filler = fill(node)
    os.truncate(filler, os.stat(filler).st_size - 2 * MIB)
    return filler


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_waits_for_space_for_its_results_can_be_cancelled(make_lab, small_disk, is_restarted):
    lab = make_lab(STEADY)
    gate = Gate(lab)
    origin = small_disk(lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed"), 24)
    worker = lab.node("lab-02")
    lab.start()
    task = origin.submit("--out", "big", *sh(f"head -c 4000000 /dev/zero > big; {gate.wait}"))
    origin.wait_task(task, "running")
    filler = leave_little(origin)
    gate.open()
    wait_for(lambda: has_waiting_results(origin, task), 20, "the results to wait")
    moment = datetime.now(timezone.utc)
    if is_restarted:
        worker.kill()
        origin.stop()
        worker.start()
        origin.start()
        waiting = wait_for(lambda: has_waiting_results(origin, task), 60, "the results to wait again")
        assert waiting["state"] == "running"
        assert datetime.fromisoformat(waiting["started"]) < moment
    assert origin.ctl("task", "cancel", task).stdout == f"cancelled {task}\n"
    assert origin.task(task)["state"] == "cancelled"
    times = [entry["time"] for entry in origin.task(task)["timeline"]]
    assert times == sorted(times)
    filler.unlink()
    wait_for(lambda: kept_files(worker) == [] and kept_files(origin) == [], 30, "the files to go")
    assert origin.task(task)["state"] == "cancelled"


# ---- on the way to the worker

def begin_staging(lab, tmp_path, size=256 * MIB):
    """A task whose input is just going to a worker. Returns its id, the worker, which is stopped, and the file's hash."""
    origin = lab["lab-01"]
    digest = write_large(tmp_path / "large", size)
    task, worker = catch([lab["lab-02"], lab["lab-03"]], size,
                         lambda: origin.submit("--in", tmp_path / "large", "--", "sha256sum", "large"),
                         lambda task: is_final(origin, task))
    return task, worker, digest


def test_a_task_whose_files_are_on_their_way_says_so(pair, tmp_path):
    origin = pair["lab-01"]

    def look():
        """What is told while the worker is stopped in the middle; None where it had asked for the last piece already."""
        task, worker, _ = begin_staging(pair, tmp_path)
        found = origin.task(task)
        reader = origin.ctl_start("--json", "task", "logs", "-f", task)
        if not found["reason"].startswith("queued"):
            line = json.loads(reader.stdout.readline())
        worker.resume()
        origin.ctl("task", "cancel", task)
        origin.wait_task(task, "cancelled", "succeeded", timeout=60)
        return (found, line) if not found["reason"].startswith("queued") else None

    found, line = wait_for(look, 60, "the files to be on their way")
    assert re.fullmatch(rf"its files are on their way to {found['node']}: \d+%", found["reason"])
    assert (line["type"], line["node"]) == ("progress", found["node"]) and 0 < line["done_bytes"] < line["total_bytes"]


def test_cancelling_while_files_are_on_their_way(pair, tmp_path):
    origin = pair["lab-01"]
    task, worker, _ = begin_staging(pair, tmp_path)
    canceller = origin.ctl_start("task", "cancel", task)
    # The worker may go on when the origin has taken the word.
    wait_for(lambda: any("cancel" in entry["text"] for entry in origin.task(task)["timeline"]) or
             canceller.poll() is not None, 10, "the origin to know")
    worker.resume()
    canceller.communicate(timeout=60)
    assert canceller.returncode == 0
    ended = origin.wait_task(task, "cancelled")
    assert ended["exit"] is None and ended["signal"] is None
    wait_for(lambda: size_of_part(worker) == 0, 5, "the worker to drop what came")
    assert origin.ctl("task", "logs", task).stdout == ""
    origin.ctl("submit", "--wait", "-N", worker.name, "--", "true")


def test_a_worker_that_dies_while_files_are_on_their_way(pair, tmp_path):
    origin = pair["lab-01"]
    task, worker, digest = begin_staging(pair, tmp_path)
    worker.kill()
    ended = origin.wait_task(task, "succeeded", timeout=60)
    assert ended["node"] != worker.name
    assert origin.ctl("task", "logs", task).stdout.split()[0] == digest


def test_an_origin_that_is_killed_while_files_are_on_their_way(pair, tmp_path):
    origin = pair["lab-01"]
    task, worker, digest = begin_staging(pair, tmp_path)
    origin.kill()
    worker.resume()
    origin.start()
    origin.wait_task(task, "succeeded", timeout=60)
    assert origin.ctl("task", "logs", task).stdout.split()[0] == digest


# ---- on the way into the origin

def begin_taking(node, tmp_path, size=512 * MIB):
    """A client whose file is just coming in at a node, which is stopped; with the ids of the tasks before it."""
    write_large(tmp_path / "large", size)

    def begin():
        known = {task["id"] for task in node.tasks()}
        return node.ctl_start("submit", "--in", tmp_path / "large", "--", "true"), known

    (client, known), _ = catch([node], size, begin, lambda thing: thing[0].poll() is not None)
    return client, known


def no_trace(node, known):
    """Whether these tasks are all that there are, and no files but theirs."""
    numbers = {task.split("@")[0] for task in known}
    return {task["id"] for task in node.tasks()} == known and \
        all(name.split(".")[0] in numbers for name in kept_files(node))


def test_an_origin_that_is_killed_while_it_takes_files_in(make_lab, tmp_path):
    node = make_lab(ROOMY).node("lone", role="seed").start()
    client, known = begin_taking(node, tmp_path)
    node.kill()
    output, errors = client.communicate(timeout=60)
    assert client.returncode == 1 and output == b"" and errors.startswith(b"p2pctl: lost the connection"), errors
    node.start()
    assert no_trace(node, known), (known, node.tasks(), kept_files(node))


def test_a_client_that_goes_takes_its_files_along(make_lab, tmp_path):
    node = make_lab(ROOMY).node("lone", role="seed").start()
    client, known = begin_taking(node, tmp_path)
    client.kill()
    node.resume()
    wait_for(lambda: no_trace(node, known), 10, lambda: f"the part to go: {known}, {kept_files(node)}")


# ---- on the way back

def test_an_origin_that_is_killed_while_results_come(pair, tmp_path):
    origin = pair["lab-01"]
    size = 256 * MIB
    task, _ = catch([origin], size,
                    lambda: origin.submit("--out", "big", *sh(f"head -c {size} /dev/urandom > big; sha256sum big")),
                    lambda task: is_final(origin, task))
    origin.kill()
    assert any(name.startswith("part.") for name in kept_files(origin))
    origin.start()
    origin.wait_task(task, "succeeded", timeout=60)
    wait_for(lambda: not any(name.startswith("part.") for name in kept_files(origin)), 10, "no part to be left")
    origin.ctl("task", "get", task, tmp_path)
    with open(tmp_path / "big", "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(file.read()).hexdigest()
    assert origin.ctl("task", "logs", task).stdout.split()[0] == digest


def test_results_survive_a_kill_of_the_worker_that_nobody_has_asked_yet(pair, tmp_path):
    origin, worker = pair["lab-01"], pair["lab-02"]
    task = origin.submit("-N", "lab-02", "--out", "x", *sh("echo kept > x"))
    origin.wait_task(task, "running", "succeeded")
    task = origin.submit("-N", "lab-02", "--out", "x", *sh(f"echo kept > x; {pair.gate.wait}"))
    origin.wait_task(task, "running")
    origin.pause()
    pair.gate.open()
    try:
        wait_for(lambda: any(f".{task.split('@')[0]}." in name and name.endswith(".out") for name in kept_files(worker)),
                 10, "the worker to keep the result")
        worker.kill()
        worker.launch()
    finally:
        origin.resume()
    worker.wait_ready()
    ended = origin.wait_task(task, "succeeded", timeout=30)
    origin.ctl("task", "get", task, tmp_path)
    assert (tmp_path / "x").read_text() == "kept\n" and ended["attempt"] in (1, 2)
    wait_for(lambda: kept_files(worker) == [], 10, "the worker to forget what the origin has")


def test_a_result_of_a_node_that_does_not_answer_is_7(make_lab, tmp_path):
    lab = make_lab(merge(STEADY, {"membership": {"probe_interval": "60s", "probe_timeout": "30s"}}))
    node, mute = lab.node("seed", role="seed"), lab.node("mute")
    lab.start()
    mute.pause()
    try:
        node.ctl("--request-timeout", "1min", "task", "get", "1@mute", tmp_path, code=7, timeout=60)
        with open(tmp_path / "part", "wb") as part, node.varlink() as client:
            client.send("GetTaskFiles", {"id": "1@mute", "file": "x"}, descriptors=[part.fileno()])
            assert client.receive()["error"] == "org.p2pnode.Unreachable"
    finally:
        mute.resume()


# ---- size

def peak_kib(node):
    with open(f"/proc/{node.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_large_files_do_not_make_the_daemons_grow(pair, tmp_path):
    origin, worker = pair["lab-01"], pair["lab-02"]
    (tmp_path / "small").write_bytes(bytes(4 * MIB))
    origin.ctl("submit", "--wait", "-N", "lab-02", "--in", tmp_path / "small", "--out", "back",
               "--results", tmp_path / "first", *sh("cp small back"))
    before = peak_kib(origin), peak_kib(worker)
    digest = write_large(tmp_path / "large", 384 * MIB)
    origin.ctl("submit", "--wait", "-N", "lab-02", "--in", tmp_path / "large", "--out", "back",
               "--results", tmp_path / "second", *sh("cp large back"), timeout=120)
    with open(tmp_path / "second/back", "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == digest
    after = peak_kib(origin), peak_kib(worker)
    assert max(after[0] - before[0], after[1] - before[1]) < 16 * 1024, (before, after)


def test_files_of_a_task_go_with_it_where_it_is_refused_and_nobody_waits_for_that(make_lab, tmp_path):
    lab = make_lab(STEADY)
    one, two, _ = lab.node("one", role="seed"), *(lab.node(name, types=[{"name": "a", "users": ["x"]}]) for name in ("two", "three"))
    lab.start()
    (tmp_path / "file").write_bytes(os.urandom(MIB))
    for _ in range(8):
        two.pause()
        client = one.ctl_start("submit", "--in", tmp_path / "file", "a1")
        wait_for(lambda: client.poll() is not None or kept_files(one), 10, "its file")
        client.kill()
        client.wait()
        two.resume()
        wait_for(lambda: all(task["ended"] for task in one.tasks()), 10, "its end")
        one.ctl("task", "clean", "--yes")  # of one that was taken, as the answer came too late
        wait_for(lambda: kept_files(one) == [], 5, lambda: f"no file: {kept_files(one)}, {one.tasks()}")
