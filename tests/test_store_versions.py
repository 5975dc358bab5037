"""A store of the last version is brought up to date when it is opened."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from rldf_gym.failed_images import FailedImage
from rldf_gym.store import Store, image_key, maintenance
from rldf_gym.store.database import StoreError
from rldf_gym.store.schema import SCHEMA_VERSION

LAST_VERSION = Path(__file__).parent / "data" / "store_of_version_2.sqlite"
"""Written at commit f85cab3: three generated images, their readings, and one failure."""

GENERATOR = "03c310eb28554bc60517177e9ca1880bc4b9ea9d74d52b2d28c93fb6f75b613f"
CLIP = "298e7d3fbeb1be489fbee8128494f0216c881005fbb29601da4357ac89bb1238"
KEY = image_key(GENERATOR, "a photo of one banana and no people in park", 0)
FAILED = image_key(GENERATOR, "a photo of one elephant and many people in snow", 0)


@pytest.fixture
def last_version(tmp_path) -> Path:
    return Path(shutil.copy(LAST_VERSION, tmp_path / "store.sqlite"))


def check_contents(store: Store) -> None:
    assert store.picture(KEY).std() > 10
    assert store.outputs(CLIP, [KEY])[KEY]["embedding"].shape == (128,)
    assert store.failures([KEY, FAILED]) == {
        FAILED: FailedImage("the safety filter refused it: ä", (128, 128, 3))
    }


def test_it_gives_back_images_outputs_and_failures(last_version):
    check_contents(Store.open(last_version))


def test_it_is_sound_and_of_this_version_once_opened(last_version):
    Store.open(last_version).close()
    assert maintenance.info(last_version).version == SCHEMA_VERSION
    assert maintenance.verify(last_version) == []
    used = {(part.table, part.rows) for part in maintenance.info(last_version).usage}
    assert used == {("pictures", 3), ("outputs", 3), ("failures", 1)}


def test_it_is_readable_where_it_cannot_be_written(last_version, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    before = last_version.read_bytes()
    check_contents(Store.open(last_version))
    assert last_version.read_bytes() == before


def test_what_it_holds_wins_over_what_is_new(last_version):
    store = Store.open(last_version)
    kept = store.add_pictures(
        GENERATOR,
        {("a photo of one banana and no people in park", 0): np.zeros((8, 8, 3), np.uint8)},
    )
    assert next(iter(kept.values())).shape == (128, 128, 3)


def test_two_that_open_it_at_once_both_find_everything(last_version):
    for store in (Store.open(last_version), Store.open(last_version)):
        check_contents(store)


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION + 1])
def test_another_version_is_rejected_and_stays_as_it_was(last_version, version):
    connection = sqlite3.connect(last_version)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = last_version.read_bytes()
    with pytest.raises(StoreError, match=f"its version is {version}"):
        Store.open(last_version)
    assert last_version.read_bytes() == before
