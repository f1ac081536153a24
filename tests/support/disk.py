"""A disk whose power can be cut: an ext4 image behind a loop device.

A copy of the image holds what has reached the disk so far; what is still in the page cache is not in it. Linux writes
that out after half a minute by itself, so what a cut is to take must be written just before.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.cluster import eventually
from tools.local_broker import pid_path

__all__ = ["Disk", "cut_power", "save"]


class Disk:
    """An ext4 image, mounted."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disk.img"
        self.place = folder / "disk"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(256 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)
        self.mount()

    @classmethod
    @contextmanager
    def mounted(cls, folder: Path) -> "Iterator[Disk]":
        """A disk in this folder, unmounted at the end; skips where there can be none."""
        if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
            pytest.skip("a disk image behind a loop device needs root, mkfs.ext4 and /dev/loop-control")
        disk = cls(folder)
        try:
            yield disk
        finally:
            disk.unmount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.place)], check=True)

    def unmount(self) -> None:
        """Unmount, as soon as the last process that was killed has let go of its files."""
        command = ["umount", str(self.place)]
        eventually(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, every=0.1)

    def sync(self) -> None:
        """Have everything written that was written so far: it survives the cut."""
        subprocess.run(["sync", "-f", str(self.place)], check=True)

    def copy(self) -> Path:
        """Return an image of what is on the disk now; the page cache is not."""
        copy = self.image.with_name("cut.img")
        subprocess.run(["cp", "--sparse=always", str(self.image), str(copy)], check=True)
        return copy

    def become(self, copy: Path) -> None:
        """Go on with what that image holds. Nobody may use the disk any more."""
        self.unmount()
        copy.rename(self.image)
        self.mount()


def save(disk: Disk, broker: Broker) -> None:
    """Have all that the broker holds reach the disk: it survives the cut.

    Which streams it has the broker keeps in memory for its first seconds; one that loses that finds its stream never
    again (404, "home node is down").
    """
    names = broker.folder / "mnesia" / broker.node / "coordination" / broker.node / "names.dets"
    eventually(lambda: b"rabbit_stream_coordinator" in names.read_bytes(), seconds=30, every=0.1)
    disk.sync()


def cut_power(disk: Disk, broker: Broker) -> None:
    """Cut the power of a broker whose folder lies on this disk; `broker.restart()` is the power coming back."""
    broker.send(signal.SIGSTOP)
    copy = disk.copy()
    broker.kill()
    disk.become(copy)
    pid_path(broker.folder, node=broker.node).unlink(missing_ok=True)  # of the broker that is no more
