"""Pictures that show nothing of the embedded world, made without any photograph.

Dead leaves and spectral noise have statistics close to those of natural pictures (Baradad et al.
2021, arXiv:2106.05963). Patterns, plain colours and shuffled renders are added. The score for
pictures from outside learns from these alone (outlier exposure, Hendrycks et al. 2019,
arXiv:1812.04606), so that photographs are left to measure it with.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from tools.embedded_world.backgrounds import SIDE

_OVERSAMPLING = 2


def _scaled(values: np.ndarray) -> np.ndarray:
    """Stretch float values to uint8, leaving out the last percent at each end."""
    low, high = np.percentile(values, (1, 99))
    return (255 * (values - low) / max(high - low, 1e-9)).clip(0, 255).astype(np.uint8)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Return float [n, 3] colours around a random mean, saturated or nearly grey."""
    mean, spread = rng.uniform(30, 225, 3), rng.uniform(10, 90)
    grey = rng.normal(0, spread, (12, 1))
    colour = rng.normal(0, spread * rng.uniform(0, 1), (12, 3))
    return (mean + grey + colour).clip(0, 255)


def spectral_noise(rng: np.random.Generator) -> np.ndarray:
    """Random phases under a power-law spectrum, its channels correlated as in photographs."""
    x, y = (np.fft.fftfreq(SIDE)[axis] for axis in (slice(None), (slice(None), None)))
    slopes = rng.uniform(0.5, 3.0, 2)
    weights = (np.abs(x) + 1 / SIDE) ** -slopes[0] * (np.abs(y) + 1 / SIDE) ** -slopes[1]
    if rng.uniform() < 0.5:
        weights = np.hypot(x, y).clip(1 / SIDE) ** -slopes[0]
    white = np.fft.fft2(rng.normal(size=(3, SIDE, SIDE)), axes=(1, 2))
    layers = np.fft.ifft2(white * weights, axes=(1, 2)).real
    layers /= layers.std((1, 2), keepdims=True)
    mixed = np.einsum("ij,jhw->hwi", rng.normal(size=(3, 3)) * (1.5, 0.5, 0.3), layers)
    return _scaled(mixed)


def dead_leaves(rng: np.random.Generator) -> np.ndarray:
    """Shapes of power-law sizes that cover each other, some with a texture of their own."""
    side = SIDE * _OVERSAMPLING
    palette = _palette(rng)
    image = Image.new("RGB", (side, side), tuple(palette[0].astype(int).tolist()))
    canvas = ImageDraw.Draw(image)
    smallest = rng.uniform(0.02, 0.12)
    for _ in range(int(rng.integers(60, 400))):
        radius = side * min(0.5, smallest * (1 - rng.uniform()) ** -0.6)
        centre = rng.uniform(-0.1, 1.1, 2) * side
        corners = int(rng.integers(3, 9)) if rng.uniform() < 0.6 else 24
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        stretch = rng.uniform(0.3, 1, 2)
        points = centre + radius * stretch * np.stack([np.cos(angles), np.sin(angles)], 1)
        colour = (palette[rng.integers(len(palette))] + rng.normal(0, 12, 3)).clip(0, 255)
        canvas.polygon([tuple(point) for point in points], fill=tuple(colour.astype(int).tolist()))
    pixels = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.float32)
    light = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(4, 30))
    grain = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(0, 2))
    for layer, strength in ((light, rng.uniform(0, 35)), (grain, rng.uniform(0, 25))):
        pixels += strength * (layer / layer.std())[..., None]
    return pixels.clip(0, 255).astype(np.uint8)


def pattern(rng: np.random.Generator) -> np.ndarray:
    """Checks, stripes, waves, rows of strokes like writing, a gradient, or one colour."""
    y, x = np.mgrid[:SIDE, :SIDE]
    turn, period = rng.uniform(0, np.pi), 2 ** rng.uniform(1.5, 6)
    along = x * np.cos(turn) + y * np.sin(turn)
    across = y * np.cos(turn) - x * np.sin(turn)
    lines = rng.uniform(size=(SIDE // 2, SIDE // 4)) < rng.uniform(0.3, 0.7)
    writing = np.kron(lines, np.ones((2, 4))) * (y // int(rng.integers(3, 9)) % 2)
    shares = (
        (along // period + across // period) % 2,
        along // period % 2,
        (np.sin(2 * np.pi * along / period) + np.sin(2 * np.pi * across / period)) / 4 + 0.5,
        writing,
        along / np.ptp(along) - along.min() / np.ptp(along),
        np.zeros((SIDE, SIDE)),
    )
    share = shares[rng.integers(len(shares))][..., None]
    first, second = rng.uniform(0, 255, (2, 3 if rng.uniform() < 0.7 else 1))
    return np.broadcast_to(first * (1 - share) + second * share, (SIDE, SIDE, 3)).astype(np.uint8)


def blobs(rng: np.random.Generator) -> np.ndarray:
    """White noise in colour or grey, enlarged and smoothed by up to half the picture."""
    size = max(2, int(SIDE / 2 ** rng.uniform(0, 6)))
    channels = 3 if rng.uniform() < 0.5 else 1
    small = np.repeat(rng.integers(0, 256, (size, size, channels)), 3 // channels, 2)
    image = Image.fromarray(small.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3)))))


def shuffled(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tiles of a picture uint8 [128, 128, 3] in random order, each turned or mirrored."""
    count = int(rng.choice((4, 8, 16)))
    size = SIDE // count
    tiles = picture.reshape(count, size, count, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    mixed = [np.rot90(tile, rng.integers(4)) for tile in tiles[rng.permutation(len(tiles))]]
    return (
        np.stack(mixed).reshape(count, count, size, size, 3).swapaxes(1, 2).reshape(SIDE, SIDE, 3)
    )


_KINDS: tuple[tuple[float, Callable[[np.random.Generator], np.ndarray]], ...] = (
    (0.45, dead_leaves),
    (0.25, spectral_noise),
    (0.15, pattern),
    (0.15, blobs),
)
_SHUFFLED_SHARE = 0.1


def outlier_pictures(renders: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return ``count`` pictures uint8 [n, 128, 128, 3] of none of the world.

    Args:
        renders: uint8 [m, 128, 128, 3], some of which are shuffled.
        count: how many.
        seed: decides all of them.
    """
    rng = np.random.default_rng(seed)
    shares, makers = zip(*_KINDS, strict=True)
    pictures = []
    for _ in range(count):
        if rng.uniform() < _SHUFFLED_SHARE:
            pictures.append(shuffled(renders[rng.integers(len(renders))], rng))
        else:
            pictures.append(makers[rng.choice(len(makers), p=shares)](rng))
    return np.stack(pictures)
