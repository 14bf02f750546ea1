"""Clips, made here with PyAV, so that the tests need no ffmpeg."""

from fractions import Fraction

import av
import numpy as np

SIZE = (48, 32)


def picture(number: int, size=SIZE) -> np.ndarray:
    """A smooth picture [H, W, 3] that moves a little with its number."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    return np.stack([(4 * x + 3 * number) % 256, (6 * y) % 256, np.full_like(x, 40 + number % 180)], -1).astype(np.uint8)


def make_clip(
    path,
    times,
    *,
    base=Fraction(1, 12800),
    size=SIZE,
    codec="libx264",
    pixels="yuv420p",
    sound=False,
    turn=0,
    draw=picture,
    options=None,
    **tags,
):
    """A clip of `draw(0, size)`, `draw(1, size)`, ... shown at `times` (units of `base`).

    sound: whether with a second of it, or an audio codec; it is AAC otherwise.
    """
    exact = {"movie_timescale": str(base.denominator)} if str(path).endswith(".mp4") else {}
    with av.open(str(path), "w", options=exact) as out:
        video = out.add_stream(codec, rate=25, options={"g": "12", **(options or {})})
        video.width, video.height, video.pix_fmt = *size, pixels
        video.time_base = video.codec_context.time_base = base
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        if turn:
            video.set_display_rotation(turn)
        noise = out.add_stream("aac" if sound is True else sound, rate=48000) if sound else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw(number, size), "rgb24")
            frame.pts, frame.time_base = time, base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if noise:
            for i in range(47):
                tone = np.sin(np.arange(1024 * i, 1024 * (i + 1)) / 20).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
                frame.sample_rate, frame.pts = 48000, 1024 * i
                out.mux(noise.encode(frame))
            out.mux(noise.encode(None))
    return path


def shown(path, kind="video"):
    """(timestamps in seconds, frames as RGB) of a file."""
    with av.open(str(path)) as clip:
        frames = list(clip.decode(video=0))
        return [f.pts * f.time_base for f in frames], [f.to_ndarray(format="rgb24") for f in frames]


def copied(path, kind):
    """(time, bytes) of every packet of the first stream of a kind."""
    with av.open(str(path)) as clip:
        stream = next(s for s in clip.streams if s.type == kind)
        return [(p.pts * p.time_base, bytes(p)) for p in clip.demux(stream) if p.size]
