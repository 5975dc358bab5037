"""Prompts to pictures: presets, loading, determinism, refusals."""

import logging
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import WORDS, save_text_to_image, save_tokenizer, truncate, word_level_merges

from rldf_gym import threads
from rldf_gym.errors import ModelError
from rldf_gym.generation import (
    PRESETS,
    DiffusersGenerator,
    GenerationError,
    Generator,
    LimitedVocabulary,
    SlowDtypeWarning,
    check_words,
    make_generator,
)
from rldf_gym.generation.acceleration import images_that_fit

DOG = "a photo of one dog and no people in park"
CAR = "a photo of many car and one people in snow"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_text_to_image(tmp_path_factory.mktemp("text_to_image"))


@pytest.fixture(scope="module")
def generator(folder):
    return tiny(folder)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr("socket.socket.connect", refuse)


def tiny(folder, **settings):
    settings = {"repository": str(folder), "height": 32, "width": 32, "steps": 2} | settings
    return make_generator("embedded", "cpu", **settings)


def largest_difference(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_a_generator_draws_one_rgb_picture_for_every_prompt(generator):
    pictures = generator([DOG, CAR, DOG], [0, 1, 2])
    assert pictures.shape == (3, 32, 32, 3)
    assert pictures.dtype == np.uint8


def test_no_prompts_give_no_pictures(generator):
    assert generator([], []).shape == (0, 32, 32, 3)


def test_it_meets_the_protocols(generator):
    assert isinstance(generator, Generator)
    assert isinstance(generator, LimitedVocabulary)


def test_the_same_prompt_and_seed_give_the_same_picture_in_a_new_process_state(folder, generator):
    np.testing.assert_array_equal(generator([DOG], [7]), tiny(folder)([DOG], [7]))


def test_another_seed_gives_another_picture(generator):
    pictures = generator([DOG, DOG], [0, 1])
    assert largest_difference(pictures[0], pictures[1]) > 2


def test_another_prompt_gives_another_picture(folder):
    pictures = tiny(folder, guidance_scale=30.0)([DOG, CAR], [0, 0])
    assert largest_difference(pictures[0], pictures[1]) > 0


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_a_picture_of_a_batch_equals_the_same_picture_drawn_alone(folder, guidance_scale):
    guided = tiny(folder, guidance_scale=guidance_scale, negative_prompt="no snow")
    batch = guided([DOG, CAR, CAR], [3, 4, 5])
    alone = np.concatenate(
        [guided([p], [s]) for p, s in zip([DOG, CAR, CAR], [3, 4, 5], strict=True)]
    )
    assert largest_difference(batch, alone) <= 2


def test_threads_share_the_weights_and_nothing_else(folder, monkeypatch):
    monkeypatch.setattr(threads, "_USER_CHOSE_THREADS", False)
    shared = tiny(folder)
    first = shared([DOG, CAR, CAR], [3, 4, 5])
    original, pipelines = shared._pipeline, shared._copies
    assert pipelines
    for pipeline in pipelines:
        weights = zip(pipeline.unet.parameters(), original.unet.parameters(), strict=True)
        assert all(one is other for one, other in weights)
        for name, part in pipeline.components.items():
            assert part is None or part is not original.components[name]
    assert all(np.array_equal(shared([DOG, CAR, CAR], [3, 4, 5]), first) for _ in range(5))
    assert len(shared._copies) <= 2
    assert not pickle.loads(pickle.dumps(shared))._copies


def test_batches_larger_than_the_limit_are_drawn_in_parts(folder, generator):
    parts = tiny(folder, batch_size=2)([DOG] * 5, range(5))
    assert largest_difference(parts, generator([DOG] * 5, range(5))) <= 2


def sizes_in_small_memory(generator, most):
    """Let memory run out beyond so many images; return a list that calls add their sizes to."""
    sizes = []

    class SmallMemory(type(generator._pipeline)):
        def __call__(self, *, generator, **arguments):
            sizes.append(len(generator))
            if len(generator) > most:
                raise MemoryError
            return super().__call__(generator=generator, **arguments)

    generator._pipeline.__class__ = SmallMemory
    return sizes


def test_a_batch_that_memory_does_not_hold_is_halved(folder, monkeypatch):
    monkeypatch.setattr(threads, "_USER_CHOSE_THREADS", True)
    # A size of its own, since what fits is remembered by fingerprint.
    small = tiny(folder, height=24, batch_size=8)
    expected = tiny(folder, height=24, batch_size=8)([DOG] * 7, range(7))
    sizes = sizes_in_small_memory(small, most=3)
    assert largest_difference(small([DOG] * 7, range(7)), expected) <= 2
    assert sizes == [7, 3, 3, 1]


def test_a_share_that_memory_does_not_hold_halves_the_batch(folder, monkeypatch):
    monkeypatch.setattr(threads, "_USER_CHOSE_THREADS", False)
    small = tiny(folder, height=24, batch_size=8)
    expected = tiny(folder, height=24, batch_size=8)([DOG] * 7, range(7))
    sizes = sizes_in_small_memory(small, most=3)
    assert largest_difference(small([DOG] * 7, range(7)), expected) <= 2
    # Shares of four and three, of which only one may have begun; then of three, three and one.
    assert max(sizes) == 4
    assert sorted(sizes[-5:]) == [1, 1, 1, 2, 2]
    assert sizes[-1] == 1


def test_halved_batches_of_a_compiled_pipeline_are_filled_up_no_further_than_they_fit(folder):
    small = tiny(folder, width=24, batch_size=8)
    sizes = sizes_in_small_memory(small, most=3)
    # As if it were compiled; compiling takes a minute.
    small.preset = replace(small.preset, compile="default")
    assert len(small([DOG] * 7, range(7))) == 7
    assert sizes == [8, 3, 3, 3]


def test_a_failure_inside_diffusers_is_one_line_and_says_when_compiling_may_be_the_cause(folder):
    small = tiny(folder, batch_size=1)

    class NoCompiler(type(small._pipeline)):
        def __call__(self, **_):
            raise RuntimeError("No working C++ compiler\nfound")

    small._pipeline.__class__ = NoCompiler
    with pytest.raises(GenerationError, match=r"RuntimeError: No working C\+\+ compiler found\]$"):
        small([DOG], [0])
    small.preset = replace(small.preset, compile="default")
    with pytest.raises(GenerationError, match=r"No working C\+\+ compiler.*compile=None"):
        small([DOG], [0])


def test_how_long_compiling_took_is_logged(folder, caplog):
    small = tiny(folder, batch_size=2)
    _ = small._pipeline
    small.preset = replace(small.preset, compile="default")
    with caplog.at_level(logging.INFO, "rldf_gym"):
        small([DOG], [0])
    assert "for 2 images at once" in caplog.text


@pytest.mark.parametrize(
    ("free", "each", "fitting"),
    [(80 << 30, 1 << 30, 64), (8 << 30, 1 << 30, 4), (1 << 29, 1 << 30, 1), (80 << 30, 0, 64)],
)
def test_the_batch_that_fits_is_a_power_of_two_within_the_free_memory(free, each, fitting):
    assert images_that_fit(free, each) == fitting


def test_an_unset_batch_size_begins_small(folder):
    assert tiny(folder, batch_size=None).batch_size == 8


def test_a_large_model_on_a_cpu_generates_one_image_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(threads, "_SMALL_NETWORK", 0)
    large = tiny(folder, batch_size=None)
    large([DOG], [0])
    assert large.batch_size == 1


def test_attention_slicing_draws_the_same_picture(folder, generator):
    sliced = tiny(folder, attention_slicing=True)([DOG], [0])
    assert largest_difference(sliced, generator([DOG], [0])) <= 2


def test_a_scheduler_may_replace_the_models_own(folder, generator):
    other = tiny(folder, scheduler="EulerDiscreteScheduler")
    assert largest_difference(other([DOG], [0]), generator([DOG], [0])) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheduler": "FastScheduler"}, "no scheduler 'FastScheduler'"),
        (
            {"scheduler": "DPMSolverSDEScheduler"},
            "requires the torchsde library.*pip install torchsde",
        ),
        ({"scheduler": "AutoencoderKL"}, "no scheduler 'AutoencoderKL'"),
        ({"scheduler_options": {"use_karas_sigmas": True}}, r"no option use_karas_sigmas.*karras"),
    ],
)
def test_a_scheduler_or_an_option_of_it_that_does_not_exist_is_rejected(folder, settings, message):
    with pytest.raises(GenerationError, match=message):
        tiny(folder, **settings)([DOG], [0])


