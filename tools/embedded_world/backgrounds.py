"""Procedural backgrounds, one function a scene, 128x128.

Each painter gets a `Backdrop` (canvas, random generator, horizon) and draws on it; colours and
shapes vary from picture to picture, so that no two parks are alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIDE = 128
Colour = Sequence[float]


@dataclass
class Backdrop:
    """A picture in the making.

    Attributes:
        rng: source of all variation.
        pixels: float32 [SIDE, SIDE, 3] in 0..255, before shapes are drawn on it.
        horizon: row where the ground begins.
    """

    rng: np.random.Generator
    pixels: np.ndarray
    horizon: int

    def vary(self, colour: Colour, spread: float = 10) -> np.ndarray:
        """Return ``colour`` with a common and a per-channel random shift."""
        shift = self.rng.normal(0, spread) + self.rng.normal(0, spread * 0.4, 3)
        return np.clip(np.asarray(colour) + shift, 0, 255)

    def ink(self, colour: Colour, spread: float = 10) -> tuple[int, int, int]:
        """Return a varied colour as Pillow wants it."""
        red, green, blue = (int(value) for value in self.vary(colour, spread))
        return red, green, blue

    def noise(self, height: int, grain: int, amplitude: float) -> np.ndarray:
        """Return smooth noise, float32 [height, SIDE, 1], with cells of ``grain`` pixels."""
        cells = self.rng.normal(0, 1, (height // grain + 1, SIDE // grain + 1)).astype(np.float32)
        smooth = Image.fromarray(cells).resize((SIDE, height), Image.Resampling.BICUBIC)
        return np.asarray(smooth)[..., None] * amplitude

    def ground(
        self, far: Colour, near: Colour, coarse: float, fine: float, top: int | None = None
    ) -> None:
        """Fill everything below ``top`` (the horizon) with a textured gradient."""
        start = self.horizon if top is None else top
        height = SIDE - start
        self.pixels[start:] = (
            _gradient(height, self.vary(far), self.vary(near))
            + self.noise(height, 16, coarse)
            + self.noise(height, 3, fine)
        )

    def sky(self, top: Colour, bottom: Colour) -> None:
        """Repaint the whole canvas as a sky."""
        self.pixels[:] = _gradient(SIDE, self.vary(top), self.vary(bottom))

    def canvas(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Return the pixels as a picture and a pencil for it."""
        image = Image.fromarray(np.clip(self.pixels, 0, 255).astype(np.uint8))
        return image, ImageDraw.Draw(image)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.rng.uniform() < probability)

    def between(self, low: float, high: float) -> int:
        """Return an integer in [low, high)."""
        return int(self.rng.integers(int(low), max(int(low) + 1, int(high))))


def _gradient(height: int, top: Colour, bottom: Colour) -> np.ndarray:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - share) + np.asarray(bottom, np.float32) * share
    return np.broadcast_to(column, (height, SIDE, 3)).copy()


def _circle(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: tuple[int, int, int]
) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _park(b: Backdrop) -> Image.Image:
    b.ground((120, 180, 80), (70, 140, 45), 8, 9)
    image, draw = b.canvas()
    draw.rectangle((0, b.horizon - 5, SIDE, b.horizon + 1), fill=b.ink((60, 110, 50)))
    for _ in range(b.between(3, 6)):
        x, radius = b.between(0, SIDE), b.between(11, 19)
        y = b.horizon - b.between(8, 22)
        leaf = b.vary((45, 115, 45), 14)
        draw.rectangle((x - 2, y, x + 2, b.horizon + 5), fill=b.ink((95, 65, 40)))
        for _ in range(5):
            dx, dy = b.rng.uniform(-0.6, 0.6) * radius, b.rng.uniform(-0.6, 0.4) * radius
            _circle(draw, x + dx, y + dy, radius * b.rng.uniform(0.5, 0.8), b.ink(leaf, 7))
    if b.chance(0.5):
        x, width = b.between(20, SIDE - 20), b.between(8, 14)
        path = [(x, b.horizon), (x + 4, b.horizon), (x + width * 3, SIDE), (x - width * 3, SIDE)]
        draw.polygon(path, fill=b.ink((205, 190, 150)))
    return image


