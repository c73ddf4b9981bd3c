# SPDX-License-Identifier: MIT
"""A disk that is too small."""
import contextlib
import itertools
import os
import subprocess

from .wait import wait_for

NUMBERS = itertools.count()


@contextlib.contextmanager
def disk_at(path, size, options=""):
    """A disk of so many MiB at this path, which is made for it."""
    path.mkdir()
    mount(path, size, options)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def mount(path, size, options=""):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}M{options}", "tmpfs", path], check=True)


@contextlib.contextmanager
def small_disks():
    """A function that gives a node, which does not run yet, a disk of its own of so many MiB."""
    mounted = []

    def give(node, size, options=""):
        node.directory.mkdir(mode=0o711)
        mount(node.directory, size, f",mode=711{options}")
        mounted.append(node)
        return node

    try:
        yield give
    finally:
        for node in mounted:
            code = node.stop() if node.is_running else 0
            # Its p2pnode-exec ends a moment later.
            wait_for(lambda node=node: subprocess.run(["umount", node.directory], check=False).returncode == 0, 10,
                     f"the disk of {node.name} to be free")
            assert code == 0, f"{node.name} ended with {code}"


def fill(node):
    """Takes all the space there is, in a file that it returns."""
    path = node.directory / "filler"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return path


def take_inodes(directory):
    """Takes all the inodes of its disk that are free, with files that it returns."""
    paths = []
    with contextlib.suppress(OSError):
        while True:
            paths.append(directory / f"inode{next(NUMBERS)}")
            paths[-1].touch(exist_ok=False)
    return paths[:-1]