def test_drawing_prints_nothing(folder, capfd):
    tiny(folder)([DOG], [0])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_others_may_log_while_it_draws(folder, caplog):
    class Logging:
        def __getattr__(self, name):
            return getattr(pipeline, name)

        def __call__(self, **arguments):
            logging.getLogger("uvicorn.access").info("another request")
            logging.getLogger("diffusers.pipelines").warning("talk")
            return pipeline(**arguments)

    generator = tiny(folder)
    pipeline = generator._pipeline
    generator._pipeline = Logging()
    with caplog.at_level(logging.INFO):
        generator([DOG], [0])
    assert "another request" in caplog.text
    assert "talk" not in caplog.text


def test_the_fingerprint_needs_no_torch(folder):
    program = (
        "import sys; from rldf_gym.generation import make_generator, check_words;"
        f"g = make_generator('embedded', repository={str(folder)!r});"
        "print(g.fingerprint); check_words(g, ['one dog']);"
        "make_generator('sd14').fingerprint;"
        "heavy = {'torch', 'diffusers', 'transformers', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_half_precision_on_a_cpu_is_said_to_be_slow(folder):
    generator = tiny(folder, dtype="float16")
    with pytest.warns(SlowDtypeWarning, match="bfloat16"):
        generator([DOG], [0])


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 3},
        {"guidance_scale": 2.0},
        {"height": 40},
        {"negative_prompt": "snow"},
        {"negative_prompt": ""},
        {"dtype": "bfloat16"},
        {"scheduler": "EulerDiscreteScheduler"},
        {"scheduler_options": {"use_karras_sigmas": True}},
        {"vae": "owner/vae", "vae_revision": COMMIT},
    ],
)
def test_the_fingerprint_changes_with_whatever_decides_pixels(folder, generator, change):
    assert tiny(folder, **change).fingerprint != generator.fingerprint


