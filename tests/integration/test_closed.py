# SPDX-License-Identifier: MIT
"""Programs that were started without a standard descriptor: nothing else ever gets its number."""
import json
import os
import socket
import subprocess

import pytest

from lib.lab import BUILD, CTL, STEADY, environment, run_program
from lib.wait import wait_for

O_PATH = 0o10000000


def without(closings, *command):
    return ["sh", "-c", f'exec "$@" {closings}', "sh", *(str(word) for word in command)]


def held(pid):
    """Which of 0, 1 and 2 are a path to nothing, that can be neither read nor written."""
    def flags(fd):
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as info:
            return int(next(line for line in info if line.startswith("flags:")).split()[1], 8)
    return [fd for fd in range(3) if os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null" and flags(fd) & O_PATH]


def has_begun(pid):
    """Whether it has a loop by now: the first that a program of ours opens for itself."""
    try:
        return any("eventpoll" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


@pytest.fixture(scope="module")
def node(make_module_lab):
    return make_module_lab(STEADY).node("seed", role="seed").start()


@pytest.mark.parametrize("closings", [">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_file_got_without_an_output_is_no_call_to_the_daemon(node, closings):
    call = {"method": "org.p2pnode.SetMemory", "oneway": True,
            "parameters": {"key": "forged", "value": "x"}}
    name = f"calls-{len(closings)}"
    node.ctl("file", "put", "-", name, stdin=(json.dumps(call).encode() + b"\0") * 3)
    result = run_program(without(closings, CTL, "--socket", node.socket, "file", "get", name, "-"))
    assert result.code == 1, result
    assert "2>" in closings or "cannot write" in result.stderr, result
    assert "forged" not in str(node.call("ListMemory"))


@pytest.mark.parametrize("arguments", [["members"], ["--json", "status"], ["help"]])
def test_an_answer_without_an_output_fails(node, arguments):
    result = run_program(without(">&-", CTL, "--socket", node.socket, *arguments))
    assert result.code == 1 and "cannot write to standard output" in result.stderr


def test_no_input_is_no_empty_file(node):
    result = run_program(without("<&-", CTL, "--socket", node.socket, "file", "put", "-", "nothing"))
    assert result.code == 1, result
    assert all(one["name"] != "nothing" for one in node.json("file", "ls")["files"])


def test_a_daemon_without_descriptors_writes_no_log_into_its_files(make_lab):
    lab = make_lab(STEADY)
    node = lab.node("lone", role="seed", types=["a"])
    node.write_config()
    node.process = subprocess.Popen(without("<&- >&- 2>&-", BUILD / "p2pnode", "-c", node.config),
                                    cwd=lab.directory, env=environment())
    node.wait_ready()
    assert held(node.pid) == [0, 1, 2]
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_a_runner_without_descriptors_gives_none_of_its_own_away(tmp_path):
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        tmp_path.chmod(0o755)
        runner = subprocess.Popen(
            without("<&- >&- 2>&-", BUILD / "p2pnode-exec", "--socket-fd", there.fileno(), "--work-root", tmp_path),
            pass_fds=[there.fileno()], env=environment())
        try:
            wait_for(lambda: has_begun(runner.pid), 10, "it to begin")
            assert held(runner.pid) == [0, 1, 2]
        finally:
            there.close()
            here.close()
            runner.wait(60)
