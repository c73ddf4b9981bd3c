# SPDX-License-Identifier: MIT
"""What tests/tally.py makes of tests that fail: once, again and again, and in crowds."""
import pathlib
import subprocess
import sys

import pytest

TALLY = pathlib.Path(__file__).parent.parent / "tally.py"
FAILS_ONCE = """
import pathlib
def test_%s():
    first = pathlib.Path(__file__).with_name("%s.ran")
    ran = first.exists()
    first.touch()
    assert ran
"""


@pytest.fixture
def tally(tmp_path):
    def run(*words):
        return subprocess.run([sys.executable, TALLY, "--file", "tally", *words], cwd=tmp_path,
                              capture_output=True, text=True, check=False, timeout=120)

    def run_files(**texts):
        for name, text in texts.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        files = [f"test_{name}.py" for name in texts]
        return run("step", "--each", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--", *files)
    run_files.run, run_files.directory = run, tmp_path
    return run_files


def test_what_passes_alone_has_passed_and_is_named(tally):
    result = tally(a=FAILS_ONCE % ("once", "once") + "def test_good(): pass\n", b="def test_fine(): pass\n")
    assert result.returncode == 0, result.stdout
    assert "assert ran" in result.stdout  # what it said when it failed is not lost
    assert "step: 3 passed, 0 failed" in result.stdout
    result = tally.run("--total")
    assert (result.returncode, result.stdout.splitlines()) == (
        0, ["passed only when it ran again, alone: test_a.py::test_once", "3 passed, 0 failed"])


def test_a_log_is_no_result(tally):
    log = "print('task 1@lab-02 failed on lab-03, task 2@lab-02 passed')"
    result = tally(a=(FAILS_ONCE % ("once", "once")).replace("    first =", f"    {log}\n    first =", 1))
    assert result.returncode == 0 and "step: 1 passed, 0 failed" in result.stdout, result.stdout


def test_what_a_test_shows_is_no_result(tally):
    shown = "4 tasks, 1 passed, 2 failed in 3s"
    result = tally(a=(FAILS_ONCE % ("once", "once")).replace("assert ran", f"assert ran, '{shown}'") + "def test_good(): pass\n")
    assert result.returncode == 0 and "step: 2 passed, 0 failed" in result.stdout, result.stdout


def test_what_fails_twice_has_failed(tally):
    result = tally(a="def test_bad(): assert not 'this'\ndef test_good(): pass\n")
    assert result.returncode == 1 and "step: 1 passed, 1 failed" in result.stdout
    result = tally.run("--total")
    assert (result.returncode, result.stdout) == (1, "1 passed, 1 failed\n")


def test_a_crowd_of_failures_is_not_tried_again(tally):
    result = tally(a="".join(FAILS_ONCE % (name, name) for name in ("a", "b")),
                   b="".join(FAILS_ONCE % (name, name) for name in ("c", "d")))
    assert result.returncode == 1 and "step: 0 passed, 4 failed" in result.stdout


BREAKS_THE_REST = (FAILS_ONCE % ("first", "first")).replace("    assert ran", "    global works\n    works = ran\n    assert ran") + \
    "".join(f"def test_{name}(): assert works\n" for name in "abcd")


def test_one_that_breaks_the_rest_of_its_file_is_one(tally):
    """All of it runs once more, as these need what the first one leaves."""
    result = tally(a=BREAKS_THE_REST + "def test_good(): pass\n", b="def test_fine(): pass\n")
    assert result.returncode == 0 and "step: 7 passed, 0 failed" in result.stdout, result.stdout
    assert result.stdout.count("passed only when it ran again, alone: test_a.py::test_") == 5


def test_a_file_that_fails_again_has_failed(tally):
    result = tally(a=BREAKS_THE_REST + "def test_bad(): assert not 'this'\n")
    assert result.returncode == 1 and "step: 5 passed, 1 failed" in result.stdout, result.stdout
    assert "alone: test_a.py::test_bad" not in result.stdout


@pytest.mark.parametrize("scope", ["function", "module"])
def test_what_is_wrong_at_the_end_is_about_all_before_it(tally, scope):
    """Also where it is the end of a test that has failed itself."""
    fixture = f"import pathlib, pytest\n@pytest.fixture(scope='{scope}')\ndef end():\n    mark = pathlib.Path('mark')\n" \
              "    ran = mark.exists()\n    mark.touch()\n    yield ran\n    assert ran, 'the end'\n"
    result = tally(a=fixture + "def test_a(end): assert end\ndef test_b(): pass\n")
    assert result.returncode == 0 and "step: 2 passed, 0 failed" in result.stdout, result.stdout
    (pathlib.Path(tally.directory) / "mark").unlink()
    result = tally(a=fixture + "def test_a(end): pass\ndef test_b(end): assert not 'this'\n")
    assert result.returncode == 1 and "step: 1 passed, 1 failed" in result.stdout, result.stdout


CMOCKA = ["[  FAILED  ] test_a", "[  PASSED  ] 1 test(s).", "[  FAILED  ] 1 test(s), listed below:", "[  FAILED  ] test_a", "", " 1 FAILED TEST(S)"]
BOOT = ["ok      a step (1 ms)", "FAILED  another (exit 1, 20 ms): false", "        | FAILED  quoted (exit 1, 2 ms)", "1 passed, 1 failed"]


@pytest.mark.parametrize("said, good, name", [(CMOCKA, "[  PASSED  ] 2 test(s).", "test_a"), (BOOT, "2 passed, 0 failed", "another")],
                         ids=["cmocka", "boot"])
def test_a_program_whose_tests_have_names_runs_once_more_too(tally, tmp_path, said, good, name):
    lines = "\n".join(said)
    script = f"#!/bin/sh\nif [ -e ran ]; then echo '{good}'; exit; fi\ntouch ran\necho '{lines}'\nexit 1\n"
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    result = tally.run("step", "--each", "--", program)
    assert result.returncode == 0 and "step: 2 passed, 0 failed" in result.stdout, result.stdout
    assert f"passed only when it ran again, alone: {program}: {name}\n" in result.stdout
    program.write_text(script.replace("touch ran", "").replace("-e ran", "-e never"))
    assert "step: 1 passed, 1 failed" in tally.run("step", "--each", "--", program).stdout


def test_what_is_no_test_is_not_tried_again(tally):
    assert "step: 0 passed, 1 failed" in tally(a="import nothing_of_that_name\n").stdout
    assert "step: 0 passed, 1 failed" in tally(a="import os\ndef test_dies(): os._exit(1)\n").stdout


def test_a_file_that_dies_when_it_runs_again_names_nothing(tally):
    result = tally(a="import os, pathlib\nif pathlib.Path('mark').exists(): os._exit(1)\npathlib.Path('mark').touch()\n" +
                   "".join(f"def test_{name}(): assert not 'this'\n" for name in "abcd"))
    assert result.returncode == 1 and "step: 0 passed, 1 failed" in result.stdout, result.stdout
    assert "passed only when it ran again" not in result.stdout
    assert tally.run("--total").stdout == "0 passed, 1 failed\n"


def test_nothing_tested_has_failed(tally):
    result = tally.run("--total")
    assert result.returncode == 1
