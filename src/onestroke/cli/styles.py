"""onestroke styles: the bundled styles; with --sheet PHOTO, a picture of that photo in each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onestroke.cli.flags import Parser
from onestroke.errors import ModelError
from onestroke.saving import check_output


def main(arguments: Sequence[str]) -> int:
    """Parse, list, draw."""
    parser = Parser("styles", __doc__)
    parser.add_argument("--sheet", metavar="PHOTO", help="paint this photo in every style, into one picture")
    parser.add_argument("-o", "--out", metavar="PICTURE", default="styles.png", help="where to write it; default: styles.png")
    parser.add_argument("--size", type=int, default=480, metavar="PX", help="longer side of each painting in it; default: 480")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing picture")
    flags = parser.read(arguments)

    from onestroke import bundled
    from onestroke.images import read_image
    from onestroke.inference.session import open_model

    out, photo = Path(flags.out), None
    if flags.sheet:
        check_output(out, flags.overwrite)
        photo = read_image(flags.sheet)
    names = bundled.names()
    if not names:
        raise ModelError("styles: none came with this installation; train one: onestroke train")
    for name in names:
        card = open_model(name, device="cpu").card
        print(f"{name:28} {card.painting}{f', {card.license}' if card.license else ''}")
    if photo:
        from onestroke.jobs.sheet import draw
        from onestroke.saving import save_image

        save_image(out, draw(photo.rgb, names, flags.size))
        print(out)
    return 0
