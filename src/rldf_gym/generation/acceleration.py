"""Faster generation, with the same images up to rounding."""

from typing import Any

_MOST_AT_ONCE = 64
"""Larger batches of 512x512 images are no faster."""

_SHARE = 0.8
"""Of the free memory; the rest is for fragmentation and for perception."""


def denoiser(pipeline: Any) -> Any:
    """Return the network of a diffusers pipeline that denoises, None where it has another name."""
    return getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)


def optimize(pipeline: Any, compile_mode: str | None) -> None:
    """Change a pipeline's networks for speed, and optionally compile the denoising one.

    Weights become channels-last, the layout that convolution kernels use. On a CPU the
    autoencoder decodes one image at a time: its activations then fit into the cache.

    Args:
        pipeline: a diffusers text-to-image pipeline, on its device.
        compile_mode: a mode of `torch.compile`, or None.
    """
    import torch

    denoising = denoiser(pipeline)
    autoencoder = getattr(pipeline, "vae", None)
    for network in filter(None, (denoising, autoencoder)):
        # Video autoencoders, which some image models share, have no such layout.
        if all(weight.dim() < 5 for weight in network.parameters()):
            network.to(memory_format=torch.channels_last)
    slice_decoding = getattr(autoencoder, "enable_slicing", None)
    if pipeline.device.type == "cpu" and slice_decoding is not None:
        slice_decoding()
    if compile_mode is not None and denoising is not None:
        denoising.compile(mode=compile_mode, dynamic=False)


def images_that_fit(free: int, each: int) -> int:
    """Return the number of images to generate at once: a power of two, from 1 to 64.

    Args:
        free: bytes of memory that are free.
        each: bytes that one image needs beside the weights.
    """
    fitting = min(_MOST_AT_ONCE, int(_SHARE * free) // max(each, 1))
    return 1 << (max(fitting, 1).bit_length() - 1)
