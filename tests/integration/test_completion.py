# SPDX-License-Identifier: MIT
"""Completion: what fits at the end of a line, by the command table and by the running daemon; in real shells."""
import os
import pathlib
import pty
import re
import shutil
import subprocess
import threading
import time

import pytest

from lib.lab import CTL, STEADY, environment, run_program
from lib.wait import wait_for

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
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


def wait_live(lab, is_good, *line):
    """A daemon that does not answer at once is not waited for by p2pctl: there is no word then, but for the next try."""
    def ask():
        return words("--socket", str(lab["seed"].socket), *line)
    wait_for(lambda: is_good(ask()), 10, lambda: f"{line}: {ask()}")


def test_commands_verbs_and_options_come_from_the_table():
    commands = words("")
    assert {"status", "task", "doctor", "completion"} <= set(commands) and len(commands) == len(set(commands))
    assert not {"examples", "tasks.txt", "exit-codes"} & set(commands)
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
    names = ["lab-05", "seed"]
    for line, expected in ((["node", "show", ""], names), (["-N", ""], names), (["submit", "-N", ""], names),
                           (["task", "logs", ""], ["1@seed"]), (["file", "get", ""], ["data.csv", "lab-05:", "seed:"])):
        wait_live(lab, lambda found, expected=expected: found == expected, *line)
    wait_live(lab, lambda found: {"a", "beta", "c"} <= set(found), "submit", "")
    wait_live(lab, lambda found: "greeting" in found, "mem", "get", "")
    wait_live(lab, lambda found: [len(one) for one in found] == [4], "keys", "use", "")
    wait_live(lab, lambda found: "lab-05:" in found, "file", "put", "x", "")


def test_it_is_silent_and_quick_without_a_daemon_and_with_one_that_hangs(lab, tmp_path):
    assert words("--socket", str(tmp_path / "none"), "node", "show", "") == []
    assert words("-N", "no such node", "node", "show", "") == []
    node = lab["lab-05"]
    node.pause()
    try:
        begun = time.monotonic()
        assert words("--socket", str(node.socket), "file", "get", "") == []
        assert time.monotonic() - begun < 15, "as long as any other question"
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
    for line, expected in (("p2pctl mem", ["members", "mem"]), ("p2pctl node show l", ["lab-05"]),
                           ("p2pctl file get d", ["data.csv"]), ("p2pctl task list --all", ["--all-nodes"]),
                           ("p2pctl run seed.c", ["seed.conf"])):
        wait_for(lambda line=line, expected=expected: bash(lab, line) == expected, 10,
                 lambda line=line: f"{line}: {bash(lab, line)}")
    assert bash(lab, "p2pctl file get lab-05:") == []
    assert bash(lab, "p2pctl x$(touch pwned) ") == [] and not (lab.directory / "pwned").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_good_and_ask_p2pctl(shell, tmp_path):
    assert shutil.which(shell), f"{shell} is missing: make deps"
    script = tmp_path / "script"
    script.write_text(run_program([CTL, "completion", shell]).stdout)
    assert "completion words -- " in script.read_text()
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0


class Shell:
    """A shell at a terminal of its own, which is typed to."""

    def __init__(self, command, directory, **env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(["setsid", "-c", *command], stdin=slave, stdout=slave, stderr=slave,
                                        cwd=directory, env=environment(TERM="xterm", HOME=str(directory), **env))
        os.close(slave)
        self.text = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                return

    def shown(self):
        """What stands there, without colours, bells and what was written over."""
        text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\a|\r", "", self.text)
        return re.sub(r".\x08", "", text)

    def type(self, keys, wanted):
        """Types, and waits for what comes of it."""
        os.write(self.master, keys.encode())
        try:
            wait_for(lambda: re.search(wanted, self.shown()), 20)
        except AssertionError:
            raise AssertionError(f"{wanted!r} did not come of {keys!r}: {self.text!r}") from None

    def complete(self, start, wanted):
        """Types, and presses the tab key; again when the bell says that nothing fits: a daemon that is slow to answer is
        not waited for."""
        bells = -1

        def look():
            nonlocal bells
            if re.search(wanted, self.shown()):
                return True
            if self.text.count("\a") > bells:
                bells = self.text.count("\a")
                os.write(self.master, b"\t")
            return False
        os.write(self.master, start.encode())
        wait_for(look, 20, lambda: f"{wanted!r} to come of {start!r}: {self.text!r}")

    def close(self):
        self.process.kill()
        self.process.wait(60)
        self.reader.join()  # ends with the last who has the terminal open, and before the number is another one's
        os.close(self.master)


@pytest.mark.parametrize("command, script, setup", [
    (["bash", "--norc", "-i"], "p2pctl.bash", "source ./p2pctl.bash"),
    (["zsh", "-f", "-i"], "p2pctl.zsh", "autoload -Uz compinit; compinit -u -D; source ./p2pctl.zsh"),
    (["zsh", "-f", "-i"], "_p2pctl", "fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D")],
    ids=["bash", "zsh", "zsh as installed"])
def test_the_tab_key_completes_words_and_live_names(lab, command, script, setup, tmp_path):
    (tmp_path / script).write_text(run_program([CTL, "completion", command[0]]).stdout)
    shell = Shell(command, tmp_path, PATH=f"{CTL.parent}:/usr/bin:/bin", P2PNODE_SOCKET=str(lab["seed"].socket),
                  P2PCTL_PAGER="cat")
    try:
        # The line is echoed once before the shell reads it, and once by it.
        shell.type(f"{setup}; echo rea''dy\n", r"(?m)^ready$(?s:.)+\S ")
        shell.type("p2pctl no\t", r"p2pctl node ?$")
        shell.type("sh\t", r"p2pctl node show ?$")
        shell.complete("l", r"p2pctl node show lab-05")
        shell.type("\025p2pctl file get ", r"p2pctl file get $")
        shell.complete("da", r"p2pctl file get data\.csv")
    finally:
        shell.close()


def test_fish_completes(lab):
    def complete(line):
        result = run_program(["fish", "-N", "-c", f'{CTL} completion fish | source; complete -C "{line}"'], env=environment(
            PATH=f"{CTL.parent}:/usr/bin:/bin", P2PNODE_SOCKET=str(lab["seed"].socket), HOME=str(lab.directory)))
        return [word.split("\t")[0] for word in result.stdout.splitlines()]
    for line, expected in (("p2pctl node show ", ["lab-05", "seed"]), ("p2pctl file get d", ["data.csv"]),
                           ("p2pctl task logs ", ["1@seed"]), ("p2pctl task list --all", ["--all-nodes"])):
        wait_for(lambda line=line, expected=expected: complete(line) == expected, 10,
                 lambda line=line: f"{line}: {complete(line)}")


def test_other_shells_are_wrong_usage():
    result = run_program([CTL, "completion", "tcsh"])
    assert result.code == 2 and 'bash, zsh and fish, not for "tcsh"' in result.stderr
    assert run_program([CTL, "completion", "bash", "zsh"]).code == 2
    assert run_program([CTL, "completion"]).code == 2
