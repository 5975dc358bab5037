import gc
import multiprocessing
import os
import resource
import sqlite3
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rldf_gym.store import Store, StoreWarning, default_path, image_key, pixels_key
from rldf_gym.store.database import StoreError
from rldf_gym.store.schema import APPLICATION_ID, SCHEMA_VERSION

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
KEY = image_key("generator", "a dog", 0)


def noisy_picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)


@contextmanager
def no_more_room_in_files():
    """No file may grow beyond 100,000 bytes: what a full disk looks like to SQLite."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.text(),
    st.integers(0, 2**63 - 1),
)
def test_a_picture_comes_back_pixel_for_pixel(picture, prompt, seed):
    store = Store.open(None)
    store.add_pictures("generator", {(prompt, seed): picture})
    kept = store.picture(image_key("generator", prompt, seed))
    assert kept is not None
    assert np.array_equal(kept, picture)


@given(
    st.dictionaries(
        st.text("abc", min_size=1),
        st.sampled_from([np.int64, np.float32, np.uint8]).flatmap(
            lambda dtype: arrays(dtype, array_shapes(min_dims=1, max_dims=2, min_side=0))
        ),
        min_size=1,
    )
)
def test_a_model_output_comes_back_bit_for_bit(output):
    store = Store.open(None)
    returned = store.add_outputs("model", {"picture": output})["picture"]
    kept = store.outputs("model", ["picture"])["picture"]
    assert returned.keys() == kept.keys() == output.keys()
    for name, array in output.items():
        assert returned[name].tobytes() == kept[name].tobytes()
        assert kept[name].dtype == array.dtype
        assert kept[name].shape == array.shape
        assert kept[name].tobytes() == array.tobytes()


def test_what_was_kept_is_there_after_closing(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    store.add_outputs("model", {KEY: {"embedding": np.ones(3, np.float32)}})
    store.add_texts("clip", {"a dog": np.full(3, 2, np.float32)})
    store.close()
    again = Store.open(path)
    assert np.array_equal(again.picture(KEY), PICTURE)
    assert again.outputs("model", [KEY])[KEY]["embedding"].tolist() == [1, 1, 1]
    assert again.texts("clip", ["a dog"])["a dog"].tolist() == [2, 2, 2]


def test_what_was_never_kept_is_simply_absent(path):
    store = Store.open(path)
    assert store.picture(KEY) is None
    assert store.outputs("model", [KEY]) == {}
    assert store.texts("clip", ["a dog"]) == {}


def test_a_closed_store_opens_itself_again(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    store.close()
    store.close()
    assert np.array_equal(store.picture(KEY), PICTURE)


def test_a_store_named_by_a_relative_path_is_the_same_file_wherever_one_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.open("store.sqlite")
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    store.close()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(store.picture(KEY), PICTURE)


def test_keys_distinguish_generators_prompts_and_seeds():
    parts = [("g", "p", 0), ("g", "p", 1), ("g", "q", 0), ("h", "p", 0), ("gp", "", 0)]
    assert len({image_key(*each) for each in parts}) == len(parts)


def test_keys_distinguish_pictures_of_equal_bytes_and_other_shape():
    assert pixels_key(PICTURE) != pixels_key(PICTURE.reshape(5, 4, 3))


def test_the_first_picture_written_for_a_key_wins(path):
    first, second = Store.open(path), Store.open(path)
    first.add_pictures("generator", {("a dog", 0): PICTURE})
    kept = second.add_pictures("generator", {("a dog", 0): PICTURE[::-1]})
    assert np.array_equal(kept["a dog", 0], PICTURE)


def test_the_first_output_written_for_a_picture_wins(path):
    first, second = Store.open(path), Store.open(path)
    first.add_outputs("model", {KEY: {"a": np.zeros(2)}})
    kept = second.add_outputs("model", {KEY: {"a": np.ones(2)}})
    assert kept[KEY]["a"].tolist() == [0, 0]


def test_what_another_wrote_to_the_file_wins_over_what_is_kept_in_memory(path):
    store = Store.open(path)
    with no_more_room_in_files(), pytest.warns(StoreWarning, match="kept in memory"):
        store.add_pictures("generator", {("a dog", s): noisy_picture(s) for s in range(1, 40)})
    other = Store.open(path)
    other.add_pictures("generator", {("a dog", 0): PICTURE})
    other.add_outputs("model", {KEY: {"a": np.zeros(2)}})
    other.add_texts("clip", {"a dog": np.zeros(2, np.float32)})
    mine = store.add_pictures("generator", {("a dog", 0): PICTURE[::-1]})
    assert np.array_equal(mine["a dog", 0], PICTURE)
    assert store.add_outputs("model", {KEY: {"a": np.ones(2)}})[KEY]["a"].tolist() == [0, 0]
    texts = store.add_texts("clip", {"a dog": np.ones(2, np.float32)})
    assert texts["a dog"].tolist() == [0, 0]


def test_an_interrupted_write_leaves_nothing_behind(path):
    store = Store.open(path)
    with pytest.raises(AttributeError):
        store.add_pictures("generator", {("a dog", 0): PICTURE, ("a cat", 0): None})
    assert store.picture(KEY) is None


def _write_all(path: Path, writer: int) -> list[int]:
    store = Store.open(path)
    drawn = {("a dog", seed): np.full((8, 8, 3), writer, np.uint8) for seed in range(40)}
    kept = [store.add_pictures("generator", {key: p})[key] for key, p in drawn.items()]
    return [int(picture[0, 0, 0]) for picture in kept]


def test_processes_that_write_at_once_agree_on_every_picture(path):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as pool:
        first, second, third = pool.map(_write_all, [path] * 3, [1, 2, 3])
    assert first == second == third


def test_threads_may_share_a_store(path):
    store = Store.open(path)

    def write(seed: int) -> None:
        store.add_pictures("generator", {("a dog", seed): PICTURE})

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [image_key("generator", "a dog", seed) for seed in range(8)]
    assert all(store.picture(key) is not None for key in keys)


def test_a_forked_child_writes_through_a_connection_of_its_own(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    child = os.fork()
    if child == 0:
        try:
            store.add_pictures("generator", {("a dog", 1): PICTURE[::-1]})
            os._exit(0 if np.array_equal(store.picture(KEY), PICTURE) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(store.picture(image_key("generator", "a dog", 1)), PICTURE[::-1])


def test_the_store_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "here.sqlite"))
    Store.open().add_pictures("generator", {("a dog", 0): PICTURE})
    assert (tmp_path / "here.sqlite").exists()


def test_without_a_word_the_store_lies_in_the_cache_folder(monkeypatch):
    monkeypatch.delenv("RLDF_STORE", raising=False)
    assert default_path().parent.name == "rldf-gym"


def _other_database(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()


def _truncated_store(file: Path) -> None:
    store = Store.open(file)
    store.add_pictures("generator", {("a dog", s): noisy_picture(s) for s in range(4)})
    store.close()
    file.write_bytes(file.read_bytes()[:5000])


def _store_of_no_version(file: Path) -> None:
    Store.open(file).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 0")
    connection.close()


def _store_of_the_future(file: Path) -> None:
    Store.open(file).close()
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: file.write_text("my shopping list"), "not a database"),
        (lambda file: file.write_bytes(b"\x89PNG" + bytes(9000)), "not a database"),
        (_other_database, "another program"),
        (_truncated_store, "malformed"),
        (_store_of_no_version, "version is 0"),
        (_store_of_the_future, f"version is {SCHEMA_VERSION + 1}"),
    ],
    ids=["text", "binary", "other database", "truncated store", "no version", "later version"],
)
def test_a_file_that_is_not_ours_is_rejected_and_left_alone(tmp_path, make, reason):
    file = tmp_path / "store.sqlite"
    make(file)
    before = file.read_bytes()
    with pytest.raises(StoreError, match=reason) as refusal:
        Store.open(file)
    assert str(file) in str(refusal.value)
    assert "RLDF_STORE" in str(refusal.value)
    assert file.read_bytes() == before


def test_a_folder_is_rejected(tmp_path):
    with pytest.raises(StoreError, match="folder"):
        Store.open(tmp_path)


def test_a_damaged_picture_is_rejected_by_name(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE pictures SET content = x'00'")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(path).picture(KEY)


def test_a_file_is_marked_as_ours_from_its_first_moment(path):
    Store.open(path)
    header = path.read_bytes()
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID


def test_an_empty_file_becomes_a_store(tmp_path):
    file = tmp_path / "store.sqlite"
    file.touch()
    Store.open(file).add_pictures("generator", {("a dog", 0): PICTURE})
    assert np.array_equal(Store.open(file).picture(KEY), PICTURE)


def test_a_folder_that_does_not_exist_is_named_and_not_made(tmp_path):
    with pytest.raises(StoreError, match=r"missing.* does not exist"):
        Store.open(tmp_path / "missing" / "store.sqlite")
    assert not any(tmp_path.iterdir())


def test_the_folder_in_the_users_cache_is_made(monkeypatch, tmp_path):
    monkeypatch.delenv("RLDF_STORE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    Store.open()
    assert (tmp_path / "cache" / "rldf-gym" / "store.sqlite").is_file()


def test_with_no_place_for_the_file_one_warning_is_given_and_memory_serves(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("RLDF_STORE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "file" / name)
    with pytest.warns(StoreWarning, match="kept in memory"):
        store = Store.open()
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    assert np.array_equal(store.picture(KEY), PICTURE)


def test_on_a_full_disk_one_warning_is_given_and_the_run_goes_on(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    pictures = {("a dog", seed): noisy_picture(seed) for seed in range(1, 20)}
    with no_more_room_in_files(), pytest.warns(StoreWarning, match="kept in memory"):
        store.add_pictures("generator", pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.add_pictures("generator", {("a cat", 0): PICTURE})
    for (prompt, seed), picture in pictures.items():
        assert np.array_equal(store.picture(image_key("generator", prompt, seed)), picture)
    assert np.array_equal(store.picture(KEY), PICTURE)


def test_a_disk_that_fills_up_leaves_the_file_whole(path):
    store = Store.open(path)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    pictures = {("a dog", seed): noisy_picture(seed) for seed in range(1, 20)}
    with no_more_room_in_files(), pytest.warns(StoreWarning):
        store.add_pictures("generator", pictures)
    again = Store.open(path)
    assert np.array_equal(again.picture(KEY), PICTURE)
    assert again.picture(image_key("generator", "a dog", 1)) is None


def test_the_variable_can_ask_for_a_store_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLDF_STORE", ":memory:")
    Store.open().add_pictures("model", {("a prompt", 0): np.zeros((8, 8, 3), np.uint8)})
    assert not list(tmp_path.iterdir())


def test_memory_by_name_is_no_file_and_outlasts_closing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.open(":memory:")
    kept = store.add_pictures("g", {("a dog", 0): np.ones((4, 4, 3), np.uint8)})
    store.close()
    assert store.picture(image_key("g", "a dog", 0)) is not None
    assert kept
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("path", [3, ["store.sqlite"], b"store.sqlite"])
def test_what_is_no_path_is_named(path):
    with pytest.raises(StoreError, match="is a file's path"):
        Store.open(path)


def test_a_forgotten_store_is_closed_without_complaint(path):
    gc.collect()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        for where in (path, None):
            store = Store.open(where)
            store.add_pictures("g", {("a dog", 0): np.ones((4, 4, 3), np.uint8)})
            del store
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []
