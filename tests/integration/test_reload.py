# SPDX-License-Identifier: MIT
"""Reading the configuration again while the daemon runs: what is taken over, what is not, and who hears of it."""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import threading

import pytest

from lib.lab import CTL, STEADY, environment, format_config, merge, run_program
from lib.varlink import VarlinkError
from lib.wait import wait_for

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("seed", role="seed")
    lab.node("lone", types=["a"])
    return lab.start()


@pytest.fixture
def node(lab):
    """A node whose file is put back afterwards."""
    yield lab["lone"]
    rewrite(lab["lone"])
    wait_for(lambda: lab["lone"].ctl("reload", code=None).code == 0, 5, "the file to be put back")


def rewrite(node, settings=None):
    node.config.write_text(format_config(merge(node.settings, settings or {})))


def reload(node, settings):
    rewrite(node, settings)
    return node.json("reload")


def test_nothing_changed_is_told(node):
    assert node.ctl("reload").stdout == "reloaded: nothing changed\n"


def test_what_changed_is_told_and_in_force(node):
    rewrite(node, {"log": {"level": "info"}, "tasks": {"slots": 3}, "mem": {"limit": "1MiB"},
                   "files": {"quota": "3MiB"}})
    assert node.ctl("reload").stdout == "reloaded: tasks.slots files.quota mem.limit log.level\n"
    status = node.call("Status")
    assert (status["tasks"]["slots"], status["files"]["quota_bytes"], status["mem"]["limit_bytes"]) == \
        (3, 3 << 20, 1 << 20)
    assert node.ctl("file", "put", "-", "lone:big", stdin=b"x" * (4 << 20), code=None).code == 1
    assert node.ctl("config", "show", "--origin", "log.level").stdout.split()[-1].startswith(f"{node.config}:")
    event = node.events("config-reloaded")[-1]
    assert event["message"] == "configuration reloaded: tasks.slots files.quota mem.limit log.level"


def test_what_needs_a_restart_is_told_and_stays(node):
    before = node.call("Status")["gossip"]["address"]
    rewrite(node, {"listen": {"port": 7800}, "node": {"cluster": "other", "tags": ["room=1"]}})
    result = node.ctl("reload")
    assert result.stdout == "reloaded: node.tags\nneeds restart: node.cluster listen.port\n"
    # The running values are shown, and the next reload says the same: nothing was taken over in part.
    assert node.ctl("config", "show", "listen.port").stdout == "7717\n"
    assert node.ctl("reload").stdout == "reloaded: nothing changed\nneeds restart: node.cluster listen.port\n"
    assert node.call("Status")["gossip"]["address"] == before
    assert node.json("reload") == {"schema": "p2pctl.reload/1", "changed": [],
                                   "needs_restart": ["node.cluster", "listen.port"]}


# Another value for each key than the one that the node has.
OTHERS = {
    "node.name": "other", "node.role": "seed", "node.cluster": "other", "node.tags": ["room=1"],
    "listen.address": "127.0.0.1", "listen.port": 7800, "listen.advertise": "127.0.0.1", "listen.interface": "lo",
    "seeds": ["127.0.0.1:7718"], "seeds_file": "FILE", "membership.seed_quorum": "all",
    "membership.probe_interval": "5s", "membership.probe_timeout": "150ms", "membership.indirect_probes": 2,
    "membership.max_missed": 4, "membership.suspicion_mult": 3, "membership.suspicion_max": 5,
    "membership.dead_retention": "1h", "membership.rejoin_interval": "2s", "membership.unstable_flaps": 6,
    "membership.unstable_window": "5min", "membership.snapshot": False, "gossip.interval": "150ms", "gossip.fanout": 3,
    "gossip.sync_interval": "20s", "gossip.message_interval": "4s", "gossip.message_count": 5,
    "gossip.load_interval": "1s", "gossip.retransmit_mult": 3, "gossip.mtu": 1200, "security.encrypt": False,
    "security.keyring": "RING", "security.cipher": "aes-256-gcm", "security.tls": False,
    "security.allow": ["127.0.0.0/8"], "tasks.enabled": False, "tasks.slots": 3, "tasks.queue_max": 100,
    "tasks.scheduler": "fifo", "tasks.quantum": "1s", "tasks.lease": "3s", "tasks.rebalance_after": "10s",
    "tasks.timeout": "2h", "tasks.kill_grace": "2s", "tasks.retries": 3, "tasks.retry_delay": "1s",
    "tasks.retry_on": ["node-lost"], "tasks.keep": "1d", "tasks.keep_failed": "2d", "tasks.output_max": "1MiB",
    "tasks.result_max": "1MiB", "tasks.allow_commands": False, "tasks.allow_python": False, "tasks.memory": "1GiB",
    "tasks.on_done": "/bin/true", "tasks.types": [{"name": "z"}], "python.interpreter": "/usr/bin/python3.11",
    "python.workers": 1, "python.max_jobs": 10, "python.modules": ["json"], "sandbox.mode": "none",
    "sandbox.network": True, "sandbox.read": ["/usr"], "sandbox.write": ["/tmp"], "files.dir": "elsewhere",
    "files.quota": "1GiB", "files.file_max": "1GiB", "files.reserve": "2MiB", "files.part_keep": "1h",
    "mem.limit": "1MiB", "mem.value_max": "1KiB", "mem.key_max": 100, "mem.persist": False, "messages.keep": 10,
    "messages.size_max": "500B", "messages.handler": "/bin/true", "net.tcp_connect_timeout": "2s",
    "net.tcp_idle": "10s", "net.connections_max": 10, "net.transfers_max": 2, "net.rate_limit": "1MiB",
    "control.socket": "/tmp/other.sock", "control.mode": "0600", "control.user_group": "games",
    "control.admin_group": "games", "control.clients_max": 10, "state_dir": "/tmp/other", "stop_grace": "2s",
    "log.level": "info", "log.target": "syslog", "log.facility": "user", "log.subsystems": ["mem=err"],
    "log.file": "LOG", "log.gossip_first": 3, "metrics.textfile": "PROM", "metrics.interval": "5s",
    "hooks": [{"event": "drain", "command": "/bin/true"}],
}
ONE_VALUE = {"files.verify"}  # there is no other
FOLLOWERS = {"security.encrypt": ["security.tls"]}  # whose default goes by it


