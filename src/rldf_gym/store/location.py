"""Where a store is and how large it may become, unless the caller says."""

import contextlib
import os
from pathlib import Path

from rldf_gym.store.database import StoreError
from rldf_gym.store.eviction import parse_size


def default_path() -> Path:
    """Return the default path: ``$RLDF_STORE``, else a file in the user's cache folder."""
    if chosen := os.environ.get("RLDF_STORE"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("rldf-gym") / "store.sqlite"


def default_limit() -> int | None:
    """Return the bytes that a store may hold: ``$RLDF_STORE_LIMIT``, such as "2GB", else None.

    Raises:
        StoreError: the variable holds no size.
    """
    chosen = os.environ.get("RLDF_STORE_LIMIT")
    return parse_size(chosen) if chosen else None


def make_cache_folder(file: Path) -> None:
    """Make the folder of a store in the user's cache; of any other it may be a typing error."""
    import platformdirs

    if file.parent != platformdirs.user_cache_path("rldf-gym"):
        raise StoreError(f"the folder {file.parent} of the store {file} does not exist: make it")
    with contextlib.suppress(OSError):  # opening the file then fails, and says so
        file.parent.mkdir(parents=True)
