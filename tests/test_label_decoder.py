"""Model outputs to readings: who reads which axis, counting, confidences, zero-shot."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rldf_gym.grammar import compile_grammar, load_grammar
from rldf_gym.grammar.counting import CountWords
from rldf_gym.perception import LabelDecoder, PerceptionSpec, clip_reading, zero_shot

BASE = load_grammar("base")
EXTENDED = load_grammar("extended")
ACTIONS = load_grammar("actions")
NOUNS = tuple(BASE.axis("noun").classes)
SCENES = tuple(BASE.axis("scene").classes)
DETECTOR_CLASSES = (*NOUNS, "person")
THRESHOLD = 0.25


def embedder(grammar, weights=None):
    """Text embeddings in which every axis has its own directions: a CLIP that is never wrong."""
    offsets = np.concatenate([[0], np.cumsum(grammar.nvec)])
    weights = np.ones(grammar.n_axes) if weights is None else np.asarray(weights, float)

    def embed(prompts):
        embeddings = np.zeros((len(prompts), offsets[-1]), np.float32)
        for row, prompt in zip(embeddings, prompts, strict=True):
            row[offsets[:-1] + grammar.encode(prompt)] = weights
        return embeddings / np.linalg.norm(weights).astype(np.float32)

    return embed


def reader(grammar=BASE, detector=DETECTOR_CLASSES, scenes=SCENES, embed=None):
    embed = embedder(grammar) if embed is None else embed
    return LabelDecoder(grammar, PerceptionSpec(embed, 100.0, detector, THRESHOLD, scenes))


def readers_of(decoder):
    return dict(zip(decoder.grammar.axis_names, decoder.readers, strict=True))


def picture_of(grammar, prompt):
    return {"embedding": embedder(grammar)([prompt])[0]}


def objects(*found):
    names, confidences = zip(*found, strict=True) if found else ((), ())
    return {
        "classes": np.array([DETECTOR_CLASSES.index(name) for name in names], np.int64),
        "confidences": np.array(confidences, np.float32),
        "boxes": np.zeros((len(found), 4), np.float32),
    }


def scene(name, probability=0.9):
    rest = (1 - probability) / (len(SCENES) - 1)
    return {
        "probabilities": np.array(
            [probability if other == name else rest for other in SCENES], np.float32
        )
    }


def read(*found, where="park", grammar=BASE, prompt="a photo of one dog and no people in park"):
    reading = reader(grammar).read(
        clip=picture_of(grammar, prompt), detector=objects(*found), scene_classifier=scene(where)
    )
    return reading, {
        name: grammar.axes[i].values[reading.values[i]] if reading.values[i] >= 0 else None
        for i, name in enumerate(grammar.axis_names)
    }


def test_objects_people_and_scene_become_a_state():
    reading, words = read(("dog", 0.9), ("dog", 0.8), ("person", 0.7), where="snow")
    assert words == {"frequency": "many", "noun": "dog", "density": "one", "scene": "snow"}
    assert reading.values.dtype == np.int64
    assert reading.confidence.dtype == np.float32
    assert reading.embedding.dtype == np.float32


def test_a_grammars_axes_are_shared_out_among_the_models():
    assert readers_of(reader()) == {
        "frequency": "detector",
        "noun": "detector",
        "density": "detector",
        "scene": "scene_classifier",
    }
    assert readers_of(reader(EXTENDED))["weather"] == "clip"
    assert readers_of(reader(ACTIONS))["action"] == "clip"


def test_classes_that_a_model_lacks_are_left_to_clip():
    without_duck = tuple(name for name in DETECTOR_CLASSES if name != "duck")
    without_snow = tuple(name for name in SCENES if name != "snow")
    readers = readers_of(reader(detector=without_duck, scenes=without_snow))
    assert readers == {
        "frequency": "clip",
        "noun": "clip",
        "density": "detector",
        "scene": "clip",
    }


COCO = tuple("bird" if name == "duck" else name for name in DETECTOR_CLASSES)


def test_a_duck_is_a_bird_to_a_detector_that_knows_no_ducks():
    assert readers_of(reader(detector=COCO))["noun"] == "detector"
    birds = {"classes": np.full(2, COCO.index("bird")), "confidences": np.array([0.9, 0.8])}
    prompt = "a photo of one dog and no people in park"
    reading = reader(detector=COCO).read(
        clip=picture_of(BASE, prompt), detector=birds, scene_classifier=scene("park")
    )
    assert BASE.decode(reading.values) == "a photo of many duck and no people in park"


def test_a_duck_among_other_birds_is_left_to_clip(tmp_path):
    file = tmp_path / "birds.lark"
    file.write_text('start: "a photo of one" noun\nnoun: "duck" | "bird"\n%ignore " "\n')
    assert readers_of(reader(load_grammar(file), COCO))["noun"] == "clip"


def test_without_other_models_clip_reads_everything():
    prompt = "a photo of many sheep and one people in desert"
    blind = reader(detector=(), scenes=())
    assert set(readers_of(blind).values()) == {"clip"}
    reading = blind.read(clip=picture_of(BASE, prompt))
    assert BASE.decode(reading.values) == prompt


@pytest.mark.parametrize("spelling", ["Sports Ball", "sports-ball", "sports_ball", "ball"])
def test_an_aliased_class_is_known_by_any_spelling_and_by_its_word(spelling):
    classes = tuple(spelling if name == "sports_ball" else name for name in DETECTOR_CLASSES)
    assert readers_of(reader(detector=classes))["noun"] == "detector"


@pytest.mark.parametrize(("people", "word"), [(0, "no"), (1, "one"), (2, "many"), (7, "many")])
def test_people_are_counted_in_words(people, word):
    _, words = read(("dog", 0.9), *[("person", 0.8)] * people)
    assert words["density"] == word


def test_where_no_noun_is_seen_noun_and_frequency_stay_unread():
    reading, words = read(("person", 0.8))
    assert words == {"frequency": None, "noun": None, "density": "one", "scene": "park"}
    assert (reading.confidence[reading.values < 0] == 0).all()


def test_a_count_without_a_word_stays_unread():
    prompt = "a photo of one people walking in park"
    people_axis = ACTIONS.axis_index("density")
    reading = reader(ACTIONS).read(
        clip=picture_of(ACTIONS, prompt), detector=objects(), scene_classifier=scene("park")
    )
    assert reading.values[people_axis] == -1
    action = ACTIONS.axis("action").values[reading.values[ACTIONS.axis_index("action")]]
    assert action == "walking"


def test_the_noun_is_the_one_with_the_greatest_sum_of_confidences():
    _, words = read(("car", 0.9), ("sheep", 0.6), ("sheep", 0.6))
    assert (words["noun"], words["frequency"]) == ("sheep", "many")


def test_confidences_are_those_that_the_documentation_promises():
    reading, _ = read(("dog", 0.9), ("dog", 0.6), ("car", 0.5), where="park")
    by_name = dict(zip(BASE.axis_names, reading.confidence.tolist(), strict=True))
    assert by_name["noun"] == pytest.approx(0.9 * 1.5 / 2.0)
    assert by_name["frequency"] == pytest.approx(0.6)
    assert by_name["density"] == pytest.approx(1 - THRESHOLD)
    assert by_name["scene"] == pytest.approx(0.9)


def test_other_axes_are_read_by_clip_given_what_was_read():
    prompt = "a photo of one dog and no people in park on a rainy night"
    _, words = read(("dog", 0.9), grammar=EXTENDED, prompt=prompt)
    assert (words["weather"], words["time_of_day"]) == ("rainy", "night")


def test_an_unread_noun_does_not_keep_clip_from_reading_the_rest():
    prompt = "a photo of one elephant and no people in park on a foggy sunset"
    _, words = read(grammar=EXTENDED, prompt=prompt)
    assert words["noun"] is None
    assert (words["weather"], words["time_of_day"]) == ("foggy", "sunset")


def test_zero_shot_keeps_what_is_given_and_fills_the_rest():
    prompt = "a photo of many duck and one people in beach"
    truth = BASE.encode(prompt)
    given_values = np.array([-1, -1, 0, 4])
    reading = zero_shot(
        BASE, picture_of(BASE, prompt)["embedding"], given_values, embedder(BASE), 100.0
    )
    confidence = reading.confidence
    np.testing.assert_array_equal(reading.values, [truth[0], truth[1], 0, 4])
    np.testing.assert_array_equal(confidence[2:], 1)
    assert ((confidence > 0) & (confidence <= 1)).all()


def test_zero_shot_with_nothing_to_read_asks_for_no_choice():
    state = BASE.encode("a photo of many duck and one people in beach")
    reading = zero_shot(BASE, np.ones(23, np.float32), state, embedder(BASE), 100.0)
    np.testing.assert_array_equal(reading.values, state)
    np.testing.assert_array_equal(reading.confidence, 1)


def test_zero_shot_embeds_every_prompt_at_most_once():
    asked = []

    def embed(prompts):
        asked.extend(prompts)
        return embedder(BASE)(prompts)

    clip_reading(BASE, picture_of(BASE, BASE.decode([1, 9, 2, 7]))["embedding"], embed, 100.0)
    assert len(asked) == len(set(asked))
    assert len(asked) < BASE.n_states


def words_embedder(prompts):
    """A CLIP that sees which words a prompt has: each has a direction of its own."""
    rows = []
    for prompt in prompts:
        words = [np.random.default_rng(list(word.encode())) for word in prompt.split()]
        rows.append(np.sum([word.standard_normal(256) for word in words], axis=0))
    table = np.array(rows, np.float32)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_wide_axes_are_read_by_themselves_and_then_within_the_prompt():
    world = load_grammar("world")
    asked = []

    def embed(prompts):
        asked.append(len(prompts))
        return words_embedder(prompts)

    prompt = "a sketch of many zebra and no people surfing water in beach on a foggy sunset"
    reading = clip_reading(world, words_embedder([prompt])[0], embed, 100.0)
    assert world.decode(reading.values) == prompt
    n_alone = int(world.nvec.sum())
    assert sum(asked[: world.n_axes]) == n_alone  # one text a value, the same for every image
    assert sum(asked) - n_alone < 150
    for axis, chances in enumerate(reading.probabilities):
        assert chances.shape == (world.nvec[axis],)
        assert chances.sum() == pytest.approx(1, abs=1e-5)
        assert chances.argmax() == reading.values[axis]
        assert reading.confidence[axis] == chances.max()


def test_an_undecided_picture_has_the_confidence_of_a_guess():
    reading = clip_reading(BASE, np.zeros(23, np.float32), embedder(BASE), 100.0)
    np.testing.assert_allclose(reading.confidence, 1 / BASE.nvec, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, BASE.n_states - 1), st.lists(st.floats(0.1, 1), min_size=4, max_size=4))
def test_clip_alone_reads_back_every_state_of_a_faultless_clip(index, weights):
    state = BASE.state(index)
    embed = embedder(BASE, weights)
    reading = clip_reading(BASE, embed([BASE.decode(state)])[0], embed, 100.0)
    np.testing.assert_array_equal(reading.values, state)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(DETECTOR_CLASSES), st.floats(THRESHOLD, 1)), max_size=12))
def test_whatever_is_seen_the_reading_is_in_range(found):
    reading, _ = read(*found)
    assert ((reading.values >= -1) & (reading.values < BASE.nvec)).all()
    assert ((reading.confidence >= 0) & (reading.confidence <= 1 + 1e-6)).all()
    assert (reading.confidence[reading.values == -1] == 0).all()


scenes_seen = st.lists(st.floats(0, 1), min_size=len(SCENES), max_size=len(SCENES))
confidences = st.floats(THRESHOLD + 1e-3, 1)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(DETECTOR_CLASSES), confidences), max_size=12),
    scenes_seen,
    st.integers(0, EXTENDED.n_states - 1),
)
def test_probabilities_sum_to_one_and_are_greatest_at_the_value_read(found, weights, index):
    reading = reader(EXTENDED).read(
        clip=picture_of(EXTENDED, EXTENDED.decode(EXTENDED.state(index))),
        detector=objects(*found),
        scene_classifier={"probabilities": np.array(weights, np.float32)},
    )
    assert [len(each) for each in reading.probabilities] == EXTENDED.nvec.tolist()
    for value, probabilities in zip(reading.values, reading.probabilities, strict=True):
        assert probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1)
        assert (probabilities >= 0).all()
        if value < 0:
            np.testing.assert_allclose(probabilities, 1 / len(probabilities))
        else:
            assert probabilities[value] == probabilities.max()


def test_the_confidence_of_scene_and_clip_is_the_probability_of_the_value():
    reading, _ = read(("dog", 0.9), grammar=EXTENDED, prompt=EXTENDED.decode([0, 5, 0, 0, 1, 2]))
    for axis in (3, 4, 5):
        probability = reading.probabilities[axis][reading.values[axis]]
        assert reading.confidence[axis] == pytest.approx(probability)


def test_two_boxes_of_which_one_is_doubtful_are_rather_many_than_one():
    reading, _ = read(("dog", 1.0), ("dog", 0.4), ("person", 0.4))
    frequency, noun, density, _ = reading.probabilities
    # From 1/2 at the threshold of 0.25 to 1: a box of 0.4 is one with probability 0.6.
    np.testing.assert_allclose(frequency, [0.4, 0.6], atol=1e-6)
    np.testing.assert_allclose(density, [0.4, 0.6, 0.0], atol=1e-6)
    assert noun[BASE.axis("noun").values.index("dog")] == 1


def test_the_example_grammar_is_read_by_the_detector():
    lark = (
        Path("docs/bring_your_own.md")
        .read_text(encoding="utf-8")
        .split("```lark\n")[1]
        .split("```")[0]
    )
    assert readers_of(reader(compile_grammar(lark))) == {
        "count": "detector",
        "animal": "detector",
        "scene": "scene_classifier",
    }


def test_axes_without_a_role_get_the_one_that_the_models_know():
    grammar = compile_grammar(
        'start: "a photo of a" size thing "at the" place\n'
        'size: "small" | "big"\nthing: "dog" | "car"\nplace: "beach" | "farm"\n%ignore " "'
    )
    decoder = reader(grammar)
    assert [axis.role for axis in decoder.grammar.axes] == ["other", "object", "scene"]
    assert decoder.readers == ("clip", "detector", "scene_classifier")
    assert decoder.grammar.coarse_axes == (2,)
    kept = compile_grammar(grammar.source, roles={"place": "other"})
    assert reader(kept).readers == ("clip", "detector", "clip")


@pytest.mark.parametrize(
    ("words", "count", "word"),
    [
        (("no", "one", "many"), 2, "many"),
        (("one", "many"), 3, "many"),
        (("one", "two", "three", "many"), 3, "three"),
        (("one", "two", "three", "many"), 4, "many"),
        (("no", "many"), 1, None),
        (("one", "two"), 5, None),
        (("0", "1", "2"), 2, "2"),
        (("a", "many"), 1, "a"),
    ],
)
def test_a_count_gets_its_word_or_none(words, count, word):
    value = CountWords.parse(words).value_of(count)
    assert (None if value < 0 else words[value]) == word


@pytest.mark.parametrize("words", [("few", "many"), ("", "one")])
def test_an_axis_with_other_words_does_not_count(words):
    assert CountWords.parse(words) is None
