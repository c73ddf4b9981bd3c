# SPDX-License-Identifier: MIT
"""Who has no key is nobody: no answer, no effect, nothing readable."""
import random
import select
import socket
import ssl
import time

import pytest

from lib.lab import PORT, STEADY, merge
from lib.sniff import Sniffer, send_as
from lib.wait import holds_for, wait_for

NAMES = {"seed", "lab-01", "lab-02"}


@pytest.fixture
def lab(make_lab):
    """Nobody is suspect because the machine is busy; what there is to overhear is told without end."""
    lab = make_lab(merge(STEADY, {"gossip": {"message_interval": "200ms", "message_count": 0}}))
    lab.node("seed", role="seed", types=["secrettype"])
    lab.node("lab-01")
    lab.node("lab-02")
    return lab.start()


def views(lab):
    """What all think of all, but for what changes by itself."""
    return {name: sorted((member["name"], member["uuid"], member["state"], member["address"], member["incarnation"])
                         for member in lab[name].members().values()) for name in NAMES}


@pytest.mark.parametrize("difference", ["key", "cluster", "cluster-and-key", "clear"])
def test_a_stranger_never_appears_and_sees_nobody(lab, difference):
    before = views(lab)
    settings = {"seeds": [lab["seed"].address, lab["lab-01"].address]}
    if "key" in difference:
        settings["security"] = {"keyring": str(lab.make_keyring("other-keys"))}
    if "cluster" in difference:
        settings["node"] = {"cluster": "another"}
    if difference == "clear":
        settings["security"] = {"encrypt": False}
    stranger = lab.node("stranger", settings)
    with Sniffer(lab.network) as sniffer:
        stranger.start()
        knocks = lambda: [one for one in sniffer.collect() if socket.inet_ntoa(one.source[0]) == stranger.ip]
        wait_for(lambda: len(knocks()) >= 5, 15, "the stranger to try")
        answers = [one for one in sniffer.collect() if socket.inet_ntoa(one.target[0]) == stranger.ip]
        assert not answers, "it got an answer"
    result = stranger.ctl("join", "--timeout", "500ms", lab["lab-02"].address, code=7)
    assert result.stderr.startswith("p2pctl: none of the addresses let this node in\nhint: ")
    assert stranger.sees_alive() == {"stranger"}
    assert views(lab) == before
    if difference != "clear":  # what is not sealed at all is garbage
        wait_for(lambda: any(stranger.ip in event["message"] for name in NAMES
                             for event in lab[name].events("cluster-mismatch")), 5, "it to be told")


def test_status_of_a_node_in_the_clear_says_so(make_lab):
    lab = make_lab({"security": {"encrypt": False, "tls": False}})
    lab.node("seed", role="seed")
    lab.node("lab-01", types=["a"])
    lab.start()
    assert lab["seed"].call("Status")["gossip"]["encrypted"] is False
    status = lab["seed"].ctl("status", "--check", code=None)
    assert "7717, NOT encrypted" in status.stdout and "security.encrypt is off" in status.stdout
    assert lab["seed"].ctl("submit", "--wait", "a1").stdout == "Executing task: a1\n"


def test_garbage_gets_silence_and_changes_nothing(lab):
    before = views(lab)
    chance = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((f"127.81.{lab.network}.250", 0))
        for _ in range(3000):
            data = chance.randbytes(chance.choice((0, 1, 7, 8, 40, 100, 1400, 1401, 9000)))
            for name in NAMES:
                stranger.sendto(data, (lab[name].ip, PORT))
        assert not select.select([stranger], [], [], 1)[0], "garbage was answered"
    lab.wait_joined()
    assert views(lab) == before
    assert not [event for name in NAMES for event in lab[name].events("member-suspect", "member-dead")]


def capture(lab):
    """Datagrams of a time in which all kinds of them travelled."""
    with Sniffer(lab.network) as sniffer:
        lab["lab-01"].ctl("message", "lab-02", "once and never again")
        lab["seed"].ctl("message", "--all", "to all of you, once")
        wait_for(lambda: len(sniffer.collect()) > 60, 20, "enough to replay")
        late = lab.node("late").start()
        lab.wait_joined()
        assert late.stop() == 0
        lab.wait_state("late", "left", 5)
        return list(sniffer.collect())