def test_the_fingerprint_ignores_device_batch_size_and_place(folder, generator, tmp_path):
    elsewhere = shutil.copytree(folder, tmp_path / "moved")
    preset = replace(generator.preset, batch_size=1, repository=str(elsewhere))
    moved = DiffusersGenerator("other", preset, "cuda")
    assert moved.fingerprint == generator.fingerprint


def test_the_fingerprint_changes_with_the_weights_but_not_with_the_card(
    folder, generator, tmp_path
):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("a card")
    assert tiny(copy).fingerprint == generator.fingerprint
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert tiny(copy).fingerprint != generator.fingerprint


def test_the_revision_identifies_a_hub_model():
    first, second = (make_generator("sd14", revision=digit * 40) for digit in "ab")
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("embedded", "49143b1481e0df689c67466b6e41039bef697139d4f8f46f356334dfeb533176"),
        ("sd14", "b2c99850147091f1a8e63862e46523ca220c8a7e813370d83677d923fe736231"),
    ],
)
def test_pictures_stored_by_earlier_releases_stay_valid(name, fingerprint):
    assert make_generator(name).fingerprint == fingerprint


def test_sd14_has_the_papers_settings():
    preset = PRESETS["sd14"]
    assert preset.repository == "CompVis/stable-diffusion-v1-4"
    assert preset.scheduler == "DPMSolverMultistepScheduler"
    assert (preset.dtype, preset.steps, preset.height, preset.width) == ("float16", 20, 512, 512)
    assert preset.vae == "stabilityai/sd-vae-ft-mse"
    assert preset.negative_prompt


