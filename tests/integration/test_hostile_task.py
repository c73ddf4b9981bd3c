# SPDX-License-Identifier: MIT
"""A task that wants out (hostile.c), at the levels that every machine has; at level full: tests/boot/vm_job.sh."""
import os
import pathlib
import re
import subprocess

import pytest

from lib.lab import BUILD, STEADY
from lib.wait import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSTILE = BUILD / "tests" / "hostile"
LEVELS = ["landlock", "namespaces"]
MANUAL = ROOT / "daemon" / "p2pnode.8"
# What a level does not keep out, as the manual says it; everything else it does.
OPEN = {("landlock", "bomb")}


def names():
    return re.findall(r'^    \{"([a-z-]+)", attempt_|, +\{"([a-z-]+)", attempt_',
                      (ROOT / "tests/integration/hostile.c").read_text(), re.M)


ATTEMPTS = sorted({name for pair in names() for name in pair if name} - {"fill", "output"})


def processes():
    """Of all: number, parent, words."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        found.append((int(path.name), parent, words))
    return found


def exec_of(node):
    """Which a node that has just begun may not have yet."""
    return wait_for(lambda: [number for number, parent, words in processes()
                             if parent == node.pid and "p2pnode-exec" in words[0]], 10, "p2pnode-exec")[0]


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    for i, level in enumerate(LEVELS):
        lab.node(level, {"sandbox": {"mode": level}, "tasks": {"slots": 4, "output_max": "1MiB"}},
                 role="peer" if i else "seed")
    return lab.start()


def attempt(lab, level, name, *options, code=0):
    """One attempt, told where everything is; returns what p2pctl said."""
    node = lab[level]
    where = {"P2_SOCKET": node.socket, "P2_STATE": node.directory, "P2_KEYS": lab.keyring,
             "P2_ROOT": node.directory / "work", "P2_PID": node.pid, "P2_EXEC": exec_of(node),
             "P2_ADDRESS": node.ip, "P2_PORT": 7717}
    return node.ctl("submit", "-N", level, "--wait", "--in", HOSTILE, *options,
                    *(f"--env={key}={value}" for key, value in where.items()), "--", "./hostile", name, code=code)


@pytest.mark.parametrize("name", ATTEMPTS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_hostile_task_is_kept_out(lab, level, name):
    node = lab[level]
    other = node.submit("-N", level, "--", "sh", "-c", "echo secret > secret; echo ready; sleep 1000.78")
    wait_for(lambda: node.ctl("task", "logs", other).stdout == "ready\n", 10, "another task to run")
    server, pid = exec_of(node), node.pid
    is_open = (level, name) in OPEN
    result = attempt(lab, level, name, code=1 if is_open else 0)
    assert result.stdout.splitlines()[-1].startswith("got" if is_open else "kept out"), result.stdout
    assert (exec_of(node), node.pid) == (server, pid) and node.is_running
    assert node.task(other)["state"] == "running", "the other task was hit"
    wait_for(lambda: not [words for _, _, words in processes() if "./hostile" in words or "1000.77" in words], 5,
             "what was killed to be gone")
    node.ctl("task", "cancel", "--signal", "KILL", other)
    node.wait_task(other, "cancelled")


@pytest.mark.parametrize("level", LEVELS)
def test_endless_output_is_cut(lab, level):
    result = attempt(lab, level, "output")
    assert 1 << 19 < len(result.stdout) + len(result.stderr) < 2 << 20


@pytest.mark.parametrize("level", LEVELS)
def test_a_link_is_no_result(lab, level, tmp_path):
    """Whoever packs the results must not follow where the task points."""
    node = lab[level]
    script = f"ln -s {lab.keyring} leak; ln -s / root; ln {lab.keyring} hard; echo fine > fine; exit 0"
    node.ctl("submit", "-N", level, "--wait", "--out", "*", "--out", f"root{lab.keyring}", "--results", tmp_path,
             "--", "sh", "-c", script, code=None)
    wanted = lab.keyring.read_bytes()
    assert (tmp_path / "fine").read_text() == "fine\n"
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == wanted]


@pytest.mark.parametrize("level", LEVELS)
def test_a_full_disk_is_the_tasks_own_trouble(make_lab, level):
    """It fills the disk; the daemon goes on, and with the end of the task there is room again."""
    lab = make_lab(STEADY)
    node = lab.node(level, {"sandbox": {"mode": level}}, role="seed")
    node.directory.mkdir(mode=0o711)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M,mode=711", "tmpfs", node.directory], check=True)
    try:
        node.start()
        assert re.match(r"\d+ times, then No space left on device\n", attempt(lab, level, "fill").stdout)

        def free():
            space = os.statvfs(node.directory)
            return space.f_bavail * space.f_frsize
        wait_for(lambda: free() > 32 << 20, 5, "the room that it took")
        assert node.ctl("submit", "--wait", "--", "echo", "on").stdout == "on\n"
        assert node.stop() == 0
    finally:
        if node.is_running:
            node.kill()
        subprocess.run(["umount", "--lazy", node.directory], check=True)


def test_the_manual_has_every_attempt(lab):
    listed = re.findall(r"^\.It Sy ([a-z-]+)", MANUAL.read_text(), re.M)
    assert sorted(listed) == sorted([*ATTEMPTS, "fill", "output"])
