"""Make the pictures of the README and of the site: ``python -m tools.site [NAME...]``."""

import argparse
from pathlib import Path

from rldf_gym.atomic_file import write_atomically
from rldf_gym.rendering import animated_webp
from tools.site.animations import ANIMATED, frames
from tools.site.pictures import FIGURES, encode

DOCS = Path(__file__).parents[2] / "docs"
_QUALITY = 85  # of animations, 0 to 100: each stays below 400 kB


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    names = [*FIGURES, *ANIMATED]
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="NAME", default=[])
    for name in parser.parse_args().names or names:
        if name in FIGURES:
            path = DOCS / name
            content = encode(FIGURES[name](), path.suffix)
        else:
            path = DOCS / "environments" / f"{name}.webp"
            content = animated_webp(frames(name), quality=_QUALITY)
        write_atomically(path, content)
        print(f"{path}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
