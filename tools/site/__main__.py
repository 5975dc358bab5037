"""Make the pictures of the README and of the site: ``python -m tools.site [NAME...]``."""

import argparse
from pathlib import Path

from rldf_gym.atomic_file import write_atomically
from rldf_gym.rendering import animated_webp
from tools.site.animations import ANIMATED, frames
from tools.site.pictures import FIGURES, png

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    names = [*FIGURES, *ANIMATED]
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="NAME", default=[])
    for name in parser.parse_args().names or names:
        if name in FIGURES:
            path, content = DOCS / f"{name}.png", png(FIGURES[name]())
        else:
            path, content = DOCS / "environments" / f"{name}.webp", animated_webp(frames(name))
        write_atomically(path, content)
        print(f"{path}: {len(content) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
