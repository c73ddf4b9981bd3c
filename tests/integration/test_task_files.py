# SPDX-License-Identifier: MIT
"""Files that go with a task and results that come back, on real daemons."""
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import uuid

import pytest

from lib.lab import STEADY, merge
from lib.terminal import read_to_end
from lib.wait import wait_for

MIB = 1 << 20


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    for name in ("lab-01", "lab-02"):
        lab.node(name, {"tasks": {"slots": 4, "result_max": "8MiB"}}, types=["a"])
    return lab.start()


@pytest.fixture
def node(lab):
    return lab["lab-01"]


@pytest.fixture(params=["lab-01", "lab-02"])
def where(request):
    """Where a task of lab-01 runs: at home, and elsewhere."""
    return request.param


def kept_files(node):
    """What the node keeps of files of tasks, parts included."""
    return sorted(os.listdir(node.directory / "taskfiles"))


def sh(script):
    return ("--", "sh", "-c", script)


# ---- in and out

@pytest.mark.parametrize("path", ["/proc/filesystems", "/sys/class/net/lo/mtu"])
def test_what_has_no_true_size_goes_in_whole(node, where, tmp_path, path):
    """Files of /proc say that they are empty, those of /sys that they have four kilobytes."""
    content = pathlib.Path(path).read_text()
    assert node.ctl("submit", "-N", where, "--wait", "--in", f"{path}=given", "--", "cat", "given").stdout == content
    assert node.ctl("submit", "-N", where, "--wait", "--stdin", path, "--", "cat").stdout == content
    (tmp_path / "tasks.txt").write_text(f'a1\na1: in={path} run="cat {os.path.basename(path)}" node={where}\n')
    node.ctl("run", tmp_path / "tasks.txt")
    assert node.ctl("task", "logs", node.tasks()[-1]["id"]).stdout == content


def test_what_cannot_be_read_is_named(node, tmp_path):
    path = "/sys/class/net/lo/speed"
    with pytest.raises(OSError) as error:
        pathlib.Path(path).read_bytes()
    refused = f"p2pctl: cannot read {path}: {os.strerror(error.value.errno)}\n"
    (tmp_path / "tasks.txt").write_text(f"a1\na1: in={path}\n")
    for words in (["submit", "--in", path, "--", "true"], ["submit", "--stdin", path, "--", "true"], ["run", tmp_path / "tasks.txt"]):
        assert node.ctl(*words, code=None).stderr == refused


def test_files_go_in_and_results_come_back(node, where, tmp_path):
    (tmp_path / "raw.csv").write_text("1,2\n3,4\n")
    (tmp_path / "tool").write_text("#!/bin/sh\ntr , ';' < \"$1\"\n")
    (tmp_path / "tool").chmod(0o755)
    result = node.ctl("submit", "-N", where, "--wait", "--in", "raw.csv", "--in", "tool=bin/convert",
                      "--out", "*.clean", "--out", "logs/*",
                      *sh("bin/convert raw.csv > raw.clean; mkdir logs; echo done > logs/one; ls"), cwd=tmp_path)
    assert result.stdout == "bin\nlogs\nraw.clean\nraw.csv\n"
    assert (tmp_path / "raw.clean").read_text() == "1;2\n3;4\n"
    assert (tmp_path / "logs/one").read_text() == "done\n"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".p2pctl")]


