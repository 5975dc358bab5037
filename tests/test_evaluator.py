from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import (
    PaintedGenerator,
    paint,
    painted_arguments,
    painted_perception,
    painted_world,
)

import rldf_gym
from rldf_gym import evaluator as evaluator_module
from rldf_gym.evaluator import BATCH_SIZE, EvaluatorError, StateEvaluator
from rldf_gym.generation import GenerationError
from rldf_gym.grammar import GrammarError, load_grammar
from rldf_gym.grammar.enumeration import neighbours
from rldf_gym.store import Store, image_key
from rldf_gym.store import store as store_module

gym.register_envs(rldf_gym)

DOG = [0, 5, 0, 0]
CARS = [1, 9, 2, 6]


@given(st.integers(0, 479))
def test_every_state_is_drawn_as_its_prompt_says_and_read_as_it_was_drawn(index):
    world = painted_world()
    state = world.grammar.state(index)
    [reading] = world.readings([state])
    assert reading.values.tolist() == state.tolist()
    assert np.array_equal(world.picture(state), paint(world.grammar, state))


def test_a_reading_holds_what_the_picture_shows_and_not_what_the_prompt_asked_for():
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
    assert world.readings([DOG])[0].values.tolist() == first.values.tolist()
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
        StateEvaluator(grammar, generator, painted_perception(grammar), store, seed).readings([DOG])
        assert len(generator.calls) == 1


def test_prompts_are_embedded_once_and_kept():
    store = Store.open(None)
    blank = {"a photo of one dog and no people in park": [-1, -1, -1, -1]}
    first = painted_world(store=store, mistakes=blank)
    embedded = first.spec.embed(["a photo of one dog and no people in park"] * 2)
    assert embedded.shape == (2, 23)
    assert first.perception.clip.texts_embedded == 1
    second = painted_world(store=store)
    second.spec.embed(["a photo of one dog and no people in park"])
    assert second.perception.clip.texts_embedded == 0


def test_a_prompt_that_another_process_embedded_first_keeps_that_embedding(monkeypatch):
    world = painted_world()
    clip, prompt = world.perception.clip, "a photo of one dog and no people in park"
    theirs, embed = np.full(23, 0.5, np.float32), clip.embed_texts

    def overtaken(prompts):
        world.store.add_texts(clip.fingerprint, {prompt: theirs})
        return embed(prompts)

    monkeypatch.setattr(clip, "embed_texts", overtaken)
    assert world.spec.embed([prompt])[0].tolist() == theirs.tolist()


def test_a_picture_from_outside_is_read_like_any_other():
    world = painted_world()
    assert world.read(paint(world.grammar, CARS)).values.tolist() == CARS
    assert world.generations == 0


def test_a_picture_from_outside_is_looked_at_once():
    world = painted_world()
    world.read(paint(world.grammar, CARS))
    world.read(paint(world.grammar, CARS))
    assert world.perception.detector.looked_at == 1


def test_a_picture_is_the_callers_own_to_change():
    world = painted_world()
    world.picture(DOG)[:] = 0
    assert np.array_equal(world.picture(DOG), paint(world.grammar, DOG))


def test_a_state_outside_the_grammar_is_rejected():
    with pytest.raises(GrammarError, match="noun"):
        painted_world().readings([[0, 10, 0, 0]])


def test_words_that_the_generator_never_learned_are_rejected_before_anything_is_drawn():
    grammar = load_grammar("base")
    generator = PaintedGenerator(grammar)
    generator.known_words = frozenset(("a", "photo", "of", "one", "many", "dog", "and"))
    with pytest.raises(GenerationError, match="banana"):
        StateEvaluator(grammar, generator, painted_perception(grammar), Store.open(None))
    assert generator.calls == []


def test_an_evaluator_with_another_seed_shares_all_but_the_seed():
    world = painted_world()
    world.readings([DOG])
    other = world.with_seed(1)
    other.readings([DOG, CARS])
    assert (world.generation_seed, other.generation_seed) == (0, 1)
    assert other.store is world.store
    assert world.generations == other.generations == 3
    world.readings([DOG])
    assert world.generations == 3
    with pytest.raises(EvaluatorError, match="generation_seed"):
        world.with_seed(-1)


