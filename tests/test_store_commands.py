"""``rldf store`` and ``rldf atlas``, as a user types them."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rldf_agents.cli import main
from rldf_gym.goal import DEFAULT_TARGET
from rldf_gym.store import Store


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """A store with three pictures, where the environment says."""
    path = tmp_path / "store.sqlite"
    monkeypatch.setenv("RLDF_STORE", str(path))
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    opened = Store.open(path)
    opened.add_pictures("abcdef", {("a dog", seed): picture for seed in range(3)})
    opened.close()
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A store with an atlas of four states of the embedded world."""
    path = tmp_path_factory.mktemp("atlas") / "store.sqlite"
    with pytest.raises(SystemExit) as ended:
        main(["atlas", "build", "--sample", "4", "--store", str(path), "--device", "cpu"])
    assert ended.value.code == 0
    return path


class TestStore:
    def test_info_shows_what_is_in_it(self, capsys, store):
        status, printed, _ = run(capsys, "store", "info")
        assert status == 0
        assert "pictures    abcdef" in printed
        assert str(store) in printed.replace("\n", "")

    def test_info_names_the_known_models_and_says_utc(self, capsys, built):
        _, printed, _ = run(capsys, "store", "info", "--store", built)
        assert "last used (UTC)" in printed
        for name in ("embedded", "embedded clip", "embedded detector"):
            assert f"{name}  " in printed

    def test_salvage_copies_the_sound_rows(self, capsys, store, tmp_path):
        status, printed, _ = run(
            capsys, "store", "salvage", store, "--out", tmp_path / "new.sqlite"
        )
        assert status == 0
        assert "3 pictures, 0 outputs" in printed
        status, _, printed = run(capsys, "store", "salvage", store, "--out", store)
        assert status == 2
        assert "exists already" in printed

    def test_verify_of_a_sound_store_says_so(self, capsys, store):
        status, printed, _ = run(capsys, "store", "verify")
        assert status == 0
        assert "all sound" in printed

    def test_verify_of_an_unsound_store_names_the_row_and_ends_with_1(self, capsys, store):
        connection = sqlite3.connect(store)
        connection.execute("UPDATE pictures SET content = x'00' WHERE seed = 1")
        connection.commit()
        [(key,)] = connection.execute("SELECT key FROM pictures WHERE seed = 1")
        connection.close()
        status, printed, _ = run(capsys, "store", "verify")
        assert status == 1
        assert key in printed
        assert "all sound" not in printed

    def test_prune_reports_how_much_went(self, capsys, store):
        assert run(capsys, "store", "prune", "--generator", "abc")[1] == "3 rows deleted\n"
        assert run(capsys, "store", "prune", "--unused-for", "2w")[1] == "0 rows deleted\n"

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ([], "say what to delete"),
            (["--size", "much"], "no size"),
            (["--unused-for", "3"], "no time"),
            (["--generator", "fed"], "0 generators"),
            (["--generator", "xyz"], "unknown generator 'xyz'"),
            (["--store", "nowhere.sqlite", "--size", "1GB"], "there is no store"),
        ],
    )
    def test_prune_rejects_what_it_cannot_do_in_one_line(self, capsys, store, options, reason):
        status, _, printed = run(capsys, "store", "prune", *options)
        assert status == 2
        assert reason in printed
        assert printed.count("\n") == 1

    def test_export_writes_a_folder(self, capsys, store, tmp_path):
        status, printed, _ = run(capsys, "store", "export", tmp_path / "out")
        assert status == 0
        assert printed.startswith("3 pictures written")
        lines = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
        assert {json.loads(line)["seed"] for line in lines} == {0, 1, 2}


class TestAtlas:
    def test_build_again_draws_nothing(self, capsys, built):
        status, printed, _ = run(capsys, "atlas", "build", "--sample", 4, "--store", built)
        assert status == 0
        assert "0 pictures generated" in printed

    def test_search_lists_the_best_and_writes_their_pictures(self, capsys, built, tmp_path):
        options = ["--sample", 4, "--store", built, "--top", 3, "--out", tmp_path / "out"]
        status, printed, _ = run(capsys, "atlas", "search", DEFAULT_TARGET, *options)
        assert status == 0
        assert printed.count("a photo of") == 1 + 3
        assert "the best of 4 states; nothing was generated" in printed
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
            *("1.png", "2.png", "3.png", "sheet.png")
        ]
        assert Image.open(tmp_path / "out" / "1.png").size == (128, 128)

    def test_search_without_an_atlas_explains_how_to_get_one(self, capsys, built):
        status, _, printed = run(capsys, "atlas", "search", DEFAULT_TARGET, "--store", built)
        assert status == 2
        assert "rldf atlas build" in printed

    def test_search_in_another_worlds_atlas_is_rejected(self, capsys, built):
        [atlas] = (built.parent / "atlases").iterdir()
        options = ["--store", built, "--atlas", atlas, "--grammar", "extended"]
        status, _, printed = run(capsys, "atlas", "search", DEFAULT_TARGET, *options)
        assert status == 2
        assert "another grammar" in printed
