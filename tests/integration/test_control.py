# SPDX-License-Identifier: MIT
"""The control socket: Varlink as others speak it, and what nobody should send."""
import json
import os
import pwd
import re
import socket
import stat
import subprocess

import pytest

from lib.lab import CTL, STEADY, environment, run_program
from lib.process import descriptors, resident_bytes
from lib.varlink import VarlinkError
from lib.wait import wait_for

MIB = 1 << 20
INTERFACE = os.path.join(os.path.dirname(__file__), "../../daemon/control/org.p2pnode.varlink")


@pytest.fixture(scope="module")
def node(make_module_lab):
    return make_module_lab(STEADY).node("lone", role="seed", types=["a"]).start()


@pytest.fixture(autouse=True)
def goes_on(node):
    """Whatever a test sends, the next client is served."""
    yield
    assert node.call("Status")["running"]


def test_get_info_says_who_is_there(node):
    info = node.call("org.varlink.service.GetInfo")
    assert set(info) == {"vendor", "product", "version", "url", "interfaces"}
    assert {"org.varlink.service", "org.p2pnode"} <= set(info["interfaces"]) and info["product"] == "p2pnode"


def test_the_description_is_the_interface_file(node):
    with open(INTERFACE, encoding="utf-8") as file:
        text = file.read()
    assert node.call("org.varlink.service.GetInterfaceDescription", interface="org.p2pnode")["description"] == text
    text = node.call("org.varlink.service.GetInterfaceDescription", interface="org.varlink.service")["description"]
    assert "method GetInfo()" in text
    with pytest.raises(VarlinkError, match="InterfaceNotFound"):
        node.call("org.varlink.service.GetInterfaceDescription", interface="org.example")


def methods():
    with open(INTERFACE, encoding="utf-8") as file:
        return re.findall(r"^method (\w+)\(", file.read(), re.M)


@pytest.mark.parametrize("method", methods())
def test_every_method_of_the_file_is_there_and_refuses_what_it_does_not_know(node, method):
    with node.varlink() as varlink:
        varlink.send(method, {"colour": "red"}, more=True)
        reply = varlink.receive()
        assert reply["error"] == "org.varlink.service.InvalidParameter", reply
        assert reply["parameters"] == {"parameter": "colour"}


def test_unknown_methods_are_not_found(node):
    for method in ("org.p2pnode.Nothing", "org.p2pnode.status", "org.example.Status", "Status", "", "a.b."):
        with node.varlink() as varlink:
            varlink.send_raw(json.dumps({"method": method}).encode() + b"\0")
            reply = varlink.receive()
            assert (reply["error"], reply["parameters"]) == ("org.varlink.service.MethodNotFound", {"method": method})


@pytest.mark.parametrize("method, parameters, name", [
    ("ShowTask", {}, "id"), ("ShowTask", {"id": 7}, "id"), ("Submit", {"argv": "true"}, "argv"),
    ("Submit", {"argv": [1]}, "argv"), ("TaskLogs", {"id": "1", "lines": -1}, "lines"),
    ("SetMemory", {"key": ["x"], "value": "y"}, "key"), ("Events", {"lines": 1.5}, "lines"),
    ("Events", {"types": {}}, "types"), ("Ping", {"all": "yes"}, "all"), ("Join", {"addresses": []}, "addresses")])
def test_a_parameter_of_the_wrong_kind_is_named(node, method, parameters, name):
    with node.varlink() as varlink:
        varlink.send(method, parameters, more=True)
        reply = varlink.receive()
        assert (reply["error"], reply["parameters"]) == ("org.varlink.service.InvalidParameter", {"parameter": name})


def answer_and_end(node, data):
    """What the daemon says to raw bytes before it closes the connection."""
    with node.varlink() as varlink:
        try:
            varlink.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may close before it has read all
        replies = []
        try:
            while (reply := varlink.receive()) is not None:
                replies.append(reply)
        except ConnectionResetError:
            pass
        return replies


@pytest.mark.parametrize("data", [
    b"{\0", b"nonsense\0", b"\0", b"[]\0", b"7\0", b'"text"\0', b"null\0", b"{}\0", b'{"method":7}\0',
    b'{"method":"org.p2pnode.Status","parameters":[]}\0', b'{"method":"org.p2pnode.Status"} trailing\0',
    b'{"method":"org.p2pnode.Status","parameters":{"node":"\xff"}}\0',
    b'{"method":"org.p2pnode.Status","parameters":{"node":"a\\u0000b"}}\0'],
    ids=lambda data: repr(data)[2:40])
def test_what_is_no_call_gets_an_error_and_the_end(node, data):
    for reply in answer_and_end(node, data):
        assert "error" in reply