def test_each_key_is_taken_over_or_told_to_need_a_restart_as_the_manual_says(lab, node, tmp_path):
    """One by one, there and back: nothing else is named, nothing is silently ignored."""
    page = (ROOT / "etc/p2pnode.conf.5").read_text()
    marks = dict(re.findall(r"^\.It Ic ([a-z_.]+) No \(([^)]*)\)", page, re.M))
    assert set(OTHERS) | ONE_VALUE == set(marks)
    places = {"FILE": tmp_path / "config.txt", "RING": lab.make_keyring("another"), "LOG": tmp_path / "log",
              "PROM": tmp_path / "p2pnode.prom"}
    places["FILE"].write_text("127.0.0.1:7719\n")
    for key, value in OTHERS.items():
        value = str(places.get(value, value)) if isinstance(value, str) else value
        section, _, name = key.partition(".")
        answer = reload(node, {section: {name: value}} if name else {key: value})
        needs_restart = "restart" in marks[key]
        assert answer["needs_restart" if needs_restart else "changed"] == [key, *FOLLOWERS.get(key, [])], (key, answer)
        assert answer["changed" if needs_restart else "needs_restart"] == [], (key, answer)
        if not needs_restart:
            assert reload(node, {})["changed"] == [key]
    assert reload(node, {}) == {"schema": "p2pctl.reload/1", "changed": [], "needs_restart": []}
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_a_log_file_that_cannot_be_opened_fails_with_its_path(node):
    told = len(node.events("config-reloaded"))
    rewrite(node, {"log": {"file": "/nonexistent/x.log"}, "tasks": {"slots": 3}})
    result = node.ctl("reload", code=1)
    assert result.stderr == ("p2pctl: not all of the configuration could be reloaded: log.file: /nonexistent/x.log: "
                             "No such file or directory\nhint: p2pctl doctor\n")
    # The rest is in force, and nobody says that all of it is.
    assert str(node.json("config", "show", "tasks.slots")["config"][0]["value"]) == "3"
    assert len(node.events("config-reloaded")) == told
    problems = [one["message"] for one in node.json("status")["problems"] if one["code"] == "log"]
    assert problems == ["log.file: cannot write /nonexistent/x.log: No such file or directory"]
    checked = node.ctl("config", "check", node.config)
    assert "log.file: there is no directory /nonexistent\n" in checked.stderr
    reload(node, {})
    assert not [one for one in node.json("status")["problems"] if one["code"] == "log"]


def test_a_bad_file_fails_with_all_errors_and_changes_nothing(node):
    node.config.write_text(format_config(merge(node.settings, {"tasks": {"slots": 5}, "log": {"level": "loud"},
                                                               "gossip": {"fanout": 0}})))
    result = node.ctl("reload", code=2)
    lines = result.stderr.splitlines()
    assert result.stdout == "" and len(lines) == 3, lines
    assert lines[0].startswith(f"{node.config}:") and "gossip.fanout: " in lines[0] + lines[1]
    assert "log.level: " in lines[0] + lines[1]
    assert lines[2] == f"p2pctl: {node.config}: 2 errors, the configuration stays as it was"
    assert node.ctl("config", "show", "tasks.slots").stdout == "0\n"
    error = json.loads(node.ctl("--json", "reload", code=2).stderr)["error"]
    assert error["code"] == "bad-config" and error["exit"] == 2 and len(error["details"]) == 2
    assert "gossip.fanout: " in node.log_text() and "was not reloaded" in node.log_text()