def test_the_summary_counts_and_names_the_files(node, tmp_path):
    with open(tmp_path / "said", "wb") as said:
        primary, secondary = os.openpty()
        process = subprocess.run(
            [node.ctl_path, "--socket", node.socket, "submit", "-f", "-N", "lab-02", "--out", "plot*.png", "--",
             "sh", "-c", "echo x > plot1.png"], stdin=subprocess.DEVNULL, stdout=said, stderr=secondary,
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb"}, timeout=120, check=False)
        os.close(secondary)
        text = read_to_end(primary).decode()
        os.close(primary)
    assert process.returncode == 0
    assert re.search(r"✓ \d+@lab-01 succeeded on lab-02 in \S+ \(attempt 1\); 1 file: \./plot1\.png", text), text


def test_a_pattern_with_a_directory_drops_what_is_constant_before(node, where, tmp_path):
    node.ctl("submit", "-N", where, "--wait", "--results", "back", "--out", "out/*/x=plots", "--out", "top",
             *sh("mkdir -p out/a out/b; echo a > out/a/x; echo b > out/b/x; echo t > top"), cwd=tmp_path)
    assert (tmp_path / "back/plots/a/x").read_text() == "a\n"
    assert (tmp_path / "back/plots/b/x").read_text() == "b\n"
    assert (tmp_path / "back/top").read_text() == "t\n"


def test_standard_input_from_a_file_and_from_a_pipe(node, where, tmp_path):
    (tmp_path / "text").write_text("from a file\n")
    assert node.ctl("submit", "-N", where, "--wait", "--stdin", tmp_path / "text", "--", "cat").stdout == "from a file\n"
    data = os.urandom(3 * MIB)
    result = node.ctl("submit", "-N", where, "--wait", "--stdin", "-", "--", "sha256sum", stdin=data)
    assert result.stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert node.ctl("submit", "-N", where, "--wait", "--", "cat").stdout == ""


def test_standard_input_begins_where_the_shell_left_it(node, tmp_path):
    (tmp_path / "lines").write_text("first\nsecond\nthird\n")
    with open(tmp_path / "lines", "rb", buffering=0) as lines:
        assert lines.read(6) == b"first\n"
        done = subprocess.run([node.ctl_path, "--socket", node.socket, "submit", "--wait", "--stdin", "-", "--", "cat"],
                              stdin=lines, capture_output=True, timeout=120, check=True)
    assert done.stdout == b"second\nthird\n"


def test_a_stored_file_is_an_input_too(node, where, tmp_path):
    node.ctl("file", "put", "-", f"lab-01:stored-{where}", stdin=b"stored bytes\n")
    result = node.ctl("submit", "-N", where, "--wait", "--in", f"@stored-{where}", "--in", f"@stored-{where}=again/x",
                      *sh(f"cat stored-{where} again/x"))
    assert result.stdout == "stored bytes\n" * 2
    result = node.ctl("submit", "--wait", "--in", "@not-there", "--", "true", code=125)
    assert 'no file "not-there" is stored on this node' in result.stderr


def test_a_megabyte_of_any_bytes_is_the_same_at_the_other_end(node, where, tmp_path):
    data = os.urandom(5 * MIB + 17)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "empty").write_bytes(b"")
    node.ctl("submit", "-N", where, "--wait", "--in", "data", "--in", "empty", "--out", "copy", "--out", "none",
             *sh("[ -s empty ] && exit 9; cp data copy; : > none"), cwd=tmp_path)
    assert (tmp_path / "copy").read_bytes() == data
    assert (tmp_path / "none").read_bytes() == b""


def test_modes_go_both_ways_and_the_umask_counts(node, where, tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    result = node.ctl("submit", "-N", where, "--wait", "--in", "secret", "--out", "made*",
                      *sh("stat -c %a secret; touch made1 made2; chmod 6777 made1; chmod 640 made2"), cwd=tmp_path,
                      umask=0o027)
    assert result.stdout == "600\n"
    assert (tmp_path / "made1").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "made2").stat().st_mode & 0o7777 == 0o640


def test_input_and_output_directory_are_in_the_environment(node, where):
    result = node.ctl("submit", "-N", where, "--wait", "--env", "KEY=v w",
                      *sh('[ "$P2P_INPUT_DIR" = "$PWD" ] && [ "$P2P_OUTPUT_DIR" = "$PWD" ] && echo "$KEY"'))
    assert result.stdout == "v w\n"