def nested(depth):
    inner = "[" * depth + "]" * depth
    return f'{{"method":"org.p2pnode.Status","parameters":{{"node":{inner}}}}}'.encode() + b"\0"


def test_depth_32_is_read_and_33_refused(node):
    """The call itself and its parameters are two levels."""
    with node.varlink() as varlink:
        varlink.send_raw(nested(30))
        assert varlink.receive()["error"] == "org.varlink.service.InvalidParameter"
        assert varlink.call("Status")["running"]
    replies = answer_and_end(node, nested(31))
    assert len(replies) <= 1 and all("error" in reply for reply in replies)
    answer_and_end(node, nested(400_000))


def padded(size):
    """A good call of so many bytes with its NUL."""
    call = b'{"method":"org.p2pnode.Status"}'
    return call + b" " * (size - len(call) - 1) + b"\0"


def test_a_mebibyte_is_read_and_one_byte_more_refused(node):
    with node.varlink() as varlink:
        varlink.send_raw(padded(MIB))
        assert varlink.receive()["parameters"]["running"]
    replies = answer_and_end(node, padded(MIB + 2))
    assert replies and all("error" in reply for reply in replies)
    replies = answer_and_end(node, b"x" * (3 * MIB))
    assert all("error" in reply for reply in replies)


def test_half_a_message_harms_nobody(node):
    half = node.varlink()
    half.send_raw(b'{"method":"org.p2pnode.Sta')
    assert node.call("Status")["running"]
    half.send_raw(b'tus"}\0')
    assert half.receive()["parameters"]["running"]
    half.send_raw(b'{"method":')
    half.socket.close()


def test_calls_may_be_pipelined(node):
    with node.varlink() as varlink:
        for _ in range(50):
            varlink.send("Ping")
            varlink.send("Nothing")
        for _ in range(50):
            assert varlink.receive()["parameters"]["message"].endswith("is running!")
            assert varlink.receive()["error"] == "org.varlink.service.MethodNotFound"


def connect_and_ask(node):
    """A client that was answered, or None where the places of those who left are still taken."""
    client = node.varlink()
    try:
        client.call("Ping")
        return client
    except (VarlinkError, OSError):
        client.socket.close()
        return None


def test_the_57th_client_of_a_user_is_told_that_there_are_too_many(node):
    """Seven eighths of the 64 places are for one user."""
    clients = []
    try:
        for _ in range(56):
            clients.append(wait_for(lambda: connect_and_ask(node), 10, "a place"))
        result = node.ctl("status", code=1)
        assert result.stderr.startswith("p2pctl: ") and "busy" in node.ctl("--json=short", "status", code=1).stderr
        for client in clients:
            assert client.call("Ping")["message"].endswith("is running!")
    finally:
        for client in clients:
            client.socket.close()
    wait_for(lambda: node.ctl("status", code=None).code == 0, 5, "room again")


def test_a_client_that_never_reads_costs_a_bounded_amount(node):
    """It asks for ever and takes no answer: its calls are no longer read, and others are served."""
    deaf = node.varlink()
    deaf.socket.setblocking(False)
    sent = 0
    call = b'{"method":"org.p2pnode.Events","parameters":{}}\0' * 100
    try:
        while sent < 64 * MIB:
            sent += deaf.socket.send(call)
    except BlockingIOError:
        pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 16 * MIB
    assert resident_bytes(node.pid) < 200 * MIB
    assert node.call("Status")["running"]
    deaf.socket.close()


def sockets(node):
    return descriptors(node.pid).count("socket")


def nulls(node):
    return descriptors(node.pid).count("/dev/null")


def test_descriptors_nobody_asked_for_are_closed(node):
    before = nulls(node)
    for number in (1, 5, 200):
        with node.varlink() as varlink, open("/dev/null", "rb") as file:
            try:  # the daemon may answer, or close the connection at any point
                for _ in range(20):
                    varlink.send("Ping", descriptors=[file.fileno()] * number)
                    if varlink.receive() is None:
                        break
            except (BrokenPipeError, ConnectionResetError):
                pass
    wait_for(lambda: nulls(node) <= before, 5, lambda: f"the descriptors to be closed: {descriptors(node.pid)}")


def test_a_descriptor_that_cannot_be_read_is_an_error_not_a_hang(node, tmp_path):
    with node.varlink() as varlink:
        with pytest.raises(VarlinkError):
            varlink.call("PutFile", {"name": "none"})
    target = os.open(tmp_path, os.O_RDONLY)
    try:
        with node.varlink() as varlink, pytest.raises(VarlinkError):
            varlink.call("PutFile", {"name": "directory"}, descriptors=[target])
    finally:
        os.close(target)
    write_only = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        with node.varlink() as varlink, pytest.raises(VarlinkError):
            varlink.call("PutFile", {"name": "write-only"}, descriptors=[write_only])
    finally:
        os.close(write_only)
    assert node.call("ListFiles")["files"] == []


