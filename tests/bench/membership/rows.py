# SPDX-License-Identifier: MIT
"""The rows of the bench: what runs, how often, which figures come out, and what each has to reach."""
import dataclasses
import statistics
import typing

INCOMPLETE = float("inf")


@dataclasses.dataclass(frozen=True)
class Goal:
    """Of the figure of p2pnode: at most so much, or at most so much of memberlist's in the same run."""

    most: float = None
    ratio: float = None
    fewer: bool = False

    def __str__(self):
        if self.fewer:
            return "fewer, or none"
        return f"<= {self.ratio:g} x memberlist's" if self.ratio is not None else f"<= {self.most:g}"

    def is_reached(self, ours, theirs):
        """None: that cannot be said."""
        if self.most is not None:
            return ours <= self.most
        if theirs is None:
            return None
        return ours == 0 or ours < theirs if self.fewer else ours <= self.ratio * theirs


@dataclasses.dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    of: typing.Callable  # of the list of results, to a number; INCOMPLETE: it never came to an end
    goal: Goal = None
    kinds: tuple = ("memberlist", "p2pnode")  # who can tell


@dataclasses.dataclass(frozen=True)
class Row:
    """quick: other parameters, or other "repeats", of a short run; small: of the self-test."""

    name: str
    scenario: str
    parameters: dict
    figures: tuple
    repeats: int = 1
    quick: dict = dataclasses.field(default_factory=dict)
    small: dict = None
    kinds: tuple = ("memberlist", "p2pnode")


def flat(results, *path):
    """All values under a key, or under a key of each item of a list: flat(r, "kills", "all").

    A run that did not come together has measured less.
    """
    values = [result[path[0]] for result in results if path[0] in result]
    if len(path) > 1 or (values and isinstance(values[0], list)):
        values = [item for items in values for item in items]
    values = [value[path[1]] for value in values] if len(path) > 1 else values
    return [INCOMPLETE if value is None else value for value in values]


def middle(*path):
    return lambda results: statistics.median(flat(results, *path)) if flat(results, *path) else None


def most(*path):
    return lambda results: max(flat(results, *path), default=None)


def total(*path):
    return lambda results: sum(flat(results, *path))


def incomplete(*path):
    return lambda results: flat(results, *path).count(INCOMPLETE)


def scaled(factor, of):
    return lambda results: None if (value := of(results)) is None else value * factor


def start(size, repeats, quick, patience, goals):
    return Row(f"start-{size}", "start", {"size": size, "patience": patience}, (
        Figure("all see all, median", "s", middle("all"), goals.get("median")),
        Figure("all see all, slowest", "s", most("all"), goals.get("slowest")),
        Figure("false deaths", "", total("false_deaths"), goals.get("false_deaths")),
        Figure("TCP connections", "", total("tcp"), Goal(0)),
        Figure("datagrams of each", "", middle("datagrams")),
        Figure("CPU of each", "ms", scaled(1000, middle("cpu"))),
    ), repeats=repeats, quick={"repeats": quick}, small={"size": 5} if size == 64 else None)


def detection(size):
    return Row(f"detection-{size}", "detection", {"size": size, "kills": 4}, (
        Figure("first to know", "s", middle("kills", "first")),
        Figure("median to know", "s", middle("kills", "median")),
        Figure("all know", "s", middle("kills", "all"), Goal(ratio=0.5)),
        Figure("all know, slowest", "s", most("kills", "all")),
        Figure("false deaths", "", total("false_deaths"), Goal(0)),
        Figure("back at all after a restart", "s", middle("rejoins")),
    ), repeats=2, quick={"repeats": 1, "kills": 2}, small={"size": 5, "kills": 1} if size == 64 else None)


def broadcast(size, loss, goals):
    return Row(f"broadcast-{size}" + (f"-loss-{loss}" if loss else ""), "broadcast",
               {"size": size, "rounds": 30, "loss": loss}, (
        Figure("median receiver", "ms", scaled(1000, middle("rounds", "median")), goals.get("median")),
        Figure("all receivers", "ms", scaled(1000, middle("rounds", "all")), goals.get("all")),
        Figure("all receivers, slowest", "ms", scaled(1000, most("rounds", "all"))),
        Figure("incomplete", "", incomplete("rounds", "all"), Goal(0)),
    ), quick={"rounds": 8}, small={"size": 5, "rounds": 3})


