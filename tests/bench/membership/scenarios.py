# SPDX-License-Identifier: MIT
"""What is measured, each in a fresh lab: functions of a run and of parameters, to raw results in seconds."""
import dataclasses
import random
import statistics
import time

import clock
import network
import starve
from lab import Lab

GONE = ("dead", "left")
JOIN_PATIENCE = 180
BROADCAST_PATIENCE = 10
DEATH_PATIENCE = 60


@dataclasses.dataclass
class Run:
    kind: str
    draw: random.Random  # who is starved, killed or sends
    group: str           # a cgroup for those that are starved, or None


def start(run, size, patience):
    """All at once through one seed: from the last exec until each sees all."""
    lab = Lab(run.kind, size)
    return come_together(lab, patience)


def come_together(lab, patience):
    last = lab.launch_all()
    complete = lab.wait(lab.sees_all, patience)
    counters = network.counters()
    return {"all": lab.seen_all_at() - last if complete else None, "patience": patience,
            "false_deaths": len(lab.deaths(0, clock.now())), "tcp": counters["connections"][0],
            "datagrams": counters["datagrams"][0] / len(lab.members),
            "cpu": statistics.mean(cpu_seconds(member) for member in lab.live())}


def large(run, size, patience):
    """The same with what a member then weighs, and a death."""
    lab = Lab(run.kind, size)
    result = come_together(lab, patience)
    if result["all"] is not None:
        result["pss"] = statistics.mean(memory(member)["Pss"] for member in lab.live())
        result["kills"] = [kill(lab, run.draw.choice(lab.live()[1:]))]
    return result


def kill(lab, victim):
    killed = clock.now()
    victim.kill()
    told, complete = lab.wait_state(victim, GONE, killed, DEATH_PATIENCE)
    return {"first": told[0] - killed if told else None, "median": statistics.median(told) - killed if told else None,
            "all": told[-1] - killed if complete else None}


def rejoin(lab, member):
    started = lab.launch(member)
    told, complete = lab.wait_state(member, ("alive",), started, JOIN_PATIENCE)
    lab.wait(lab.sees_all, JOIN_PATIENCE)
    return told[-1] - started if complete else None


def detection(run, size, kills, loss=0):
    """SIGKILL, and when the others say so; then the same member comes back."""
    lab, draw = Lab(run.kind, size), run.draw
    lab.start_and_join(JOIN_PATIENCE)
    network.lose(loss)
    result = {"kills": [], "rejoins": [], "false_deaths": 0}
    for _ in range(kills):
        lab.wait(lambda: False, draw.uniform(1, 3))  # in no step with anybody's probes
        since = clock.now()
        victim = draw.choice(lab.live()[1:])
        result["kills"].append(kill(lab, victim))
        result["false_deaths"] += sum(dead != victim.name for _, dead, _ in lab.deaths(since, clock.now()))
        result["rejoins"].append(rejoin(lab, victim))
    return result


def broadcast(run, size, rounds, loss=0):
    """A message of 70 bytes from anybody, until everybody else has it."""
    lab, draw = Lab(run.kind, size), run.draw
    lab.start_and_join(JOIN_PATIENCE)
    network.lose(loss)
    result = {"rounds": []}
    for number in range(rounds):
        lab.wait(lambda: False, draw.uniform(0.3, 0.6))
        sender, text = draw.choice(lab.live()), f"m{number}"
        others = [lab.watches[member.name] for member in lab.live() if member is not sender]
        sent = clock.now()
        sender.send(text)
        complete = lab.wait(lambda: all(text in watch.messages for watch in others), BROADCAST_PATIENCE)
        times = sorted(watch.messages[text] - sent for watch in others if text in watch.messages)
        result["rounds"].append({"median": statistics.median(times) if times else None,
                                 "all": times[-1] if complete else None, "missed": len(others) - len(times)})
    return result


def memory(member):
    """{"Pss": MiB, "Rss": MiB}"""
    with open(f"/proc/{member.pid}/smaps_rollup", encoding="ascii") as lines:
        fields = dict(line.split()[:2] for line in lines if line.endswith("kB\n"))
    return {name: int(fields[f"{name}:"]) / 1024 for name in ("Pss", "Rss")}


def cpu_seconds(member):
    """Of all its threads, those that ended too: the process's clock (CPUCLOCK_SCHED of linux/posix-timers.h)."""
    return time.clock_gettime(~member.pid << 3 | 2)


