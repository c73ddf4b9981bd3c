# SPDX-License-Identifier: MIT
"""Starting, refusing to start, and stopping the daemon; its configuration."""
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

from lib.lab import BUILD, CTL, DAEMON, Loopback, Node, environment, format_config, run_program
from lib.process import content, files_below
from lib.wait import wait_for

EXAMPLES = BUILD.parent if (BUILD.parent / "etc").exists() else None
ETC = os.path.join(os.path.dirname(__file__), "../../etc/p2pnode")


def run_daemon(*arguments, **env):
    return run_program([DAEMON, *arguments], env=environment(**env))


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture
def check(tmp_path):
    """check(text): what --check-config says about it, as lines, and the exit code."""
    def check_text(text, **env):
        path = tmp_path / "lab.conf"
        path.write_text(text)
        result = run_daemon("-c", path, "--check-config", **env)
        assert result.stdout == ""
        assert run_program([CTL, "config", "check", path], env=environment(**env)).code == (2 if result.code else 0)
        return result.code, [line.replace(f"{path}:", "lab.conf:") for line in result.stderr.splitlines()]
    return check_text


def test_a_good_configuration_says_nothing(check):
    assert check("") == (0, [])
    assert check('seeds = ( "10.0.4.2:7717", "[fd00::2]:7717", "seed-1.lab" );\n') == (0, [])


def test_what_is_probably_not_meant_is_a_warning(check):
    code, lines = check('tasks = { types = ( { name = "a"; command = "/tmp/a.sh"; } ); };\n', P2PNODE_SEDES="10.0.4.2")
    assert code == 0
    assert lines == ["warning: environment: unknown variable P2PNODE_SEDES; did you mean P2PNODE_SEEDS?",
                     'warning: lab.conf:1: tasks.types: type "a": tasks do not see /tmp/a.sh: it is in neither '
                     "sandbox.read nor sandbox.write"]


def test_a_socket_too_long_for_an_address_is_refused(check):
    assert check('control = { socket = "/%s"; };\n' % ("x" * 107))[0] == 78


def test_all_errors_are_told_at_once_with_file_and_line(check):
    code, errors = check("""\
node = { name = "a b"; rolle = "peer"; };
listen = { port = 70000; };
membership = {
  probe_interval = "1 parsec";
  probe_intervall = "1s";
  max_missed = "three";
};
seeds = ( "x:99999" );
tasks = { types = ( { name = "7"; }, { nam = "a"; } ); slots = -1; };
mem = { limit = "lots"; };
""")
    assert code == 78
    expected = ['lab.conf:1: node.name: ', 'lab.conf:1: unknown key "node.rolle"; did you mean "role"?',
                'lab.conf:2: listen.port: ', 'lab.conf:4: membership.probe_interval: ',
                'lab.conf:5: unknown key "membership.probe_intervall"; did you mean "probe_interval"?',
                'lab.conf:6: membership.max_missed: ', 'lab.conf:8: seeds: ', 'lab.conf:9: ', 'lab.conf:9: ',
                'lab.conf:10: mem.limit: ']
    for start in expected:
        assert any(line.startswith(start) for line in errors), (start, errors)
    assert len([line for line in errors if line.startswith("lab.conf:9: ")]) >= 3
    assert all(re.match(r"lab\.conf:\d+: ", line) for line in errors)


@pytest.mark.parametrize("text, start", [
    ("node = { name = \"a;\n", "lab.conf:"), ("node = 7;\n", "lab.conf:1: "), ("a = 1;\na = 2;\n", "lab.conf:2: "),
    ("listen = { port = 5000000000; };\n", "lab.conf:1: listen.port: "),
    ("membership = { probe_timeout = \"900ms\"; };\n", "lab.conf:1: membership.probe_timeout"),
    ("files = { quota = \"1MiB\"; file_max = \"2MiB\"; };\n", "lab.conf:1: files."),
    ("tasks = { types = ( { name = \"a\"; }, { name = \"a\"; } ); };\n", "lab.conf:1: "),
    ("@include \"missing.conf\"\n", "lab.conf:1: ")])
def test_what_is_wrong_is_told_with_its_place(check, text, start):
    code, errors = check(text)
    assert code == 78 and len(errors) >= 1 and errors[0].startswith(start), errors


def test_an_included_file_that_cannot_be_read_is_named(tmp_path, check):
    def why(text):
        code, errors = check(text)
        assert code == 78, errors
        return errors[0]
    told = why('# a\n@include "missing.conf"\n')
    assert told == f"lab.conf:2: @include: cannot read {tmp_path}/missing.conf: No such file or directory"
    told = why('@include "/no/such.conf"\n')
    assert told == "lab.conf:1: @include: cannot read /no/such.conf: No such file or directory"