def test_a_typed_task_has_files_as_well(node, tmp_path):
    (tmp_path / "x").write_text("x")
    assert node.ctl("submit", "--wait", "--in", "x", "--stdin", "x", "a5", cwd=tmp_path).stdout == "Executing task: a5\n"


# ---- what is not as it should be

def test_an_input_that_is_not_there_starts_nothing(node, tmp_path):
    before = len(node.tasks())
    result = node.ctl("submit", "--in", "missing.csv", "--", "true", code=4, cwd=tmp_path)
    assert result.stderr.startswith("p2pctl: cannot read missing.csv: No such file or directory")
    assert node.ctl("submit", "--wait", "--in", "missing.csv", "--", "true", code=125, cwd=tmp_path).stdout == ""
    (tmp_path / "dir").mkdir()
    assert "hint: pack it: tar" in node.ctl("submit", "--in", "dir", "--", "true", code=2, cwd=tmp_path).stderr
    os.mkfifo(tmp_path / "fifo")  # and nobody opens it
    assert "fifo is no regular file" in node.ctl("submit", "--in", "fifo", "--", "true", code=2, cwd=tmp_path).stderr
    assert len(node.tasks()) == before


@pytest.mark.parametrize("given", ["f=../x", "f=/etc/x", "f=a//b", "f=.", "f=-rf", "f="])
def test_a_name_that_leads_elsewhere_is_refused(node, tmp_path, given):
    (tmp_path / "f").write_text("")
    node.ctl("submit", "--in", given, "--", "true", code=2, cwd=tmp_path)


@pytest.mark.parametrize("names", [("x", "x"), ("x", "x/y"), ("x/y/z", "x/y")])
def test_two_inputs_cannot_be_one_file(node, tmp_path, names):
    (tmp_path / "f").write_text("")
    result = node.ctl("submit", "--in", f"f={names[0]}", "--in", f"f={names[1]}", "--", "true", code=2, cwd=tmp_path)
    assert "each only once" in result.stderr


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", "a/../../b", ""])
def test_a_pattern_that_leads_out_is_refused(node, pattern):
    node.ctl("submit", "--out", pattern, "--", "true", code=2)


def test_more_than_64_files_are_refused_and_64_are_taken(node, tmp_path):
    (tmp_path / "f").write_text("")
    given = [word for i in range(64) for word in ("--in", f"f=n{i}")]
    assert node.ctl("submit", "--wait", *given, *sh("ls | wc -l"), cwd=tmp_path).stdout == "64\n"
    result = node.ctl("submit", *given, "--in", "f=one-more", "--", "true", code=1, cwd=tmp_path)
    assert "at most 64 files" in result.stderr
    node.ctl("submit", *given, "--stdin", "f", "--", "true", code=1, cwd=tmp_path)


def test_inputs_above_the_limit_are_refused_before_anything_is_submitted(node, tmp_path):
    before, kept = len(node.tasks()), kept_files(node)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(8 * MIB + 1)
    result = node.ctl("submit", "--in", "large", "--", "true", code=1, cwd=tmp_path)
    assert "large is too large: the files of a task have at most 8MiB together" in result.stderr
    assert len(node.tasks()) == before
    wait_for(lambda: set(kept_files(node)) <= set(kept), 5, "the part to be gone")


def test_results_above_the_limit_fail_the_task_and_say_so(node, where):
    result = node.ctl("submit", "-N", where, "--wait", "--out", "big", *sh("head -c 9000000 /dev/zero > big"), code=None)
    assert result.code == 125
    task = node.tasks()[-1]
    assert task["state"] == "failed" and task["exit"] is None
    assert task["reason"] == "exit 0, but its results are lost: they are larger than 8MiB (tasks.result_max)"
    assert node.call("GetTaskFiles", id=task["id"])["files"] == []