def _barn(b: Backdrop, draw: ImageDraw.ImageDraw) -> None:
    left, width, height = b.between(4, SIDE - 60), b.between(38, 52), b.between(22, 30)
    eaves = b.horizon - height
    draw.rectangle((left, eaves, left + width, b.horizon + 3), fill=b.ink((165, 40, 35)))
    roof = [
        (left - 3, eaves),
        (left + width // 4, eaves - 13),
        (left + width * 3 // 4, eaves - 13),
        (left + width + 3, eaves),
    ]
    draw.polygon(roof, fill=b.ink((95, 75, 70)))
    middle, white = left + width // 2, (235, 230, 220)
    draw.rectangle((middle - 8, b.horizon - 15, middle + 8, b.horizon + 3), fill=white)
    door = (middle - 6, b.horizon - 13, middle + 6, b.horizon + 3)
    draw.rectangle(door, fill=b.ink((110, 30, 28)))
    draw.line(door, fill=white, width=2)
    draw.line((door[2], door[1], door[0], door[3]), fill=white, width=2)


def _farm(b: Backdrop) -> Image.Image:
    b.ground((150, 185, 80), (105, 150, 55), 7, 8)
    image, draw = b.canvas()
    _barn(b, draw)
    fence = b.ink((225, 215, 195))
    for x in range(-b.between(0, 14), SIDE, 14):
        draw.rectangle((x, b.horizon - 6, x + 2, b.horizon + 9), fill=fence)
    for y in (b.horizon - 3, b.horizon + 4):
        draw.rectangle((0, y, SIDE, y + 1), fill=fence)
    return image


def _garden(b: Backdrop) -> Image.Image:
    b.sky((150, 195, 225), (215, 228, 230))
    b.ground((125, 85, 55), (95, 60, 38), 6, 9)
    image, draw = b.canvas()
    board = b.vary((150, 110, 70))
    for x in range(0, SIDE, 8):
        draw.rectangle((x, b.horizon - 22, x + 6, b.horizon + 2), fill=b.ink(board, 5))
    vanishing = SIDE * b.rng.uniform(0.3, 0.7)
    for row in range(-9, 10):
        far, near = vanishing + row * 9, vanishing + row * 34
        draw.line((far, b.horizon + 2, near, SIDE), fill=b.ink((78, 48, 30), 4), width=3)
        for depth in np.linspace(0.02, 1, 10) ** 1.5:
            x = far + 5 + (near + 17 - far - 5) * depth
            y = b.horizon + 2 + (SIDE - b.horizon) * depth
            size = 2 + 4 * depth
            if 0 < x < SIDE:
                leaf = (x - size, y - size * 0.8, x + size, y + size * 0.6)
                draw.ellipse(leaf, fill=b.ink((70, 140, 50), 12))
    return image


def _beach(b: Backdrop) -> Image.Image:
    shore = int(b.horizon + SIDE * b.rng.uniform(0.10, 0.20))
    b.ground((230, 210, 160), (215, 190, 135), 5, 6)
    depth = shore - b.horizon
    sea = _gradient(depth, b.vary((30, 110, 170)), b.vary((70, 175, 200)))
    b.pixels[b.horizon : shore] = sea + b.noise(depth, 4, 8)
    image, draw = b.canvas()
    phase = b.rng.uniform(0, 6)
    surf = [(x, shore + 2 * np.sin(x / 9 + phase)) for x in range(0, SIDE + 4, 4)]
    draw.line(surf, fill=(245, 248, 248), width=3)
    if b.chance(0.5):
        x, y = b.between(8, SIDE - 8), shore + 2
        cloth = ((220, 60, 60), (250, 200, 60), (60, 120, 210))[b.between(0, 3)]
        draw.line((x, y - 20, x, y + 6), fill=(120, 90, 60), width=2)
        draw.pieslice((x - 14, y - 28, x + 14, y - 8), 180, 360, fill=cloth)
    if b.chance(0.5):
        _circle(draw, b.between(10, SIDE - 10), 14, 6, (255, 240, 170))
    return image


def _snow(b: Backdrop) -> Image.Image:
    b.sky((130, 165, 205), (205, 220, 235))
    b.ground((238, 243, 250), (222, 230, 243), 4, 4)
    image, draw = b.canvas()
    for _ in range(3):
        x, height, width = b.between(0, SIDE), b.between(26, 46), b.between(28, 46)
        peak, cap = b.horizon - height, b.horizon - height * 0.55
        mountain = [(x - width, b.horizon), (x, peak), (x + width, b.horizon)]
        draw.polygon(mountain, fill=b.ink((115, 130, 155)))
        snowcap = [
            (x - width * 0.45, cap),
            (x, peak),
            (x + width * 0.45, cap),
            (x + width * 0.15, cap + height * 0.1),
            (x - width * 0.1, cap - height * 0.05),
        ]
        draw.polygon(snowcap, fill=(245, 248, 252))
    draw.rectangle((0, b.horizon, SIDE, b.horizon + 2), fill=(238, 243, 250))
    for _ in range(b.between(2, 6)):
        x, y, height = b.between(0, SIDE), b.horizon + b.between(0, 6), b.between(16, 26)
        for tier in range(3):
            base, half = y - tier * height // 4, 7 - tier * 2
            tree = [(x - half, base), (x, base - height * 0.5), (x + half, base)]
            draw.polygon(tree, fill=b.ink((45, 85, 75), 8))
    for _ in range(b.between(0, 40)):
        _circle(draw, b.between(0, SIDE), b.between(0, SIDE), 1, (255, 255, 255))
    return image


def _cactus(b: Backdrop, draw: ImageDraw.ImageDraw) -> None:
    x, y, height = b.between(6, SIDE - 6), b.horizon + b.between(0, 14), b.between(16, 28)
    green = b.ink((70, 125, 60))
    draw.rectangle((x - 2, y - height, x + 2, y), fill=green)
    draw.rectangle((x - 8, y - height * 0.6, x, y - height * 0.6 + 3), fill=green)
    draw.rectangle((x - 9, y - height * 0.85, x - 6, y - height * 0.6 + 3), fill=green)
    draw.rectangle((x, y - height * 0.45, x + 8, y - height * 0.45 + 3), fill=green)
    draw.rectangle((x + 6, y - height * 0.75, x + 9, y - height * 0.45 + 3), fill=green)


def _desert(b: Backdrop) -> Image.Image:
    b.sky((120, 175, 225), (245, 220, 175))
    b.ground((225, 165, 95), (200, 130, 65), 6, 4)
    image, draw = b.canvas()
    for dune in range(4):
        top = b.horizon - 8 + dune * 14
        phase, height, length = b.rng.uniform(0, 6), b.rng.uniform(4, 9), b.rng.uniform(14, 30)
        sand = b.vary((228, 165, 92), 6) - np.array((9, 10, 9)) * dune
        ridge = [(x, top + height * np.sin(x / length + phase)) for x in range(0, SIDE + 4, 4)]
        draw.polygon([(0, SIDE), *ridge, (SIDE, SIDE)], fill=b.ink(sand, 0))
    for _ in range(b.between(0, 4)):
        _cactus(b, draw)
    if b.chance(0.6):
        _circle(draw, b.between(10, SIDE - 10), 14, b.between(6, 10), (255, 235, 150))
    return image


def _street(b: Backdrop) -> Image.Image:
    b.ground((105, 105, 110), (75, 75, 80), 4, 5)
    image, draw = b.canvas()
    left = -b.between(0, 10)
    walls = ((165, 120, 100), (150, 150, 160), (195, 180, 150), (120, 130, 150))
    while left < SIDE:
        width, height = b.between(20, 34), b.between(30, b.horizon)
        wall = b.vary(walls[b.between(0, 4)])
        draw.rectangle((left, b.horizon - height, left + width, b.horizon), fill=b.ink(wall, 0))
        pane = b.ink(wall * 0.5, 0) if b.chance(0.6) else (250, 230, 150)
        for y in range(b.horizon - height + 4, b.horizon - 6, 9):
            for x in range(left + 3, left + width - 4, 8):
                draw.rectangle((x, y, x + 4, y + 5), fill=pane)
        left += width + 1
    draw.rectangle((0, b.horizon, SIDE, b.horizon + 8), fill=b.ink((175, 172, 168)))
    draw.rectangle((0, b.horizon + 8, SIDE, b.horizon + 9), fill=(130, 128, 125))
    lane = (b.horizon + SIDE) // 2 + 8
    for x in range(-b.between(0, 28), SIDE, 28):
        draw.rectangle((x, lane, x + 15, lane + 3), fill=(240, 235, 210))
    return image


def _kitchen(b: Backdrop) -> Image.Image:
    walls = ((225, 215, 190), (200, 215, 220), (215, 225, 200), (235, 220, 215))
    wall = b.vary(walls[b.between(0, 4)], 8)
    b.pixels[:] = _gradient(SIDE, wall, wall * 0.93)
    b.horizon = int(SIDE * b.rng.uniform(0.38, 0.46))
    wood = b.vary(((150, 105, 65), (105, 70, 45), (190, 150, 105))[b.between(0, 3)], 8)
    depth = SIDE - b.horizon
    b.pixels[b.horizon :] = _gradient(depth, wood * 1.12, wood) + b.noise(depth, 3, 5)
    image, draw = b.canvas()
    tile = b.vary(((245, 245, 245), (170, 205, 215), (235, 205, 160))[b.between(0, 3)], 6)
    for y in range(b.horizon - 22, b.horizon, 10):
        for x in range(0, SIDE, 10):
            corner = (x, y, x + 8, min(y + 8, b.horizon - 1))
            draw.rectangle(corner, fill=b.ink(tile, 3))
    left, bottom = b.between(6, SIDE - 46), b.horizon - 24
    cupboard = b.ink((150, 100, 60)) if b.chance(0.5) else b.ink((240, 240, 238))
    draw.rectangle((left, 2, left + 38, bottom), fill=cupboard)
    draw.line((left + 19, 2, left + 19, bottom), fill=(90, 70, 50), width=2)
    edge = b.ink(np.clip(wood * 1.35, 0, 255), 0)
    draw.rectangle((0, b.horizon, SIDE, b.horizon + 4), fill=edge)
    for y in range(b.horizon + 14, SIDE, 18):
        draw.line((0, y, SIDE, y), fill=b.ink(wood * 0.8, 0))
    return image


PAINTERS: dict[str, Callable[[Backdrop], Image.Image]] = {
    "park": _park,
    "farm": _farm,
    "garden": _garden,
    "beach": _beach,
    "snow": _snow,
    "desert": _desert,
    "street": _street,
    "kitchen": _kitchen,
}
SCENES = tuple(PAINTERS)
_CLOUDED_SHARE = 0.6


def paint_background(rng: np.random.Generator, scene: str) -> tuple[Image.Image, int]:
    """Paint one scene.

    Returns:
        The RGB picture [SIDE, SIDE] and the row of its horizon.
    """
    backdrop = Backdrop(
        rng, np.zeros((SIDE, SIDE, 3), np.float32), int(SIDE * rng.uniform(0.36, 0.46))
    )
    backdrop.sky((105, 165, 232), (200, 224, 245))
    if scene != "kitchen" and backdrop.chance(_CLOUDED_SHARE):
        backdrop.pixels += np.clip(backdrop.noise(SIDE, 24, 28), 0, 50)
    return PAINTERS[scene](backdrop), backdrop.horizon
