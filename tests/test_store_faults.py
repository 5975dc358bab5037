"""What a store survives: many processes, kill -9, a full disk, a file that cannot be written."""

import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from painted_world import PaintedGenerator, load_grammar, painted_arguments, painted_perception

import rldf_gym
from rldf_gym.atlas import Atlas
from rldf_gym.atomic_file import write_atomically
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.store import Store, StoreWarning, image_key, maintenance

gym.register_envs(rldf_gym)

N_PROCESSES = 8
N_SHARED = 50
PIXELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "store.sqlite"


# --- Many processes ---------------------------------------------------------------------------


def load_store(path: Path, writer: int, seconds: float) -> tuple[int, dict[int, int]]:
    """Write and read for so long; how many pictures were written, and what was kept of the shared.

    Any warning, such as that a file cannot be used, is an error.
    """
    warnings.simplefilter("error")
    end, n_own, shared = time.monotonic() + seconds, 0, {}
    chance = random.Random(writer)
    while time.monotonic() < end:
        store = Store.open(path)
        for _ in range(10):
            store.add_pictures(f"own-{writer}", {("a dog", n_own): PIXELS})
            key = image_key(f"own-{writer}", "a dog", n_own)
            store.add_outputs("model", {key: {"writer": np.array([writer])}})
            n_own += 1
            seed = chance.randrange(N_SHARED)
            mine = np.full((4, 4, 3), writer, np.uint8)
            kept = store.add_pictures("shared", {("a dog", seed): mine})["a dog", seed]
            assert shared.setdefault(seed, int(kept[0, 0, 0])) == kept[0, 0, 0]
            known = chance.randrange(n_own)
            assert store.picture(image_key(f"own-{writer}", "a dog", known)) is not None
        store.close()
    return n_own, shared


@pytest.mark.parametrize(
    "seconds", [2.0, pytest.param(60.0, marks=pytest.mark.slow)], ids=["briefly", "for a minute"]
)
def test_eight_processes_share_a_store_without_losing_a_row_or_failing_on_a_lock(path, seconds):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(N_PROCESSES, mp_context=spawn) as pool:
        arguments = [path] * N_PROCESSES, range(N_PROCESSES), [seconds] * N_PROCESSES
        written = list(pool.map(load_store, *arguments))
    store = Store.open(path)
    for writer, (n_own, shared) in enumerate(written):
        keys = [image_key(f"own-{writer}", "a dog", number) for number in range(n_own)]
        assert n_own > 0
        assert all(store.has_picture(key) for key in keys)
        assert len(store.outputs("model", keys)) == n_own
        for seed, seen in shared.items():
            assert store.picture(image_key("shared", "a dog", seed))[0, 0, 0] == seen
    assert maintenance.verify(path) == []


# --- kill -9 ----------------------------------------------------------------------------------


class LoggingGenerator(PaintedGenerator):
    """Writes down every prompt before it paints it, where not even kill -9 loses it."""

    log: Path

    def __call__(self, prompts, seeds):
        with self.log.open("a") as file:
            file.write("".join(f"{prompt}\n" for prompt in prompts))
        return super().__call__(prompts, seeds)


def build(folder: Path) -> Atlas:
    grammar = load_grammar("base")
    generator = LoggingGenerator(grammar)
    generator.log = folder / "drawn.txt"
    store = Store.open(folder / "store.sqlite")
    return Atlas.build(
        StateEvaluator(grammar, generator, painted_perception(grammar), store),
        folder / "atlas.safetensors",
    )


def build_until_killed(folder: Path, n_begun: int, seconds: float) -> list[str]:
    """Build, and kill so long after so many pictures were begun; the prompts of those."""
    log = folder / "drawn.txt"
    log.write_text("")
    process = multiprocessing.get_context("fork").Process(target=build, args=(folder,))
    process.start()
    while process.is_alive() and log.read_text().count("\n") < n_begun:
        time.sleep(0.001)
    process.join(seconds)
    process.kill()
    process.join()
    return log.read_text().splitlines()


def in_store(folder: Path) -> set[str]:
    grammar, store = load_grammar("base"), Store.open(folder / "store.sqlite")
    prompts = [grammar.decode(state) for state in grammar.states()]
    found = {p for p in prompts if store.has_picture(image_key("painted-1", p, 0))}
    store.close()
    return found


