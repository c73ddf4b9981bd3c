# SPDX-License-Identifier: MIT
"""Who may do what at the control socket: nobody, users, administrators. And who may read what is on disk."""
import grp
import pwd
import stat
import subprocess
import sys

import pytest

from lib.lab import CTL, STEADY, run_program
from lib.process import files_below

# Groups that every Debian has and that own nothing here.
USERS, ADMINS = "games", "irc"
USER, OTHER = "nobody", "daemon"
NAMELESS = "54321"  # the number of a user whom no passwd knows


@pytest.fixture(scope="module")
def node(make_module_lab):
    lab = make_module_lab(STEADY)
    return lab.node("lone", {"control": {"user_group": USERS, "admin_group": ADMINS}}, role="seed", types=["a"]).start()


def run_as(node, user, groups, *arguments, stdin=b""):
    """p2pctl as this user, with these groups beside its own."""
    uid, gid = (int(user), int(user)) if user == NAMELESS else pwd.getpwnam(user)[2:4]
    return run_program([CTL, "--socket", node.socket, *arguments], stdin, user=uid, group=gid,
                       extra_groups=[grp.getgrnam(group).gr_gid for group in groups])


def test_the_socket_belongs_to_the_users_group(node):
    status = node.socket.stat()
    assert status.st_gid == grp.getgrnam(USERS).gr_gid and stat.S_IMODE(status.st_mode) == 0o660


def test_who_is_in_no_group_is_told_which(node):
    result = run_as(node, USER, [], "status")
    assert (result.code, result.stdout) == (6, "")
    assert result.stderr.startswith(f'p2pctl: not permitted: user "{USER}" is not in group {USERS}\n'
                                    f"hint: ask an administrator: usermod -aG {USERS} {USER}")
    assert run_as(node, USER, [], "submit", "--wait", "a1").code == 125


def test_who_has_no_name_is_told_by_number_and_what_can_be_done(node):
    for groups, group, command in (([], USERS, ["status"]), ([USERS], ADMINS, ["drain"])):
        result = run_as(node, NAMELESS, groups, *command)
        assert (result.code, result.stderr) == (
            6, f'p2pctl: not permitted: user "{NAMELESS}" is not in group {group}\n'
               f"hint: ask an administrator: useradd --no-create-home --uid {NAMELESS} --groups {group} NAME     "
               f"(then log in as NAME)\n")


def test_a_user_submits_reads_and_stores(node):
    assert run_as(node, USER, [USERS], "status").code == 0
    assert run_as(node, USER, [USERS], "submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert node.tasks()[-1]["user"] == USER
    assert run_as(node, USER, [USERS], "mem", "set", "key", "value").code == 0
    assert run_as(node, USER, [USERS], "file", "put", "-", "lone:mine", stdin=b"x").code == 0
    assert [(file["name"], file["owner"]) for file in node.json("file", "ls")["files"]] == [("mine", USER)]
    assert run_as(node, USER, [USERS], "file", "get", "mine", "-").stdout == "x"


def test_a_local_file_is_nothing_that_the_daemon_does_not_permit(node, tmp_path):
    """And the others go on."""
    secret, plain = tmp_path / "secret", tmp_path / "plain"
    for path in (secret, plain):
        path.write_bytes(b"x")
    secret.chmod(0)
    tmp_path.chmod(0o711)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o711)
    result = run_as(node, USER, [USERS], "file", "put", secret, plain)
    assert result.code == 1 and result.stderr == f"p2pctl: cannot read {secret}: Permission denied\n"
    assert [file["name"] for file in node.json("file", "ls")["files"] if file["name"] != "mine"] == ["plain"]
    result = run_as(node, USER, [USERS], "file", "get", "plain", tmp_path / "back")
    assert result.code == 1 and result.stderr == f"p2pctl: cannot write {tmp_path}/back: Permission denied\n"
    assert run_as(node, USER, [USERS], "submit", "--in", secret, "a1").code == 1
    assert run_as(node, USER, [USERS], "file", "put", tmp_path / "absent").code == 4


@pytest.mark.parametrize("command", [["leave"], ["join", "127.81.0.1:7717"], ["forget", "--yes", "lab-09"],
                                     ["drain"], ["undrain"], ["reload"],
                                     ["keys", "rotate"], ["keys", "use", "3f9a"], ["keys", "remove", "--yes", "3f9a"]])