def test_images_of_several_seeds_are_generated_in_one_batch():
    world = painted_world(load_grammar("base"))
    readings = world.readings([DOG, CARS, DOG, DOG], [0, 1, 2, 0])
    dog, cars = (world.grammar.decode(state) for state in (DOG, CARS))
    assert world.generator.calls == [[dog, cars, dog]]
    assert [reading.values.tolist() for reading in readings] == [
        list(state) for state in (DOG, CARS, DOG, DOG)
    ]
    world.with_seed(2).readings([DOG])
    assert world.generations == 3
    with pytest.raises(EvaluatorError, match="generation_seed is -1"):
        world.readings([DOG], [-1])


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "0"])
def test_a_seed_that_no_generator_takes_is_rejected(seed):
    grammar = load_grammar("base")
    with pytest.raises(EvaluatorError, match="generation_seed"):
        StateEvaluator(
            grammar, PaintedGenerator(grammar), painted_perception(grammar), Store(), seed
        )


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
    with pytest.raises(GenerationError, match=r"broken.*must return uint8 \[1, H, W, 3\]"):
        world.readings([DOG])
    assert world.generations == 0


class Cramped:
    """A painter with memory for so many pictures at once, who fails as torch or Python would."""

    def __init__(self, name, at_most, error=MemoryError, batch_size=16):
        self.grammar = load_grammar("base")
        self.painter = PaintedGenerator(self.grammar)
        self.name = name
        self.fingerprint = name
        self.at_most = at_most
        self.error = error
        self.batch_size = batch_size
        self.tried = []

    def __call__(self, prompts, seeds):
        self.tried.append(len(prompts))
        if len(prompts) > self.at_most:
            raise self.error("out of memory")
        return self.painter(prompts, seeds)

    def world(self):
        return StateEvaluator(
            self.grammar, self, painted_perception(self.grammar), Store.open(None)
        )


def test_a_generator_says_itself_how_many_pictures_it_draws_at_once():
    generator = Cramped("roomy", at_most=64, batch_size=64)
    generator.world().readings(generator.grammar.states()[:100])
    assert generator.tried == [64, 36]


def test_out_of_memory_halves_the_batch_until_it_fits_and_goes_on():
    generator = Cramped("cramped-1", at_most=5)
    world = generator.world()
    states = generator.grammar.states()[:20]
    readings = world.readings(states)
    assert [reading.values.tolist() for reading in readings] == states.tolist()
    assert generator.tried == [16, 8, 4, 4, 4, 4, 4]
    assert world.generations == 20


def test_the_size_that_fitted_is_remembered():
    generator = Cramped("cramped-2", at_most=5)
    world = generator.world()
    world.readings(generator.grammar.states()[:16])
    generator.tried.clear()
    world.with_seed(1).readings(generator.grammar.states()[:8])
    assert generator.tried == [4, 4]


def test_torch_running_out_of_memory_is_understood_as_well():
    import torch

    generator = Cramped("cramped-3", at_most=8, error=torch.OutOfMemoryError)
    generator.world().readings(generator.grammar.states()[:16])
    assert generator.tried == [16, 8, 8]


def ask_torch_for_too_much(_):
    import torch

    torch.empty(2**55, dtype=torch.uint8)


def be_an_mps_device_without_room(_):
    raise RuntimeError("MPS backend out of memory (MPS allocated: 8.57 GB, max allowed: 9.07 GB)")


@pytest.mark.parametrize("fail", [ask_torch_for_too_much, be_an_mps_device_without_room])
def test_lack_of_memory_that_torch_has_no_error_of_its_own_for_is_understood_too(fail):
    class Failing(Cramped):
        def __call__(self, prompts, seeds):
            self.tried.append(len(prompts))
            return fail(prompts) if len(prompts) > 8 else self.painter(prompts, seeds)

    generator = Failing(fail.__name__, at_most=8)
    generator.world().readings(generator.grammar.states()[:16])
    assert generator.tried == [16, 8, 8]


def test_memory_that_does_not_suffice_for_one_picture_is_reported():
    generator = Cramped("cramped-4", at_most=0)
    with pytest.raises(MemoryError):
        generator.world().readings([DOG])
    assert generator.tried == [1]


def test_what_was_drawn_before_perception_ran_out_of_memory_is_not_drawn_again():
    generator = Cramped("cramped-5", at_most=16)
    world = generator.world()
    looked = []

    class CrampedEye:
        fingerprint = "cramped-eye-1"

        def __call__(self, pictures):
            looked.append(len(pictures))
            if len(pictures) > 8:
                raise MemoryError
            return [{"probabilities": np.full(8, 1 / 8, np.float32)} for _ in pictures]

        class_names = load_grammar("base").axis("scene").classes

    world.perception = replace(world.perception, scene_classifier=CrampedEye())
    world.readings(generator.grammar.states()[:16])
    assert generator.tried == [16]
    assert looked == [16, 8, 8]


def test_a_mistake_of_the_generator_is_not_taken_for_lack_of_memory():
    generator = Cramped("cramped-6", at_most=0, error=RuntimeError)
    with pytest.raises(RuntimeError):
        generator.world().readings(generator.grammar.states()[:4])
    assert generator.tried == [4]


