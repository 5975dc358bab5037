"""Every family of models that a preset is of, as tiny random pipelines in its real format."""

import inspect
import shutil
import warnings

import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image
from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING
from tiny_models import ARCHITECTURES, CALL_SETTINGS, save_architecture

from rldf_gym.generation import (
    FailedImagesError,
    GenerationError,
    LongPromptWarning,
    make_generator,
)
from rldf_gym.generation.text_inputs import text_inputs

DOG = "a photo of one dog and no people in park"
CAR = "a photo of many car and one people in snow"
LONG = "a photo of one dog and no people in park and one car and many dog in snow"
SEED = 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("architectures")
    return {name: save_architecture(root / name, name) for name in ARCHITECTURES}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr("socket.socket.connect", refuse)


def tiny(folder, **settings):
    defaults = {"steps": 2} | CALL_SETTINGS.get(folder.name, {})
    return make_generator(f"diffusers:{folder}", "cpu", **(defaults | settings))


def largest_difference(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_draws_pictures_of_its_own_size(folders, architecture):
    pictures = tiny(folders[architecture])([DOG, CAR], [0, 1])
    side = CALL_SETTINGS.get(architecture, {}).get("height", 16)
    assert pictures.shape == (2, side, side, 3)
    assert largest_difference(pictures[0], pictures[1]) > 2


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_picture_of_a_batch_equals_the_same_picture_drawn_alone(
    folders, architecture, guidance_scale
):
    generator = tiny(folders[architecture], guidance_scale=guidance_scale, negative_prompt="snow")
    batch = generator([DOG, CAR, DOG], [3, 4, 5])
    alone = [generator([p], [s])[0] for p, s in zip([DOG, CAR, DOG], [3, 4, 5], strict=True)]
    assert largest_difference(batch, np.stack(alone)) <= 2


def test_threads_do_not_disturb_one_another(folders, monkeypatch):
    monkeypatch.setattr("rldf_gym.threads._USER_CHOSE_THREADS", False)
    # Its pipeline sets the lengths of three tokenizers again and again.
    generator = tiny(folders["sd3"], guidance_scale=4.0, negative_prompt="snow")
    batches = [generator([DOG, CAR, DOG], [3, 4, 5]) for _ in range(20)]
    assert all(np.array_equal(batch, batches[0]) for batch in batches)


@pytest.mark.parametrize("negative_prompt", [None, "", "snow"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images_are_those_of_the_pipeline_called_directly(folders, architecture, negative_prompt):
    settings = {"guidance_scale": 4.0, "negative_prompt": negative_prompt}
    images = tiny(folders[architecture], **settings)([DOG, CAR, DOG], [3, 4, 5])
    direct = call_directly(folders[architecture], [DOG, CAR, DOG], [3, 4, 5], negative_prompt)
    assert largest_difference(images, direct) <= 2


def call_directly(folder, prompts, seeds, negative_prompt, guidance_scale=4.0):
    """What the pipeline's own call generates, without any code of ours."""
    pipeline = AutoPipelineForText2Image.from_pretrained(folder)
    settings = dict(CALL_SETTINGS.get(folder.name, {}))
    settings |= settings.pop("call_options", {})
    if negative_prompt is not None and folder.name != "lcm":
        settings["negative_prompt"] = [negative_prompt] * len(prompts)
    images = pipeline(
        prompts,
        num_inference_steps=2,
        guidance_scale=guidance_scale,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="np",
        **settings,
    ).images
    return (images * 255).round().astype(np.uint8)


def test_an_empty_negative_prompt_is_not_the_default_of_every_model(folders):
    default = tiny(folders["sdxl"], guidance_scale=4.0)
    empty = tiny(folders["sdxl"], guidance_scale=4.0, negative_prompt="")
    assert default.fingerprint != empty.fingerprint
    assert largest_difference(default([DOG], [SEED]), empty([DOG], [SEED])) > 0


@pytest.mark.parametrize("negative_prompt", ["", "snow"])
def test_a_distilled_model_is_steered_away_by_true_guidance(folders, negative_prompt):
    plain = tiny(folders["flux"])([DOG], [SEED])
    settings = {"call_options": {"true_cfg_scale": 4.0}, "negative_prompt": negative_prompt}
    assert largest_difference(tiny(folders["flux"], **settings)([DOG], [SEED]), plain) > 2


@pytest.mark.parametrize("kind", dict.fromkeys(AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values()))
@pytest.mark.parametrize("negative_prompt", [None, "snow"])
def test_every_pipeline_gets_texts_in_arguments_that_it_takes(kind, negative_prompt):
    pipeline = kind.__new__(kind)  # its signature is all that matters
    preset = make_generator("diffusers:owner/name", negative_prompt=negative_prompt).preset
    takes = inspect.signature(kind.__call__).parameters
    assert set(text_inputs(pipeline, preset, [DOG])) <= set(takes)


def test_guidance_steers_away_from_the_negative_prompt(folders):
    plain, steered = (
        tiny(folders["sd1"], guidance_scale=7.5, negative_prompt=negative)([DOG], [SEED])
        for negative in ("", "snow street")
    )
    assert largest_difference(plain, steered) > 0


def test_a_replaced_scheduler_keeps_the_models_v_prediction(folders):
    generator = tiny(folders["sd2"], scheduler="DPMSolverMultistepScheduler")
    generator([DOG], [0])
    scheduler = generator._pipeline.scheduler
    assert type(scheduler).__name__ == "DPMSolverMultistepScheduler"
    assert scheduler.config.prediction_type == "v_prediction"


def test_a_tiny_autoencoder_may_replace_the_models_own(folders, tmp_path):
    import diffusers

    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(tmp_path)
    replaced, own = tiny(folders["sd1"], vae=str(tmp_path)), tiny(folders["sd1"])
    assert replaced.fingerprint != own.fingerprint
    assert largest_difference(replaced([DOG], [0]), own([DOG], [0])) > 2


def test_fields_that_came_later_are_in_the_fingerprint_where_they_are_used(folders):
    fingerprints = {
        tiny(folders["sd1"], **change).fingerprint
        for change in (
            {},
            {"variant": "fp16"},
            {"safety_checker": True},
            {"compile": "default"},
            {"attention_slicing": True},
            {"call_options": {"guidance_rescale": 0.5}},
            {"height": 16, "width": 16},
        )
    }
    assert len(fingerprints) == 7


def test_the_size_may_be_chosen(folders):
    assert tiny(folders["sd3"], height=16, width=32)([DOG], [0]).shape == (1, 16, 32, 3)


def test_call_options_reach_the_pipeline(folders):
    rescaled = tiny(folders["sd1"], guidance_scale=7.5, call_options={"guidance_rescale": 0.7})
    plain = tiny(folders["sd1"], guidance_scale=7.5)
    assert largest_difference(rescaled([DOG], [0]), plain([DOG], [0])) > 0


def test_a_setting_that_the_pipeline_does_not_take_is_named(folders):
    with pytest.raises(GenerationError, match="true_cfg"):
        tiny(folders["sd3"], call_options={"true_cfg": 3.0})([DOG], [0])


def test_a_prompt_that_is_too_long_is_warned_of_once_with_the_words_cut_off(folders):
    generator = tiny(folders["sd1"])
    with pytest.warns(LongPromptWarning, match="'many dog in snow' is cut off"):
        generator([DOG, LONG], [0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generator([LONG], [0])


def test_an_encoder_that_takes_longer_prompts_makes_up_for_the_others(folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LongPromptWarning)
        tiny(folders["sd3"])([LONG], [0])


def spoilt(folder, tmp_path, value):
    """A copy of a Stable Diffusion whose autoencoder decodes everything to one value."""
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "spoilt")
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights["decoder.conv_out.weight"] = np.zeros_like(weights["decoder.conv_out.weight"])
    weights["decoder.conv_out.bias"] = np.full_like(weights["decoder.conv_out.bias"], value)
    save_file(weights, file, {"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("value", "reason"), [(np.nan, "not numbers, in float32"), (-2.0, "all-black")]
)
def test_pictures_of_nan_and_black_ones_are_unavailable(folders, tmp_path, value, reason):
    with pytest.raises(FailedImagesError, match=reason) as refusal:
        tiny(spoilt(folders["sd1"], tmp_path, value))([DOG, CAR], [0, 1])
    assert list(refusal.value.reasons) == [0, 1]
    assert refusal.value.pictures.shape == (2, 16, 16, 3)


def test_what_a_safety_checker_rejects_is_unavailable_and_the_rest_is_not(folders):
    generator = tiny(folders["sd1"])
    pipeline = generator._pipeline

    def refuse_second(image, *_):
        return image, [place == 1 for place in range(len(image))]

    pipeline.run_safety_checker = refuse_second
    with pytest.raises(FailedImagesError, match="safety checker") as refusal:
        generator([DOG, CAR, DOG], [0, 1, 2])
    assert list(refusal.value.reasons) == [1]
    np.testing.assert_array_equal(refusal.value.pictures[:1], tiny(folders["sd1"])([DOG], [0]))


@pytest.mark.slow
def test_a_compiled_pipeline_draws_the_same_and_reports_its_warm_up(folders):
    compiled = tiny(folders["sd1"], compile="default", batch_size=2)
    pictures = compiled([DOG, CAR, DOG], [0, 1, 2])
    assert largest_difference(pictures, tiny(folders["sd1"])([DOG, CAR, DOG], [0, 1, 2])) <= 2
    assert list(compiled.warm_up_seconds) == [2]
    assert compiled.warm_up_seconds[2] > 0
