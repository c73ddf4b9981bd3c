# SPDX-License-Identifier: MIT
"""p2pctl doctor: every check, right and wrong, and the report that may be sent to others."""
import json
import pathlib
import re
import socket
import stat

import pytest

from lib.lab import BUILD, CTL, FAST, STEADY, Loopback, run_program
from lib.wait import wait_for
from test_reload import reload, rewrite

CHECKS = ["ports", "clock", "key", "sandbox", "disk", "cluster", "python"]


def make_pair(lab):
    lab.node("seed", role="seed")
    lab.node("work", types=["a"])
    return lab.start()


@pytest.fixture
def lab(make_lab):
    return make_pair(make_lab(STEADY))


def by_check(answer):
    return {check: [one for one in answer["checks"] if one["check"] == check] for check in CHECKS}


def findings(node, *words, code=0):
    answer = json.loads(node.ctl("--json=short", "doctor", *words, code=code).stdout)
    assert answer["health"] == ("degraded" if code == 5 else "ok")
    return by_check(answer)


def failed(found, check):
    return [(one["message"], one["fix"]) for one in found[check] if one["status"] == "failed"]


def test_a_healthy_node_has_every_check_and_exits_0(lab):
    wait_for(lambda: lab["work"].ctl("doctor", code=None).stdout.startswith("ports     ok       udp and tcp "), 10,
             "the other to be reached")

    def compared():
        """An answer that is late is no answer, and until there is one the clocks are not compared."""
        result = lab["work"].ctl("--json=short", "doctor", code=None)
        found = by_check(json.loads(result.stdout))
        return found if result.code == 0 and found["clock"][-1]["status"] == "ok" else None
    found = wait_for(compared, 20, "all to be well")
    assert all(found[check] for check in CHECKS)
    assert found["ports"][0]["message"] == f"udp and tcp {lab['work'].address}; 1 other node reached by both"
    assert found["key"][0]["message"].startswith("key ") and found["cluster"][0]["message"] == "2 of 2 nodes alive"
    assert "within " in found["clock"][-1]["message"]


def test_some_checks_can_be_chosen_and_unknown_ones_are_wrong_usage(lab):
    found = findings(lab["work"], "disk", "python")
    assert [check for check in CHECKS if found[check]] == ["disk", "python"]
    result = lab["work"].ctl("doctor", "port", code=2)
    assert '"port" is no check' in result.stderr
    wait_for(lambda: lab["seed"].ctl("doctor", "-N", "work", "ports", code=None).stdout.startswith(
        f"ports     ok       udp and tcp {lab['work'].address}"), 10, "the ports of the other")


def test_a_node_that_is_not_reached_fails_the_ports(lab):
    lab["seed"].pause()
    try:
        found = failed(findings(lab["work"], "ports", code=5), "ports")
    finally:
        lab["seed"].resume()
    assert found == [("seed: neither UDP nor TCP reaches them",
                      "open udp and tcp 7717 in the firewalls there and on the way")]


@pytest.mark.parametrize("ahead, status, told", [
    (3600, "failed", "ahead of"), (-90, "failed", "behind"), (4, "warning", "ahead of"), (0, "ok", "within")])
def test_a_clock_that_is_wrong_is_told_by_how_much(make_lab, ahead, status, told):
    """Nothing but the clock suffers from it: the node is a member and runs tasks."""
    lab = make_lab(STEADY)
    nodes = [lab.node(name, role="seed" if name == "seed" else "peer", types=["a"]) for name in ("seed", "one", "wrong")]
    for node in nodes:
        node.launch(**({"LD_PRELOAD": str(BUILD / "tests/machine.so"), "P2P_CLOCK_AHEAD": str(ahead)}
                       if node.name == "wrong" else {}))
    lab.wait_joined()

    def look():
        found = json.loads(lab["wrong"].ctl("--json=short", "doctor", "clock", code=None).stdout)["checks"]
        return [one for one in found if one["status"] == status and told in one["message"] and (
            status == "ok" or (abs(float(one["message"].split()[0]) - abs(ahead)) < 2 and
                               "chrony" in one["fix"]))]
    wait_for(look, 60, "the clocks to be compared")
    assert lab["wrong"].ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    assert lab["seed"].state_of("wrong") == "alive"