def test_what_was_overheard_says_nothing(lab):
    text = b"".join(datagram.payload for datagram in capture(lab))
    assert len(text) > 5000
    for word in (b"once", b"never again", b"lab-01", b"lab-02", b"seed", b"secrettype", b"p2pnode", b"late"):
        assert word not in text, word


def test_what_was_overheard_and_is_sent_again_changes_nothing(lab):
    datagrams = capture(lab)
    before = views(lab)
    inboxes = {name: lab[name].call("Inbox")["messages"] for name in NAMES}
    joined = {name: len(lab[name].events("member-joined", "member-alive")) for name in NAMES}
    for _ in range(3):
        for datagram in datagrams:
            send_as(datagram)
    wait_for(lambda: lab["lab-01"].ctl("ping", "lab-02", code=None).code == 0, 5, "an answer")
    holds_for(lambda: views(lab) == before, 2, "the same view")
    assert {name: lab[name].call("Inbox")["messages"] for name in NAMES} == inboxes
    assert {name: len(lab[name].events("member-joined", "member-alive")) for name in NAMES} == joined


def test_a_flipped_bit_makes_a_datagram_nothing(lab):
    datagrams = capture(lab)
    before = views(lab)
    inboxes = {name: lab[name].call("Inbox")["messages"] for name in NAMES}
    chance = random.Random(11)
    for datagram in datagrams:
        for _ in range(5):
            damaged = bytearray(datagram.payload)
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            send_as(datagram, bytes(damaged))
        send_as(datagram, datagram.payload[:chance.randrange(len(datagram.payload))])
    wait_for(lambda: lab["lab-01"].ctl("ping", "lab-02", code=None).code == 0, 5, "an answer")
    holds_for(lambda: views(lab) == before, 1, "the same view")
    assert {name: lab[name].call("Inbox")["messages"] for name in NAMES} == inboxes


def test_a_flood_of_garbage_kills_nobody(lab):
    """As fast as one process can, for three seconds: nobody becomes suspect for long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        data = random.Random(3).randbytes(1200)
        begin = time.monotonic()
        while time.monotonic() - begin < 3:
            for _ in range(200):
                stranger.sendto(data, (lab["lab-01"].ip, PORT))
    lab.wait_joined()
    assert not [event for name in NAMES for event in lab[name].events("member-dead")]


def test_tcp_of_a_stranger_is_closed_without_a_word(lab):
    node = lab["lab-01"]
    for data in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\0" * 600, b"\0\0\0\x02{}", b"\xff" * 5000):
        with socket.create_connection((node.ip, PORT), timeout=60) as stranger:
            stranger.sendall(data)
            answer = b""
            try:
                while (piece := stranger.recv(4096)):
                    answer += piece
            except ConnectionResetError:
                pass
            assert len(answer) <= 7 and not answer[7:], "no more than a TLS alert"
    wait_for(lambda: node.ctl("ping", code=None).code == 0, 10, "an answer")


def test_tls_without_the_key_does_not_get_in(lab):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["p2p-task/1"])
    with socket.create_connection((lab["lab-01"].ip, PORT), timeout=60) as stranger:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with context.wrap_socket(stranger) as secure:
                secure.sendall(b"\0\0\0\x02{}")
                if not secure.recv(1):
                    raise ConnectionResetError


def test_connections_that_say_nothing_do_not_keep_others_out(lab):
    node, other = lab["lab-01"], lab["lab-02"]
    silent = [socket.create_connection((node.ip, PORT), timeout=60) for _ in range(200)]
    try:
        result = wait_for(lambda: other.ctl("mem", "set", "lab-01:key", "value", code=None, timeout=40).code == 0, 30,
                          "room for a member")
        assert result
    finally:
        for one in silent:
            one.close()


def test_a_network_that_is_not_allowed_is_nobody(make_lab):
    lab = make_lab(STEADY)
    lab.node("seed", role="seed")
    lab.node("closed", {"security": {"allow": [f"127.81.{lab.network}.1"]}})
    lab.start()
    late = lab.node("late", {"seeds": [lab["closed"].address]}).start()
    holds_for(lambda: late.sees_alive() == {"late"}, 2, "closed to be silent")
    with socket.socket() as stranger:
        stranger.settimeout(5)
        stranger.bind((late.ip, 0))
        try:
            stranger.connect((lab["closed"].ip, PORT))
            assert stranger.recv(1) == b""
        except (ConnectionError, TimeoutError):
            pass