def test_a_client_that_goes_away_ends_its_streams(node):
    before = sockets(node)
    clients = [wait_for(lambda: connect_and_ask(node), 10, "a place") for _ in range(10)]
    for client in clients:
        client.send("Events", {"follow": True, "lines": 1}, more=True)
        assert client.receive()["continues"]
        client.socket.close()
    wait_for(lambda: sockets(node) <= before, 5, lambda: f"the connections to be closed: {descriptors(node.pid)}")


def test_events_follow_tells_what_happens_now(node):
    with node.varlink() as varlink:
        stream = varlink.stream("Events", {"follow": True, "lines": 0, "types": ["mem-*"]})
        node.ctl("ping")
        varlink.send("Events", {"follow": True, "lines": 0, "types": ["mem-*"]}, more=True)
        wait_for(lambda: node.call("Ping"), 5)
        node.call("SetMemory", key="watched", value="x")
        event = varlink.receive()["parameters"]
        assert event["type"] == "mem-changed" and "watched" in event["message"]
        del stream


def test_json_prints_exactly_the_replys_parameters(node):
    for arguments, method in ((["peers"], "Peers"), (["types"], "Types"), (["file", "ls"], "ListFiles"), (["mem", "ls"], "ListMemory")):
        assert node.json(*arguments) == node.call(method)


def test_the_socket_is_for_its_group_alone(node):
    """Without the group p2pnode on this machine: for its owner alone, which the hint says."""
    mode = stat.S_IMODE(os.stat(node.socket).st_mode)
    assert mode in (0o600, 0o660) and not mode & 0o007
    user = pwd.getpwnam("nobody")
    result = run_program([CTL, "--socket", node.socket, "status"], user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    assert result.code == 6 and result.stdout == ""
    assert re.match(r'p2pctl: not permitted: (user "nobody" is not in group |only user "root" may use ).*\nhint: ',
                    result.stderr)


def test_no_daemon_is_3_with_a_hint(node):
    path = node.lab.directory / "nobody.sock"
    result = run_program([CTL, "--socket", path, "status"])
    assert result.code == 3 and result.stdout == ""
    assert result.stderr.startswith(f'p2pctl: cannot connect to p2pnode "nobody": {path}: No such file or directory\n'
                                    "hint: start it:            systemctl start p2pnode@nobody")
    result = run_program([CTL, "--json=short", "--socket", path, "status"])
    assert json.loads(result.stderr)["error"]["code"] == "not-running"
    path.touch()
    assert run_program([CTL, "--socket", path, "status"]).code == 3


def test_a_daemon_that_hangs_is_not_waited_for_for_ever(node):
    node.pause()
    try:
        result = node.ctl("--request-timeout", "300ms", "status", code=1)
        assert "no answer in time" in result.stderr
    finally:
        node.resume()


def test_a_daemon_that_dies_meanwhile_is_told(make_lab):
    node = make_lab(STEADY).node("lone", role="seed").start()
    watching = node.ctl_start("events", "-f", "-n", "1")
    following = node.ctl_start("submit", "-f", "--", "sh", "-c", "echo begun; sleep 60")
    assert watching.stdout.readline() and following.stdout.readline() == b"begun\n"
    node.kill()
    for process, code in ((watching, 1), (following, 125)):
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == code and b"lost the connection" in stderr, stderr


@pytest.mark.parametrize("arguments", [
    ["member"], ["task"], ["task", "sho", "1"], ["--nonsense"], ["status", "extra"], ["submit"], ["mem", "set", "x"],
    ["task", "cancel"], ["ping", "--count", "x"], ["events", "--format=xml"], ["members", "--state", "sleeping"]])
def test_wrong_usage_is_2_and_says_why(node, arguments):
    result = node.ctl(*arguments, code=2)
    assert result.stdout == "" and result.stderr.startswith("p2pctl: ")


def test_varlinkctl_of_systemd_is_a_client_too(node):
    """Where there is one: systemd 255 and later."""
    found = subprocess.run(["which", "varlinkctl"], capture_output=True, check=False, env=environment())
    if found.returncode:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(node.socket))
            plain.sendall(b'{"method":"org.varlink.service.GetInfo"}\0')
            assert b'"org.p2pnode"' in plain.recv(65536)
        return
    result = run_program(["varlinkctl", "introspect", node.socket, "org.p2pnode"])
    assert result.code == 0 and "method Status" in result.stdout