def neighbourly_world(store=None) -> StateEvaluator:
    grammar = load_grammar("base")
    generator = PaintedGenerator(grammar)
    seen = painted_perception(grammar)
    return StateEvaluator(
        grammar, generator, seen, store or Store.open(None), prefetch="neighbours"
    )


def test_prefetch_fills_a_batch_with_the_neighbours_of_what_has_to_be_drawn():
    world = neighbourly_world()
    world.readings([DOG])
    [prompts] = world.generator.calls
    drawn = np.stack([world.grammar.encode(prompt) for prompt in prompts])
    assert drawn[0].tolist() == DOG
    assert set(np.abs(drawn[1:] - DOG).sum(axis=1)) == {1}
    # One way on each of three axes at their ends, two on the noun's.
    assert len(drawn) == 1 + 5


def test_a_neighbour_drawn_before_it_was_asked_for_costs_nothing_then():
    world = neighbourly_world()
    world.readings([DOG])
    [reading] = world.readings([[0, 6, 0, 0]])
    assert reading.values.tolist() == [0, 6, 0, 0]
    assert len(world.generator.calls) == 1


def test_generations_count_every_picture_and_prefetched_those_nobody_asked_for():
    world = neighbourly_world()
    world.readings([DOG])
    assert (world.generations, world.counts.prefetched) == (6, 5)


def test_prefetch_never_draws_more_than_a_batch():
    world = neighbourly_world()
    world.readings(world.grammar.states()[100 : 100 + BATCH_SIZE - 2])
    assert [len(prompts) for prompts in world.generator.calls] == [BATCH_SIZE]
    assert world.counts.prefetched == 2


def test_prefetch_draws_nothing_where_everything_asked_for_is_in_the_store():
    store = Store.open(None)
    painted_world(store=store).readings([DOG])
    world = neighbourly_world(store)
    world.readings([DOG])
    assert world.generator.calls == []


def test_prefetch_leaves_out_neighbours_that_the_store_has():
    store = Store.open(None)
    painted_world(store=store).readings([[0, 6, 0, 0], [0, 4, 0, 0]])
    world = neighbourly_world(store)
    world.readings([DOG])
    assert world.generations == 1 + 3


def test_prefetch_is_off_unless_asked_for():
    world = painted_world()
    world.readings([DOG])
    assert (world.generations, world.counts.prefetched) == (1, 0)


def test_an_unknown_prefetch_is_rejected():
    grammar = load_grammar("base")
    with pytest.raises(EvaluatorError, match=r"everything.*known: None, 'neighbours'"):
        StateEvaluator(
            grammar,
            PaintedGenerator(grammar),
            painted_perception(grammar),
            Store.open(None),
            prefetch="everything",
        )


def test_an_environment_takes_prefetch_and_counts_what_it_draws():
    arguments = painted_arguments(target=CARS)
    env = gym.make("RLDF-v0", prefetch="neighbours", **arguments)
    _, info = env.reset(options={"state": DOG})
    assert (info["generations"], info["states_seen"]) == (6, 1)


@given(st.integers(0, 479))
def test_neighbours_are_the_states_at_distance_one(index):
    grammar = load_grammar("base")
    distances = np.abs(grammar.states() - grammar.state(index)).sum(axis=1)
    assert sorted(neighbours(grammar, index)) == np.flatnonzero(distances == 1).tolist()


def test_an_evaluator_keeps_a_bounded_number_of_texts_in_memory(monkeypatch):
    monkeypatch.setattr(evaluator_module, "MOST_TEXTS", 30)
    # Every scene is left to CLIP, which compares prompts.
    generator = PaintedGenerator(load_grammar("base"))
    eyes = replace(painted_perception(generator.grammar), scene_classifier=None)
    world = StateEvaluator(generator.grammar, generator, eyes, Store.open(None))
    states = world.grammar.states()[:200]
    for state in [*states, *states]:
        assert world.readings([state])[0].values.tolist() == state.tolist()
        assert len(world._texts) <= 30
    assert world.generations == 200


def test_states_are_evaluated_batch_by_batch_and_their_images_hashed_once(monkeypatch):
    hashed = []

    def counting_key(*parts):
        hashed.append(parts)
        return image_key(*parts)

    for module in (evaluator_module, store_module):
        monkeypatch.setattr(module, "image_key", counting_key)
    world = painted_world()
    indices = list(range(100, 100 + BATCH_SIZE + 3))
    batches = list(world.evaluate(indices))
    assert [len(batch) for batch in batches] == [BATCH_SIZE, 3]
    values = [reading.values.tolist() for batch in batches for reading in batch]
    assert values == [world.grammar.state(index).tolist() for index in indices]
    assert len(hashed) == len(indices) == world.generations
