#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every event has a row, a function in the journal, and a text for operators; and nothing else has.

Diagnostics that name a task, which may be confidential, stay on the node.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The closed list of the contract.
CONTRACT = """
node-started node-stopping join-request member-joined member-suspect member-alive member-dead member-left
member-reaped dead-report peer-list name-conflict id-conflict cluster-mismatch seed-unreachable key-changed
gossip message liveness connection task-submitted task-placed task-started task-moved task-lost task-ended
file-stored file-removed mem-changed drain undrain config-reloaded problem
""".split()

# What an operator is told to do: a command, or nothing.
ADVICE = re.compile(r"\b(p2pctl|systemctl|journalctl) [a-z]|[Nn]othing has to be done")


def compare(errors, what, expected, found):
    errors += [f"{what}: {name} is missing" for name in sorted(set(expected) - set(found))]
    errors += [f"{what}: {name} is not in the contract" for name in sorted(set(found) - set(expected))]


def check_diagnostics(errors):
    """A line with the number of a task carries LOG_STAYS: `monitor` of other nodes does not get it."""
    for path in sorted((ROOT / "daemon").rglob("*.c")):
        for call in re.findall(r"\blog_\w+\([^;]*;", path.read_text()):
            if re.search(r"\b[Tt]ask %", call) and "LOG_STAYS" not in call:
                errors.append(f"{path.relative_to(ROOT)}: {' '.join(call.split())} names a task, without LOG_STAYS")


def main():
    errors = []
    check_diagnostics(errors)
    table = (ROOT / "daemon/config/events.c").read_text()
    rows = dict(re.findall(r'\{"([a-z-]+)", "([0-9a-f]{32})", LOG_', table))
    compare(errors, "daemon/config/events.c", CONTRACT, rows)
    if len(set(rows.values())) != len(rows):
        errors.append("daemon/config/events.c: a MESSAGE_ID is there twice")
    levels = set(re.findall(r'\{"([a-z-]+)", "[0-9a-f]{32}", LOG_(\w+), SUBSYSTEM_(\w+)\}', table.replace("\n", " ")))
    page = re.findall(r"^\.It ([a-z-]+) Ta (\w+) Ta (\w+) Ta", (ROOT / "daemon/p2pnode.8").read_text(), re.M)
    for name, level, part in sorted({(n, l.lower(), s.lower()) for n, l, s in levels} ^ set(page)):
        errors.append(f"daemon/p2pnode.8: the event {name}, {level}, {part} is not in both, page and table")
    header = (ROOT / "daemon/journal.h").read_text()
    functions = {name.replace("_", "-") for name in re.findall(r"^void journal_(\w+)\(", header, re.M)}
    compare(errors, "daemon/journal.h", CONTRACT, functions - {"close", "set-observer", "set-send"})
    catalog = (ROOT / "systemd/p2pnode.catalog").read_text()
    entries = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)\nDefined-By: p2pnode\n", catalog, re.M)
    names = {message_id: name for name, message_id in rows.items()}
    compare(errors, "systemd/p2pnode.catalog", CONTRACT,
            [names.get(message_id, message_id) for message_id, _ in entries])
    for body in re.split(r"^-- ", catalog, flags=re.M)[1:]:
        message_id, text = body.split("\n", 1)
        if not ADVICE.search(text.partition("\n\n")[2]):
            errors.append(f"systemd/p2pnode.catalog: {names.get(message_id, message_id)} does not say what to do")
    written = set(re.findall(r'(?:TEXT|NUMBER)\("([A-Z_]+)"', (ROOT / "daemon/journal.c").read_text()))
    written |= {"NODE", "EVENT", "LINE"}
    for field in re.findall(r"@([A-Z_]+)@", catalog):
        if field != "MESSAGE" and field.removeprefix("PEER_") not in written:
            errors.append(f"systemd/p2pnode.catalog: no event has the field {field}")
    print("\n".join(errors), end="\n" if errors else "")
    return 1 if errors else 0


sys.exit(main())
