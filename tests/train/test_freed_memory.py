"""Memory kept for later use: what is freed and wanted again costs no page faults."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest

from echoform.train.freed_memory import keep_freed_memory

#: blocks of 8 MB, freed all at once and taken again; its own process, for the setting lasts
PROGRAM = """
import resource, sys, torch
from echoform.train.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for turn in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(2_000_000) for _ in range(8)]
    blocks.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(argument: str) -> int:
    """Page faults of the last turn where the allocator is told from outside to map every large block by itself."""
    told = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument], capture_output=True, text=True, check=True, env=told
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is not that of the GNU C library")
def test_freed_memory_is_taken_again_without_faults() -> None:
    """The setting overrides what the allocator was told from outside; without it every block is mapped anew."""
    pages = 8 * 8_000_000 / resource.getpagesize()
    assert faults("leave") > pages / 1000  # where pages are huge, one fault brings 512 of them
    assert faults("keep") < pages / 1000


def test_other_allocators_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library says that it is not glibc, nothing is called."""
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
