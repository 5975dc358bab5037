"""Generated images and what models read in them, computed once, ever: one SQLite file."""

from rldf_gym.store.database import StoreError
from rldf_gym.store.location import default_limit, default_path
from rldf_gym.store.schema import image_key, pixels_key
from rldf_gym.store.store import Store, StoreWarning

__all__ = [
    "Store",
    "StoreError",
    "StoreWarning",
    "default_limit",
    "default_path",
    "image_key",
    "pixels_key",
]
