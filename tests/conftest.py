import signal

import pytest
from hypothesis import settings

from rldf_gym.threads import bound_spinning

bound_spinning()  # before a test module imports torch

# A slow or busy machine is not a fault of the code under test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_works():
    """Tests of Ctrl-C need Python's own handler, which a background job starts without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
