#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The manual names every key, detail and command, the example file is the dump, and mandoc is content."""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
P2PCTL = pathlib.Path(os.environ.get("P2PNODE_BUILD", ROOT / "build")) / "p2pctl"
KEY = re.compile(r'^    \{"([a-z_.]+)", KEY_', re.M)
RANGE = re.compile(r'^    \{"([a-z_.]+)", KEY_(?:USEC|SIZE|INT), AT\([\w.]+\), ([^,]+), ([^,]+), "[^"]*"(, \.has_zero)?', re.M)
UNITS = {"MSEC": "ms", "SEC": "s", "HOURS": "h", "DAYS": "d", "KIB": "KiB", "MIB": "MiB", "TIB": "TiB"}
PAGES = sorted([*ROOT.glob("daemon/*.[1-8]"), *ROOT.glob("ctl/*.[1-8]"), *ROOT.glob("etc/*.[1-8]")])


def check_pages(errors):
    for path in PAGES:
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True, text=True, check=False)
        errors += [f"{line}" for line in lint.stdout.splitlines()]


def check_keys(errors):
    page = (ROOT / "etc/p2pnode.conf.5").read_text()
    table = (ROOT / "daemon/config/table.c").read_text()
    keys = KEY.findall(table[:table.index("config_type_keys[]")])
    described = set(re.findall(r"^\.It Ic ([a-z_.]+)", page, re.M))
    errors += [f"etc/p2pnode.conf.5: {key} is missing" for key in keys if key not in described]
    errors += [f"etc/p2pnode.conf.5: there is no key {key}" for key in sorted(described - set(keys))]
    ranges = {key: f"{in_words(low)} to {in_words(high)}" + (", or 0" if zero else "")
              for key, low, high, zero in RANGE.findall(table)}
    told = dict(re.findall(r"^\.It Ic ([a-z_.]+) No \((?:number|time|size), (.*? to .*?)(?:, restart)?\)$", page, re.M))
    errors += [f"etc/p2pnode.conf.5: {key} is {ranges.get(key)}, not {told.get(key)}"
               for key in sorted({*ranges, *told}) if ranges.get(key) != told.get(key)]
    if not keys or not ranges:
        errors.append("daemon/config/table.c: no keys found")


def in_words(limit):
    """MSEC(100) as people write it."""
    unit, number = re.fullmatch(r"(?:(\w+)\()?(\d+)\)?", limit).groups()
    return number + UNITS.get(unit, "")


def check_details(errors):
    """Details of a task list: those that mean something, and no others."""
    page = (ROOT / "etc/p2pnode-tasks.5").read_text()
    table = (ROOT / "daemon/sched/grammar_key.c").read_text()
    keys = set(re.findall(r'^    \{"([a-z_]+)", [A-Z0-9_]+, set_', table, re.M))
    described = set(re.findall(r"^\.It Ic ([a-z_]+)", page, re.M))
    errors += [f"etc/p2pnode-tasks.5: {key} is missing" for key in sorted(keys - described)]
    errors += [f"etc/p2pnode-tasks.5: there is no detail {key}" for key in sorted(described - keys)]
    if not keys:
        errors.append("daemon/sched/grammar_key.c: no details found")


def check_mentions(errors):
    """Keys that a page speaks of exist."""
    keys = set(re.findall(r"^\.It Ic ([a-z_.]+)", (ROOT / "etc/p2pnode.conf.5").read_text(), re.M))
    for path in PAGES:
        mentioned = re.findall(r"^\.(?:Pq |Po )?Ic ((?:\w+\.)+\w+)", path.read_text(), re.M)
        errors += [f"{path.relative_to(ROOT)}: there is no key {key}" for key in sorted(set(mentioned) - keys)]


def check_frames(errors):
    """The page about the protocol knows every frame of PROTOCOL.md by its number."""
    text = (ROOT / "daemon/PROTOCOL.md").read_text()
    frames = set(re.findall(r"^\| (\d+) \| ([A-Z_]{3,}) \|", text, re.M))
    told = set(re.findall(r"^\.It (\d+) Ta ([A-Z_]+) Ta", (ROOT / "daemon/p2pnode-protocol.7").read_text(), re.M))
    errors += [f"daemon/p2pnode-protocol.7: frame {' '.join(one)} is missing" for one in sorted(frames - told)]
    errors += [f"daemon/p2pnode-protocol.7: there is no frame {' '.join(one)}" for one in sorted(told - frames)]
    if len(frames) < 20:
        errors.append("daemon/PROTOCOL.md: no frames found")


def check_commands(errors):
    page = (ROOT / "ctl/p2pctl.1").read_text()
    text = subprocess.run([P2PCTL, "help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?=  |\s+[A-Z\[<-]|$)", text, re.M)
    flat = re.sub(r"^\.\w+ |[\\.]", " ", page, flags=re.M)
    errors += [f"ctl/p2pctl.1: command {command} is missing" for command in commands
               if not re.search(rf"\b{command}\b", flat)]
    if not commands:
        errors.append("p2pctl help lists no command")


def check_options(errors):
    page = (ROOT / "ctl/p2pctl.1").read_text()
    table = "".join((ROOT / name).read_text() for name in ("ctl/commands.c", "ctl/globals.c"))
    options = set(re.findall(r"""^    \{"([a-z-]+)", (?:'.'|0),""", table, re.M))
    errors += [f"ctl/p2pctl.1: the option --{option} is missing" for option in sorted(options)
               if not re.search(rf"-{option}\b", page)]
    if len(options) < 50:
        errors.append("ctl/commands.c: no options found")


def check_example(errors):
    dump = subprocess.run([P2PCTL, "config", "dump-default"], capture_output=True, text=True, check=True).stdout
    if dump != (ROOT / "etc/p2pnode/p2pnode.conf.example").read_text():
        errors.append("etc/p2pnode/p2pnode.conf.example differs from `p2pctl config dump-default`")


def main():
    errors = []
    check_pages(errors)
    check_keys(errors)
    check_mentions(errors)
    check_frames(errors)
    check_details(errors)
    check_commands(errors)
    check_options(errors)
    check_example(errors)
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
