"""Weather and time of day: how the same scene looks in rain, fog, at sunset and at night."""

import numpy as np
from PIL import Image, ImageDraw

WEATHERS = ("clear", "rainy", "foggy")
TIMES_OF_DAY = ("day", "sunset", "night")


def light_sky(image: Image.Image, rng: np.random.Generator, time_of_day: str, top: int) -> None:
    """Draw what only the sky shows (moon and stars, or a low sun) above row ``top``, in place."""
    draw = ImageDraw.Draw(image)
    width = image.width
    if time_of_day == "night":
        for _ in range(int(rng.integers(12, 20))):
            x, y = int(rng.integers(0, width)), int(rng.integers(0, max(8, top - 12)))
            draw.ellipse((x, y, x + 2, y + 2), fill=(255, 255, 255))
        x, y = int(rng.integers(14, width - 14)), int(rng.integers(12, 20))
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=(255, 255, 240))
    elif time_of_day == "sunset":
        x, y = int(rng.integers(20, width - 20)), max(12, top - 16)
        draw.ellipse((x - 10, y - 10, x + 10, y + 10), fill=(255, 250, 190))


def apply_light(pixels: np.ndarray, rng: np.random.Generator, time_of_day: str) -> np.ndarray:
    """Tint float32 [H, W, 3] pixels in 0..255 as the hour does."""
    height = pixels.shape[0]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    strength = rng.uniform(0.92, 1.08)
    if time_of_day == "sunset":
        glow = np.array((255, 120, 40), np.float32) * (1 - down) * 0.38 * strength
        return pixels * np.array((0.92, 0.66, 0.50), np.float32) + glow
    if time_of_day == "night":
        tint = np.array((0.50, 0.54, 0.74), np.float32) * strength
        return pixels * tint + np.array((0, 2, 14), np.float32)
    return pixels * rng.uniform(0.9, 1.08)


def apply_weather(
    pixels: np.ndarray, rng: np.random.Generator, weather: str, time_of_day: str
) -> np.ndarray:
    """Lay rain or fog over float32 [H, W, 3] pixels in 0..255."""
    height, width = pixels.shape[:2]
    brightness = {"day": 1.0, "sunset": 0.8, "night": 0.5}[time_of_day]
    if weather == "rainy":
        grey = pixels.mean(axis=2, keepdims=True)
        pixels = (pixels * 0.66 + grey * 0.34) * 0.85
        streaks = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(streaks)
        slant = int(rng.integers(3, 7))
        for _ in range(int(rng.integers(44, 60))):
            x, y = int(rng.integers(0, width + 8)), int(rng.integers(-10, height))
            draw.line((x, y, x - slant, y + 17), fill=185, width=2)
        cover = np.asarray(streaks, np.float32)[..., None] / 255
        rain = np.array((205, 218, 235), np.float32) * max(brightness, 0.6)
        return pixels * (1 - cover) + rain * cover
    if weather == "foggy":
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        cover = (0.66 - 0.26 * down) * rng.uniform(0.92, 1.06)
        tone = np.array((214, 216, 220), np.float32) * brightness
        if time_of_day == "sunset":
            tone = np.array((226, 172, 132), np.float32)
        return pixels * (1 - cover) + tone * cover
    return pixels
