# SPDX-License-Identifier: MIT
"""Labs as fixtures: made for a test or a module, always taken down, logs shown when a test failed."""
import contextlib
import os
import signal

import pytest

from lib.disk import small_disks
from lib.lab import FAST, STEADY, Lab


def pytest_configure(config):
    if os.geteuid() != 0 and not config.option.collectonly and "screens" not in str(config.args):
        raise pytest.UsageError("the tests with real daemons need root: they change users")
    os.umask(0o022)  # what tasks are to read, whatever the tester's umask is
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then every lab is taken down
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background is told to ignore it


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds what the daemons logged to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        labs = {lab for value in values if isinstance(value, Labs) for lab in value.labs}
        for lab in labs | {value for value in values if isinstance(value, Lab)}:
            report.sections.append(("what the daemons logged", lab.logs()))


class Labs:
    """Makes labs and remembers them."""

    def __init__(self):
        self.labs = []

    def __call__(self, settings=None, switch=None):
        self.labs.append(Lab(settings, switch))
        return self.labs[-1]

    def close_one(self, lab):
        self.labs.remove(lab)
        logs = lab.logs()
        wrong = lab.close()
        assert not wrong, "\n".join([*wrong, logs])

    def close(self):
        with contextlib.ExitStack() as stack:
            for lab in list(self.labs):
                stack.callback(self.close_one, lab)


@contextlib.contextmanager
def open_labs():
    labs = Labs()
    try:
        yield labs
    finally:
        labs.close()


@pytest.fixture
def make_lab():
    """A function that makes a lab for one test: make_lab(settings)."""
    with open_labs() as labs:
        yield labs


@pytest.fixture(scope="module")
def make_module_lab():
    """The same for a lab that all tests of a module share."""
    with open_labs() as labs:
        yield labs


def start_three(lab):
    lab.node("seed", role="seed")
    lab.node("lab-01")
    lab.node("lab-02")
    return lab.start()


@pytest.fixture
def lab(make_lab):
    """A seed and two peers, fast enough to die in a test."""
    return start_three(make_lab(FAST))


@pytest.fixture
def steady_lab(make_lab):
    """The same where nobody is to be suspect, however busy the machine is."""
    return start_three(make_lab(STEADY))


@pytest.fixture
def small_disk(make_lab):
    """A function that gives a node of make_lab, which does not run yet, a disk of its own: small_disk(node, mebibytes)."""
    with small_disks() as mount:
        yield mount


@pytest.fixture
def write(tmp_path):
    """A function that writes a task list and returns where."""
    def write_list(text):
        path = tmp_path / "tasks.txt"
        path.write_text(text)
        return path
    return write_list