def test_a_file_that_is_gone_changes_nothing(node):
    node.config.unlink()
    assert "lone.conf" in node.ctl("reload", code=2).stderr
    assert node.call("Status")["running"]


def test_tags_and_types_are_told_to_the_others(lab, node):
    reload(node, {"node": {"tags": ["gpu=1"]}, "tasks": {"types": [{"name": "b"}, {"name": "q"}]}})
    wait_for(lambda: lab["seed"].members()["lone"]["tags"] == {"gpu": "1"} and
             lab["seed"].members()["lone"]["types"] == ["b", "q"], 10, "the seed to know")
    assert lab["seed"].ctl("submit", "--wait", "q7").stdout == "Executing task: q7\n"
    assert node.ctl("submit", "a1", code=4).code == 4


def test_tasks_can_be_switched_off_and_on(lab, node):
    reload(node, {"tasks": {"enabled": False}})
    assert node.call("Status")["node"]["accepting"] is False
    wait_for(lambda: lab["seed"].ctl("submit", "a1", code=None).code == 4, 10, "the seed to know")
    reload(node, {})
    assert node.ctl("submit", "--wait", "a2").stdout == "Executing task: a2\n"


def test_tasks_can_be_switched_on_where_they_were_off_at_start(make_lab):
    lab = make_lab(STEADY)
    node = lab.node("lone", {"tasks": {"enabled": False}}, role="seed", types=["a"]).start()
    assert reload(node, {"tasks": {"enabled": True}})["changed"] == ["tasks.enabled"]
    wait_for(lambda: "a" in [one["name"] for one in node.call("Types")["types"]], 5, "the type")
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_seeds_are_contacted(make_lab):
    lab = make_lab(STEADY)
    seed = lab.node("seed", role="seed").start()
    node = lab.node("lone", seeds=[]).start()
    assert node.sees_alive() == {"lone"}
    path = lab.directory / "config.txt"
    path.write_text(f"{seed.address}\n")
    assert reload(node, {"seeds_file": str(path)})["changed"] == ["seeds_file"]
    wait_for(lambda: node.sees_alive() == {"lone", "seed"}, 10, "the node to join")
    # Another line in the same file is a change, too.
    path.write_text(f"{seed.address}\n127.81.0.250:7717\n")
    assert node.json("reload")["changed"] == ["seeds_file"]
    assert node.call("Status")["cluster"]["seeds"]["configured"] == 2


def test_networks_may_be_shut_out(lab, node):
    reload(node, {"security": {"allow": ["192.0.2.0/24"]}})
    assert lab["seed"].ctl("ping", "lone", code=None).code != 0
    reload(node, {})
    wait_for(lambda: lab["seed"].ctl("ping", "lone", code=None).code == 0, 10, "the way to be open again")


def test_ciphers_and_sizes_of_datagrams_change_under_way(lab, node):
    for settings in ({"security": {"cipher": "chacha20-poly1305"}, "gossip": {"mtu": 1000}},
                     {"security": {"cipher": "aes-256-gcm"}, "gossip": {"mtu": 1400}}):
        assert reload(node, settings)["needs_restart"] == []
        wait_for(lambda: lab["seed"].ctl("ping", "lone", "--udp", code=None).code == 0, 10, "an answer")
        assert node.ctl("message", "seed", "x" * 500).code == 0
    assert node.state_of("seed") == "alive" and lab["seed"].state_of("lone") == "alive"


def test_the_rights_of_the_socket_follow(node):
    assert reload(node, {"control": {"mode": "0600", "user_group": "games"}})["changed"] == \
        ["control.mode", "control.user_group"]
    assert stat.S_IMODE(node.socket.stat().st_mode) == 0o600
    reload(node, {"control": {"mode": "0660", "user_group": "games"}})
    assert stat.S_IMODE(node.socket.stat().st_mode) == 0o660
    reload(node, {"control": {"clients_max": 1, "user_group": "games"}})
    wait_for(lambda: has_one_place(node), 5, "the second client to be sent away")


def has_one_place(node):
    """Whether one may ask, and a second one not meanwhile. The place of who left may be taken a moment longer."""
    with node.varlink() as first, node.varlink() as second:
        try:
            first.call("Status")
        except (VarlinkError, OSError):
            return False
        with pytest.raises((VarlinkError, OSError)):
            second.call("Status")
        return True