def test_an_error_in_an_included_file_names_that_file(tmp_path, check):
    (tmp_path / "common.conf").write_text("listen = {\n  prot = 7;\n};\n")
    code, errors = check(f'@include "common.conf"\n')
    assert code == 78 and errors == ['common.conf:2: unknown key "listen.prot"; did you mean "port"?']


def test_numbers_and_words_may_be_written_as_people_do(check):
    assert check('membership = { probe_interval = 1; probe_timeout = 0.25; };\nlisten = { port = "7717"; };\n') == (0, [])


def test_the_environment_overrides_and_is_checked(check, lab):
    assert check("", P2PNODE_LISTEN_PORT="7000", P2PNODE_SEEDS="10.0.4.2:7717,10.0.4.3:7717") == (0, [])
    code, errors = check("", P2PNODE_LISTEN_PORT="99999", P2PNODE_LISTEN_PROT="1")
    assert code == 78 and any("P2PNODE_LISTEN_PORT" in line for line in errors)
    node = lab.node("lone", role="seed").start(P2PNODE_LISTEN_PORT="7720", P2PNODE_TASKS_TYPES="a,b", P2PNODE_NODE_NAME="other")
    assert node.call("Status")["gossip"]["address"] == f"{node.ip}:7720"
    assert node.call("Status")["node"]["name"] == "other"
    assert {kind["name"] for kind in node.json("types")["types"]} == {"a", "b"}
    shown = node.json("config", "show", "--origin", "listen.port")["config"]
    assert shown == [{"key": "listen.port", "value": "7720", "origin": "env P2PNODE_LISTEN_PORT"}]


def test_config_show_says_where_every_value_comes_from(lab):
    node = lab.node("lone", role="seed").start()
    origins = {entry["key"]: entry["origin"] for entry in node.json("config", "show", "--origin")["config"]}
    assert origins["membership.max_missed"] == "default" and re.fullmatch(rf"{node.config}:\d+", origins["node.name"])
    assert node.ctl("config", "show", "nonsense.key", code=4).stdout == ""


def test_the_shipped_files_are_good_and_the_example_is_the_default():
    for name in os.listdir(ETC):
        if name.endswith(".conf"):
            assert run_daemon("-c", f"{ETC}/{name}", "--check-config").code == 0, name
    dumped = run_program([CTL, "config", "dump-default"])
    with open(f"{ETC}/p2pnode.conf.example", encoding="utf-8") as file:
        assert dumped.stdout == file.read()


def test_wrong_usage_is_2():
    for arguments in ((), ("--nonsense",), ("-c",), ("-c", "/dev/null", "extra"), ("-i", "a/b")):
        result = run_daemon(*arguments)
        assert result.code == 2 and result.stdout == "" and "hint:" in result.stderr or result.code == 2, arguments
    assert run_daemon("--version").stdout.startswith("p2pnode ")
    assert "--check-config" in run_daemon("--help").stdout
    assert run_daemon("-c", "/nowhere/lab.conf").code == 78


def start_in_vain(node):
    """Runs a daemon that is expected to refuse; (exit code, what it said)."""
    node.config.write_text(format_config(node.settings))
    result = run_daemon("-c", node.config)
    return result.code, result.stderr


def test_no_key_ring_is_78_with_a_hint_that_works(lab):
    node = lab.node("lone", {"security": {"keyring": "keys"}}, role="seed")
    code, text = start_in_vain(node)
    assert code == 78 and "no key ring" in text
    command = re.search(r"hint: .*: (\(.*\))\n", text)[1]
    subprocess.run(["sh", "-c", command.replace("p2pctl", str(CTL))], check=True)
    node.start()
    assert node.call("Status")["gossip"]["encrypted"] is True


def test_a_damaged_key_ring_is_78_and_never_shown(lab):
    path = lab.directory / "damaged"
    path.write_text("c2VjcmV0IGtleSBtYXRlcmlhbA==\n")
    path.chmod(0o600)
    code, text = start_in_vain(lab.node("lone", {"security": {"keyring": str(path)}}, role="seed"))
    assert code == 78 and "damaged" in text and "c2VjcmV0" not in text


def test_the_key_ring_is_copied_to_the_state_directory_for_its_owner_alone(lab):
    node = lab.node("lone", role="seed").start()
    copies = [status for path, status in files_below(node.directory)
              if stat.S_ISREG(status.st_mode) and content(path) == lab.keyring.read_bytes()]
    assert len(copies) == 1 and stat.S_IMODE(copies[0].st_mode) == 0o600
    assert lab.keyring.read_text().strip() not in node.log_text() + node.ctl("status", "--json=short").stdout