def test_a_node_with_another_key_is_told_at_both_ends(make_lab):
    lab = make_lab(STEADY)
    lab.node("seed", role="seed").start()
    stranger = lab.node("stranger", {"security": {"keyring": str(lab.make_keyring("other"))}}).start()
    found = wait_for(lambda: failed(findings_of(stranger, "cluster"), "cluster"), 60, "the quorum to be missed")
    assert "0 of 1 seeds have answered (needs 1): not running, not reached, or of another cluster or key" in found[0][0]
    assert "p2pctl config show seeds" in found[0][1]
    wait_for(lambda: lab["seed"].events("cluster-mismatch"), 60, "the seed to hear strangers")
    event = lab["seed"].events("cluster-mismatch")[0]
    assert stranger.ip in event["message"]


def test_a_seed_that_is_down_is_no_change_of_keys(make_lab):
    """Nothing was heard with another key, so none is suspected."""
    lab = make_lab(STEADY)
    lab.node("seed", role="seed")
    node = lab.node("lab-01").start()
    found = wait_for(lambda: failed(findings_of(node, "cluster"), "cluster"), 60, "the quorum to be missed")
    assert "0 of 1 seeds have answered (needs 1): not running" in found[0][0]
    assert "keys changed" not in found[0][0]
    status = node.ctl("status", "--check", code=5).stdout
    assert "seeds have answered" in status and "keys changed" not in status


def findings_of(node, *words):
    """As findings(), whatever comes of it."""
    answer = json.loads(node.ctl("--json=short", "doctor", *words, code=None).stdout)
    return {check: [one for one in answer["checks"] if one["check"] == check] for check in CHECKS}


class WithoutCgroups(Loopback):
    prefix = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")


def test_a_sandbox_that_is_not_to_be_had_fails_and_is_told(make_lab):
    """It wants cgroups, and this machine has none: no task runs, and status, doctor and the log say why."""
    lab = make_lab(FAST)
    node = lab.node("lone", {"sandbox": {"mode": "full"}}, role="seed", types=["a"],
                    place=WithoutCgroups(lab.network, 1)).start()
    found = wait_for(lambda: failed(findings_of(node, "sandbox"), "sandbox"), 10, "the sandbox to be tried")
    assert all("p2pnode(8)" in fix and "systemctl" not in fix for _, fix in found)

    def refused():
        result = node.ctl("status", "--check", code=None)
        return result if result.code == 5 and "no task can run" in result.stdout.splitlines()[0] else None
    result = wait_for(refused, 20, "status to say it, too")
    assert result.stdout.startswith("degraded: lone in p2pnode, 1 of 1 nodes alive; ")
    told = wait_for(lambda: node.events("problem"), 20, "the word in the log")[0]
    assert told["message"].startswith("no task can run")
    reload(node, {"sandbox": {"mode": "auto"}})
    levels = {"level full", "level namespaces", "level landlock"}
    wait_for(lambda: levels & {one["message"] for one in findings_of(node, "sandbox")["sandbox"]}, 15,
             "a sandbox that this machine has")
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def as_booted(directory):
    """Words before a command: a machine whose /run has what systemd leaves there, or an empty one."""
    return ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none /run && mkdir -p {directory} && exec "$@"', "sh")


BOOTS = [pytest.param("/run/systemd/system", True, id="systemd"), pytest.param("/run/none", False, id="container")]


@pytest.mark.parametrize("directory, is_booted", BOOTS)
def test_only_where_there_is_systemd_it_is_spoken_of(make_lab, directory, is_booted):
    lab = make_lab(STEADY)

    class Here(Loopback):
        prefix = WithoutCgroups.prefix + as_booted(directory)
    node = lab.node("lone", {"sandbox": {"mode": "full"}}, role="seed", place=Here(lab.network, 1)).start()
    found = wait_for(lambda: failed(findings_of(node, "sandbox"), "sandbox"), 10, "the sandbox to be tried")
    assert all(fix.startswith("systemctl status p2pnode-exec@lone; ") == is_booted for _, fix in found)
    answer = node.ctl("--json", "doctor", code=5).stdout
    assert is_booted or not re.search("systemctl|journalctl|timedatectl", answer)


