"""A store of an earlier release is brought up to date when it is opened."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from rldf_gym.failed_images import Unavailable, find_unavailable
from rldf_gym.store import Store, drawn_key, upkeep
from rldf_gym.store.database import StoreError
from rldf_gym.store.lossless import encode
from rldf_gym.store.schema import APPLICATION_ID, SCHEMA_VERSION

LAST_VERSION = Path(__file__).parent / "data" / "store_of_version_2.sqlite"
"""Written at commit f85cab3: three generated images, their readings, and one failure."""
GENERATOR = "03c310eb28554bc60517177e9ca1880bc4b9ea9d74d52b2d28c93fb6f75b613f"
CLIP = "298e7d3fbeb1be489fbee8128494f0216c881005fbb29601da4357ac89bb1238"

N_PICTURES = 70
PICTURES = {
    ("a dog", seed): np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    for seed in range(N_PICTURES)
}
VERSION_1 = (
    "CREATE TABLE pictures (key TEXT PRIMARY KEY, generator TEXT NOT NULL, prompt TEXT NOT NULL,"
    " seed INTEGER NOT NULL, picture BLOB NOT NULL)",
    "CREATE TABLE outputs (picture TEXT NOT NULL, model TEXT NOT NULL, output BLOB NOT NULL,"
    " PRIMARY KEY (picture, model))",
    "CREATE TABLE texts (model TEXT NOT NULL, prompt TEXT NOT NULL, embedding BLOB NOT NULL,"
    " PRIMARY KEY (model, prompt))",
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA user_version = 1",
)


def key_of(seed: int) -> str:
    return drawn_key("generator", "a dog", seed)


def embedding(seed: int) -> np.ndarray:
    return np.full(3, seed, np.float32)


@pytest.fixture
def version_1(tmp_path) -> Path:
    """A file as the first release wrote it."""
    path = tmp_path / "store.sqlite"
    connection = sqlite3.connect(path)
    for statement in VERSION_1:
        connection.execute(statement)
    for (prompt, seed), picture in PICTURES.items():
        row = (key_of(seed), "generator", prompt, seed, encode(picture))
        connection.execute("INSERT INTO pictures VALUES (?, ?, ?, ?, ?)", row)
        output = save({"embedding": embedding(seed)})
        connection.execute("INSERT INTO outputs VALUES (?, ?, ?)", (key_of(seed), "clip", output))
    row = ("clip", "a dog", embedding(7).tobytes())
    connection.execute("INSERT INTO texts VALUES (?, ?, ?)", row)
    connection.commit()
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


@pytest.fixture
def last_version(tmp_path) -> Path:
    return Path(shutil.copy(LAST_VERSION, tmp_path / "store.sqlite"))


def test_an_earlier_version_keeps_everything(version_1):
    store = Store.open(version_1)
    for (_, seed), picture in PICTURES.items():
        assert np.array_equal(store.picture(key_of(seed)), picture)
        kept = store.outputs("clip", [key_of(seed)])[key_of(seed)]
        assert np.array_equal(kept["embedding"], embedding(seed))
    assert np.array_equal(store.texts("clip", ["a dog"])["a dog"], embedding(7))


def test_an_earlier_version_is_sound_and_of_this_version_once_opened(version_1):
    Store.open(version_1).close()
    assert upkeep.info(version_1).version == SCHEMA_VERSION
    assert upkeep.verify(version_1) == []


def test_what_an_earlier_version_holds_wins_over_what_is_new(version_1):
    store = Store.open(version_1)
    kept = store.add_pictures("generator", {("a dog", 0): PICTURES["a dog", 1]})
    assert np.array_equal(kept["a dog", 0], PICTURES["a dog", 0])


def test_two_that_open_an_earlier_version_at_once_both_find_everything(version_1):
    first, second = Store.open(version_1), Store.open(version_1)
    assert np.array_equal(first.picture(key_of(1)), second.picture(key_of(1)))


def test_bringing_a_file_up_to_date_does_not_swell_it(version_1):
    before = version_1.stat().st_size
    Store.open(version_1).close()
    assert version_1.stat().st_size < 2 * before


def test_a_damaged_file_of_an_earlier_version_is_refused_and_stays_as_it_was(version_1):
    connection = sqlite3.connect(version_1)
    connection.execute("DROP TABLE texts")
    connection.execute("CREATE TABLE texts (model TEXT)")
    connection.execute("INSERT INTO texts VALUES ('clip')")
    connection.commit()
    connection.close()
    before = version_1.read_bytes()
    with pytest.raises(StoreError, match="brought up to date"):
        Store.open(version_1)
    assert version_1.read_bytes() == before


def test_a_store_of_the_last_version_gives_back_images_outputs_and_failures(last_version):
    store = Store.open(last_version)
    key = drawn_key(GENERATOR, "a photo of one banana and no people in park", 0)
    assert store.picture(key).std() > 10
    assert store.outputs(CLIP, [key])[key]["embedding"].shape == (128,)
    failed = drawn_key(GENERATOR, "a photo of one elephant and many people in snow", 0)
    found = find_unavailable(store, GENERATOR, [key, failed])
    assert found == {failed: Unavailable("the safety filter refused it: ä", (128, 128, 3))}


def test_a_store_of_the_last_version_is_sound(last_version):
    assert upkeep.verify(last_version) == []
