# SPDX-License-Identifier: MIT
"""Python functions from end to end: code and JSON in, JSON or a traceback out."""
import json

import pytest

from lib.lab import FAST, STEADY
from lib.wait import wait_for

STATS = '''

def mean(values):
    print("mean of", values)
    return sum(values) / len(values)

def scale(value, factor=1, **more):
    return {"value": value * factor, **more}

def fail(text):
    raise ValueError(text)

def which():
    with open("/proc/self/cmdline", "rb") as file:
        return b"p2pnode-warm" in file.read()
'''


@pytest.fixture(scope="module")
def lab(make_module_lab):
    lab = make_module_lab(STEADY)
    lab.node("lab-01", {"tasks": {"slots": 4}}, role="seed")
    lab.node("lab-02", {"tasks": {"slots": 4}})
    lab.node("strict", {"tasks": {"slots": 4, "allow_python": False}})
    lab.node("without", {"tasks": {"slots": 4}, "python": {"interpreter": "/usr/bin/no-such-python"}})
    lab.start()
    (lab.directory / "stats.py").write_text(STATS)
    return lab


@pytest.fixture
def stats(lab):
    return lambda function: f"{lab.directory}/stats.py:{function}"


@pytest.mark.parametrize("where", ["lab-01", "lab-02"])
def test_a_function_answers_in_json_and_prints_to_stderr(lab, stats, where):
    result = lab["lab-01"].ctl("submit", "--wait", "-N", where, "--python", stats("mean"), "[1, 2, 3, 6]")
    assert (result.stdout, result.stderr) == ("3.0\n", "mean of [1, 2, 3, 6]\n")


def test_arguments_by_position_and_by_name(lab, stats):
    node = lab["lab-01"]
    result = node.ctl("submit", "--wait", "--python", stats("scale"), "21", "factor=2", 'ä="é=1"')
    assert json.loads(result.stdout) == {"value": 42, "ä": "é=1"}
    assert node.ctl("submit", "--wait", "--python", stats("scale"), "--", "-4").stdout == '{"value": -4}\n'
    big = 12345678901234567890123
    assert json.loads(node.ctl("submit", "--wait", "--python", stats("scale"), str(big)).stdout)["value"] == big


def test_code_on_the_command_line(lab):
    result = lab["lab-01"].ctl("submit", "--wait", "--code", "def f(x): return x * 2", "--function", "f", "21")
    assert result.stdout == "42\n"


@pytest.mark.parametrize("argument", [r'"\u0000"', r'"\ud800"', "[" * 512 + "]" * 512])
def test_all_that_is_json_gets_through_as_it_is(lab, argument):
    words = "--wait", "--code", "def f(x): return x", "--function", "f", argument
    assert lab["lab-01"].ctl("submit", *words).stdout == argument + "\n"


@pytest.mark.parametrize("where", ["lab-01", "lab-02"])
def test_an_exception_is_a_traceback_and_exit_1(lab, stats, where):
    result = lab["lab-01"].ctl("submit", "--wait", "-N", where, "--python", stats("fail"), '"oops"', code=1)
    assert result.stdout == ""
    assert 'File "stats.py", line 11, in fail\n    raise ValueError(text)\nValueError: oops' in result.stderr


@pytest.mark.parametrize("where", ["lab-01", "lab-02"])
@pytest.mark.parametrize("end", ["import os; os._exit(0)", "raise SystemExit"])
def test_a_function_that_ends_without_a_result_has_failed(lab, where, end):
    node = lab["lab-01"]
    result = node.ctl("submit", "--wait", "-N", where, "--code", f"def f(): {end}", "--function", "f", code=1)
    assert result.stdout == ""
    assert node.tasks()[-1]["state"] == "failed"
    assert node.tasks()[-1]["reason"] == "exit 1: the function ended without a result"


