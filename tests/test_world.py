import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import PaintedGenerator, paint, painted_perception, painted_world

from rldf_gym.generation import GenerationError
from rldf_gym.grammar import GrammarError, load_grammar
from rldf_gym.store import Store
from rldf_gym.world import BATCH_SIZE, World, WorldError

DOG = [0, 5, 0, 0]
CARS = [1, 9, 2, 6]


@given(st.integers(0, 479))
def test_every_state_is_drawn_as_its_prompt_says_and_read_as_it_was_drawn(index):
    world = painted_world()
    state = world.grammar.state(index)
    [reading] = world.readings([state])
    assert reading.values.tolist() == state.tolist()
    assert np.array_equal(world.picture(state), paint(world.grammar, state))


def test_a_reading_tells_what_the_picture_shows_and_not_what_the_prompt_asked_for():
    world = painted_world(mistakes={"a photo of one dog and no people in park": CARS})
    assert world.readings([DOG])[0].values.tolist() == CARS


def test_states_come_back_in_the_order_asked_for():
    world = painted_world()
    readings = world.readings([CARS, DOG, CARS])
    assert [reading.values.tolist() for reading in readings] == [CARS, DOG, CARS]


def test_a_state_named_twice_in_a_batch_is_drawn_once():
    world = painted_world()
    world.readings([DOG, CARS, DOG, DOG])
    assert world.generator.calls == [[world.grammar.decode(DOG), world.grammar.decode(CARS)]]
    assert world.generations == 2


def test_what_is_missing_in_a_batch_is_drawn_in_one_call():
    world = painted_world()
    world.readings(world.grammar.states()[:BATCH_SIZE])
    assert [len(prompts) for prompts in world.generator.calls] == [BATCH_SIZE]


def test_a_large_batch_is_drawn_in_parts_so_that_little_is_lost_when_interrupted():
    world = painted_world()
    world.readings(world.grammar.states()[: 2 * BATCH_SIZE + 1])
    assert [len(prompts) for prompts in world.generator.calls] == [BATCH_SIZE, BATCH_SIZE, 1]


def test_a_state_read_before_costs_nothing():
    world = painted_world()
    first = world.readings([DOG])[0]
    assert world.readings([DOG])[0] is first
    assert world.generations == 1


def test_a_second_world_draws_only_what_the_store_has_not():
    store = Store.open(None)
    painted_world(store=store).readings([DOG])
    second = painted_world(store=store)
    second.readings([DOG, CARS])
    assert second.generator.calls == [[second.grammar.decode(CARS)]]
    assert second.generations == 1


def test_only_the_models_that_have_not_seen_a_picture_look_at_it():
    store = Store.open(None)
    painted_world(store=store).readings([DOG])
    second = painted_world(store=store)
    second.perception.clip.fingerprint = "painted-clip-2"
    second.readings([DOG])
    assert second.generator.calls == []
    assert second.perception.detector.looked_at == 0


def test_another_seed_means_another_picture():
    store = Store.open(None)
    grammar = load_grammar("base")
    for seed in (0, 1):
        generator = PaintedGenerator(grammar)
        World(grammar, generator, painted_perception(grammar), store, seed).readings([DOG])
        assert len(generator.calls) == 1


def test_prompts_are_embedded_once_and_kept():
    store = Store.open(None)
    blank = {"a photo of one dog and no people in park": [-1, -1, -1, -1]}
    first = painted_world(store=store, mistakes=blank)
    embedded = first.senses.embed(["a photo of one dog and no people in park"] * 2)
    assert embedded.shape == (2, 23)
    assert first.perception.clip.texts_embedded == 1
    second = painted_world(store=store)
    second.senses.embed(["a photo of one dog and no people in park"])
    assert second.perception.clip.texts_embedded == 0


def test_a_picture_from_outside_is_read_like_any_other():
    world = painted_world()
    assert world.read(paint(world.grammar, CARS)).values.tolist() == CARS
    assert world.generations == 0


def test_a_picture_from_outside_is_looked_at_once():
    world = painted_world()
    world.read(paint(world.grammar, CARS))
    world.read(paint(world.grammar, CARS))
    assert world.perception.detector.looked_at == 1


def test_readings_cannot_be_changed_by_those_who_hold_them():
    [reading] = painted_world().readings([DOG])
    with pytest.raises(ValueError, match="read-only"):
        reading.values[0] = 1


def test_a_picture_is_the_callers_own_to_change():
    world = painted_world()
    world.picture(DOG)[:] = 0
    assert np.array_equal(world.picture(DOG), paint(world.grammar, DOG))


def test_a_state_outside_the_grammar_is_refused():
    with pytest.raises(GrammarError, match="noun"):
        painted_world().readings([[0, 10, 0, 0]])


def test_words_that_the_generator_never_learned_are_refused_before_anything_is_drawn():
    grammar = load_grammar("base")
    generator = PaintedGenerator(grammar)
    generator.known_words = frozenset(("a", "photo", "of", "one", "many", "dog", "and"))
    with pytest.raises(GenerationError, match="banana"):
        World(grammar, generator, painted_perception(grammar), Store.open(None))
    assert generator.calls == []


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "0"])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    grammar = load_grammar("base")
    with pytest.raises(WorldError, match="generation_seed"):
        World(grammar, PaintedGenerator(grammar), painted_perception(grammar), Store(), seed)


@pytest.mark.parametrize(
    "drawn",
    [
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8), np.uint8),
        np.zeros((1, 0, 8, 3), np.uint8),
        [1, 2, 3],
    ],
    ids=["float", "too many", "grey", "empty", "a list"],
)
def test_a_generator_that_breaks_its_promise_is_named(drawn):
    world = painted_world()

    class Broken:
        name = "broken"
        fingerprint = "broken-1"

        def __call__(self, prompts, seeds):
            return drawn

    world.generator = Broken()
    with pytest.raises(WorldError, match=r"broken.*must return uint8 \[1, H, W, 3\]"):
        world.readings([DOG])
    assert world.generations == 0
