"""onestroke styles: the styles that come in the box; with --sheet PHOTO, a picture of that photo in each of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from onestroke.errors import ModelError


def main(arguments: Sequence[str]) -> int:
    """Parse, list, draw."""
    parser = argparse.ArgumentParser(prog="onestroke styles", description=__doc__)
    parser.add_argument("--sheet", metavar="PHOTO", help="paint this photo in every style, into one picture")
    parser.add_argument("-o", "--out", metavar="PICTURE", default="styles.png", help="where to write it; default: styles.png")
    parser.add_argument("--size", type=int, default=480, metavar="PX", help="longer side of each painting in it; default: 480")
    flags = parser.parse_args(arguments)

    from onestroke.runtime.session import boxed_styles, open_model

    names = boxed_styles()
    if not names:
        raise ModelError("styles: none came with this installation; train one with train.py")
    for name in names:
        card = open_model(name, device="cpu").card
        print(f"{name:28} {card.painting}{f', {card.licence}' if card.licence else ''}")
    if flags.sheet:
        from onestroke.images import output_format, read_image, save_image
        from onestroke.runtime.sheet import draw

        output_format(Path(flags.out))
        save_image(flags.out, draw(read_image(flags.sheet).rgb, names, flags.size))
        print(flags.out)
    return 0
