"""What every test shares: seeds, and folders of its own instead of the checkout's."""

import random

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def seeds_fixed():
    random.seed(0)
    np.random.seed(0)
