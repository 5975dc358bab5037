import signal
from pathlib import Path

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


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory) -> Path:
    """One store for all tests that search in the embedded world: an image is generated once."""
    return tmp_path_factory.mktemp("embedded") / "store.sqlite"


@pytest.fixture(scope="session")
def base_world(embedded_store) -> Path:
    """That store, with all 480 states of the base grammar, which batches generate fastest."""
    from rldf_gym.atlas import Atlas
    from rldf_gym.factory import make_evaluator
    from rldf_gym.grammar import load_grammar

    evaluator = make_evaluator(load_grammar("base"), "embedded", "auto", embedded_store)
    Atlas.build(evaluator)
    evaluator.store.close()
    return embedded_store
