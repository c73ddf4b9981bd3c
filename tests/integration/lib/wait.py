# SPDX-License-Identifier: MIT
"""The one place that lets time pass: every test waits for a condition, with a limit."""
import time

PAUSE_S = 0.02
# Limits of the tests are written for a machine that has nothing else to do, with room to spare. One that is busy
# may take so many times longer: it costs nothing where the condition comes.
PATIENCE = 4


def wait_for(predicate, timeout, what="the condition"):
    """Polls until predicate() is truthy and returns that value; fails after timeout seconds, and patience.

    what: the words for it, or a function that returns them when they are needed.
    """
    return wait_within(predicate, timeout * PATIENCE, what)


def wait_within(predicate, limit, what="the condition"):
    """The same where the limit itself is what is tested: that many seconds, whatever else the machine does."""
    deadline = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {limit} s in vain for {what() if callable(what) else what}; "
                                 f"last seen: {value!r}")
        time.sleep(PAUSE_S)


def holds_for(predicate, duration, what="the condition"):
    """Polls for that many seconds and fails as soon as predicate() is not truthy."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert predicate(), f"{what} did not hold"
        time.sleep(PAUSE_S)
