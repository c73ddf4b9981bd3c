# SPDX-License-Identifier: MIT
"""The one place that lets time pass: every test waits for a condition, with a limit."""
import time

PAUSE_S = 0.02


def wait_for(predicate, timeout, what="the condition"):
    """Polls until predicate() is truthy and returns that value; fails after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}; last seen: {value!r}")
        time.sleep(PAUSE_S)


def holds_for(predicate, duration, what="the condition"):
    """Polls for that many seconds and fails as soon as predicate() is not truthy."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        assert predicate(), f"{what} did not hold"
        time.sleep(PAUSE_S)
