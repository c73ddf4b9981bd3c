# SPDX-License-Identifier: MIT
"""Figures as JSON lines while they come, and as one table at the end."""
import json
import os

from rows import INCOMPLETE


def rounded(value):
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")


class Report:
    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "w", encoding="utf-8")  # pylint: disable=consider-using-with
        self.lines, self.errors = [], []

    def write(self, **line):
        text = json.dumps(line)
        self.file.write(text + "\n")
        self.file.flush()
        return text

    def raw(self, row, kind, parameters, result):
        """For the file alone: what a figure is made of."""
        self.write(row=row.name, kind=kind, parameters=parameters, result=result,
                   load=round(os.getloadavg()[0], 2))

    def figure(self, row, figure, values, patience):
        """values: {kind: number}. What never came to an end counts as what was waited for it, a bound."""
        bounds = [kind for kind, value in values.items() if value == INCOMPLETE]
        values = {kind: rounded(patience if kind in bounds else value) for kind, value in values.items()}
        ours, theirs = values.get("p2pnode"), values.get("memberlist")
        reached = None
        if figure.goal and ours is not None:
            reached = "p2pnode" not in bounds and figure.goal.is_reached(ours, theirs)
        line = {"bench": "membership", "row": row.name, "figure": figure.name, "unit": figure.unit,
                "memberlist": theirs, "p2pnode": ours, "ratio": rounded(ours / theirs) if ours and theirs else None,
                "at_least": bounds, "goal": str(figure.goal) if figure.goal else None, "reached": reached}
        self.lines.append(line)
        print(self.write(**line), flush=True)

    def failed(self):
        return [line for line in self.lines if line["reached"] is False]

    def table(self):
        """One line per figure, for people."""
        def cell(line, kind):
            if line[kind] is None:
                return "-"
            return ("> " if kind in line["at_least"] else "") + f"{line[kind]:g}"

        header = ("row", "figure", "unit", "memberlist", "p2pnode", "goal", "")
        body = [(line["row"], line["figure"], line["unit"], cell(line, "memberlist"), cell(line, "p2pnode"),
                 line["goal"] or "", {True: "reached", False: "MISSED", None: ""}[line["reached"]])
                for line in self.lines]
        widths = [max(len(row[i]) for row in [header, *body]) for i in range(len(header))]
        return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
                         for row in [header, *body])