def test_a_truncated_weights_file_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    truncate(weights)
    with pytest.raises(ModelError, match="damaged") as refusal:
        tiny(copy)([DOG], [0])
    assert str(weights) in str(refusal.value)


def test_a_missing_weights_file_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(GenerationError, match=r"diffusion_pytorch_model\.safetensors"):
        tiny(copy)([DOG], [0])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model_index\.json is missing"):
        _ = make_generator("embedded", repository=str(tmp_path)).fingerprint


def test_an_unknown_generator_is_rejected_with_the_known_ones():
    with pytest.raises(GenerationError, match=r"'sd99'.*embedded, sd14"):
        make_generator("sd99")


def test_an_unknown_setting_is_rejected_with_the_known_ones():
    with pytest.raises(GenerationError, match=r"step_count.*steps"):
        make_generator("embedded", step_count=4)


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 0},
        {"steps": -2},
        {"steps": True},
        {"height": 30},
        {"width": -8},
        {"dtype": "int8"},
        {"guidance_scale": -1.0},
        {"guidance_scale": float("nan")},
        {"guidance_scale": "7"},
        {"compile": "fast"},
        {"call_options": None},
        {"call_options": {"clip_skip": object()}},
        {"call_options": {"guidance_scale": 3.0}},
        {"call_options": {"num_images_per_prompt": 2}},
        {"scheduler_options": ["use_karras_sigmas"]},
    ],
)
def test_a_setting_out_of_range_is_rejected_by_name(setting):
    with pytest.raises(GenerationError, match=next(iter(setting))):
        make_generator("embedded", **setting)


def test_an_unknown_device_is_rejected_with_the_known_ones():
    with pytest.raises(ModelError, match=r"'tpu'.*cpu, cuda, cuda:N, mps"):
        make_generator("embedded", "tpu")


def test_a_device_that_the_machine_lacks_is_rejected_when_it_is_needed(folder):
    far = make_generator("embedded", "cuda:99", repository=str(folder))
    with pytest.raises(ModelError, match="cuda:99"):
        far([DOG], [0])


def test_a_ready_generator_is_given_back(generator):
    assert make_generator(generator) is generator


def test_a_ready_generator_takes_no_settings(generator):
    with pytest.raises(GenerationError, match="steps"):
        make_generator(generator, steps=3)


def test_what_is_no_generator_is_rejected():
    with pytest.raises(GenerationError, match="no generator"):
        make_generator(42)


@pytest.mark.parametrize("seeds", [[0], [0, -1], [0, 2**63]])
def test_bad_seeds_are_rejected(generator, seeds):
    with pytest.raises(GenerationError, match="seed"):
        generator([DOG, CAR], seeds)


def test_a_prompt_with_unknown_words_is_rejected_naming_them(generator):
    with pytest.raises(GenerationError, match="'dragon', 'zebra'"):
        generator(["a photo of one zebra and one dragon"], [0])


def test_a_grammars_words_are_checked_before_anything_is_drawn(generator):
    check_words(generator, ["Many dog", "", "street"])
    with pytest.raises(GenerationError, match="'lava'"):
        check_words(generator, ["park", "lava park"])


def test_parts_of_known_words_are_not_words(generator):
    with pytest.raises(GenerationError, match="'str'"):
        check_words(generator, ["str"])


def test_an_open_vocabulary_takes_any_word():
    check_words(make_generator("sd14"), ["a photo of one zebra"])


def test_a_damaged_vocabulary_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "tokenizer" / "vocab.json").write_text("[")
    with pytest.raises(GenerationError, match=r"vocab\.json"):
        check_words(tiny(copy), ["park"])


def test_the_word_level_tokenizer_makes_one_token_of_every_word(tmp_path):
    from transformers import CLIPTokenizer

    words = (*WORDS, "banana", "orange", "horse", "elephant", "snow", "walking", "sunset")
    save_tokenizer(Path(tmp_path), words)
    tokens = CLIPTokenizer.from_pretrained(tmp_path).tokenize(" ".join(words))
    assert tokens == [f"{word}</w>" for word in words]
    assert len(word_level_merges(words)) == len(set(word_level_merges(words)))
