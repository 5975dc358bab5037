"""Tiny models with random weights, saved in the very formats of the shipped ones."""

import graphlib
import json
from pathlib import Path
from typing import Any

WORDS = (
    *("a", "photo", "of", "one", "many", "dog", "car"),
    *("and", "no", "people", "in", "park", "snow", "street"),
)
NOUNS = ("dog", "car", "person")
SCENES = ("park", "snow", "street")

_BACKBONE = [
    [-1, 1, "Conv", [8, 3, 2]],
    [-1, 1, "Conv", [16, 3, 2]],
    [-1, 1, "C2f", [16, True]],
    [-1, 1, "Conv", [32, 3, 2]],
    [-1, 1, "Conv", [32, 3, 2]],
]


def word_level_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """BPE merges under which every word becomes exactly one token, "word</w>".

    Each word is built from its first letter on. Where another word begins with a pair of letters
    that stands inside this word, that merge must come later than the one which takes the pair's
    first letter away: a partial order.
    """
    chains = {word: _chain(word) for word in words}
    beginnings = {chain[0] for chain in chains.values() if chain}
    order: graphlib.TopologicalSorter[tuple[str, str]] = graphlib.TopologicalSorter()
    for word, chain in chains.items():
        letters = _letters(word)
        for position, merge in enumerate(chain):
            order.add(merge, *chain[:position])
            inner = tuple(letters[position + 1 : position + 3])
            if len(inner) == 2 and inner in beginnings and inner != chain[0]:
                order.add((inner[0], inner[1]), merge)
    return list(order.static_order())


def _letters(word: str) -> list[str]:
    return [*word[:-1], word[-1] + "</w>"]


def _chain(word: str) -> list[tuple[str, str]]:
    letters = _letters(word)
    return [("".join(letters[:end]), letters[end]) for end in range(1, len(letters))]


def save_tokenizer(folder: Path, words: tuple[str, ...] = WORDS) -> int:
    """Write vocab.json and merges.txt of a word-level CLIP tokenizer; gives the vocabulary size."""
    merges = word_level_merges(words)
    tokens = dict.fromkeys(letter for word in words for letter in _letters(word))
    tokens.update(dict.fromkeys(left + right for left, right in merges))
    tokens.update(dict.fromkeys(("<|startoftext|>", "<|endoftext|>")))
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 16})
    )
    return len(vocabulary)