def starvation(name, pattern, seconds, quick, goals, small=None):
    return Row(f"starved-{name}", "starvation", {"size": 64, "bad": 6, "seconds": seconds, "settle": 15,
                                                 **({"pattern": pattern} if pattern else {})}, (
        Figure("healthy members declared dead", "", total("victims_healthy"), Goal(0)),
        Figure("such verdicts", "", total("events_healthy"), Goal(0)),
        Figure("starved members declared dead", "", total("starved_dead")),
        Figure("such verdicts, starved", "", total("starved_events")),
        Figure("back at all after going on, slowest", "s", most("back"), goals.get("back")),
        Figure("not back before the next stop", "", total("not_back"), goals.get("not_back")),
    ), quick={"seconds": quick, "settle": 5}, small=small)


def lossy(percent, goal):
    return Row(f"loss-{percent}", "loss", {"size": 64, "percent": percent, "seconds": 60}, (
        Figure("members declared dead", "", total("victims"), goal),
        Figure("such verdicts", "", total("events")),
        Figure("datagrams", "/s", total("datagrams")),
    ), quick={"seconds": 20}, small={"size": 5, "seconds": 2} if percent == 10 else None)


ROWS = (
    start(64, 20, 3, 90, {"median": Goal(1), "slowest": Goal(5), "false_deaths": Goal(0)}),
    start(100, 6, 1, 60, {"slowest": Goal(5), "false_deaths": Goal(0)}),
    start(200, 6, 1, 60, {"slowest": Goal(10), "false_deaths": Goal(0)}),
    Row("start-1000", "large", {"size": 1000, "patience": 100}, (
        Figure("all see all", "s", middle("all"), Goal(60)),
        Figure("false deaths", "", total("false_deaths"), Goal(0)),
        Figure("datagrams of each", "", middle("datagrams")),
        Figure("CPU of each", "ms", scaled(1000, middle("cpu"))),
        Figure("PSS", "MiB", middle("pss")),
        Figure("all know of a death", "s", middle("kills", "all")),
    ), quick={"size": 300}, small={"size": 5}, kinds=("p2pnode",)),
    detection(64),
    detection(100),
    broadcast(64, 0, {"median": Goal(150), "all": Goal(300)}),
    broadcast(64, 10, {}),
    Row("idle", "idle", {"size": 64, "settle": 60, "seconds": 60}, (
        Figure("PSS", "MiB", middle("pss"), Goal(1.5)),
        Figure("RSS", "MiB", middle("rss")),
        Figure("CPU", "% of a core", middle("cpu"), Goal(0.1)),
        Figure("datagrams", "/s", middle("datagrams"), Goal(2.2)),
        Figure("bytes", "/s", middle("bytes"), Goal(280)),
        Figure("TCP connections", "", total("tcp"), Goal(0)),
    ), quick={"seconds": 15}, small={"size": 5, "settle": 1, "seconds": 2}),
    starvation("3s", (3, 1), 60, 12, {"back": Goal(1), "not_back": Goal(0)},
               small={"size": 5, "bad": 1, "seconds": 2, "settle": 1, "pattern": (1, 0.5)}),
    starvation("6s", (6, 0.5), 65, 13, {}),
    starvation("12s", (12, 0.5), 62.5, 25, {}),
    starvation("quota", None, 60, 20, {}, small={"size": 5, "bad": 1, "seconds": 2, "settle": 1}),
    lossy(10, Goal(0)),
    lossy(30, Goal(fewer=True)),
    Row("leave", "leave", {"size": 64, "leaves": 3}, (
        Figure("all know", "s", middle("leaves")),
        Figure("shown as dead", "", total("shown_dead"), Goal(0), kinds=("p2pnode",)),
    ), quick={"leaves": 1}, small={"size": 5, "leaves": 1}),
)
