"""What was drawn and read, made once, ever: one SQLite file for all runs of a user."""

from rldf_gym.store.database import StoreError
from rldf_gym.store.schema import drawn_key, pixels_key
from rldf_gym.store.store import Store, StoreWarning, default_limit, default_path

__all__ = [
    "Store",
    "StoreError",
    "StoreWarning",
    "default_limit",
    "default_path",
    "drawn_key",
    "pixels_key",
]
