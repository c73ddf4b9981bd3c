# SPDX-License-Identifier: MIT
"""What options take, and which are refused rather than left out: against a daemon that answers from a table."""
import json
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


def test_a_column_has_two_names_in_any_case(ctl):  # noqa: F811
    shown = {ctl("members", "-o", "NODE," + name, "--no-legend").stdout for name in ("RTT", "rtt", "rtt_ms", "RTT_MS")}
    assert len(shown) == 1 and b"0.5 ms" in shown.pop()
    assert ctl("members", "-o", "NAME").stdout == ctl("members", "-o", "node").stdout
    # Of two columns that of this name, not that of this key.
    assert ctl("task", "list", "-o", "name").stdout.split()[:2] == [b"NAME", b"a1"]
    assert b'unknown column "Nodez"' in ctl("members", "-o", "Nodez").stderr


@pytest.mark.parametrize("words, names", [
    (["--filter", "self=true"], ["lab-01"]), (["--filter", "SELF=yes"], ["lab-01"]),
    (["--filter", "draining!=false"], ["lab-05"]), (["--filter", "protocol=1", "--filter", "load~0.?8"], ["lab-03"]),
    (["--filter", "name=nobody", "--filter", "any=1"], []),
    (["--sort", "mem", "--filter", "role=seed"], ["seed-1"])])
def test_rows_are_chosen_by_any_key_they_have(words, names, ctl):  # noqa: F811
    shown = json.loads(ctl("members", "-j", *words).stdout)["members"]
    assert [member["name"] for member in shown] == names
    assert ctl("members", "--filter", "selfish=true").returncode == 2


@pytest.mark.parametrize("filters", [
    ["id=44"], ["id=44@lab-01"], ["ID~4?", "WAIT=0.1s"], ["run=4s", "id=44"], ["run~*s", "id~44*"], ["wait_s=0.1", "RUN=4s"],
    ["id!=45", "id!=46", "id!=47", "id!=41", "id!=40", "id!=39"]])
@pytest.mark.parametrize("options", [[], ["-j"]])
def test_rows_are_chosen_by_what_the_table_shows_of_them(filters, options, ctl):  # noqa: F811
    words = [word for text in filters for word in ("--filter", text)]
    shown = ctl("task", "list", "--no-legend", *options, *words).stdout.decode()
    ids = [task["id"] for task in json.loads(shown)["tasks"]] if options else [line.split()[0] for line in shown.splitlines()]
    assert ids == (["44@lab-01"] if options else ["44"])


def test_a_value_that_is_not_there_is_chosen_by_its_mark(ctl):  # noqa: F811
    shown = ctl("task", "list", "--filter", "RUN=-", "--filter", "NODE=-", "-o", "RUN", "--no-legend").stdout.split()
    assert shown and set(shown) == {b"-"}


@pytest.mark.parametrize("command, told", [
    ("task retry --all-failed --filter x=1", "--filter is for lists, and task retry shows none"),
    ("task cancel --all --filter state=pending", "--filter is for lists, and task cancel shows none"),
    ("task clean --yes --sort id", "--sort is for lists, and task clean shows none"),
    ("status -o node", "--output is for lists, and status shows none"),
    ("help -j", "help prints a text, which is no JSON"),
    ("config dump-default -j", "config dump-default prints a text, which is no JSON"),
    ("completion bash -j", "completion prints a text, which is no JSON"),
    ("-N lab-05 config dump-default", "config dump-default asks no node: leave out -N")])
def test_an_option_is_heeded_or_refused(command, told, ctl, daemon):  # noqa: F811
    result = ctl(*command.split())
    assert result.returncode == 2 and result.stdout == b"" and daemon.calls == []
    assert told in result.stderr.decode()


def test_one_of_a_thing_is_no_plural(ctl, daemon):  # noqa: F811
    answer = daemon.answers["Status"]
    daemon.answers["Status"] = {**answer, "tasks": {**answer["tasks"], "slots": 1}, "mem": {**answer["mem"], "keys": 1}}
    shown = ctl("status").stdout
    assert b"3 running of 1 slot, " in shown and b"Memory: 1 key, " in shown
    assert b": 1 task, 1 succeeded" in ctl("run", "short.txt").stderr
