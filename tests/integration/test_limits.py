# SPDX-License-Identifier: MIT
"""What a task may use, where no control group limits it; with one: tests/boot/vm_job.sh."""
import os

import pytest

from lib.lab import STEADY

LEVELS = ["landlock", "namespaces"]


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    for i, level in enumerate(LEVELS):
        lab.node(level, {"sandbox": {"mode": level}, "tasks": {"slots": 4}}, role="peer" if i else "seed")
    return lab.start()


def python(lab, level, script, *options, code=0):
    return lab["landlock"].ctl("submit", "-N", level, "--wait", *options, "--", "python3", "-c", script, code=code)


def last_reason(lab):
    return lab["landlock"].tasks()[-1]["reason"]


@pytest.mark.parametrize("level", LEVELS)
def test_the_memory_of_all_processes_counts_together(lab, level):
    """No process has more than the limit, all of them have: killed, and told as what it is."""
    script = ("import os, signal\n"
              "for i in range(4):\n"
              "    if os.fork() == 0:\n"
              "        os.setsid(); held = os.urandom(30 << 20); signal.pause()\n"
              "signal.pause()")
    result = python(lab, level, script, "--memory", "64MiB", code=137)
    assert "out of memory (signal 9): limit 64MiB; it gets more with --memory 128MiB" in result.stderr
    task = lab["landlock"].tasks()[-1]
    assert (task["state"], task["signal"]) == ("failed", 9)
    assert task["reason"] == "out of memory (signal 9): limit 64MiB; it gets more with --memory 128MiB"


@pytest.mark.parametrize("level", LEVELS)
def test_memory_that_processes_share_counts_once(lab, level):
    script = ("import os, signal\n"
              "held = os.urandom(40 << 20)\n"
              "for i in range(4):\n"
              "    if os.fork() == 0:\n"
              "        signal.alarm(1); signal.pause()\n"
              "for i in range(4): os.wait()\n"
              "print('together')")
    assert python(lab, level, script, "--memory", "80MiB").stdout == "together\n"


@pytest.mark.parametrize("level", LEVELS)
def test_shared_memory_counts_too(lab, level):
    script = ("import mmap, os, signal\n"
              "held = [mmap.mmap(-1, 40 << 20) for i in range(3)]\n"
              "for one in held: one.write(os.urandom(40 << 20))\n"
              "signal.pause()")
    python(lab, level, script, "--memory", "100MiB", code=137)
    assert last_reason(lab).startswith("out of memory (signal 9): limit 100MiB")


@pytest.mark.parametrize("level", LEVELS)
def test_who_is_refused_memory_hears_of_the_limit(lab, level):
    """A process that handles the refusal itself ends as it likes; that it came near is told."""
    script = "held = []\nwhile True: held.append(b'x' * (1 << 20))"
    result = python(lab, level, script, "--memory", "64MiB", code=1)
    assert "MemoryError" in result.stderr
    assert last_reason(lab) == "exit 1: it came near its memory limit 64MiB; it gets more with --memory 128MiB"
    result = python(lab, level, "bytearray(300 << 20)", "--memory", "128MiB", code=1)
    assert "MemoryError" in result.stderr
    assert last_reason(lab) == "exit 1: it was refused memory, with the limit 128MiB; it gets more with --memory 256MiB"
    assert python(lab, level, "raise SystemExit(1)", "--memory", "1GiB", code=1).stdout == ""
    assert last_reason(lab) == "exit 1"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cpus", ["1", "0.25", "0.99", str(len(os.sched_getaffinity(0)))])
def test_cpus_are_as_many_as_hold_the_limit(lab, level, cpus):
    wanted = -(-float(cpus) // 1)
    script = "import os; print(len(os.sched_getaffinity(0)))"
    assert python(lab, level, script, "--cpus", cpus).stdout == f"{wanted:.0f}\n"
    assert lab["landlock"].task(lab["landlock"].tasks()[-1]["id"])["limits"]["cpus"] == float(cpus)


@pytest.mark.parametrize("cpus", ["0", "-1", "one", "", "1.2345", "1.", "1e3", "99999999"])
def test_a_limit_of_cpus_that_is_none_is_usage(lab, cpus):
    result = lab["landlock"].ctl("submit", f"--cpus={cpus}", "--", "true", code=2)
    assert "cpus" in result.stderr.lower() and result.stdout == ""


@pytest.mark.parametrize("cpus", ["0.001", "1025"])
def test_a_limit_of_cpus_out_of_range_is_usage(lab, cpus):
    assert "a limit of CPUs is 0.01 to 1024" in lab["landlock"].ctl("submit", "--cpus", cpus, "--", "true", code=2).stderr


def test_limits_of_a_list(lab, tmp_path):
    (tmp_path / "tasks.txt").write_text(
        "a1\na1: run=\"python3 -c 'import os; print(len(os.sched_getaffinity(0)))'\" cpus=0.5 memory=1GiB\n")
    node = lab["landlock"]
    node.ctl("run", tmp_path / "tasks.txt")
    task = node.tasks()[-1]
    assert node.ctl("task", "logs", task["id"]).stdout == "1\n"
    assert node.task(task["id"])["limits"]["cpus"] == 0.5
