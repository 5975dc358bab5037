"""Where weights come from: the Hub's cache, offline machines, pickles, and what is said then."""

import shutil

import pytest
from tiny_models import save_architecture

from rldf_gym.errors import ModelError
from rldf_gym.generation import (
    PRESETS,
    GenerationError,
    fetch_generator,
    make_generator,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DOG = "a photo of one dog"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_architecture(tmp_path_factory.mktemp("model") / "sd1", "sd1")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, and no network: names cannot be resolved."""

    def refuse(*_, **__):
        raise OSError("the network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(cache, repository, folder):
    """Lay a folder into the cache as huggingface_hub does, its branch main at COMMIT."""
    place = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / COMMIT)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)


def test_a_missing_model_is_named_with_its_preset_and_the_command_that_fetches_it():
    with pytest.raises(ModelError) as refusal:
        make_generator("sd14", "cpu")(["one dog"], [0])
    assert PRESETS["sd14"].repository in str(refusal.value)
    assert "rldf generators fetch sd14" in str(refusal.value)


def test_another_repository_is_fetched_by_the_hubs_own_command():
    absent = make_generator("sd14", "cpu", repository="nobody/no-model", revision=COMMIT)
    with pytest.raises(ModelError, match=f"hf download nobody/no-model --revision {COMMIT}"):
        absent(["one dog"], [0])


@pytest.mark.parametrize("forbidden_by", ["setting", "environment"])
def test_offline_nothing_is_even_tried(monkeypatch, forbidden_by):
    def refuse(*_, **__):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    if forbidden_by == "environment":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    local = {"local_files_only": True} if forbidden_by == "setting" else {}
    with pytest.raises(ModelError, match="is not on this machine"):
        make_generator("sd14", "cpu", **local)(["one dog"], [0])


def test_a_model_in_the_cache_is_drawn_with_without_a_network(cache, folder):
    put_into_cache(cache, "somebody/tiny", folder)
    [tokenizer] = cache.rglob("tokenizer")
    (tokenizer / "config.json").write_text("{}")  # some have one, and it is no network's
    generator = make_generator("diffusers:somebody/tiny", "cpu", steps=2)
    assert generator([DOG], [0]).shape == (1, 16, 16, 3)


@pytest.mark.parametrize("local_files_only", [False, True])
def test_a_download_that_was_interrupted_is_missing_and_not_broken(cache, folder, local_files_only):
    put_into_cache(cache, "somebody/tiny", folder)
    [weights] = cache.rglob("unet/*.safetensors")
    weights.unlink()
    generator = make_generator(
        f"diffusers:somebody/tiny@{COMMIT}", "cpu", local_files_only=local_files_only
    )
    with pytest.raises(ModelError, match=r"could not be downloaded.*hf download somebody/tiny"):
        generator([DOG], [0])


def test_a_damaged_list_of_parts_in_the_cache_is_named_with_the_command(cache, folder):
    put_into_cache(cache, "somebody/tiny", folder)
    [index] = cache.rglob("model_index.json")
    index.write_text("[")
    with pytest.raises(ModelError, match="hf download somebody/tiny"):
        make_generator(f"diffusers:somebody/tiny@{COMMIT}", "cpu")([DOG], [0])


def test_an_autoencoder_without_safetensors_is_missing(cache, folder):
    put_into_cache(cache, "somebody/tiny-vae", folder / "vae")
    [weights] = cache.rglob("*.safetensors")
    weights.unlink()
    generator = make_generator(
        f"diffusers:{folder}", "cpu", vae="somebody/tiny-vae", vae_revision=COMMIT
    )
    with pytest.raises(ModelError, match=r"tiny-vae .* is not on this machine"):
        generator([DOG], [0])


def test_a_branch_is_identified_by_the_commit_that_it_stands_at(cache, folder):
    put_into_cache(cache, "somebody/tiny", folder)
    branch = make_generator("diffusers:somebody/tiny")
    pinned = make_generator(f"diffusers:somebody/tiny@{COMMIT}")
    assert branch.fingerprint == pinned.fingerprint


def test_a_branch_that_nobody_can_look_up_has_to_be_pinned():
    with pytest.raises(ModelError, match="pin one"):
        _ = make_generator("diffusers:somebody/unseen").fingerprint


def test_fetching_draws_nothing_and_says_what_is_wrong():
    with pytest.raises(ModelError, match=r"stabilityai/sd-turbo.*could not be downloaded"):
        fetch_generator("sd-turbo")


def test_fetching_a_folder_is_nothing_to_do(folder):
    fetch_generator(f"diffusers:{folder}")


@pytest.fixture
def pickled(folder, tmp_path):
    """The same model with the U-Net's weights as a pickle."""
    import torch
    from safetensors.torch import load_file

    copy = shutil.copytree(folder, tmp_path / "pickled")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    return copy


def test_pickled_weights_are_rejected_naming_the_risk_and_the_flag(pickled):
    with pytest.raises(GenerationError, match=r"unet/diffusion_pytorch_model\.bin") as refusal:
        make_generator(f"diffusers:{pickled}", "cpu", steps=1)([DOG], [0])
    assert "runs whatever code" in str(refusal.value)
    assert "allow_pickle_weights=True" in str(refusal.value)


def test_the_flag_accepts_them(pickled, folder):
    accepted = make_generator(f"diffusers:{pickled}", "cpu", steps=1, allow_pickle_weights=True)
    safe = make_generator(f"diffusers:{folder}", "cpu", steps=1)
    assert (accepted([DOG], [0]) == safe([DOG], [0])).all()
    assert accepted.fingerprint != safe.fingerprint


def test_pickles_that_nobody_loads_are_nothing_to_reject(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "v1-4.ckpt").write_bytes(b"\x80")
    (copy / "checkpoint-500").mkdir()
    (copy / "checkpoint-500" / "optimizer.bin").write_bytes(b"\x80")
    (copy / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80")
    assert make_generator(f"diffusers:{copy}", "cpu", steps=1)([DOG], [0]).shape[0] == 1


def test_a_folder_that_is_no_pipeline_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model_index\.json is missing"):
        make_generator(f"diffusers:{tmp_path}", "cpu")([DOG], [0])


def test_a_folder_whose_list_of_parts_is_damaged_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model_index.json").write_text("[")
    with pytest.raises(GenerationError, match=r"model_index\.json"):
        make_generator(f"diffusers:{copy}", "cpu")([DOG], [0])


def test_what_is_neither_a_folder_nor_a_repository_is_named():
    with pytest.raises(GenerationError, match="'no/such/folder' is neither a folder nor"):
        make_generator("diffusers:no/such/folder", "cpu")([DOG], [0])


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sd41", "did you mean .*'sd14'"),
        ("sdxl_turbo", "did you mean 'sdxl-turbo'"),
        ("runwayml/some-model", "did you mean 'diffusers:runwayml/some-model'"),
    ],
)
def test_an_unknown_preset_is_rejected_with_the_nearest_name(name, advice):
    with pytest.raises(GenerationError, match=advice):
        make_generator(name)


@pytest.mark.parametrize("name", ["", "diffusers:"])
def test_no_name_is_an_unknown_one(name):
    with pytest.raises(GenerationError, match=r"unknown generator .*known: embedded"):
        make_generator(name)


def test_a_model_behind_a_server_is_nothing_to_fetch():
    with pytest.raises(GenerationError, match="'openai:x' is generated by a server"):
        fetch_generator("openai:x")


def test_presets_are_pinned_to_commits():
    for preset in PRESETS.values():
        if "/" in preset.repository and not preset.repository.startswith("/"):
            assert len(preset.revision) == 40
            assert preset.vae is None or len(preset.vae_revision) == 40
