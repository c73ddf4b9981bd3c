#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""p2pnode beside memberlist: the same labs, one after the other, in fresh network namespaces.

  tests/bench/membership [--quick] [--rows NAME,...] [--kinds KIND,...] [--output FILE]
  tests/bench/membership --self-test

One JSON line per figure; a table at the end; the lines and what they are made of in FILE. A name of a row
stands for all that begin with it. Needs root. The exit code is 1 where a goal was missed.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import random
import signal
import sys

import isolate
import network
import scenarios
from kinds import BUILD, KINDS
from report import Report
from rows import ROWS


def inside(order):
    """The first process of the namespaces: does one thing, and tells what came out."""
    isolate.set_up()
    network.set_up()
    scenario, parameters = getattr(scenarios, order["scenario"]), order["parameters"]
    started = scenarios.Run(order["kind"], random.Random(parameters.pop("seed")), order["group"])
    json.dump(scenario(started, **parameters), sys.stdout)


def measure(row, kind, changes, report):
    """The results of all its repeats; none after one that failed."""
    parameters = {**row.parameters, **changes}
    repeats = parameters.pop("repeats", row.repeats)
    results = []
    for number in range(repeats):
        parameters["seed"] = number + 1
        print(f"{row.name}: {kind}, {number + 1} of {repeats}", file=sys.stderr, flush=True)
        result = isolate.run(row.scenario, kind, parameters)
        report.raw(row, kind, parameters, result)
        if "error" in result:
            report.errors.append(f"{row.name}: {result['error']}")
            break
        results.append(result)
    return results


def run(rows, kinds, report, changes=lambda row: {}):
    """changes: gives the parameters that a row runs with instead of its own."""
    for row in rows:
        results = {kind: measure(row, kind, changes(row), report) for kind in row.kinds if kind in kinds}
        for figure in row.figures:
            values = {kind: figure.of(of_kind) for kind, of_kind in results.items() if of_kind and kind in figure.kinds}
            report.figure(row, figure, values, row.parameters.get("patience"))
    print(report.table(), *report.errors, sep="\n", file=sys.stderr)
    return 1 if report.failed() or report.errors else 0


def test_self(path):
    """Every scenario with five daemons: it comes to an end, with a number for each figure and nothing odd.

    What a busy machine holds up may be odd once; such a row has two more tries.
    """
    rows = [dataclasses.replace(row, repeats=1) for row in ROWS if row.small]
    untested = {row.scenario for row in ROWS} - {row.scenario for row in rows}
    for _ in range(3):
        report = Report(path)
        run(rows, ["p2pnode"], report, lambda row: row.small)
        wrong = [line for line in report.lines if line["at_least"] or (line["goal"] == "<= 0" and not line["reached"]) or
                 (line["p2pnode"] is None and not line["figure"].startswith("back at all after going on"))]
        for problem in [*wrong, *report.errors, *untested]:
            print(f"wrong: {problem}", file=sys.stderr)
        names = {line["row"] for line in wrong} | {error.split(":")[0] for error in report.errors}
        rows = [row for row in rows if row.name in names]
        if not rows:
            break
    return 1 if rows or untested else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--rows", default="")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--output", type=pathlib.Path, default=BUILD / "bench" / "membership.jsonl")
    parser.add_argument("--inside", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    if arguments.inside:
        return inside(arguments.inside)
    wanted = tuple(name for name in arguments.rows.split(",") if name)
    rows = [row for row in ROWS if not wanted or row.name.startswith(wanted)]
    if not rows:
        parser.error(f"no such row; there are {' '.join(row.name for row in ROWS)}")
    if os.geteuid() != 0:
        parser.error("network namespaces need root")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends us, nothing is left
    if arguments.self_test:
        return test_self(arguments.output.with_suffix(".self-test"))
    return run(rows, arguments.kinds.split(","), Report(arguments.output),
               lambda row: row.quick if arguments.quick else {})


sys.exit(main())
