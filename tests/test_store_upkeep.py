import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rldf_gym.failed_images import FailedImage
from rldf_gym.store import Store, image_key, maintenance
from rldf_gym.store.database import Database, StoreError
from rldf_gym.store.salvage import salvage
from rldf_gym.store.schema import TABLES

N_PICTURES = 6
LAST_VERSION = Path(__file__).parent / "data" / "store_of_version_2.sqlite"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def key_of(generator: str, seed: int) -> str:
    return image_key(generator, "a dog", seed)


@pytest.fixture
def path(tmp_path) -> Path:
    """A store with pictures of two generators, what a model saw in them, and a text."""
    path = tmp_path / "store.sqlite"
    store = Store.open(path)
    for generator in ("aaa", "abb"):
        store.add_pictures(generator, {("a dog", s): picture(s) for s in range(N_PICTURES)})
        keys = [key_of(generator, seed) for seed in range(N_PICTURES)]
        store.add_outputs("clip", {key: {"embedding": np.ones(4, np.float32)} for key in keys})
    store.add_texts("clip", {"a dog": np.ones(4, np.float32)})
    store.add_failures("aaa", {key_of("aaa", N_PICTURES): FailedImage("too rude", (16, 16, 3))})
    store.close()
    return path


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


class TestInfo:
    def test_counts_what_every_model_left(self, path):
        kept = {(k.table, k.model): k.rows for k in maintenance.info(path).usage}
        assert kept == {
            ("pictures", "aaa"): N_PICTURES,
            ("pictures", "abb"): N_PICTURES,
            ("outputs", "clip"): 2 * N_PICTURES,
            ("texts", "clip"): 1,
            ("failures", "aaa"): 1,
        }

    def test_tells_the_size_of_file_and_contents(self, path):
        facts = maintenance.info(path)
        assert facts.file_bytes == path.stat().st_size
        assert 0 < sum(kept.content_bytes for kept in facts.usage) < facts.file_bytes

    def test_of_no_file_is_rejected_and_makes_none(self, tmp_path):
        with pytest.raises(StoreError, match="there is no store"):
            maintenance.info(tmp_path / "none.sqlite")
        assert list(tmp_path.iterdir()) == []


class TestVerify:
    def test_names_an_output_whose_columns_are_damaged(self, path):
        change(path, "UPDATE outputs SET key = x'00' WHERE rowid = 1")
        [fault] = maintenance.verify(path)
        assert fault.table == "outputs"

    def test_finds_nothing_wrong_with_a_sound_store(self, path):
        message = []
        assert maintenance.verify(path, lambda *counts: message.append(counts)) == []
        assert message[-1] == (4 * N_PICTURES + 2, 4 * N_PICTURES + 2)

    @pytest.mark.parametrize("table", TABLES)
    def test_names_a_row_whose_content_has_changed(self, path, table):
        change(path, f"UPDATE {table} SET content = CAST(content || x'00' AS BLOB) WHERE rowid = 1")
        [fault] = maintenance.verify(path)
        assert fault.table == table
        assert "content has changed" in fault.problem

    @pytest.mark.parametrize("table", ["pictures", "outputs", "texts"])
    def test_names_a_row_under_a_key_that_is_not_its_own(self, path, table):
        model = "generator" if table == "pictures" else "model"
        change(path, f"UPDATE {table} SET {model} = 'another' WHERE rowid = 1")
        [fault] = maintenance.verify(path)
        assert fault.table == table
        assert "key" in fault.problem

    def test_names_a_picture_that_cannot_be_decoded(self, path):
        # The checksum of x'00' is right, and yet it is no picture.
        change(path, "UPDATE pictures SET content = x'00', checksum = 3523407757 WHERE rowid = 2")
        [fault] = maintenance.verify(path)
        assert fault.key == key_of("aaa", 1)
        assert "cannot be read" in fault.problem

    def test_finds_a_page_overwritten_in_the_file(self, path):
        content = bytearray(path.read_bytes())
        content[4096 * 3 : 4096 * 4] = bytes(4096)
        path.write_bytes(content)
        with pytest.raises(StoreError, match="malformed"):
            maintenance.verify(path)


class TestPrune:
    def test_to_a_size_deletes_the_least_recently_used_and_shrinks_the_file(self, path):
        change(path, f"UPDATE pictures SET used = used - 1 WHERE key = '{key_of('abb', 3)}'")
        before = path.stat().st_size
        assert maintenance.prune(path, size=before - 2000) > 0
        assert path.stat().st_size < before
        assert not Store.open(path).has_picture(key_of("abb", 3))
        assert maintenance.verify(path) == []

    def test_to_a_size_that_it_has_deletes_nothing(self, path):
        assert maintenance.prune(path, size=10**9) == 0

    def test_by_age_deletes_what_was_not_used_for_so_long(self, path):
        change(path, "UPDATE pictures SET used = used - 48 WHERE generator = 'aaa'")
        assert maintenance.prune(path, unused_hours=24) == N_PICTURES
        store = Store.open(path)
        assert not store.has_picture(key_of("aaa", 0))
        assert store.has_picture(key_of("abb", 0))
        assert len(store.outputs("clip", [key_of("aaa", 0)])) == 1

    def test_by_age_keeps_what_was_used_in_the_hours_that_are_not_over(self, path):
        # At one o'clock sharp, what was used at five to one has one hour less on the clock.
        now = maintenance.this_hour()
        change(path, f"UPDATE pictures SET used = {now} - 1")
        assert maintenance.prune(path, unused_hours=1) == 0

    def test_tells_what_is_deleted_where_the_disk_has_no_room_to_shrink_the_file(
        self, path, monkeypatch
    ):
        def full(_):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(Database, "vacuum", full)
        with pytest.raises(StoreError, match=r"13 rows are deleted .* disk is full"):
            maintenance.prune(path, generator="aa")
        assert not Store.open(path).has_picture(key_of("aaa", 0))

    def test_by_generator_deletes_its_pictures_and_what_was_seen_in_them(self, path):
        assert maintenance.prune(path, generator="aa") == 2 * N_PICTURES + 1
        store = Store.open(path)
        assert store.outputs("clip", [key_of("aaa", 0)]) == {}
        assert len(store.outputs("clip", [key_of("abb", 0)])) == 1

    @pytest.mark.parametrize(("beginning", "n"), [("a", 2), ("c", 0)])
    def test_by_an_unclear_generator_is_rejected_and_deletes_nothing(self, path, beginning, n):
        with pytest.raises(StoreError, match=f"{n} generators .*aaa, abb"):
            maintenance.prune(path, generator=beginning)
        assert Store.open(path).has_picture(key_of("aaa", 0))