def test_a_node_without_a_sandbox_gets_no_tasks_until_it_has_one(make_lab):
    """What waits there goes back, and runs elsewhere: it costs no attempt. What must run there waits, and says why."""
    lab = make_lab(STEADY)
    seed = lab.node("seed", {"tasks": {"enabled": False}}, role="seed")
    lab.node("good", {"tasks": {"slots": 1}})
    bare = lab.node("bare", {"tasks": {"slots": 1}}, place=WithoutCgroups(lab.network, 3))
    lab.start()
    holder = seed.submit("-N", "bare", "--", "sleep", "600")
    seed.wait_task(holder, "running")
    bound = seed.submit("-N", "bare", "--retries", "0", "--", "true")
    wait_for(lambda: seed.members()["bare"]["queue"] == 1, 10, "it to be queued")
    reload(bare, {"sandbox": {"mode": "full"}})
    wait_for(lambda: seed.task(bound)["reason"] == "bare is unable to run tasks", 20, "it to be handed back")
    assert bare.call("Status")["node"]["accepting"] is False
    wait_for(lambda: seed.members()["bare"]["slots"] == 0, 10, "the seed to know")
    wait_for(lambda: re.search(r"bare .*unable to run tasks", seed.ctl("submit", "--dry-run", "--", "true").stdout),
             10, "its placement to know")
    for task in [seed.submit("--retries", "0", "--", "true") for _ in range(4)]:
        done = seed.wait_task(task, "succeeded", timeout=30)
        assert (done["node"], done["attempt"]) == ("good", 1)
    assert seed.task(holder)["state"] == "running"
    seed.ctl("task", "cancel", holder)
    seed.wait_task(holder, "cancelled")
    reload(bare, {"sandbox": {"mode": "auto"}})
    assert seed.wait_task(bound, "succeeded", timeout=30)["node"] == "bare"


class InAContainer(Loopback):
    """Parts of /proc are hidden, as podman and docker do, and so the kernel allows no other one beside it."""
    prefix = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc/fs && exec "$@"', "sh")


def test_what_fails_of_a_better_sandbox_does_not_hold_up_the_next(make_lab):
    lab = make_lab(FAST)
    node = lab.node("lone", role="seed", types=["a"], place=InAContainer(lab.network, 1)).start()

    def tried():
        told = [one["message"] for one in findings_of(node, "sandbox")["sandbox"]]
        return told if "level namespaces is not to be had: mount /proc: Operation not permitted" in told else None
    told = wait_for(tried, 10, "the sandbox to be tried")
    assert "level landlock" in told
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_a_problem_that_lasts_is_told_when_it_begins_and_when_it_ends(lab):
    node = lab["work"]
    assert node.events("problem") == []
    reload(node, {"files": {"quota": "1MiB"}})
    node.ctl("file", "put", "-", "work:big", stdin=b"x" * (1 << 20))
    told = wait_for(lambda: node.events("problem"), 30, "the word about it")
    assert [event["message"] for event in told] == ["the quota of stored files (files.quota) is used up"]
    node.ctl("file", "rm", "--yes", "work:big")
    wait_for(lambda: len(node.events("problem")) == 2, 30, "the word that it is over")
    assert node.events("problem")[1]["message"] == "solved: stored files have room"
    assert node.ctl("status", "--check").stdout.startswith("ok: work in p2pnode, 2 of 2 nodes alive\n")


def test_a_port_that_is_taken_is_found_without_a_daemon(tmp_path):
    config = pathlib.Path("/etc/p2pnode")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", 0))
        port = taken.getsockname()[1]
        text = f'listen = {{ port = {port}; }}; security = {{ keyring = "{tmp_path}/none"; }};'
        # /etc of a machine of its own, as the instance's file is looked for there.
        (tmp_path / "lone.conf").write_text(text)
        script = f'mkdir -p {config} && mount --bind {tmp_path} {config} && exec "$@"'
        result = run_program(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /etc && {script}", "sh",
                              CTL, "-i", "lone", "--json", "doctor"])
        # At an address of its own it is free.
        (tmp_path / "lone.conf").write_text(text.replace("listen = {", 'listen = { address = "127.81.0.1";'))
        other = run_program(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /etc && {script}", "sh",
                             CTL, "-i", "lone", "--json", "doctor", "ports"])
    assert f'"udp and tcp {port} are free"' in other.stdout
    found = {(one["check"], one["status"]): one for one in json.loads(result.stdout)["checks"]}
    assert result.code == 5 and ("config", "ok") in found, result
    taken = found["ports", "failed"]
    assert taken["message"] == f"udp {port}: Address already in use"
    assert taken["fix"].startswith(f"ss -lunpt 'sport = :{port}'")
    assert f"no key ring: {tmp_path}/none" in found["key", "failed"]["message"]
    assert "p2pctl keys gen" in found["key", "failed"]["fix"]


def test_a_key_that_others_may_read_fails(lab):
    path = lab["work"].directory / "keyring"
    path.chmod(0o644)
    message, fix = failed(findings(lab["work"], "key", code=5), "key")[0]
    assert message == f"others may read {path}" and fix.startswith(f"chmod 600 {path}")
    path.chmod(0o600)
    lab.keyring.write_bytes(lab.make_keyring("other").read_bytes())
    lab["work"].ctl("reload")
    found = findings(lab["work"], "key")["key"]
    assert [one["status"] for one in found] == ["warning"] and "differs" in found[0]["message"]


def test_programs_that_cannot_run_are_told(make_lab, tmp_path):
    hook = tmp_path / "hook"
    hook.touch(0o644)
    node = make_lab(STEADY).node("lone", {
        "tasks": {"types": [{"name": "a", "command": "/tmp/handler.sh"}], "on_done": "true"},
        "messages": {"handler": "/no/such/handler now"},
        "hooks": [{"event": "drain", "command": str(hook)}, {"event": "undrain", "command": "/bin/true"}]},
        role="seed").start()
    # While p2pnode-exec starts there is a failure beside them.
    checks = json.loads(node.ctl("--json=short", "doctor", "sandbox", code=None).stdout)["checks"]
    told = {one["message"]: one["fix"] for one in checks if re.match("tasks.types|tasks.on_done|messages|hooks", one["message"])}
    assert told == {
        'tasks.types: type "a": tasks do not see /tmp/handler.sh: it is in neither sandbox.read nor sandbox.write':
            "move it below /usr, or add its directory to sandbox.read; then p2pctl reload",
        "messages.handler: there is no /no/such/handler":
            "put it there, or correct messages.handler; then p2pctl reload",
        f"hooks: drain: {hook} is not executable": f"chmod a+x {hook}; then p2pctl reload"}


@pytest.mark.parametrize("directory, is_booted", BOOTS)
def test_what_a_unit_is_not_shown_is_told_of_the_file_of_a_unit(tmp_path, directory, is_booted):
    text = 'hooks = ( { event = "drain"; command = "/home/me/hook"; } );'
    (tmp_path / "lone.conf").write_text(text)
    script = f'mount -t tmpfs none /etc && mkdir /etc/p2pnode && mount --bind {tmp_path} /etc/p2pnode && exec "$@"'
    there = [*as_booted(directory), "unshare", "-m", "sh", "-c", script, "sh", CTL]
    wanted = "hooks: drain: the unit that runs it, p2pnode-exec@, does not see /home/me/hook (ProtectHome=)" if is_booted \
        else "hooks: drain: there is no /home/me/hook"
    result = run_program([*there, "-i", "lone", "config", "check"])
    assert (result.code, result.stderr) == (
        0, f"warning: /etc/p2pnode/lone.conf:1: {wanted}\n")
    checks = json.loads(run_program([*there, "-i", "lone", "--json", "doctor"]).stdout)["checks"]
    assert ("warning", f"/etc/p2pnode/lone.conf:1: {wanted}") in [(one["status"], one["message"]) for one in checks]
    assert checks[0]["fix"] == ("systemctl start p2pnode@lone" if is_booted else "start it: p2pnode -i lone")
    elsewhere = run_program([*as_booted(directory), CTL, "config", "check", tmp_path / "lone.conf"])
    assert "hooks: drain: there is no /home/me/hook" in elsewhere.stderr


