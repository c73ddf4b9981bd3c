# SPDX-License-Identifier: MIT
"""The other end of a terminal."""
import os


def read_to_end(master):
    """What programs write to a terminal, until the last of them has closed it.

    Linux says that end as an error, and may say it although something is left to be read: it looks for bytes first
    and for who is there afterwards. Asked once more, it gives them.
    """
    text, ends = b"", 0
    while ends < 2:
        try:
            part = os.read(master, 65536)
        except OSError:
            part = b""
        text += part
        ends = 0 if part else ends + 1
    return text
