# SPDX-License-Identifier: MIT
"""Where a task waits until the test has seen what it wants to see."""
from .lab import merge


class Gate:
    """Shut at first. The nodes that the lab describes after it let their tasks see it."""

    def __init__(self, lab):
        directory = lab.directory / "gate"
        directory.mkdir()
        directory.chmod(0o755)
        self.path = directory / "open"
        lab.settings = merge(lab.settings, {"sandbox": {"write": [str(directory)]}})
        self.wait = f"until test -e {self.path}; do sleep 0.05; done"  # words for a shell

    def open(self):
        self.path.touch()
