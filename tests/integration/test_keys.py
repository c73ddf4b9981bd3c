# SPDX-License-Identifier: MIT
"""The key of a cluster is changed while it runs: nobody is cut off, whoever was away is told what to do."""
import json
import pathlib
import re
import signal
import stat

import pytest

from lib.lab import FAST, STEADY, merge
from lib.wait import holds_for, wait_for

NAMES = ["seed", "lab-01", "lab-02", "lab-03", "lab-04"]


def describe(lab):
    lab.node("seed", role="seed", types=["a"])
    for name in NAMES[1:]:
        lab.node(name, types=["a"])
    return lab


@pytest.fixture
def lab(make_lab):
    """Whoever is held up for a moment is not suspect here: a change of the key is to be no reason, either."""
    return describe(make_lab(STEADY))


@pytest.fixture
def mortals(make_lab):
    """The same, fast enough to die in a test."""
    return describe(make_lab(FAST))


def ring(node):
    """Fingerprints of its keys, that in use first."""
    return [key["fingerprint"] for key in node.call("ListKeys")["keyring"]]


def keys_in(path):
    return [line.split()[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]


def make_fresh(lab):
    """A key ring as made a minute later: of keys of one second the order is anybody's guess."""
    path = lab.make_keyring("fresh")
    path.write_text(re.sub(r"= ([0-9]+)$", lambda found: f"= {int(found[1]) + 60}", path.read_text(), flags=re.M))
    return path


def wait_rings(nodes, wanted, timeout=10):
    for node in nodes:
        wait_for(lambda node=node: ring(node) == wanted, timeout,
                 lambda node=node: f"{node.name} to have {wanted}, not {ring(node)}")


def nobody_was_missed(nodes):
    for node in nodes:
        assert not node.events("member-suspect", "member-dead"), node.name


def test_a_key_is_changed_under_way(lab):
    lab.start()
    nodes = [lab[name] for name in NAMES]
    old = ring(lab["seed"])[0]
    task = lab["lab-01"].submit("--", "sleep", "2")
    lab["lab-01"].wait_task(task, "running")
    logs = lab["lab-01"].ctl_start("task", "logs", "-f", lab["lab-01"].submit(
        "--", "sh", "-c", "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done"))
    result = lab["lab-02"].ctl("keys", "rotate", "--grace", "8s")
    new = ring(lab["lab-02"])[0]
    assert new != old
    assert result.stdout == (f"new key {new} installed on 5 of 5 nodes\n{new} in use on 5 of 5 nodes\n"
                             f"old key {old} kept for 8s, then removed (p2pctl keys list)\n")
    for node in nodes:
        assert node.call("Status")["gossip"]["key"] == new
        assert ring(node) == [new, old]
    assert lab["lab-03"].ctl("message", "--all", "still there?").code == 0
    wait_rings(nodes, [new], 20)
    lab["lab-04"].ctl("message", "lab-01", "and now?")
    wait_for(lambda: lab["lab-03"].ctl("ping", "--all", code=None).code == 0, 10, "all to answer")
    assert lab["lab-04"].ctl("mem", "set", "lab-01:x", "1").code == 0
    lab["lab-01"].wait_task(task, "succeeded")
    assert logs.communicate(timeout=60)[0].decode().splitlines() == [f"line {i}" for i in range(1, 7)]
    nobody_was_missed(nodes)
    for node in nodes:
        told = [event["message"] for event in node.events("key-changed")]
        assert told == [f"key {new} installed", f"key {new} used", f"key {old} removed"], node.name
        assert stat.S_IMODE((node.directory / "keyring").stat().st_mode) == 0o600
        assert [p["code"] for p in node.call("Status")["problems"] if p["code"].startswith("key")] == ["keyring-differs"]


def test_nothing_of_a_key_is_ever_shown(lab):
    lab.start()
    lab["seed"].ctl("-v", "keys", "rotate", "--grace", "1s")
    wait_for(lambda: len(ring(lab["lab-04"])) == 1, 10, "the old key to go")
    secrets = keys_in(lab["lab-01"].directory / "keyring") + keys_in(lab.keyring)
    shown = [lab[name].log_text() for name in NAMES]
    shown += [lab[name].ctl("events", "--json").stdout + lab[name].ctl("keys", "list", "--json").stdout +
              lab[name].ctl("status", "--json").stdout + lab[name].ctl("config", "show").stdout for name in NAMES]
    shown += [(pathlib.Path("/proc") / str(lab[name].pid) / "cmdline").read_text() for name in NAMES]
    for secret in secrets:
        for text in shown:
            assert secret[:16] not in text


def test_the_new_key_outlives_a_restart_and_lets_new_nodes_in(lab):
    late = lab.nodes.pop("lab-04")
    lab.start()
    lab["lab-01"].ctl("-N", "lab-02", "keys", "rotate", "--grace", "1s")
    nodes = [lab[name] for name in NAMES[:4]]
    new = ring(lab["seed"])[0]
    wait_rings(nodes, [new])
    lab["lab-02"].restart()
    lab.wait_joined()
    assert ring(lab["lab-02"]) == [new]
    lab.nodes["lab-04"] = late
    late.settings["security"]["keyring"] = str(lab["seed"].directory / "keyring")
    late.start()
    lab.wait_joined()


def test_whoever_comes_back_within_the_grace_is_brought_along(mortals):
    lab = mortals.start()
    lab["lab-03"].kill()
    lab.wait_state("lab-03", "dead")
    lab["lab-01"].ctl("keys", "rotate", "--grace", "5min")
    new, old = ring(lab["seed"])
    lab["lab-03"].start()
    lab.wait_joined()
    wait_rings([lab["lab-03"]], [new, old])
    assert lab["lab-03"].ctl("message", "seed", "here again").code == 0


def test_who_had_the_key_when_it_stopped_is_not_without_it(lab):
    lab.start()
    here, fresh = lab["seed"], make_fresh(lab)
    for node in lab.running():
        node.ctl("keys", "install", fresh)

    def known():
        keys = here.call("ListKeys")["keyring"]
        return len(keys) == 2 and not any(key["missing"] for key in keys)
    wait_for(known, 20, lambda: f"all to be known to have it: {here.call('ListKeys')}")
    lab["lab-03"].stop()
    lab.wait_state("lab-03", "left")
    result = json.loads(here.ctl("--json=short", "keys", "rotate").stdout.splitlines()[-1])
    assert result["resumed"] and result["absent"] == []


def test_whoever_was_away_too_long_is_told_what_to_do(mortals):
    lab = mortals.start()
    away, here = lab["lab-03"], lab["seed"]  # which it asks in vain
    away.kill()
    lab.wait_state("lab-03", "dead")
    result = here.ctl("keys", "rotate", "--grace", "0s")
    assert result.stderr.splitlines()[0] == "not there, and without the new key: lab-03"
    assert "p2pctl keys install FILE" in result.stderr
    nodes = [lab[name] for name in NAMES if name != "lab-03"]
    new = ring(here)[0]
    wait_rings(nodes, [new])
    away.start()
    old = ring(away)[0]

    def problem(node):
        return [p for p in node.call("Status")["problems"] if p["code"] == "key-mismatch"]
    told = wait_for(lambda: problem(away), 15, "it to say so of itself")
    assert f"uses key {new}, which this node does not have" in told[0]["message"]
    assert told[0]["message"].endswith("it is probably the one that missed a change of keys. Copy the file keyring of "
                                       "the state directory there to this machine, and here: p2pctl keys install FILE")
    assert away.ctl("status", "--check", code=5)
    quorum = [p["message"] for p in away.call("Status")["problems"] if p["code"] == "below-quorum"]
    assert quorum and "were the cluster's keys changed meanwhile?" in quorum[0]
    told = wait_for(lambda: problem(here), 15, "it to say so of the other")
    assert told[0]["node"] == "lab-03" and f"uses key {old}" in told[0]["message"]
    assert "lab-03" not in told[0]["message"].replace(str(here.directory), "")
    assert sum(line.split().count("lab-03:") for line in here.ctl("status").stdout.splitlines() if "uses key" in line) == 1
    assert told[0]["message"].endswith(f"it missed a change of keys. Copy {here.directory}/keyring of this node to that "
                                       "machine, and there: p2pctl keys install FILE")
    assert wait_for(lambda: [e for e in away.events("problem") if f"uses key {new}" in e["message"]], 5)
    assert wait_for(lambda: [e for e in here.events("problem") if "lab-03" in e["message"]], 5)
    # What they say works.
    result = away.ctl("keys", "install", here.directory / "keyring")
    assert result.stderr == f"{new} installed here\n"
    lab.wait_joined(20)
    wait_rings([away], [new, old])
    wait_for(lambda: not problem(away) and not problem(here), 10, "the problem to be over")


def test_whoever_has_proved_the_right_key_is_not_told_of_any_more(make_lab):
    """Not even when it dies of something else soon after."""
    lab = make_lab(merge(FAST, {"membership": {"rejoin_interval": "30s"}}))
    seed, node = lab.node("seed", role="seed"), lab.node("lab-01")
    right = node.settings.setdefault("security", {}).get("keyring", str(lab.keyring))
    node.settings["security"]["keyring"] = str(lab.make_keyring("wrong"))
    for one in (seed, node):
        one.start()

    def problem():
        return [one for one in seed.call("Status")["problems"] if one["code"] == "key-mismatch"]

    wait_for(problem, 10, "the seed to tell of a wrong key")
    node.stop()
    node.settings["security"]["keyring"] = right
    (node.directory / "keyring").unlink()
    node.start()
    lab.wait_joined()
    node.kill()
    lab.wait_state("lab-01", "dead")
    assert not problem()


def test_a_change_that_its_initiator_did_not_finish_is_finished_by_another(lab):
    lab.start()
    old = ring(lab["seed"])[0]
    # As far as one who died after it had reached two of them.
    fresh = make_fresh(lab)
    for name in ("lab-01", "lab-02"):
        lab[name].ctl("keys", "install", fresh)
    new = ring(lab["lab-01"])[1]
    assert ring(lab["lab-01"]) == [old, new] and ring(lab["lab-03"]) == [old]
    refused = lab["lab-01"].ctl("keys", "use", new, code=1)
    # lab-02 has it, but perhaps lab-01 has not heard so yet.
    assert re.search(rf"(seed|lab-0[234]) does not have key {new} yet", refused.stderr), refused
    result = lab["lab-02"].ctl("keys", "rotate", "--grace", "1s")
    assert result.stdout.startswith(f"{new} installed on 5 of 5 nodes\n")
    assert result.stderr.startswith(f"key {new} was there already, ") and "so none was made\n" in result.stderr
    wait_rings([lab[name] for name in NAMES], [new])
    nobody_was_missed(lab[name] for name in NAMES)


def test_one_that_died_in_the_second_phase_is_followed_by_all(lab):
    lab.start()
    old = ring(lab["seed"])[0]
    fresh = make_fresh(lab)
    for name in NAMES:
        lab[name].ctl("keys", "install", fresh)
    new = ring(lab["seed"])[1]
    # Until all report it to all, the gate stays shut.
    wait_for(lambda: lab["lab-01"].ctl("keys", "use", new, code=None).code == 0, 10, "the gate to open")
    others = [lab[name] for name in NAMES if name != "lab-01"]
    # What nobody has heard before the end, nobody can follow.
    wait_for(lambda: any(ring(node) == [new, old] for node in others), 10, "one to follow")
    lab["lab-01"].kill()
    wait_rings(others, [new, old])


def test_the_grace_outlives_a_restart(make_lab):
    """Old keys go when it was said, not ten minutes after the start."""
    lab = make_lab(STEADY)
    node = lab.node("seed", role="seed").start()
    node.ctl("keys", "rotate", "--grace", "3min")

    def end():
        return [key["until"] for key in node.call("ListKeys")["keyring"]]
    before = end()
    assert before[0] is None and before[1]
    node.restart()
    assert end() == before


def test_the_limits_of_the_grace(lab):
    node = lab["seed"].start()
    old = ring(node)
    for command in (("rotate",), ("-N", "seed", "rotate")):
        refused = node.ctl("keys", *command, "--grace", "2592001s", code=2)
        assert "old keys are kept for 30 days at most" in refused.stderr
    assert ring(node) == old
    assert "kept for 30d, then removed" in node.ctl("keys", "rotate", "--grace", "30d").stdout
    assert "removed at once" in node.ctl("keys", "rotate", "--grace", "0").stdout
    wait_for(lambda: len(ring(node)) == 1, 10, "the old keys to go")


def test_whoever_interrupts_a_change_is_told_where_it_stands(lab):
    lab.start()
    node = lab["lab-01"]
    lab["lab-03"].pause()
    change = node.ctl_start("keys", "rotate")
    new = wait_for(lambda: ring(node)[1:], 10, "a new key")[0]
    change.send_signal(signal.SIGINT)
    _, stderr = change.communicate(timeout=60)
    lab["lab-03"].resume()
    assert change.returncode == 130
    assert stderr.decode() == ("\ninterrupted: not all nodes have the new key yet, so none uses it; nobody is cut off\n"
                               "hint: go on where it stopped: p2pctl keys rotate\n"
                               "hint: see where it stands: p2pctl keys list\n")
    assert node.ctl("keys", "rotate").stdout.startswith(f"{new} installed on 5 of 5 nodes\n")


def test_two_changes_at_once_end_with_one_key_and_nobody_lost(lab):
    lab.start()
    runs = [lab[name].ctl_start("keys", "rotate", "--grace", "2s") for name in ("lab-01", "lab-03")]
    ends = [run.communicate(timeout=90) + (run.returncode,) for run in runs]
    assert any(code == 0 for _, _, code in ends), ends
    for stdout, stderr, code in ends:
        assert code == 0 or b"another change" in stderr, ends
    nodes = [lab[name] for name in NAMES]
    wait_for(lambda: len({tuple(ring(node)) for node in nodes}) == 1 and len(ring(nodes[0])) == 1, 20,
             "one ring of one key everywhere")
    nobody_was_missed(nodes)


def test_the_gates(lab):
    lab.start()
    seed = lab["seed"]
    old = ring(seed)[0]
    assert "is in use here" in seed.ctl("keys", "remove", old, "--yes", code=1).stderr
    assert 'begins with "ffff0000"' in seed.ctl("keys", "use", "ffff0000", code=4).stderr
    assert ": give four digits at least" in seed.ctl("keys", "use", old[:3], code=4).stderr
    assert "nobody can be asked whether to remove key" in seed.ctl("keys", "remove", old, "--no-input", code=2).stderr
    assert "on this node only" in seed.ctl("-N", "lab-01", "keys", "install", lab.keyring, code=2).stderr
    not_a_ring = lab.directory / "not-a-ring"
    not_a_ring.write_text("hello\n")
    assert "line 1: a key is 32 bytes in base64" in seed.ctl("keys", "install", not_a_ring, code=2).stderr
    fresh = make_fresh(lab)
    for name in NAMES:
        lab[name].ctl("keys", "install", "-", stdin=fresh.read_bytes())
    new = ring(seed)[1]
    wait_for(lambda: seed.ctl("keys", "use", new, code=None).code == 0, 10, "all to have it")
    assert "a newer key" in seed.ctl("keys", "use", old, code=1).stderr
    wait_for(lambda: {tuple(ring(lab[name])) for name in NAMES} == {(new, old)}, 10, "all to follow")
    wait_for(lambda: seed.ctl("-N", "lab-02", "keys", "remove", old, "--yes", code=None).code == 0, 10, "it to be free")
    assert ring(lab["lab-02"]) == [new] and ring(seed) == [new, old]
    wait_for(lambda: re.search(rf"^{old} +no +4 of 5 +lab-02 ", seed.ctl("keys", "list").stdout, re.M), 10,
             lambda: f"the seed to know who has it: {seed.ctl('keys', 'list').stdout}")
    holds_for(lambda: lab["lab-02"].sees_alive() == set(NAMES), 1, "still all")


def test_without_encryption_there_is_nothing_to_change(make_lab):
    lab = make_lab({"security": {"encrypt": False, "tls": False}})
    node = lab.node("seed", role="seed").start()
    assert node.call("ListKeys")["keyring"] == []
    assert "there are no keys" in node.ctl("keys", "rotate", code=1).stderr


def test_keys_do_not_travel_without_tls(make_lab):
    lab = make_lab({**STEADY, "security": {"tls": False}})
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.start()
    assert "keys travel over TLS only" in lab["seed"].ctl("keys", "rotate", code=1).stderr
    refused = lab["seed"].ctl("-N", "lab-01", "keys", "use", ring(lab["lab-01"])[0], code=6)
    assert "over TLS only" in refused.stderr


def test_a_ring_that_cannot_be_kept_is_not_used(lab):
    node = lab["seed"].start()
    before = ring(node)
    blocker = node.directory / "keyring.new"
    blocker.mkdir()  # no file can be written there
    fresh = make_fresh(lab)
    assert "cannot keep the key ring" in node.ctl("keys", "install", fresh, code=None).stderr
    assert ring(node) == before
    blocker.rmdir()
    node.ctl("keys", "install", fresh)
    assert len(ring(node)) == 2
