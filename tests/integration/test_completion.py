# SPDX-License-Identifier: MIT
"""Completion: what fits at the end of a line, by the command table and by the running daemon; in real shells."""
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from lib.lab import CTL, FAST, environment, run_program

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(FAST)
    lab.node("seed", role="seed", types=["a", "beta"])
    lab.node("lab-05", types=["c"])
    lab.start()
    lab["seed"].ctl("submit", "--wait", "a1")
    lab["seed"].ctl("file", "put", "-", "seed:data.csv", stdin=b"x")
    lab["seed"].ctl("mem", "set", "greeting", "hello")
    return lab


def words(*line, **options):
    result = run_program([CTL, "completion", "words", "--", *line], **options)
    assert result.code == 0 and result.stderr == "", result
    return [one.split("\t")[0] for one in result.stdout.splitlines()]


def live(lab, *line):
    return words("--socket", str(lab["seed"].socket), *line)


def test_commands_verbs_and_options_come_from_the_table():
    commands = words("")
    assert {"status", "task", "doctor", "completion"} <= set(commands) and len(commands) == len(set(commands))
    assert {"list", "show", "cancel"} <= set(words("task", ""))
    assert {"--all-nodes", "--json"} <= set(words("-q", "task", "list", "--"))
    assert "--all-nodes" not in words("task", "show", "--")
    assert words("nonsense", "") == [] and words("task", "nonsense", "") == []


@pytest.mark.parametrize("line, some", [
    (["members", "--state", ""], ["suspect", "left"]), (["task", "list", "-s", ""], ["timed-out"]),
    (["run", "--order", ""], ["strict", "free"]), (["events", "--type", ""], ["member-dead", "problem"]),
    (["config", "show", ""], ["log.level", "seeds"]), (["doctor", ""], ["ports", "python"]),
    (["help", ""], ["submit", "exit-codes"]), (["run", ""], [":files"]), (["submit", "--", "ls", ""], [":files"]),
    (["--color", ""], ["never"])])
def test_words_of_closed_lists_need_no_daemon(line, some):
    assert set(some) <= set(words(*line))


def test_names_come_from_the_daemon(lab):
    assert live(lab, "node", "show", "") == ["lab-05", "seed"]
    assert live(lab, "-N", "") == ["lab-05", "seed"]
    assert live(lab, "submit", "-N", "") == ["lab-05", "seed"]
    assert live(lab, "task", "logs", "") == ["1@seed"]
    assert {"a", "beta", "c"} <= set(live(lab, "submit", ""))
    assert live(lab, "file", "get", "") == ["data.csv", "lab-05:", "seed:"]
    assert "greeting" in live(lab, "mem", "get", "")
    assert [len(one) for one in live(lab, "keys", "use", "")] == [4]
    assert "lab-05:" in live(lab, "file", "put", "x", "")


def test_it_is_silent_and_quick_without_a_daemon_and_with_one_that_hangs(lab, tmp_path):
    assert words("--socket", str(tmp_path / "none"), "node", "show", "") == []
    assert words("-N", "no such node", "node", "show", "") == []
    node = lab["lab-05"]
    node.pause()
    try:
        begun = time.monotonic()
        assert words("--socket", str(node.socket), "file", "get", "") == []
        assert time.monotonic() - begun < 2
    finally:
        node.resume()


def test_every_option_that_has_words_is_one():
    source = (ROOT / "ctl/complete/complete.c").read_text()
    tables = (ROOT / "ctl/commands.c").read_text() + (ROOT / "ctl/options.c").read_text()
    named = re.findall(r'^    \{"([a-z-]+)", (?:NULL|"[a-z]+"),\s', source[:source.index("operands[]")], re.M)
    assert len(named) > 20
    assert [one for one in named if f'{{"{one}", ' not in tables] == []


def bash(lab, line):
    """What the script makes of the line in a real bash."""
    program = f'eval "$(p2pctl completion bash)"; COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; _p2pctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    result = run_program(["bash", "-c", program], env=environment(
        PATH=f"{CTL.parent}:/usr/bin:/bin", P2PNODE_SOCKET=str(lab["seed"].socket)), cwd=lab.directory)
    assert result.code == 0 and result.stderr == "", result
    return result.stdout.split()


def test_bash_completes(lab):
    assert bash(lab, "p2pctl mem") == ["members", "mem"]
    assert bash(lab, "p2pctl node show l") == ["lab-05"]
    assert bash(lab, "p2pctl file get d") == ["data.csv"]
    assert bash(lab, "p2pctl file get lab-05:") == []
    assert bash(lab, "p2pctl task list --all") == ["--all-nodes"]
    assert bash(lab, "p2pctl run seed.c") == ["seed.conf"]
    assert bash(lab, "p2pctl x$(touch pwned) ") == [] and not (lab.directory / "pwned").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_good_and_ask_p2pctl(shell, tmp_path):
    assert shutil.which(shell), f"{shell} is missing: make deps"
    script = tmp_path / "script"
    script.write_text(run_program([CTL, "completion", shell]).stdout)
    assert "completion words -- " in script.read_text()
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0


def test_fish_completes(lab):
    program = f'{CTL} completion fish | source; complete -C "p2pctl node show "'
    result = run_program(["fish", "-N", "-c", program], env=environment(
        PATH=f"{CTL.parent}:/usr/bin:/bin", P2PNODE_SOCKET=str(lab["seed"].socket), HOME=str(lab.directory)))
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["lab-05", "seed"], result


def test_other_shells_are_wrong_usage():
    result = run_program([CTL, "completion", "tcsh"])
    assert result.code == 2 and 'bash, zsh and fish, not for "tcsh"' in result.stderr
    assert run_program([CTL, "completion", "bash", "zsh"]).code == 2
    assert run_program([CTL, "completion"]).code == 2