def test_sizes_are_for_people(lab):
    (found,) = findings(lab["work"], "disk")["disk"]
    assert re.match(r"\d+\.\d [KMGTP]iB free at /.*; files take \S+ (B|[KMGTP]iB) of 20\.0 GiB$", found["message"])


def test_files_that_take_all_they_may_fail_the_disk(lab):
    reload(lab["work"], {"files": {"quota": "1MiB"}})
    lab["work"].ctl("file", "put", "-", "work:big", stdin=b"x" * (1 << 20))
    message, fix = failed(findings(lab["work"], "disk", code=5), "disk")[0]
    assert "files.quota" in message and "p2pctl file rm" in fix


def test_room_that_comes_back_while_others_are_asked(lab):
    """What was full at the beginning has no cure at the end."""
    seed = lab["seed"]
    reload(seed, {"files": {"quota": "1MiB"}})
    seed.ctl("file", "put", "-", "seed:big", stdin=b"x" * (1 << 20))
    lab["work"].pause()
    with seed.varlink() as link:
        link.send("Doctor", {"checks": ["ports", "disk"]})
        seed.ctl("file", "rm", "--yes", "big")
        checks = link.receive()["parameters"]["checks"]
    lab["work"].resume()
    assert {check["check"] for check in checks} == {"ports", "disk"} and seed.is_running



def test_a_disk_with_its_reserve_alone_is_another_matter(lab):
    reload(lab["work"], {"files": {"reserve": "1000TiB"}})
    message, fix = failed(findings(lab["work"], "disk", code=5), "disk")[0]
    assert message == "the disk of stored files has no more free space than files.reserve"
    assert "files.reserve" in fix and "file rm" not in fix and "quota" not in fix


def test_a_disk_that_is_really_full_is_yet_another(make_lab, small_disk):
    node = small_disk(make_lab(STEADY).node("lone", {"files": {"reserve": "0"}}, role="seed"), 8).start()
    filler = node.directory / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    message, fix = failed(findings(node, "disk", code=5), "disk")[0]
    assert message == "the disk of stored files is full"
    assert "file rm" not in fix and "files." not in fix
    filler.unlink()
    assert findings(node, "disk")["disk"][0]["status"] == "ok"


@pytest.mark.parametrize("settings, code, message", [
    ({"metrics": {"textfile": "/no/such/p2pnode.prom"}}, "metrics",
     "metrics.textfile: cannot write /no/such/p2pnode.prom: No such file or directory"),
    ({"log": {"file": "/dev/full"}}, "log", "log.file: cannot write /dev/full: No space left on device"),
    ({"log": {"file": "/no/such/log"}}, "log", "log.file: cannot write /no/such/log: No such file or directory"),
])
def test_a_file_that_cannot_be_written_is_told_until_it_can(lab, settings, code, message):
    node = lab["work"]
    (section, keys), = settings.items()

    def problems():
        return [one["message"] for one in node.call("Status")["problems"] if one["code"] == code]
    rewrite(node, settings)
    node.ctl("reload", code=None)  # which tells at once of a log that is not to be had
    wait_for(lambda: problems() == [message], 20, "the word about it")
    found = [(one["status"], one["message"]) for one in findings(node, "disk")["disk"]]
    assert found == [("warning", message)]
    assert node.ctl("status", "--check").code == 0
    reload(node, {section: {key: str(node.directory / "good") for key in keys}})
    wait_for(lambda: problems() == [] and (node.directory / "good").exists(), 20, "it to be over")


def test_a_death_is_a_word_of_the_cluster(make_lab):
    lab = make_pair(make_lab(FAST))
    lab["seed"].kill()
    lab.wait_state("seed", "dead")
    found = findings(lab["work"], "cluster", code=5)["cluster"]
    assert {one["message"] for one in found} >= {"1 node is dead", "no other node answers, though others are known"}
    assert all(one["fix"] for one in found)
    lab["work"].ctl("forget", "--yes", "seed")
    lab["work"].ctl("leave", code=None)
    assert ("this node has left the cluster", "p2pctl join ADDR") in \
        failed(findings(lab["work"], "cluster", code=5), "cluster")