def save_text_to_image(folder: Path) -> Path:
    """A Stable Diffusion folder: factor 8, half-precision safetensors, a few thousand weights."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    size = save_tokenizer(folder / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet,
        scheduler=diffusers.DPMSolverMultistepScheduler(prediction_type="v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder)
    # transformers 5 saves tokenizer.json alone; the vocabulary check reads vocab.json.
    save_tokenizer(folder / "tokenizer")
    return folder


ARCHITECTURES = ("sd1", "sd2", "sdxl", "lcm", "sd3", "flux", "pixart_alpha", "pixart_sigma", "sana")
"""Every family that a preset is of, and transformers that read prompts by T5 or Gemma."""

_ANY_SIZE = {"use_resolution_binning": False}
CALL_SETTINGS: dict[str, dict[str, Any]] = {
    "flux": {"height": 16, "width": 16},
    "pixart_alpha": {"call_options": _ANY_SIZE},
    "pixart_sigma": {"call_options": _ANY_SIZE},
    "sana": {
        "height": 32,
        "width": 32,
        "call_options": _ANY_SIZE | {"complex_human_instruction": None},
    },
}
"""Settings without which a family draws its published size only, or reads a page of English."""


def save_architecture(folder: Path, architecture: str) -> Path:
    """A random pipeline of that family as its repositories have it, but tiny: 16x16 pictures.

    Flux draws 16x16 where it is asked to, and 256x256 else: its size is no part of its files.
    """
    import torch

    torch.manual_seed(0)
    pipeline = {
        "sd1": _stable_diffusion_1,
        "sd2": _stable_diffusion_2,
        "sdxl": _stable_diffusion_xl,
        "lcm": _latent_consistency,
        "sd3": _stable_diffusion_3,
        "flux": _flux,
        "pixart_alpha": _pixart_alpha,
        "pixart_sigma": _pixart_sigma,
        "sana": _sana,
    }[architecture](folder)
    pipeline.save_pretrained(folder)
    return folder


def _stable_diffusion_1(folder: Path) -> Any:
    import diffusers

    return diffusers.StableDiffusionPipeline(
        **_text(folder, ""),
        unet=_unet(),
        vae=_autoencoder(),
        scheduler=diffusers.PNDMScheduler(
            beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_2(folder: Path) -> Any:
    """Its own text encoder's activation, linear projections, and v-prediction."""
    import diffusers

    return diffusers.StableDiffusionPipeline(
        **_text(folder, "", hidden_act="gelu"),
        unet=_unet(use_linear_projection=True, attention_head_dim=(2, 4)),
        vae=_autoencoder(),
        scheduler=diffusers.DDIMScheduler(
            prediction_type="v_prediction", steps_offset=1, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _latent_consistency(folder: Path) -> Any:
    import diffusers

    return diffusers.LatentConsistencyModelPipeline(
        **_text(folder, ""),
        unet=_unet(time_cond_proj_dim=8),
        vae=_autoencoder(),
        scheduler=diffusers.LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_xl(folder: Path) -> Any:
    import diffusers

    unet = _unet(
        cross_attention_dim=32,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 8,
    )
    return diffusers.StableDiffusionXLPipeline(
        **_text(folder, ""),
        **_text(folder, "_2", projection_dim=8),
        unet=unet,
        vae=_autoencoder(),
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="trailing"),
    )


def _stable_diffusion_3(folder: Path) -> Any:
    """Three text encoders, of which T5 takes longer prompts than CLIP's two."""
    import diffusers

    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        out_channels=4,
    )
    return diffusers.StableDiffusion3Pipeline(
        **_text(folder, "", projection_dim=8),
        **_text(folder, "_2", projection_dim=8),
        **_t5("_3"),
        transformer=transformer,
        vae=_autoencoder(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux(folder: Path) -> Any:
    """Guidance is an input of the network; CLIP gives one vector, T5 the sequence."""
    import diffusers

    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    return diffusers.FluxPipeline(
        **_text(folder, ""),
        **_t5("_2"),
        transformer=transformer,
        vae=_autoencoder(shift_factor=0.1, use_quant_conv=False, use_post_quant_conv=False),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def _pixart_alpha(_: Path) -> Any:
    import diffusers

    scheduler = diffusers.DPMSolverMultistepScheduler()
    return diffusers.PixArtAlphaPipeline(**_pixart_parts(), scheduler=scheduler)


def _pixart_sigma(_: Path) -> Any:
    import diffusers

    scheduler = diffusers.DPMSolverMultistepScheduler()
    return diffusers.PixArtSigmaPipeline(**_pixart_parts(), scheduler=scheduler)


def _pixart_parts() -> dict[str, Any]:
    import diffusers

    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=32,
        cross_attention_dim=16,
        in_channels=4,
        out_channels=8,
    )
    return _t5("") | {"transformer": transformer, "vae": _autoencoder()}


def _sana(_: Path) -> Any:
    import diffusers
    from transformers import Gemma2Config, Gemma2Model

    tokenizer = _gemma_tokenizer()
    text = Gemma2Config(
        vocab_size=len(tokenizer),
        head_dim=8,
        hidden_size=8,
        intermediate_size=16,
        num_attention_heads=2,
        num_hidden_layers=1,
        num_key_value_heads=2,
    )
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=8,
        sample_size=16,
    )
    blocks: Any = ("ResBlock", "EfficientViTBlock")
    autoencoder = diffusers.AutoencoderDC(
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=blocks,
        decoder_block_types=blocks,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=(1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
    )
    return diffusers.SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=Gemma2Model(text),
        transformer=transformer,
        vae=autoencoder,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _gemma_tokenizer() -> Any:
    """Every letter is a token."""
    from transformers import GemmaTokenizer

    pieces = ("<pad>", "<eos>", "<bos>", "<unk>", *sorted({"\u2581", *"".join(WORDS)}))
    return GemmaTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[])


def _t5(suffix: str) -> dict[str, Any]:
    from transformers import T5Config, T5EncoderModel, T5TokenizerFast

    pieces = ("<pad>", "</s>", "<unk>", *(f"\u2581{word}" for word in WORDS))
    encoder = T5Config(
        vocab_size=len(pieces), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2
    )
    return {
        f"tokenizer{suffix}": T5TokenizerFast(
            vocab=[(piece, -1.0) for piece in pieces], extra_ids=0
        ),
        f"text_encoder{suffix}": T5EncoderModel(encoder),
    }


def _text(folder: Path, suffix: str, **settings: Any) -> dict[str, Any]:
    """A tokenizer and a text encoder, with a projection where one is asked for."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        CLIPTokenizer,
    )

    size = save_tokenizer(folder / f"tokenizer{suffix}")
    config = CLIPTextConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
        **settings,
    )
    kind = CLIPTextModelWithProjection if "projection_dim" in settings else CLIPTextModel
    return {
        f"tokenizer{suffix}": CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}"),
        f"text_encoder{suffix}": kind(config),
    }


def _unet(**settings: Any) -> Any:
    import diffusers

    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8,
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 16,
            "attention_head_dim": 4,
            "norm_num_groups": 4,
        }
        | settings
    )


def _autoencoder(**settings: Any) -> Any:
    import diffusers

    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        **settings,
    )


def detector_architecture() -> dict[str, Any]:
    return {
        "nc": len(NOUNS),
        "backbone": _BACKBONE,
        "head": [[[3, 4], 1, "Detect", ["nc"]]],
    }


def scene_architecture() -> dict[str, Any]:
    return {
        "nc": len(SCENES),
        "backbone": _BACKBONE[:4],
        "head": [[-1, 1, "Classify", ["nc"]]],
    }


def save_detector(folder: Path) -> Path:
    """A detector so unsure that with a threshold near 0 it finds something everywhere."""
    config = {
        "architecture": detector_architecture(),
        "class_names": list(NOUNS),
        "image_size": 64,
        "confidence": 1e-6,
        "iou": 0.5,
    }
    return _save_ultralytics(folder, "DetectionModel", config)


def save_scene_classifier(folder: Path) -> Path:
    config = {
        "architecture": scene_architecture(),
        "class_names": list(SCENES),
        "image_size": 64,
    }
    return _save_ultralytics(folder, "ClassificationModel", config)


def _save_ultralytics(folder: Path, kind: str, config: dict[str, Any]) -> Path:
    import copy

    import torch
    from safetensors.torch import save_file

    from rldf_gym.perception.weights import private_ultralytics

    with private_ultralytics():
        from ultralytics.nn import tasks

    torch.manual_seed(0)
    network = getattr(tasks, kind)(copy.deepcopy(config["architecture"]), verbose=False)
    folder.mkdir(parents=True)
    weights = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_clip(folder: Path, *, with_tokenizer: bool = True) -> Path:
    """An open_clip folder, with a word-level tokenizer beside it or with open_clip's own."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    text: dict[str, Any] = {"context_length": 16, "vocab_size": 49408, "width": 16}
    if with_tokenizer:
        text |= {"vocab_size": save_tokenizer(folder), "hf_tokenizer_name": "local"}
    config = {
        "model_cfg": {
            "embed_dim": 8,
            "vision_cfg": {
                "image_size": 32,
                "layers": 1,
                "width": 16,
                "patch_size": 8,
                "head_width": 8,
            },
            "text_cfg": text | {"heads": 2, "layers": 1},
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    model = open_clip.create_model(f"local-dir:{folder}")
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def truncate(path: Path) -> None:
    """Cut a file in half, as an interrupted copy would."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_captioner(folder: Path) -> Path:
    """Write a captioning model of BLIP's format with random weights."""
    import torch
    import transformers

    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
    words += ("a", "one", "dog", "and", "no", "people", "in", "park")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = transformers.BertTokenizer(
        str(folder / "vocab.txt"), extra_special_tokens={"decoder_token": "[DEC]"}
    )
    image_processor = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    sizes = {"hidden_size": 16, "intermediate_size": 32, "projection_dim": 16}
    sizes |= {"num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "encoder_hidden_size": 16, "max_position_embeddings": 64}
    text |= {"bos_token_id": 5, "eos_token_id": 2, "sep_token_id": 3, "pad_token_id": 0}
    torch.manual_seed(2)
    model = transformers.BlipForConditionalGeneration(
        transformers.BlipConfig(
            text_config=sizes | text,
            vision_config=sizes | {"image_size": 32, "patch_size": 16},
            projection_dim=16,
        )
    )
    # Never a special token: a caption of random weights has words.
    torch.nn.init.constant_(model.text_decoder.cls.predictions.bias[: words.index("a")], -100.0)
    model.save_pretrained(folder)
    transformers.BlipProcessor(image_processor, tokenizer).save_pretrained(folder)
    return folder