class TestExport:
    def test_writes_a_folder_that_imagefolder_loads(self, path, tmp_path):
        folder = tmp_path / "out"
        assert maintenance.export(path, folder) == 2 * N_PICTURES
        lines = [json.loads(line) for line in (folder / "metadata.jsonl").open()]
        assert len(lines) == 2 * N_PICTURES
        for line in lines:
            assert line["text"] == "a dog"
            written = np.asarray(Image.open(folder / line["file_name"]))
            assert np.array_equal(written, picture(line["seed"]))

    def test_of_one_generator_leaves_the_others_out(self, path, tmp_path):
        assert maintenance.export(path, tmp_path / "out", "abb") == N_PICTURES

    def test_of_a_generator_that_drew_nothing_is_rejected_and_makes_no_folder(self, path, tmp_path):
        with pytest.raises(StoreError, match=r"no images of a generator .*'ac'"):
            maintenance.export(path, tmp_path / "out", "ac")
        assert not (tmp_path / "out").exists()

    def test_into_a_folder_with_something_in_it_is_rejected(self, path, tmp_path):
        with pytest.raises(StoreError, match="not empty"):
            maintenance.export(path, tmp_path)


def damage(path: Path, first: int, last: int | None = None) -> None:
    """Overwrite pages of a file, counted from 0, or cut it off."""
    content = bytearray(path.read_bytes())
    end = len(content) if last is None else 4096 * last
    if last is None:
        del content[4096 * first :]
    else:
        content[4096 * first : end] = bytes(end - 4096 * first)
    path.write_bytes(content)


class TestSalvage:
    def test_of_a_sound_store_copies_everything(self, path, tmp_path):
        new = tmp_path / "new.sqlite"
        assert salvage(path, new) == {
            "pictures": 2 * N_PICTURES,
            "outputs": 2 * N_PICTURES,
            "texts": 1,
            "failures": 1,
        }
        assert maintenance.info(new).usage == maintenance.info(path).usage
        assert maintenance.verify(new) == []

    def test_keeps_every_sound_row_and_leaves_out_the_others(self, path, tmp_path):
        change(path, "UPDATE pictures SET content = x'00' WHERE rowid = 2")
        copied = salvage(path, tmp_path / "new.sqlite")
        assert copied["pictures"] == 2 * N_PICTURES - 1
        assert not Store.open(tmp_path / "new.sqlite").has_picture(key_of("aaa", 1))

    @pytest.mark.parametrize("last", ["overwritten", "cut off"])
    def test_of_a_file_with_lost_pages_keeps_the_rows_on_the_others(self, tmp_path, last):
        path, new = tmp_path / "store.sqlite", tmp_path / "new.sqlite"
        store = Store.open(path)
        pictures = {("a dog", seed): np.tile(picture(seed), (4, 4, 1)) for seed in range(20)}
        for name, image in pictures.items():
            store.add_pictures("aaa", {name: image})
        store.close()
        n_pages = path.stat().st_size // 4096
        middle = n_pages // 2
        damage(path, middle, middle + 3 if last == "overwritten" else None)
        with pytest.raises(StoreError):
            maintenance.verify(path)
        before = path.read_bytes()
        assert 0 < salvage(path, new)["pictures"] < len(pictures)
        assert path.read_bytes() == before
        assert maintenance.verify(new) == []

    def test_keeps_the_failures_of_a_store_of_the_last_version(self, tmp_path):
        old = Path(shutil.copy(LAST_VERSION, tmp_path / "old.sqlite"))
        copied = salvage(old, tmp_path / "new.sqlite")
        assert copied == {"pictures": 3, "outputs": 9, "texts": 0, "failures": 1}
        assert maintenance.verify(tmp_path / "new.sqlite") == []

    def test_into_a_file_that_exists_is_not_allowed(self, path):
        with pytest.raises(StoreError, match="exists already"):
            salvage(path, path)

    def test_of_a_file_that_is_no_store_says_so(self, tmp_path):
        (tmp_path / "text").write_text("no store" * 1000)
        with pytest.raises(StoreError, match="cannot be used as a store"):
            salvage(tmp_path / "text", tmp_path / "new.sqlite")