@pytest.mark.parametrize("arguments, said", [
    (["--python", "STATS:mean", "[1,"], "argument 1 is no JSON"),
    (["--python", "STATS:mean", "1", "x=text"], "argument 2 is no JSON"),
    (["--python", "STATS:mean", "1, 2"], "argument 1 is no JSON"),
    (["--python", "STATS:mean", "01"], "argument 1 is no JSON: 01"),
    (["--python", "STATS:scale", "value=1", "value=2"], "argument 2 gives a name a second value: value=2"),
    (["--python", "STATS"], "--python is FILE:FUNCTION"),
    (["--python", "STATS:not a name"], "a function has a name"),
    (["--python", "STATS:mean", "--code", "x"], "not both"),
    (["--code", "def f(): pass"], "--function F"),
    (["--function", "f"], "--code STR"),
    (["--python", "STATS:mean", "--confidential", "-N", "lab-02"], "confidential"),
])
def test_wrong_usage_is_exit_2_and_starts_nothing(lab, arguments, said):
    node = lab["lab-01"]
    before = len(node.tasks())
    words = [word.replace("STATS", f"{lab.directory}/stats.py") for word in arguments]
    result = node.ctl("submit", *words, code=2)
    assert said in result.stderr and result.stdout == "" and len(node.tasks()) == before


def test_code_that_cannot_be_sent_is_refused(lab):
    node = lab["lab-01"]
    path = lab.directory / "large.py"
    path.write_text("def f(): return 1\n" + "#" * (256 << 10))
    assert "larger than" in node.ctl("submit", "--python", f"{path}:f", code=1).stderr
    path.write_text("def f(): return 1\n" + "#" * ((256 << 10) - 18))
    assert node.ctl("submit", "--wait", "-N", "lab-02", "--python", f"{path}:f").stdout == "1\n"
    path.write_bytes(b"def f(): return '\xff'\n")
    assert "UTF-8" in node.ctl("submit", "--python", f"{path}:f", code=2).stderr
    assert "no such file" in node.ctl("submit", "--python", "/not/there.py:f", code=4).stderr.lower()


def test_members_tell_who_has_python(lab):
    node = lab["lab-01"]
    versions = {member["name"]: member["python"] for member in node.json("members")["members"]}
    assert set(versions) == {"lab-01", "lab-02", "strict", "without"}
    assert versions["lab-01"] == versions["lab-02"] and versions["lab-01"].startswith("3.")
    assert versions["without"] is None
    assert "PYTHON" in node.ctl("members", "-o", "+python").stdout


def test_it_goes_only_where_it_may(lab, stats):
    node = lab["lab-01"]
    result = node.ctl("submit", "-N", "without", "--python", stats("which"), code=4)
    assert "without does not handle Python" in result.stderr and result.stdout == ""
    result = node.ctl("submit", "-N", "strict", "--python", stats("which"), code=6)
    assert "strict takes no functions of other nodes" in result.stderr and "tasks.allow_python" in result.stderr
    assert lab["strict"].ctl("submit", "--wait", "-N", "strict", "--python", stats("scale"), "1").code == 0
    nodes = {node.task(node.submit("--python", stats("scale"), "1"))["node"] for _ in range(12)}
    assert nodes <= {"lab-01", "lab-02", None}


def test_lists_call_it_by_its_function(lab, stats):
    node = lab["lab-01"]
    task = node.submit("--python", stats("mean"), "[1]")
    node.wait_task(task, "succeeded")
    shown = node.json("task", "show", task)
    assert (shown["name"], shown["type"]) == ("mean", "python")
    assert shown["command"] == "python stats.py:mean [1]"
    assert "return sum" not in node.ctl("-j", "task", "show", task).stdout


def test_helpers_become_warm(lab, stats):
    node = lab["lab-01"]
    wait_for(lambda: node.ctl("submit", "--wait", "-N", "lab-02", "--python", stats("which")).stdout == "true\n",
             20, "a warm helper")


def test_a_function_goes_elsewhere_when_its_node_dies(make_lab):
    lab = make_lab(FAST)
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    for name in ("lab-02", "lab-03"):
        lab.node(name, {"tasks": {"slots": 4, "lease": "1s"}})
    lab.start()
    node = lab["lab-01"]
    code = ("import os, signal\ndef f():\n if os.environ['P2P_TASK_ATTEMPT'] == '1': signal.pause()\n"
            " return os.environ['P2P_NODE']")
    task = node.submit("--code", code, "--function", "f")
    node.wait_task(task, "running")
    victim = node.task(task)["node"]
    lab[victim].kill()
    node.wait_task(task, "succeeded", timeout=40)
    other = {"lab-02": "lab-03", "lab-03": "lab-02"}[victim]
    assert node.ctl("task", "logs", "--stdout", task).stdout == f'"{other}"\n'