def test_limits_of_connections_and_transfers_follow(lab, node):
    changed = reload(node, {"net": {"connections_max": 65536, "transfers_max": 64, "tcp_idle": "1s",
                                    "tcp_connect_timeout": "1s", "rate_limit": "1MiB"}})["changed"]
    assert len(changed) == 5
    assert node.ctl("file", "put", "-", "seed:x", stdin=b"x" * 100_000).code == 0
    reload(node, {"net": {"connections_max": 1, "transfers_max": 1}})
    assert node.ctl("file", "get", "seed:x", "-").stdout == "x" * 100_000
    assert lab["seed"].ctl("submit", "--wait", "a5").stdout == "Executing task: a5\n"


def test_the_largest_number_of_connections_is_one_to_start_with(make_lab):
    make_lab(merge(STEADY, {"net": {"connections_max": 65536}})).node("lone", role="seed").start()


def test_fewer_messages_are_kept_from_now_on(node):
    for number in range(4):
        node.ctl("message", "lone", f"text {number}")
    reload(node, {"messages": {"keep": 2}})
    assert [one["msg"] for one in node.call("Inbox")["messages"]] == ["text 2", "text 3"]
    reload(node, {"messages": {"keep": 100}})
    node.ctl("message", "lone", "text 4")
    assert [one["msg"] for one in node.call("Inbox")["messages"]] == ["text 2", "text 3", "text 4"]


def test_a_signal_reloads_too(node):
    rewrite(node, {"tasks": {"slots": 2}})
    node.signal(signal.SIGHUP)
    wait_for(lambda: node.call("Status")["tasks"]["slots"] == 2, 5, "the new number of slots")


def test_many_at_once_are_all_answered(node):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(node.call("Reload"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 20 and all(answer["needs_restart"] == [] for answer in answers)


def test_who_goes_away_meanwhile_harms_nobody(node):
    for _ in range(10):
        with node.varlink() as varlink:
            varlink.send("Reload")
            varlink.send("Reload")
    assert node.json("reload")["changed"] == []


def test_another_node_can_be_told(lab, node):
    rewrite(node, {"tasks": {"slots": 6}})
    assert lab["seed"].ctl("-N", "lone", "reload").stdout == "reloaded: tasks.slots\n"


def test_systemd_hears_of_it(make_lab):
    lab = make_lab()
    path = lab.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(60)

        def wait(text):
            while text not in notify.recv(4096):
                pass
        node = lab.node("lone", role="seed")
        node.launch(NOTIFY_SOCKET=str(path))
        wait(b"READY=1")
        node.wait_ready()
        node.ctl("reload")
        wait(b"RELOADING=1\nMONOTONIC_USEC=")
        wait(b"READY=1")
        node.config.write_text("nonsense\n")
        node.ctl("reload", code=2)
        wait(b"RELOADING=1")
        wait(b"READY=1")
        rewrite(node)
        # Asked for and stopped at once: the answer may be missing, the end is clean.
        with node.varlink() as varlink:
            varlink.send("Reload")
            assert node.stop() == 0
        node.start(NOTIFY_SOCKET=str(path))


def test_an_environment_that_overrides_still_does(make_lab):
    node = make_lab().node("lone", role="seed")
    node.start(P2PNODE_TASKS_SLOTS="4")
    assert reload(node, {"tasks": {"slots": 2}})["changed"] == []
    assert node.call("Status")["tasks"]["slots"] == 4


def test_another_socket_is_found_by_the_name_of_the_instance(make_lab):
    """As "systemctl reload" does it: p2pctl -i INSTANCE reload, with the directory that systemd made."""
    lab = make_lab()
    run = lab.directory / "run" / "p2pnode"
    run.mkdir(parents=True)
    node = lab.node("lone", {"control": {"socket": str(run / "other.sock")}}, role="seed")
    node.socket = run / "other.sock"
    node.start(RUNTIME_DIRECTORY=str(run))
    env = environment(XDG_RUNTIME_DIR=str(run.parent))
    result = run_program([CTL, "-i", "lone", "reload"], env=env)
    assert (result.code, result.stdout) == (0, "reloaded: nothing changed\n"), result
    # It is one daemon, not two, for who names none.
    assert os.readlink(run / "lone.sock") == str(node.socket)
    hint = run_program([CTL, "-i", "no-such", "status"], env=env).stderr
    running = re.search(r"running: (.*)\)", hint)[1].split(", ")
    assert "other" in running and "lone" not in running
    assert node.stop() == 0
    assert not os.path.lexists(run / "lone.sock")