def test_more_results_than_may_be_fail_the_task_and_say_how_many(node, where):
    for count, state in ((4096, "succeeded"), (4097, "failed")):
        task = node.submit("-N", where, "--out", "*.dat", *sh(f"seq -f %.0f.dat {count} | xargs touch"))
        node.wait_task(task, state, timeout=60)
    assert node.task(task)["reason"] == (
        "exit 0, but its results are lost: more than 4096 files match; let it pack them: tar -cf out.tar DIR")


def test_results_above_the_limit_leave_the_tasks_own_failure(node, where):
    node.ctl("submit", "-N", where, "--wait", "--out", "big", *sh("head -c 9000000 /dev/zero > big; exit 7"), code=7)


def test_no_match_is_a_note_and_the_code_is_the_tasks_own(node, where, tmp_path):
    result = node.ctl("submit", "-N", where, "--wait", "--out", "plot*.png", "--", "true", cwd=tmp_path)
    assert result.stderr == "note: no file matches plot*.png\n"
    assert node.ctl("submit", "-N", where, "--wait", "--out", "plot*.png", *sh("exit 3"), code=3).stdout == ""
    assert os.listdir(tmp_path) == []


def test_results_of_a_task_that_failed_come_back_too(node, where, tmp_path):
    node.ctl("submit", "-N", where, "--wait", "--out", "half", *sh("echo half > half; exit 3"), code=3, cwd=tmp_path)
    assert (tmp_path / "half").read_text() == "half\n"