def test_the_copy_of_the_key_ring_wins_and_a_difference_is_told(lab):
    node = lab.node("lone", role="seed").start()
    fingerprint = node.call("Status")["gossip"]["key"]
    assert node.stop() == 0
    node.settings["security"] = {"keyring": str(lab.make_keyring("newer"))}
    node.start()
    assert node.call("Status")["gossip"]["key"] == fingerprint
    assert any("key" in problem["code"] for problem in node.call("Status")["problems"])


def test_a_port_in_use_names_who_has_it(lab):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        node = lab.node("lone", role="seed")
        taken.bind((node.ip, 7717))
        code, text = start_in_vain(node)
    assert code == 1 and f"udp 7717 is in use by pid {os.getpid()} (" in text and "listen.port" in text
    with socket.socket() as taken:
        taken.bind((node.ip, 7717))
        taken.listen()
        code, text = start_in_vain(node)
    assert code == 1 and f"tcp 7717 is in use by pid {os.getpid()} (" in text


def test_any_free_port_is_taken_and_told(lab):
    node = lab.node("lone", {"listen": {"port": 0}}, role="seed").start()
    address = node.call("Status")["gossip"]["address"]
    assert address.startswith(f"{node.ip}:") and address != f"{node.ip}:0"


def test_a_second_daemon_of_the_same_instance_is_refused(lab):
    node = lab.node("lone", role="seed").start()
    second = Node(lab, "lone", Loopback(lab.network, 9), {"seeds": []})
    code, text = start_in_vain(second)
    assert code == 1 and "in use by another p2pnode" in text
    assert node.call("Status")["node"]["pid"] == node.pid
    third = Node(lab, "third", Loopback(lab.network, 8), {"seeds": [], "control": {"socket": str(node.socket)}})
    code, text = start_in_vain(third)
    assert code == 1 and str(node.socket) in text
    assert node.call("Status")["node"]["pid"] == node.pid


def test_a_socket_that_a_crash_left_is_replaced(lab):
    node = lab.node("lone", role="seed").start()
    node.kill()
    assert node.socket.exists()
    node.start()
    assert node.stop() == 0
    assert not node.socket.exists()


def test_the_id_of_a_node_stays_and_is_its_own(lab):
    one, other = lab.node("one", role="seed").start(), lab.node("other", role="seed").start()
    uuid = one.call("Status")["node"]["uuid"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid) and uuid != other.call("Status")["node"]["uuid"]
    one.restart()
    assert one.call("Status")["node"]["uuid"] == uuid


def test_a_damaged_database_is_refused_not_replaced(lab):
    node = lab.node("lone", role="seed").start()
    assert node.stop() == 0
    database = next(node.directory.glob("*.db"))
    data = bytearray(database.read_bytes())
    data[0:4096] = b"\x5a" * min(4096, len(data))
    database.write_bytes(bytes(data))
    code, text = start_in_vain(node)
    assert code == 1 and database.name in text
    assert database.read_bytes() == bytes(data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_on_request_with_0_and_leaves_no_process(lab, number):
    node = lab.node("lone", role="seed", types=["a"]).start()
    assert node.ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"
    node.signal(number)
    assert node.wait_end() == 0


def test_sighup_opens_the_log_file_anew(lab):
    path = lab.directory / "plain.log"
    node = lab.node("lone", {"log": {"file": str(path)}}, role="seed").start()
    wait_for(lambda: "node lone started" in path.read_text(), 5, "the first line")
    path.rename(lab.directory / "plain.log.1")
    node.signal(signal.SIGHUP)
    wait_for(path.exists, 5, "the new file")
    node.ctl("file", "put", "-", "lone:note", stdin=b"x")
    wait_for(lambda: "file note stored" in path.read_text(), 5, "a line in the new file")


def test_a_socket_of_systemd_is_told_when_it_is_ready(lab):
    """As Type=notify wants it: READY=1 once everything is bound."""
    path = lab.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(60)
        node = lab.node("lone", role="seed")
        node.launch(NOTIFY_SOCKET=str(path))
        assert b"READY=1" in notify.recv(4096)
        assert node.call("Status")["running"]
        node.process.terminate()
        texts = notify.recv(4096)
        while b"STOPPING=1" not in texts:
            texts = notify.recv(4096)
        assert node.wait_end() == 0


def test_systemd_is_told_how_long_a_stop_may_take(lab):
    """Else TimeoutStopSec= of the unit would end what stop_grace allows."""
    path = lab.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(60)
        node = lab.node("lone", {"stop_grace": "100s"}, role="seed").start(NOTIFY_SOCKET=str(path))
        node.process.terminate()
        texts = notify.recv(4096)
        while not texts.startswith(b"EXTEND_TIMEOUT_USEC="):
            texts = notify.recv(4096)
        assert 100_000_000 < int(texts.partition(b"=")[2]) < 200_000_000
        assert node.wait_end() == 0
