# SPDX-License-Identifier: MIT
"""The ways to keep some members from the CPU."""
import pathlib
import subprocess

import clock


class Pattern:
    """All of them stopped, then running, again and again."""

    def __init__(self, members, stopped, running):
        self.members, self.stopped, self.running = members, stopped, running
        self.resumed = []  # (when they went on, when they were stopped again)

    def go(self, lab, seconds):
        end = clock.now() + seconds
        while clock.now() < end:
            self.hold(lab, self.stopped, lambda member: member.suspend())
            start = clock.now()
            self.hold(lab, self.running, lambda member: member.resume())
            self.resumed.append((start, clock.now()))
        start, _ = self.resumed.pop()
        self.resumed.append((start, float("inf")))

    def hold(self, lab, seconds, action):
        for member in self.members:
            action(member)
        lab.wait(lambda: False, seconds)

    def describe(self):
        return f"SIGSTOP {self.stopped} s, then {self.running} s, of {len(self.members)} members"


class Quota:
    """A share of a CPU for all of them together, and somebody greedy among them."""

    quota_usec, period_usec = 2000, 100000

    def __init__(self, members, group):
        self.members, self.group = members, pathlib.Path(group)
        self.resumed = []

    def limit(self, quota_usec):
        if (self.group / "cpu.max").exists():
            (self.group / "cpu.max").write_text(f"{'max' if quota_usec < 0 else quota_usec} {self.period_usec}")
        else:
            (self.group / "cpu.cfs_period_us").write_text(str(self.period_usec))
            (self.group / "cpu.cfs_quota_us").write_text(str(quota_usec))

    def go(self, lab, seconds):
        greedy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
        for pid in [greedy.pid, *(member.pid for member in self.members)]:
            (self.group / "cgroup.procs").write_text(str(pid))
        self.limit(self.quota_usec)
        lab.wait(lambda: False, seconds)
        self.limit(-1)
        greedy.kill()
        greedy.wait()
        self.resumed.append((clock.now(), float("inf")))

    def describe(self):
        return (f"cgroup CPU quota {self.quota_usec / 1000:g} of {self.period_usec / 1000:g} ms for "
                f"{len(self.members)} members and a busy loop")


def quota(members, group):
    """Where there is no controller: the share they would get without the busy loop, cut out by signals."""
    return Quota(members, group) if group else Pattern(members, 0.49, 0.01)