def test_results_of_a_task_that_was_cancelled_while_it_ran_come_back_too(node, where, tmp_path):
    task = node.submit("-N", where, "--out", "saved",
                       *sh("trap 'echo partial > saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
    wait_for(lambda: node.ctl("task", "logs", task).stdout == "ready\n", 20, "the task to be ready")
    node.ctl("task", "cancel", task)
    node.ctl("task", "wait", task, code=None)
    node.ctl("task", "get", task, cwd=tmp_path)
    assert (tmp_path / "saved").read_text() == "partial\n"


def test_links_and_special_files_are_not_results(node, where, tmp_path):
    result = node.ctl("submit", "-N", where, "--wait", "--out", "*",
                      *sh("ln -s /etc/passwd passwd; ln -s /etc etc; mkfifo fifo; echo good > good"), cwd=tmp_path)
    assert os.listdir(tmp_path) == ["good"]
    assert "and was left" in result.stderr


def test_what_is_there_is_not_replaced_unasked(node, tmp_path):
    (tmp_path / "x").write_text("mine\n")
    result = node.ctl("submit", "--wait", "--out", "x", *sh("echo theirs > x"), code=125, cwd=tmp_path)
    assert "./x exists already" in result.stderr and "--overwrite=always" in result.stderr
    assert (tmp_path / "x").read_text() == "mine\n"
    task = node.tasks()[-1]["id"]
    assert "exists already" in node.ctl("task", "get", task, code=1, cwd=tmp_path).stderr
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("mine\n")
    result = node.ctl("task", "get", task, "d", code=1, cwd=tmp_path)
    assert f"hint: to replace it: p2pctl task get {task} d --overwrite=always\n" in result.stderr
    assert node.ctl("task", "get", task, "--overwrite=always", cwd=tmp_path).stdout == "./x\n"
    assert (tmp_path / "x").read_text() == "theirs\n"


def test_options_that_need_somebody_who_waits(node):
    result = node.ctl("submit", "--results", "d", "--out", "x", "--", "true", code=2)
    assert "hint: later: p2pctl task get ID DIR" in result.stderr


def test_a_dry_run_takes_no_files(node, tmp_path):
    kept = kept_files(node)
    (tmp_path / "x").write_text("x")
    assert "would run on" in node.ctl("submit", "--dry-run", "--in", "x", "--out", "y", "--", "true", cwd=tmp_path).stdout
    assert set(kept_files(node)) <= set(kept)


def test_a_dry_run_refuses_the_files_that_the_real_one_refuses(node, tmp_path):
    node.ctl("file", "put", "-", f"{node.name}:known", stdin=b"x")
    assert "would run on" in node.ctl("submit", "--dry-run", "--in", "@known", "--", "true").stdout
    with open(tmp_path / "large", "wb") as large:
        large.truncate(2 << 40)
    for option in ("--in=@absent", "--in=absent", "--in=large", "--in=@known=../x", "--stdin=absent"):
        dry, real = (node.ctl("submit", *words, option, "--", "true", cwd=tmp_path, code=None) for words in (["--dry-run"], []))
        assert real.code not in (0, None) and (dry.code, dry.stderr, dry.stdout) == (real.code, real.stderr, ""), option


def test_an_unknown_type_is_told_before_its_files_are_copied(node, tmp_path):
    kept = kept_files(node)
    (tmp_path / "x").write_bytes(bytes(MIB))
    node.ctl("submit", "--in", "x", "zzz1", code=4, cwd=tmp_path)
    assert set(kept_files(node)) <= set(kept)


# ---- at the socket

def send_submit(node, parameters, *files):
    """Submit with descriptors, as any Varlink client would send it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(60)
        connection.connect(str(node.socket))
        call = json.dumps({"method": "org.p2pnode.Submit", "parameters": parameters}).encode() + b"\0"
        socket.send_fds(connection, [call], [file if isinstance(file, int) else file.fileno() for file in files])
        answer = b""
        while not answer.endswith(b"\0"):
            answer += connection.recv(65536)
        return json.loads(answer[:-1])


def test_contents_never_pass_through_json(node, tmp_path):
    (tmp_path / "x").write_text("by descriptor\n")
    with open(tmp_path / "x", "rb") as file:
        reply = send_submit(node, {"argv": ["cat", "here"], "in": [{"name": "here", "descriptor": 0}]}, file)
    task = reply["parameters"]["id"]
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "logs", task).stdout == "by descriptor\n"


@pytest.mark.parametrize("inputs", [
    [{"name": "x"}], [{"name": "x", "descriptor": 1}], [{"name": "x", "descriptor": 0, "stored": "y"}],
    [{"name": "", "descriptor": 0}], [{"descriptor": 0}], ["x"], [{"name": 5, "descriptor": 0}],
    [{"name": "x", "descriptor": 0}, {"name": "y", "descriptor": 0}], [{"name": "x", "stored": "../y"}]])
def test_malformed_inputs_are_refused(node, tmp_path, inputs):
    (tmp_path / "x").write_text("")
    with open(tmp_path / "x", "rb") as file:
        reply = send_submit(node, {"argv": ["true"], "in": inputs}, file)
    assert reply["error"] == "org.varlink.service.InvalidParameter", reply
    assert reply["parameters"]["parameter"] == "in"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "a\nb"])
def test_names_that_lead_out_are_refused_at_the_socket_too(node, tmp_path, name):
    with open("/etc/hostname", "rb") as file:
        reply = send_submit(node, {"argv": ["true"], "in": [{"name": name, "descriptor": 0}]}, file)
    assert reply["error"] == "org.p2pnode.Usage", reply


def test_a_pipe_as_input_is_refused_and_holds_nothing_up(node):
    read, write = os.pipe()
    reply = send_submit(node, {"argv": ["true"], "in": [{"name": "x", "descriptor": 0}]}, read)
    assert reply["error"] == "org.p2pnode.Usage" and "no regular file" in reply["parameters"]["message"]
    os.close(read)
    os.close(write)


# ---- task get, show, retry, clean

def test_results_can_be_fetched_later_and_again(node, where, tmp_path):
    task = node.submit("-N", where, "--out", "a/*=plots", "--out", "b", *sh("mkdir a; echo 1 > a/x; echo 2 > b"))
    node.wait_task(task, "succeeded")
    listed = node.call("GetTaskFiles", id=task)
    assert listed["schema"] == "p2pctl.task-files/1"
    assert sorted((file["name"], file["size_bytes"], file["out"]) for file in listed["files"]) == [
        ("a/x", 2, "a/*=plots"), ("b", 2, "b")]
    assert sorted(node.ctl("task", "get", task, tmp_path / "deep/er").stdout.split()) == [
        f"{tmp_path}/deep/er/b", f"{tmp_path}/deep/er/plots/x"]
    assert (tmp_path / "deep/er/plots/x").read_text() == "1\n"
    assert sorted(node.json("task", "get", task, tmp_path / "again")["paths"]) == [
        f"{tmp_path}/again/b", f"{tmp_path}/again/plots/x"]
    shown = node.task(task)
    assert shown["files"] == {"in": 0, "in_bytes": 0, "out": 2, "out_bytes": 4}
    assert "Files: in 0, out 2 (4 B)" in node.ctl("task", "show", task).stdout


def test_directories_of_others_outside_are_not_obeyed(node, tmp_path):
    task = node.submit("--out", f"x={tmp_path}/far", "--out", "y=../up", *sh("echo x > x; echo y > y"))
    node.wait_task(task, "succeeded")
    (tmp_path / "here").mkdir()
    node.ctl("task", "get", task, cwd=tmp_path / "here")
    assert sorted(os.listdir(tmp_path / "here")) == ["x", "y"] and os.listdir(tmp_path) == ["here"]


def test_get_of_what_is_not_there(node, tmp_path):
    assert node.ctl("task", "get", "999999", code=4).stdout == ""
    task = node.submit("--", "true")
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "get", task, tmp_path).stderr == f"task {task} has no results\n"


def test_results_are_handed_out_at_any_node(lab, node, tmp_path):
    task = node.submit("--out", "x", *sh("echo x > x"))
    node.wait_task(task, "succeeded")
    assert [file["name"] for file in lab["lab-02"].call("GetTaskFiles", id=task)["files"]] == ["x"]
    lab["lab-02"].ctl("task", "get", task, tmp_path)
    assert (tmp_path / "x").read_text() == "x\n"


def test_results_survive_a_restart_of_the_origin_and_the_death_of_the_worker(make_lab, tmp_path):
    lab = make_lab(STEADY)
    origin = lab.node("lab-01", role="seed", types=["a"])
    worker = lab.node("lab-02", types=["b"])
    lab.start()
    task = origin.submit("-N", "lab-02", "--out", "x", *sh("echo worth it > x"))
    origin.wait_task(task, "succeeded")
    worker.kill()
    origin.restart()
    origin.ctl("task", "get", task, tmp_path)
    assert (tmp_path / "x").read_text() == "worth it\n"


def test_clean_drops_records_output_inputs_and_results(make_lab, tmp_path):
    lab = make_lab(STEADY)
    node = lab.node("lone", role="seed", types=["a"]).start()
    (tmp_path / "x").write_text("x")
    ended = [node.submit("--in", tmp_path / "x", "--out", "y", *sh(f"cp x y; exit {code}")) for code in (0, 0, 3)]
    for task in ended:
        node.wait_task(task, "succeeded", "failed")
    running = node.submit("--in", tmp_path / "x", "--", "sleep", "60")
    wait_for(lambda: len(kept_files(node)) == 7, 10, lambda: f"inputs and results of three, input of one: {kept_files(node)}")
    assert node.ctl("task", "clean", "--older", "1h", "--yes").stdout == "dropped 0 tasks\n"
    assert node.ctl("task", "clean", "-s", "failed", "--yes").stdout == "dropped 1 task\n"
    assert [task["id"] for task in node.tasks()] == ended[:2] + [running]
    assert node.json("task", "clean", "--yes") == {"schema": "p2pctl.task-clean/1", "cleaned": 2, "held": 0, "workflows": 0}
    assert [task["id"] for task in node.tasks()] == [running]
    wait_for(lambda: len(kept_files(node)) == 1, 10, "the files to be gone")
    node.ctl("task", "logs", ended[0], code=4)
    node.ctl("task", "clean", "--state", "running", "--yes", code=2)
    node.restart()
    assert [task["id"] for task in node.tasks()] == [running]


def test_files_go_with_their_record_when_its_time_is_over(make_lab, tmp_path):
    lab = make_lab(merge(STEADY, {"tasks": {"keep": "3s", "keep_failed": "1h"}}))
    node = lab.node("lone", role="seed").start()
    (tmp_path / "x").write_text("x")
    failed = node.submit("--in", tmp_path / "x", "--out", "y", *sh("cp x y; exit 1"))
    node.ctl("submit", "--wait", "--in", tmp_path / "x", "--out", "y", "--results", tmp_path / "r", *sh("cp x y"))
    wait_for(lambda: [task["id"] for task in node.tasks()] == [failed], 10, "the one that succeeded to be dropped")
    wait_for(lambda: len(kept_files(node)) == 2, 10, "its files to be gone")
    node.ctl("task", "get", failed, tmp_path / "later")
    assert (tmp_path / "later/y").read_text() == "x"


def test_what_no_record_knows_is_swept_at_the_start(make_lab, tmp_path):
    lab = make_lab(STEADY)
    node = lab.node("lone", role="seed").start()
    (tmp_path / "x").write_text("x")
    task = node.submit("--in", tmp_path / "x", "--out", "x", "--", "true")
    node.wait_task(task, "succeeded")
    wait_for(lambda: len(kept_files(node)) == 2, 10, "the input and the result alone to be kept")
    known = kept_files(node)
    for name in ("part.7", "12345.in", "77.1.out", f"{uuid.uuid4()}.5.1.out"):
        (node.directory / "taskfiles" / name).write_bytes(b"p2pbundl")
    node.restart()
    assert kept_files(node) == known


def test_clean_asks_or_needs_yes(node):
    node.wait_task(node.submit("--", "true"), "succeeded")
    before = len(node.tasks())
    assert "--yes" in node.ctl("task", "clean", code=2).stderr
    assert len(node.tasks()) == before


def test_retry_runs_the_same_task_with_its_files_once_more(node, where, tmp_path):
    (tmp_path / "x").write_text("input\n")
    task = node.submit("-N", where, "--in", tmp_path / "x", "--out", "y", *sh("cat x > y; date +%N >> y; exit 4"))
    node.wait_task(task, "failed")
    first = node.call("GetTaskFiles", id=task)
    assert node.ctl("task", "retry", task).stdout == f"{task}\n"
    again = node.wait_task(task, "failed")
    assert again["attempt"] == 2 and len(node.call("GetTaskFiles", id=task)["files"]) == len(first["files"]) == 1
    node.ctl("task", "get", task, tmp_path / "out")
    assert (tmp_path / "out/y").read_text().startswith("input\n")
    mine = [name for name in kept_files(node) if name.startswith(f"{task.split('@')[0]}.")]
    wait_for(lambda: [name for name in kept_files(node) if name in mine and name.endswith(".1.out")] == [], 5,
             "the results of the first attempt to be gone")


def test_retry_on_another_node(node):
    task = node.submit("-N", "lab-01", *sh("echo $P2P_NODE; exit 1"))
    node.wait_task(task, "failed")
    node.ctl("task", "retry", task, "--node", "lab-02")
    assert node.wait_task(task, "failed")["node"] == "lab-02"
    assert node.ctl("task", "retry", task, "--node", "nowhere", code=4).stdout == ""


def test_retry_of_what_runs_or_is_unknown_is_refused(node):
    task = node.submit("--", "sleep", "60")
    assert "has not ended" in node.ctl("task", "retry", task, code=1).stderr
    node.ctl("task", "cancel", task)
    node.wait_task(task, "cancelled")
    node.ctl("task", "retry", "999999", code=4)
    node.ctl("task", "retry", code=2)
    node.ctl("task", "retry", task, "--all-failed", code=2)


def test_retry_all_failed_takes_those_alone(make_lab):
    lab = make_lab(STEADY)
    node = lab.node("lone", role="seed").start()
    failed = [node.submit(*sh(f"exit {code}")) for code in (1, 2)]
    good = node.submit("--", "true")
    for task in (*failed, good):
        node.wait_task(task, "succeeded", "failed")
    assert node.ctl("task", "retry", "--all-failed").stdout.split() == failed
    for task in failed:
        assert node.wait_task(task, "failed")["attempt"] == 2
    assert node.task(good)["attempt"] == 1


# ---- confidential

def test_confidential_files_stay_at_home(lab, node, tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    elsewhere = kept_files(lab["lab-02"])
    node.ctl("submit", "--confidential", "--wait", "--in", "secret", "--out", "copy", *sh("cp secret copy; hostname"),
             cwd=tmp_path)
    assert (tmp_path / "copy").read_text() == "secret\n"
    assert node.tasks()[-1]["node"] == "lab-01" and set(kept_files(lab["lab-02"])) <= set(elsewhere)


def test_ctrl_c_ends_the_reading_of_input(node):
    read, write = os.pipe()
    process = node.ctl_start("submit", "--wait", "--stdin", "-", "--", "cat", stdin=read)
    # It reads when it has taken what is there.
    os.write(write, b"x")
    wait_for(lambda: not select.select([read], [], [], 0)[0], 10, "it to read")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == -signal.SIGINT
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("source", ["-", "/dev/zero"])
def test_input_without_end_is_read_up_to_the_limit(node, source):
    with open("/dev/zero", "rb") as endless:
        process = node.ctl_start("submit", "--wait", "--stdin", source, "--", "wc", "-c", stdin=endless)
        told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 125 and "is too large: the files of a task have at most 8MiB together" in told
    for size, code in ((8 * MIB, 0), (8 * MIB + 1, 125)):
        result = node.ctl("submit", "--wait", "--stdin", "-", "--", "wc", "-c", stdin=b"x" * size, code=code)
        assert result.stdout == ("" if code else f"{size}\n")


def test_a_directory_without_a_name_is_refused(node):
    task = node.ctl("submit", "--", "true").stdout.strip()
    assert "the directory is empty" in node.ctl("task", "get", task, "", code=2).stderr


@pytest.mark.parametrize("words, code", [
    (("submit", "--wait", "--", "echo", "hi"), 125), (("submit", "--", "true"), 1), (("task", "list"), 1), (("help",), 1)])
def test_an_answer_that_cannot_be_written_is_a_failure(node, words, code):
    node.submit("--", "true")  # without a task a list says nothing
    with open("/dev/full", "wb") as full:
        process = node.ctl_start(*words, stdout=full)
        told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == code and "cannot write to standard output" in told


@pytest.mark.parametrize("words", [("events", "-f"), ("monitor",), ("task", "list", "--watch=0.1")])
def test_what_never_ends_does_when_it_cannot_be_written(node, words):
    with open("/dev/full", "wb") as full:
        process = node.ctl_start(*words, stdout=full)
        while process.poll() is None:
            node.ctl("submit", "--wait", "--", "true")
        assert process.returncode == 1 and b"cannot write to standard output" in process.stderr.read()


def test_output_that_cannot_be_written_is_not_followed(node):
    task = node.submit("--", "sh", "-c", "echo begun; exec sleep 600")
    with open("/dev/full", "wb") as full:
        process = node.ctl_start("task", "logs", "-f", task, stdout=full)
        told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1 and "cannot write to standard output" in told
    node.ctl("task", "cancel", task)
