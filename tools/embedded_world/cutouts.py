"""Cut-outs with transparency: photographed things from Tux Paint stamps, people from Noto Emoji.

Sources (Debian packages, unpacked with ``dpkg -x``, nothing is installed):
``tuxpaint-stamps-default`` (GPL-2) and ``fonts-noto-color-emoji`` (OFL-1.1).

There are two splits. Every shipped model learns from the split "models". The judge learns from
"judge", which has more cut-outs of the same things, so that it does not share the models' bias.
"""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

STAMP_FILES: dict[str, tuple[str, ...]] = {
    "banana": ("food/fruit/banana.png", "food/fruit/cartoon/banana.png"),
    "orange": ("food/fruit/orange.png", "food/fruit/mandarine.png"),
    "apple": (
        "food/fruit/apple_red.png",
        "food/fruit/apple_fuji.png",
        "food/fruit/apple_green.png",
    ),
    "ball": ("sports/soccer.png", "sports/cartoon/volleyball.png"),
    "duck": ("animals/birds/duck.png", "household/rubberduck.png"),
    "dog": ("animals/mammals/dogs/dog.png", "animals/mammals/dogs/dingo.png"),
    "sheep": ("animals/mammals/bovines/sheep.png", "animals/mammals/bovines/sheep_lamb.png"),
    "horse": ("animals/mammals/equines/horse.png",),
    "elephant": ("animals/mammals/elephant.png",),
    "car": (
        "vehicles/auto/beetle.png",
        "vehicles/auto/sedan.png",
        "vehicles/auto/sportscar2.png",
        "vehicles/auto/truck.png",
    ),
}
NOUNS = tuple(STAMP_FILES)
JUDGE_STAMP_FILES: dict[str, tuple[str, ...]] = {  # on top of the others
    "orange": ("food/fruit/orange_seville.png", "food/fruit/cartoon/orange.png"),
    "apple": (
        "food/fruit/apple_granny_smith.png",
        "food/fruit/apple_sierra_beauty.png",
        "food/fruit/cartoon/apple.png",
    ),
    "ball": ("sports/basketball.png", "sports/tennis_ball.png", "sports/cricketball.png"),
}
SPLITS = ("models", "judge")

ACTION_EMOJI: dict[str, tuple[str, ...]] = {
    "standing": ("\U0001f9cd",),
    "walking": ("\U0001f6b6",),
    "running": ("\U0001f3c3",),
    "cycling": ("\U0001f6b4",),
    "playing": ("\U0001f93e", "\u26f9"),
}
ACTIONS = tuple(ACTION_EMOJI)
SKIN_TONES = ("\U0001f3fb", "\U0001f3fc", "\U0001f3fd", "\U0001f3fe", "\U0001f3ff")
GENDERS = ("\u200d\u2642\ufe0f", "\u200d\u2640\ufe0f")

_STAMP_PACKAGE, _STAMPS = "tuxpaint-stamps-default", "usr/share/tuxpaint/stamps"
_FONT_PACKAGE = "fonts-noto-color-emoji"
_FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
_EMOJI_SIZE = 109  # the one size at which Noto's bitmap font can be drawn
_CUTOUT_SIDE = 160  # longest side kept in memory, in pixels
_BANANA_TURN = -55  # the photographed banana stands on its end; lay it down


class CutoutError(Exception):
    """The cut-outs cannot be loaded."""


def _crop_to_alpha(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A").point(lambda value: 255 * (value > 16))
    return image.crop(alpha.getbbox())


def _load_stamp(root: Path, name: str) -> Image.Image:
    image = _crop_to_alpha(Image.open(root / name).convert("RGBA"))
    if name == "food/fruit/banana.png":
        image = image.rotate(_BANANA_TURN, expand=True, resample=Image.Resampling.BICUBIC)
        image = _crop_to_alpha(image)
    image.thumbnail((_CUTOUT_SIDE, _CUTOUT_SIDE), Image.Resampling.LANCZOS)
    return image


def _draw_emoji(font: ImageFont.FreeTypeFont, text: str) -> Image.Image:
    image = Image.new("RGBA", (180, 150), (0, 0, 0, 0))
    ImageDraw.Draw(image).text((10, 5), text, font=font, embedded_color=True)
    return _crop_to_alpha(image)


@dataclass
class Cutouts:
    """Every cut-out by kind: a noun, or an action for people.

    Attributes:
        images: RGBA pictures of each kind, cropped to what is opaque.
    """

    images: dict[str, list[Image.Image]]

    @classmethod
    def load(cls, root: Path, split: str = "models") -> "Cutouts":
        """Read the cut-outs from the unpacked Debian packages.

        Args:
            root: folder into which both packages were unpacked (it holds ``usr/share``).
            split: one of `SPLITS`.

        Raises:
            CutoutError: naming the Debian package that lacks.
        """
        stamps, font_file = root / _STAMPS, root / _FONT
        for path, package in ((stamps, _STAMP_PACKAGE), (font_file, _FONT_PACKAGE)):
            if not path.exists():
                raise CutoutError(
                    f"{path} is missing; run `apt-get download {package}` and "
                    f"`dpkg -x {package}_*.deb {root}`"
                )
        more = JUDGE_STAMP_FILES if split == "judge" else {}
        images = {
            noun: [_load_stamp(stamps, name) for name in (*names, *more.get(noun, ()))]
            for noun, names in STAMP_FILES.items()
        }
        font = ImageFont.truetype(str(font_file), _EMOJI_SIZE, layout_engine=ImageFont.Layout.RAQM)
        for action, codes in ACTION_EMOJI.items():
            images[action] = [
                _draw_emoji(font, code + tone + gender)
                for code in codes
                for tone in SKIN_TONES
                for gender in GENDERS
            ]
        return cls(images)

    def scaled(self, kind: str, index: int, side: int, mirrored: bool) -> Image.Image:
        """Return cut-out ``index`` of ``kind`` with its longer side ``side`` pixels."""
        image = self.images[kind][index]
        factor = side / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
