"""Encode images losslessly: WebP at its fastest setting.

Measured with 128x128 images of the embedded generator on one core: 18,438 bytes and 0.7 ms to
write, against 22,053 bytes and 1.2 ms for the fastest PNG. WebP's default effort (method 4) saves
17 % of the bytes and takes 18 times as long.
"""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def encode(picture: Picture) -> bytes:
    """Return an image ``uint8 [H, W, 3]`` as WebP."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "WEBP", lossless=True, method=0, quality=0)
    return content.getvalue()


def encode_all(pictures: Sequence[Picture]) -> list[bytes]:
    """Encode many images in parallel threads, so that a fast GPU does not wait."""
    if len(pictures) < 2:
        return [encode(picture) for picture in pictures]
    with ThreadPoolExecutor() as threads:
        return list(threads.map(encode, pictures))


def decode(content: bytes) -> Picture:
    """Return the image ``uint8 [H, W, 3]`` of bytes that `encode` made.

    Raises:
        OSError: the bytes are damaged, or no picture at all.
    """
    from PIL.WebPImagePlugin import WebPImageFile

    try:
        # Not Image.open: ultralytics replaces it by one that installs packages for other formats.
        return np.array(WebPImageFile(io.BytesIO(content)).convert("RGB"))
    except SyntaxError as error:  # not even the beginning of a WebP file
        raise OSError(str(error)) from error