@pytest.mark.parametrize("n_kills", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_an_atlas_build_killed_anywhere_goes_on_and_draws_nothing_twice(tmp_path, n_kills):
    chance = random.Random(n_kills)
    whole_folder, folder = tmp_path / "whole", tmp_path / "killed"
    whole_folder.mkdir()
    folder.mkdir()
    started = time.monotonic()
    whole = build(whole_folder)
    seconds = time.monotonic() - started
    found_half_done = 0
    for _ in range(n_kills):
        before = in_store(folder)
        # By pictures as well as by time, so that slow and fast machines are killed half done.
        drawn = build_until_killed(folder, chance.randrange(240), chance.uniform(0, seconds / 10))
        found_half_done += 0 < len(in_store(folder)) < 480
        assert before.isdisjoint(drawn)
        assert maintenance.verify(folder / "store.sqlite") == []
        # Either it is not there, or it is whole.
        if (folder / "atlas.safetensors").exists():
            assert len(Atlas(folder / "atlas.safetensors")) == 480
            shutil.rmtree(folder)
            folder.mkdir()
    assert found_half_done
    again = build(folder)
    for name in ("indices", "values", "confidence"):
        assert np.array_equal(getattr(again, name), getattr(whole, name))
    [ours], [theirs] = again.readings(480), whole.readings(480)
    assert np.array_equal(ours.embedding, theirs.embedding)


# --- A full disk ------------------------------------------------------------------------------


@contextmanager
def no_room_in_files(beyond: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk looks like to SQLite."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_does_not_fit_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "report.html"
    with no_room_in_files(beyond=10), pytest.raises(OSError, match="File too large") as raised:
        write_atomically(path, bytes(100))
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def walk(env: gym.Env, n_steps: int) -> list[float]:
    env.reset(seed=0)
    env.action_space.seed(0)
    rewards = []
    for _ in range(n_steps):
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rewards.append(reward)
        if terminated or truncated:
            env.reset()
    return rewards


def test_on_a_disk_that_fills_up_an_environment_goes_on_in_memory(path):
    undisturbed = walk(gym.make("RLDF-v0", **painted_arguments()), 400)
    with warnings.catch_warnings(record=True) as warned, no_room_in_files(beyond=150_000):
        warnings.simplefilter("always", StoreWarning)
        env = gym.make("RLDF-v0", **{**painted_arguments(), "store": path})
        rewards = walk(env, 400)
        env.close()
    assert rewards == undisturbed
    [warning] = [each for each in warned if each.category is StoreWarning]
    assert str(path) in str(warning.message)
    assert "kept in memory" in str(warning.message)
    assert "Free some space" in str(warning.message)
    assert maintenance.verify(path) == []


def test_after_the_disk_was_full_the_next_run_goes_on_with_what_was_kept(path):
    with no_room_in_files(beyond=150_000), pytest.warns(StoreWarning):
        walk(gym.make("RLDF-v0", **{**painted_arguments(), "store": path}), 400)
    n_kept = sum(kept.rows for kept in maintenance.info(path).usage if kept.table == "pictures")
    assert n_kept > 0
    env = gym.make("RLDF-v0", **{**painted_arguments(), "store": path})
    world = env.get_wrapper_attr("evaluator")
    world.readings(world.grammar.states())
    assert world.generations == 480 - n_kept
    assert maintenance.verify(path) == []


# --- A file that cannot be written ------------------------------------------------------------


def as_nobody(work: Callable[[], None]) -> str:
    """Do it in a process whom file permissions bind, also where the tests run as root."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            os.write(write, b"done")
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as written:
        return written.read()


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A store with one state drawn, in a folder that nobody may write to."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "store.sqlite"
    store = Store.open(path)
    painted(store).readings([[0, 5, 0, 0]])
    store.close()
    path.chmod(0o444)
    folder.chmod(0o555)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def painted(store: Store) -> StateEvaluator:
    grammar = load_grammar("base")
    return StateEvaluator(grammar, PaintedGenerator(grammar), painted_perception(grammar), store)


def test_a_read_only_store_is_read_and_says_once_that_it_keeps_nothing_new(read_only):
    def work() -> None:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            store = Store.open(read_only)
            world = painted(store)
            world.readings([[0, 5, 0, 0]])
            world.picture([0, 5, 0, 0])
            assert world.generations == 0
            assert not warned
            world.readings([[0, 6, 0, 0], [0, 7, 0, 0]])
            world.readings([[0, 8, 0, 0]])
            world.picture([0, 8, 0, 0])
            assert world.generations == 3
            store.close()
            world.picture([0, 8, 0, 0])
            assert world.generations == 3
        [warning] = warned
        assert "readonly" in str(warning.message)
        assert "kept in memory" in str(warning.message)

    before = read_only.read_bytes()
    assert as_nobody(work) == "done"
    assert read_only.read_bytes() == before
    assert [each.name for each in read_only.parent.iterdir()] == [read_only.name]


def test_a_read_only_store_can_be_looked_into_and_verified(read_only):
    def work() -> None:
        assert maintenance.info(read_only).usage[0].rows == 1
        assert maintenance.verify(read_only) == []

    assert as_nobody(work) == "done"


def test_a_store_that_others_may_write_is_read_while_they_do(read_only):
    read_only.parent.chmod(0o755)
    read_only.chmod(0o644)
    writer = painted(Store.open(read_only))
    writer.readings([[0, 6, 0, 0]])
    read_only.chmod(0o444)
    read_only.parent.chmod(0o555)
    index = read_only.with_name(f"{read_only.name}-shm")
    journal = read_only.with_name(f"{read_only.name}-wal")
    assert index.exists()
    assert journal.exists()
    index.chmod(0o444)
    journal.chmod(0o444)

    def work() -> None:
        reader = painted(Store.open(read_only))
        reader.readings([[0, 6, 0, 0]])
        assert reader.generations == 0

    assert as_nobody(work) == "done"
