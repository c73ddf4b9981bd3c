# SPDX-License-Identifier: MIT
"""What options take, and which are refused rather than left out: against a daemon that answers from a table."""
import re

import pytest

from test_ctl_screens import ctl, daemon  # noqa: F401

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.mark.parametrize("command", ["events", "inbox", "task list"])
@pytest.mark.parametrize("given, asked", [
    ("2h", "2h"), ("2026-11-22T08:00:00.123Z", "2026-11-22T08:00:00.123Z"),
    ("2026-11-22T08:00:00+01:00", "2026-11-22T07:00:00.000Z"), ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00Z"),
    ("2026-07-01", "2026-06-30T22:00:00.000Z"), ("2026-07-01 08:30", "2026-07-01T06:30:00.000Z"),
    ("2026-12-01 08:30:05", "2026-12-01T07:30:05.000Z"), ("2026-12-01T08:30:05", "2026-12-01T07:30:05.000Z")])
def test_since_is_a_duration_or_a_point_in_time(command, given, asked, ctl, daemon):  # noqa: F811
    assert ctl(*command.split(), "--since", given, TZ=BERLIN).returncode == 0
    assert daemon.calls[-1][1]["since"] == asked


def test_since_of_today_and_in_utc(ctl, daemon):  # noqa: F811
    assert ctl("events", "--since", "2026-07-01 08:30", "--utc", TZ=BERLIN).returncode == 0
    assert daemon.calls[-1][1]["since"] == "2026-07-01T08:30:00.000Z"
    for given, shown in (("08:30", "08:30:00"), ("00:00:07", "00:00:07")):
        assert ctl("events", "--since", given).returncode == 0
        assert re.fullmatch(rf"20\d\d-\d\d-\d\dT{shown}\.000Z", daemon.calls[-1][1]["since"])


@pytest.mark.parametrize("given", ["x", "", "2026-02-30", "25:00", "2026-11-22 08:00 ", "2026-11-22T08:00:00+", "1969-01-01"])
def test_since_that_is_neither_is_told_with_both(given, ctl, daemon):  # noqa: F811
    result = ctl("events", "--since", given)
    assert result.returncode == 2 and daemon.calls == []
    assert b"a duration such as 10s or 5min, or a time such as" in result.stderr
