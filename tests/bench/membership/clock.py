# SPDX-License-Identifier: MIT
"""The one place of the bench that lets time pass, and its clock: the wall's, in seconds, since the
members write theirs beside what they tell."""
import time

now = time.time


def pause(seconds):
    """A measured span, or a stretch between two looks."""
    time.sleep(max(seconds, 0))
