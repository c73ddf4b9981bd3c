# SPDX-License-Identifier: MIT
"""A lab of members in this network namespace, and what each of them has told so far."""
import os

import clock
from kinds import KINDS


class Watch:
    """What one member tells, read from the end of its file."""

    def __init__(self, member):
        self.member = member
        self.fd = os.open(member.events, os.O_RDONLY)
        self.rest = b""
        self.history = []  # (time, event, subject), in its own order
        self.view = {}     # subject: (state, since when)
        self.messages = {}  # text: when it came

    def read(self):
        while data := os.read(self.fd, 1 << 20):
            end = data.rfind(b"\n") + 1
            lines, self.rest = self.rest + data[:end], data[end:] if end else self.rest + data
            for stamp, event, subject in self.member.parse(lines if end else b""):
                self.take(stamp, event, subject)

    def take(self, stamp, event, subject):
        if event == "message":
            self.messages.setdefault(subject, stamp)
            return
        self.history.append((stamp, event, subject))
        if event != "suspect" and subject != self.member.name and self.state_of(subject) != event:
            self.view[subject] = (event, stamp)

    def state_of(self, subject):
        return self.view.get(subject, (None, 0))[0]

    def forget(self):
        """A restarted process knows nobody."""
        self.view.clear()


class Lab:
    def __init__(self, kind, size):
        self.kind = KINDS[kind]
        self.members = {}
        for number in range(size):
            member = self.kind(number)
            self.members[member.name] = member
        self.watches = {name: Watch(member) for name, member in self.members.items()}
        self.look_every = 0.02 if size < 500 else 0.5

    def live(self):
        return [member for member in self.members.values() if member.process and not member.is_leaving]

    def read(self):
        for member in self.live():
            assert not member.has_ended(), f"{member.name} ended: {member.stderr.read_text()[-500:]}"
            self.watches[member.name].read()

    def wait(self, predicate, patience):
        """Looks until predicate() is true; whether it became so within patience seconds."""
        end = clock.now() + patience
        while True:
            self.read()
            if predicate():
                return True
            if clock.now() > end:
                return False
            clock.pause(self.look_every)

    def launch(self, member):
        self.watches[member.name].forget()
        started = clock.now()
        member.start()
        return started

    def launch_all(self):
        """Starts everybody; returns when the last one was."""
        return max([self.launch(member) for member in self.members.values()])

    def sees_all(self):
        """Whether each live member sees every other one alive."""
        live = self.live()
        watches = [self.watches[member.name] for member in live]
        if any(len(watch.view) < len(live) - 1 for watch in watches):  # the cheap half
            return False
        return all(watch.state_of(member.name) == "alive"
                   for watch in watches for member in live if member is not watch.member)

    def seen_all_at(self):
        """When the last member saw the last other one alive; call it when sees_all()."""
        return max(since for member in self.live() for _, since in self.watches[member.name].view.values())

    def wait_state(self, subject, states, since, patience):
        """Until every live other sees it so; sorted, when each did."""
        others = [self.watches[member.name] for member in self.live() if member.name != subject.name]

        def times():
            seen = [watch.view.get(subject.name, (None, 0)) for watch in others]
            return [when for state, when in seen if state in states and when >= since - 0.001]

        complete = self.wait(lambda: len(times()) == len(others), patience)
        return sorted(times()), complete

    def start_and_join(self, patience):
        """Everything up; a lab that does not come together is of no use to a row."""
        self.launch_all()
        assert self.wait(self.sees_all, patience), f"not everybody saw everybody within {patience} s"

    def deaths(self, since, until):
        """(observer, victim, when) of all verdicts in a span."""
        return [(observer, victim, when) for observer, watch in self.watches.items()
                for when, event, victim in watch.history if event == "dead" and since <= when <= until]