def test_the_origin_keeps_the_code_over_a_kill(make_lab):
    lab = make_lab(STEADY)
    lab.node("lab-01", {"tasks": {"enabled": False}}, role="seed")
    lab.node("lab-02", {"tasks": {"slots": 1}})
    lab.start()
    node = lab["lab-01"]
    blocker = node.submit("--", "sleep", "60")
    node.wait_task(blocker, "running")
    task = node.submit("--code", "def f(x): return x + 1", "--function", "f", "41")
    node.kill()
    node.start()
    node.ctl("task", "cancel", blocker)
    node.wait_task(task, "succeeded")
    assert node.ctl("task", "logs", "--stdout", task).stdout == "42\n"


@pytest.mark.parametrize("where", ["lab-01", "lab-02"])
def test_files_go_with_a_function(lab, where, tmp_path):
    node = lab["lab-01"]
    (tmp_path / "helper.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "main.py").write_text("import helper, sys\ndef f(x):\n open('out.txt', 'w').write('kept')\n"
                                      " return [helper.twice(x), sys.stdin.read()]\n")
    (tmp_path / "text").write_text("from stdin")
    for _ in range(2):  # in an interpreter of its own, and in a warm one
        result = node.ctl("submit", "--wait", "-N", where, "--in", tmp_path / "helper.py", "--stdin", tmp_path / "text",
                          "--out", "*.txt", "--results", tmp_path / "results", "--python", f"{tmp_path}/main.py:f", "21")
        assert result.stdout == '[42, "from stdin"]\n'
        assert (tmp_path / "results" / "out.txt").read_text() == "kept"
        (tmp_path / "results" / "out.txt").unlink()


def test_functions_in_a_list(lab, tmp_path):
    """The code goes with the list, and a step may have files besides."""
    (tmp_path / "more.py").write_text(STATS + "def lines():\n    return open('data.txt').read().split()\n")
    (tmp_path / "data.txt").write_text("one two\n")
    (tmp_path / "tasks.txt").write_text(
        "{ a1 b1 } c1\n"
        "a1: python=more.py:mean args=\"'[1, 2, 3, 6]'\" node=lab-02\n"
        "b1: python=more.py:scale args=\"21 factor=2\"\n"
        "c1: in=data.txt python=more.py:lines\n")
    node = lab["lab-01"]
    result = node.ctl("run", "tasks.txt", cwd=tmp_path)
    assert "Task completed by peer handling type 'C'" in result.stdout
    tasks = {task["name"]: task for task in node.tasks()[-3:]}
    assert {name: node.ctl("task", "logs", "--stdout", task["id"]).stdout for name, task in tasks.items()} == {
        "a1": "3.0\n", "b1": '{"value": 42}\n', "c1": '["one", "two"]\n'}
    assert {task["type"] for task in tasks.values()} == {"python"} and tasks["a1"]["node"] == "lab-02"


@pytest.mark.parametrize("size, said", [(256 * 1024, None), (256 * 1024 + 1, "its Python code is larger than 256 KiB")])
def test_code_of_a_list_is_taken_up_to_its_limit(lab, tmp_path, size, said):
    code = "def f():\n    return 1\n#"
    (tmp_path / "large.py").write_text(code + "x" * (size - len(code)))
    (tmp_path / "tasks.txt").write_text("a1\na1: python=large.py:f\n")
    node = lab["lab-01"]
    result = node.ctl("run", "tasks.txt", cwd=tmp_path, code=1 if said else 0)
    assert (said or "") in result.stdout + result.stderr


def test_code_that_is_no_text_and_a_file_that_is_not_there(lab, tmp_path):
    (tmp_path / "binary.py").write_bytes(b"def f():\n    return '\0'\n")
    (tmp_path / "tasks.txt").write_text("a1\na1: python=binary.py:f\n")
    node = lab["lab-01"]
    result = node.ctl("run", "tasks.txt", cwd=tmp_path, code=1)
    assert "its Python code cannot be read" in result.stdout + result.stderr
    (tmp_path / "tasks.txt").write_text("a1\na1: python=missing.py:f\n")
    result = node.ctl("run", "tasks.txt", cwd=tmp_path, code=4)
    assert "missing.py" in result.stderr and result.stdout == ""