def test_an_interpreter_that_is_missing_is_a_warning(lab):
    reload(lab["work"], {"python": {"interpreter": "/no/such/python"}})
    found = findings(lab["work"], "python")["python"]
    assert found[0]["status"] == "warning" and "/no/such/python: No such file" in found[0]["message"]


def test_a_client_that_goes_away_meanwhile_harms_nobody(lab):
    lab["seed"].pause()
    try:
        for _ in range(5):
            with lab["work"].varlink() as varlink:
                varlink.send("Doctor")
    finally:
        lab["seed"].resume()
    wait_for(lambda: lab["work"].ctl("doctor", "cluster", code=None).code == 0, 10, "all to be well")
    # And one that waits while the daemon is told to stop.
    lab["seed"].pause()
    with lab["work"].varlink() as varlink:
        varlink.send("Doctor")
        assert lab["work"].stop() == 0
    lab["seed"].resume()
    lab["work"].start()


def test_without_a_daemon_it_looks_as_far_as_it_can(tmp_path):
    result = run_program([CTL, "--socket", tmp_path / "none.sock", "doctor"])
    assert result.code == 5
    first = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if not line.startswith(" ")}
    assert first["daemon"] == "failed" and first["cluster"] == "skipped" and set(CHECKS) <= set(first)
    assert "fix: start it: p2pnode -i NAME" in result.stdout
    named = run_program([CTL, "-i", "no-such-instance", "doctor", "disk"])
    assert named.code == 5 and "fix: start it: p2pnode -i no-such-instance" in named.stdout
    assert "fix: p2pctl config check /etc/p2pnode/no-such-instance.conf" in named.stdout
    as_json = run_program([CTL, "--socket", tmp_path / "none.sock", "--json", "doctor", "python"])
    assert [one["check"] for one in json.loads(as_json.stdout)["checks"]] == ["daemon", "python"]


def test_the_report_shows_nothing_that_is_nobodys_business(lab, tmp_path):
    node, path = lab["work"], tmp_path / "report.json"
    reload(node, {"hooks": [{"event": "drain", "command": "/bin/secret-hook"}], "node": {"tags": ["door=secret-tag"]},
                  "tasks": {"types": [{"name": "a", "command": "/bin/secret-handler"}]}})
    node.ctl("message", "seed", "secret-text")
    node.ctl("message", "work", "secret-text")
    node.ctl("mem", "set", "secret-key", "secret-value")
    node.ctl("file", "put", "-", "seed:secret-file", stdin=b"secret-content")
    node.ctl("submit", "--wait", "--", "echo", "secret-word", code=None)
    assert node.ctl("doctor", "--report", path).stdout == ""
    text = path.read_text()
    report = json.loads(text)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in text and not re.search(r"\d+\.\d+\.\d+\.\d+", text)
    secrets = [word for word in lab.keyring.read_text().split() if len(word) > 40]
    assert secrets and not any(secret in text for secret in secrets)
    assert {one["check"] for one in report["doctor"]["checks"]} == set(CHECKS)
    own = report["status"]["gossip"]["address"]
    assert re.fullmatch(r"ip-\d+:7717", own)
    assert own in [one["address"] for one in report["members"]["members"]]
    assert report["metrics"]["text"].startswith("# HELP p2pnode_build_info") and report["machine"]["kernel"]
    assert any(event["type"] == "member-joined" for event in report["events"]["events"])
    missing = node.ctl("doctor", "--report", tmp_path / "no" / "where", code=1)
    assert "cannot write" in missing.stderr


def test_the_log_has_all_that_is_missing(make_lab):
    """Several problems may have one code."""
    node = make_lab(STEADY).node("lone", {"sandbox": {"mode": "landlock"}}, role="seed").start()
    missing = wait_for(lambda: [problem["message"] for problem in node.call("Status")["problems"] if problem["code"] == "sandbox"], 10,
                       "the sandbox to be tried")
    assert len(missing) > 1
    wait_for(lambda: missing[0] in node.log_text(), 15, "the log to have it")
    wait_for(lambda: all(message in node.log_text() for message in missing), 5, "the log to have all of them")
    assert [node.log_text().count(message) for message in missing] == [1] * len(missing)
