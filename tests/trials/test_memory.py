"""Freed memory is kept: the system gives every page once."""

import subprocess
import sys

import pytest

from helpers import base

FAULTS = """
import resource, sys
import numpy as np
from helpers.trials import engine
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
plain = faults()
engine.keep_freed_memory()
faults()
print(plain, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_kept_for_the_next_batch():
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=base.CHECKOUT, capture_output=True, text=True, check=True)
    plain, kept = map(int, done.stdout.split())
    if plain < 1000:
        pytest.skip("this system's allocator keeps freed memory by itself")
    assert kept < plain / 100