def test_the_cluster_is_for_administrators(node, command):
    result = run_as(node, USER, [USERS], *command)
    assert result.code == 6 and result.stderr.startswith(f'p2pctl: not permitted: user "{USER}" is not in group {ADMINS}\n'
                                                               f"hint: ask an administrator: usermod -aG {ADMINS} {USER}")


def test_a_group_that_nobody_made_is_told(make_lab):
    node = make_lab(STEADY).node("lone", {"control": {"user_group": USERS, "admin_group": "no-such-group"}},
                                 role="seed").start()
    result = run_as(node, USER, [USERS], "drain")
    assert (result.code, result.stderr) == (
        6, f'p2pctl: not permitted: user "{USER}" is not in group no-such-group\n'
           f"hint: there is no such group yet: groupadd --system no-such-group && usermod -aG no-such-group {USER}\n")


def test_an_administrator_may(node):
    assert run_as(node, USER, [USERS, ADMINS], "forget", "--yes", "lab-09").code == 4


def test_tasks_of_others_are_cancelled_by_administrators_only(node):
    task = run_as(node, USER, [USERS], "submit", "--", "sleep", "60").stdout.strip()
    node.wait_task(task, "running")
    result = run_as(node, OTHER, [USERS], "task", "cancel", task)
    assert result.code == 6 and f"belongs to {USER}" in result.stderr
    assert run_as(node, OTHER, [USERS], "task", "cancel", "--all").code in (0, 6)
    assert node.task(task)["state"] == "running"
    assert run_as(node, OTHER, [USERS, ADMINS], "task", "cancel", task).code == 0
    node.wait_task(task, "cancelled")
    task = run_as(node, USER, [USERS], "submit", "--", "sleep", "60").stdout.strip()
    assert run_as(node, USER, [USERS], "task", "cancel", task).code == 0
    node.wait_task(task, "cancelled")


@pytest.mark.parametrize("user", [USER, NAMELESS])
def test_list_mine_shows_only_the_users_own(node, user):
    for submitter in (user, OTHER):
        assert run_as(node, submitter, [USERS], "submit", "--wait", "a2").code == 0
    lines = run_as(node, user, [USERS], "task", "list", "--mine", "--no-legend").stdout.splitlines()
    assert lines and all(f" {user} " in line for line in lines)


HOLD = """
import socket, sys
held = []
while True:
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    try:
        client.sendall(b'{"method":"org.p2pnode.Status"}\\0')
    except BrokenPipeError:
        pass  # it was answered before
    if b"too many clients" in client.recv(65536):
        break
    held.append(client)
print(len(held), flush=True)
sys.stdin.read()
"""


def hold_all(lab, node, user, groups):
    """A program of the user's that keeps all connections it can get. Returns how many."""
    entry = pwd.getpwnam(user)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(node.socket)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, user=entry.pw_uid, group=entry.pw_gid,
                               extra_groups=[grp.getgrnam(group).gr_gid for group in groups])
    lab.helpers.append(process)
    return int(process.stdout.readline())


def test_no_user_locks_out_the_others(make_lab):
    lab = make_lab(STEADY)
    node = lab.node("lone", {"control": {"user_group": USERS, "admin_group": ADMINS, "mode": "0666", "clients_max": 16}},
                    role="seed").start()
    assert hold_all(lab, node, "bin", []) == 2, "who may not call"
    assert hold_all(lab, node, USER, [USERS]) == 14
    result = run_as(node, USER, [USERS], "status")
    assert result.code == 1 and "too many clients of this user" in result.stderr
    assert run_as(node, OTHER, [USERS], "status").code == 0
    assert node.ctl("status").code == 0
    assert run_as(node, "sys", [], "status").code == 1


def test_what_is_on_disk_is_for_the_daemon_alone(node):
    node.ctl("mem", "set", "secret", "value")
    for path, status in files_below(node.directory):
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            assert not mode & 0o066, f"{path}: {mode:o}"
        elif "tasks" not in path.parts:
            assert not mode & 0o077, f"{path}: {mode:o}"


def test_commands_of_others_can_be_refused(make_lab):
    lab = make_lab(STEADY)
    lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("work", {"tasks": {"allow_commands": False}}, types=["a"])
    lab.start()
    result = lab["seed"].ctl("submit", "-N", "work", "--", "true", code=6)
    assert result.stderr.startswith("p2pctl: not permitted: work takes no commands of other nodes\n")
    assert "not permitted: no node takes commands" in lab["seed"].ctl("submit", "--wait", "--", "true", code=125).stderr
    assert lab["seed"].ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert lab["work"].ctl("submit", "--wait", "--", "echo", "own").stdout == "own\n"
