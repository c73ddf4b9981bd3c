# SPDX-License-Identifier: MIT
"""What the kernel tells of a process, and what stands in a directory: both change while they are read."""
import contextlib
import os
import pathlib


def descriptors(pid):
    """What the descriptors of a process are, sorted, without those that were closed while this looked."""
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{entry}").split(":")[0])
    return sorted(found)


def resident_bytes(pid):
    """What it has in memory, that of its libraries included."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def own_bytes(pid):
    """Bytes that are its alone: what a leak would make more of."""
    return sum_of(pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), "Anonymous:") << 10


def sum_of(text, field):
    """Of all lines "field NUMBER" of a file of /proc."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(field))


def has_signal(pid, field, number):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    signals = next(line.split()[1] for line in status.splitlines() if line.startswith(field))
    return bool(int(signals, 16) >> (number - 1) & 1)


def catches(pid, number):
    """Whether it has a handler for this signal."""
    return has_signal(pid, "SigCgt:", number)


def is_pending(pid, number):
    """Whether it has not seen this signal yet, which was sent to it."""
    return has_signal(pid, "ShdPnd:", number)


def wakeups(pid):
    """How often the threads that it has now have waited for something."""
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += sum_of(status.read_text(), "voluntary_ctxt_switches:")
    return total


def commands():
    """(pid, command line) of all processes that have one."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if command := (entry / "cmdline").read_bytes():
                    yield int(entry.name), command


def files_below(directory):
    """(path, status) of everything below it, without what went while this looked."""
    for place, directories, files in os.walk(directory):  # which passes over a directory that is gone; rglob() does not
        for name in sorted(directories + files):
            path = pathlib.Path(place, name)
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()


def sizes(paths):
    """Of those files that are still there."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


def content(path):
    """Bytes of a file, none where it is not there (any more)."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