def idle(run, size, settle, seconds):
    """Nothing happens, and nobody watches but the kernel's counters."""
    lab = Lab(run.kind, size)
    lab.start_and_join(JOIN_PATIENCE)
    clock.pause(settle)  # p2pnode's ten heartbeats after a start are over
    before, cpu = network.counters(), [cpu_seconds(member) for member in lab.live()]
    started = clock.now()
    clock.pause(seconds)
    after, cpu_after = network.counters(), [cpu_seconds(member) for member in lab.live()]
    span = clock.now() - started
    weights = [memory(member) for member in lab.live()]
    packets, size_bytes = (after["datagrams"][i] - before["datagrams"][i] for i in (0, 1))
    lab.read()
    return {"pss": statistics.median(weight["Pss"] for weight in weights),
            "rss": statistics.median(weight["Rss"] for weight in weights),
            "cpu": statistics.median(b - a for a, b in zip(cpu, cpu_after)) / span * 100,
            "cpu_max": max(b - a for a, b in zip(cpu, cpu_after)) / span * 100,
            "datagrams": packets / span / size, "bytes": size_bytes / span / size,
            "tcp": after["connections"][0], "tcp_idle": after["connections"][0] - before["connections"][0],
            "false_deaths": len(lab.deaths(0, clock.now()))}


def back_after(lab, starver, member):
    """For each time that the member went on while somebody healthy held it dead: how long until nobody did.

    None where it was stopped again before that.
    """
    bad = {one.name for one in starver.members}
    for start, end in starver.resumed:
        latest = None
        for name, watch in lab.watches.items():
            if name in bad:
                continue
            verdicts = [(when, event) for when, event, subject in watch.history
                        if subject == member.name and event in ("dead", "alive") and when < end]
            last_alive = next((when for when, event in reversed(verdicts) if event == "alive"), 0)
            if verdicts and verdicts[-1][1] == "dead":
                yield None
                break
            if last_alive > start:
                latest = max(latest or 0, last_alive - start)
        else:
            if latest is not None:
                yield latest


def starvation(run, size, bad, seconds, settle, pattern=None):
    """Some members get next to no CPU. pattern: (stopped, running); else the quota."""
    lab, draw = Lab(run.kind, size), run.draw
    lab.start_and_join(JOIN_PATIENCE)
    lab.wait(lambda: False, 2)
    starved = draw.sample(lab.live()[1:], bad)
    names = {member.name for member in starved}
    starver = starve.Pattern(starved, *pattern) if pattern else starve.quota(starved, run.group)
    since = clock.now()
    starver.go(lab, seconds)
    lab.wait(lambda: False, settle)
    deaths = lab.deaths(since, clock.now())
    healthy = [(observer, victim) for observer, victim, _ in deaths if victim not in names]
    back = [span for member in starved for span in back_after(lab, starver, member)]
    return {"how": starver.describe(), "victims_healthy": len({victim for _, victim in healthy}),
            "events_healthy": len(healthy),
            "events_healthy_at_healthy": sum(observer not in names for observer, _ in healthy),
            "starved_dead": len({victim for _, victim, _ in deaths if victim in names}),
            "starved_events": sum(victim in names for _, victim, _ in deaths),
            "back": sorted(span for span in back if span is not None), "not_back": back.count(None),
            "agree": lab.sees_all()}


def loss(run, size, percent, seconds):
    """Verdicts on members that all live."""
    lab = Lab(run.kind, size)
    lab.start_and_join(JOIN_PATIENCE)
    lab.wait(lambda: False, 2)
    network.lose(percent)
    since, before = clock.now(), network.counters()["datagrams"][0]
    lab.wait(lambda: False, seconds)
    deaths, span = lab.deaths(since, clock.now()), clock.now() - since
    return {"victims": len({victim for _, victim, _ in deaths}), "events": len(deaths),
            "datagrams": (network.counters()["datagrams"][0] - before) / span / size,
            "lost": network.counters()["lost"][0]}


def leave(run, size, leaves):
    """A good-bye, until each other knows."""
    lab, draw = Lab(run.kind, size), run.draw
    lab.start_and_join(JOIN_PATIENCE)
    result = {"leaves": [], "shown_dead": 0}
    for _ in range(leaves):
        lab.wait(lambda: False, draw.uniform(1, 2))
        member = draw.choice(lab.live()[1:])
        said = clock.now()
        member.leave()
        told, complete = lab.wait_state(member, GONE, said, DEATH_PATIENCE)
        result["leaves"].append(told[-1] - said if complete else None)
        result["shown_dead"] += sum(victim == member.name for _, victim, _ in lab.deaths(said, clock.now()))
    return result
