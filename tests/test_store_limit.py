"""A store with a size limit makes room: what was least recently used goes first."""

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from painted_world import painted_world

from rldf_gym.store import Store, database, default_limit, eviction, image_key, schema
from rldf_gym.store import store as store_module
from rldf_gym.store.database import StoreError
from rldf_gym.store.eviction import parse_size

LIMIT = 400_000
ROOM = 20
"""Pictures of `noise` that the limit leaves room for, and some more."""


def noise(seed: int) -> np.ndarray:
    """A picture that no codec makes smaller: about 12 kB."""
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)


def key_of(seed: int) -> str:
    return image_key("generator", "a dog", seed)


def add(store: Store, *seeds: int) -> None:
    store.add_pictures("generator", {("a dog", seed): noise(seed) for seed in seeds})


def kept(store: Store, seeds: range) -> list[int]:
    return [seed for seed in seeds if store.has_picture(key_of(seed))]


def age(path: Path, hours: int, table: str = "pictures") -> None:
    """Pretend that everything in a table was last used so many hours earlier than it was."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {table} SET used = used - ?", (hours,))
    connection.close()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.sqlite"


def test_without_a_limit_nothing_ever_goes(path, monkeypatch):
    monkeypatch.delenv("RLDF_STORE_LIMIT", raising=False)
    store = Store.open(path)
    for seed in range(60):
        add(store, seed)
    assert kept(store, range(60)) == list(range(60))


def test_with_a_limit_the_file_stays_below_it(path):
    store = Store.open(path, limit=LIMIT)
    for seed in range(100):
        add(store, seed)
    store.close()
    # A few pages beside: SQLite first writes what is new, then frees what is old.
    assert path.stat().st_size < 1.2 * LIMIT


def test_a_store_in_memory_keeps_its_limit_too():
    store = Store.open(None, limit=LIMIT)
    for seed in range(100):
        add(store, seed)
    assert 10 < len(kept(store, range(100))) < 40


def test_the_picture_least_recently_used_goes_first(path):
    store = Store.open(path, limit=LIMIT)
    add(store, *range(ROOM))
    store.close()
    age(path, hours=10)
    assert store.picture(key_of(0)) is not None
    add(store, *range(ROOM, 2 * ROOM))
    assert store.has_picture(key_of(0))
    assert not store.has_picture(key_of(1))


def test_pictures_never_used_again_go_in_the_order_in_which_they_came(path):
    store = Store.open(path, limit=LIMIT)
    for seed in range(2 * ROOM):
        add(store, seed)
    left = kept(store, range(2 * ROOM))
    assert 0 < len(left) < 2 * ROOM
    assert left == list(range(2 * ROOM - len(left), 2 * ROOM))


def test_readings_outlive_pictures(path):
    store = Store.open(path, limit=LIMIT)
    add(store, 0)
    store.add_outputs("clip", {key_of(0): {"embedding": np.ones(8, np.float32)}})
    store.close()
    age(path, hours=1000, table="outputs")
    add(store, *range(1, 3 * ROOM))
    assert not store.has_picture(key_of(0))
    assert store.outputs("clip", [key_of(0)])[key_of(0)]["embedding"].tolist() == [1] * 8


def test_readings_go_where_they_alone_are_too_many(path):
    store = Store.open(path, limit=LIMIT)
    for number in range(30):
        many = {f"{number}-{i}": {"embedding": np.ones(256, np.float32)} for i in range(20)}
        store.add_outputs("clip", many)
    assert store.outputs("clip", ["0-0"]) == {}
    assert len(store.outputs("clip", ["29-19"])) == 1


@pytest.mark.parametrize("name", ["store.sqlite", None])
def test_what_has_no_room_at_all_is_reported_once_and_then_forgotten(tmp_path, name):
    store = Store.open(name and tmp_path / name, limit="1 kB")
    world = painted_world(store=store)
    states = world.grammar.states()[:3]
    assert [reading.values.tolist() for reading in world.readings(states)] == states.tolist()
    assert world.picture(states[0]).shape == world.picture(states[1]).shape


def test_in_memory_too_the_picture_least_recently_used_goes_first(monkeypatch):
    store = Store.open(None, limit=LIMIT)
    add(store, *range(ROOM))
    later = store_module.this_hour() + 10
    for module in (store_module, schema, eviction):
        monkeypatch.setattr(module, "this_hour", lambda: later)
    store.picture(key_of(0))
    add(store, *range(ROOM, 2 * ROOM))
    assert store.has_picture(key_of(0))
    assert not store.has_picture(key_of(1))


def test_a_picture_that_went_is_drawn_again_and_its_reading_stays_the_first(tmp_path):
    path = tmp_path / "store.sqlite"
    world = painted_world(store=Store.open(path))
    state = world.grammar.state(0)
    [first] = world.readings([state])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM pictures")
    connection.close()
    # Another machine's pixels may differ in a bit: here, in everything.
    prompt = world.grammar.decode(state)
    again = painted_world(store=Store.open(path), mistakes={prompt: [1, 9, 2, 6]})
    [second] = again.readings([state])
    assert again.generations == 0
    assert second.values.tolist() == first.values.tolist()
    assert again.picture(state).shape == world.picture(state).shape
    assert again.generations == 1
    assert again.readings([state])[0].values.tolist() == first.values.tolist()


def test_reading_what_was_used_this_hour_writes_nothing(path):
    store = Store.open(path)
    add(store, *range(ROOM))
    with sqlite3.connect(path) as connection:
        before = connection.execute("PRAGMA data_version").fetchone()
        for seed in range(ROOM):
            store.picture(key_of(seed))
        store.close()
        assert connection.execute("PRAGMA data_version").fetchone() == before
    connection.close()


def test_uses_are_written_many_at_once(path):
    store = Store.open(path)
    n = store_module._TOUCHED_AT_ONCE
    store.add_texts("clip", {str(number): np.ones(2, np.float32) for number in range(n)})
    age(path, hours=5, table="texts")
    with sqlite3.connect(path) as connection:
        versions = set()
        for number in range(n):
            store.texts("clip", [str(number)])
            versions.add(connection.execute("PRAGMA data_version").fetchone())
        assert len(versions) == 2
    connection.close()


def test_uses_that_cannot_be_written_are_forgotten_and_stop_nobody(path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    store = Store.open(path)
    n = store_module._TOUCHED_AT_ONCE
    store.add_texts("clip", {str(number): np.ones(2, np.float32) for number in range(n + 1)})
    age(path, hours=5, table="texts")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        store.texts("clip", map(str, range(n)))
        monkeypatch.setattr(store, "_note_uses", lambda: pytest.fail("it waits again"))
        assert len(store.texts("clip", [str(n)])) == 1


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("1", 1),
        (2048, 2048),
        ("500 MB", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("1k", 1000),
        ("1 tb", 10**12),
    ],
)
def test_a_size_is_read_as_people_write_it(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "0", "-1", "lots", "1 XB", "1.5.2 GB", "iB"])
def test_what_is_no_size_is_rejected(text):
    with pytest.raises(StoreError, match="no size"):
        parse_size(text)


def test_the_limit_is_what_the_environment_says(monkeypatch, path):
    monkeypatch.setenv("RLDF_STORE_LIMIT", "3 MB")
    assert default_limit() == 3_000_000
    assert Store.open(path).limit == 3_000_000
    assert Store.open(path, limit=None).limit is None
    assert Store.open(path, limit="1 MB").limit == 1_000_000


def test_a_limit_in_the_environment_that_is_no_size_is_rejected(monkeypatch, path):
    monkeypatch.setenv("RLDF_STORE_LIMIT", "plenty")
    with pytest.raises(StoreError, match="plenty"):
        Store.open(path)
