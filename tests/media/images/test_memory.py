"""What refusing costs, and who waits meanwhile: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.media.images.pictures import chunk, encoded, gif, photo, png, webp

ROOT = Path(__file__).parents[3]
START = """
import json, sys, time, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from app.media.images import ImageNormalizer, ImageRules, UnusableImage, find_bounds, make_image_processes
from app.runtime.side_process import Claim
rules = ImageRules(10 * 1024 * 1024, 50_000_000, find_bounds("gpt-6.1-terra", "low"))
intake = ImageNormalizer(rules, make_image_processes(50_000_000), Claim("anyone", float("inf"), lambda: None))
"""

BOMBS = """
def peak():
    # Not ru_maxrss, which begins with that of the process that started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

outcomes, growths = {}, {}
for name in sys.argv[1:]:
    data, before = open(name, "rb").read(), peak()
    try:
        outcomes[name] = str(intake.normalize(data).width)
    except UnusableImage as refused:
        outcomes[name] = str(refused)
    growths[name] = peak() - before
print(json.dumps([outcomes, growths, "PIL.Image" in sys.modules]))
"""

PHOTO = """
import gevent
with open(sys.argv[1], "rb") as file:
    data = file.read()
intake.normalize(data)  # what is imported once
longest = 0.0
def watch():
    global longest
    while True:
        before = time.perf_counter()
        gevent.sleep(0.001)
        longest = max(longest, time.perf_counter() - before)
watching = gevent.spawn(watch)
gevent.sleep(0)
start = time.perf_counter()
jobs = [gevent.spawn(intake.normalize, data) for _ in range(3)]
gevent.joinall(jobs, raise_error=True)
all_s = time.perf_counter() - start
gevent.sleep(0.01)
print(json.dumps([longest, all_s, [job.value.width for job in jobs]]))
"""


def run(code, *args):
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stderr == b""
    return json.loads(ran.stdout)


def test_a_bomb_is_refused_with_hardly_any_memory(tmp_path):
    jpeg = encoded(photo(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    deflated = zlib.compress(b"\0" * 60_000_000, 9)  # twice of what it may take
    large = {
        "png": png(10_000, 10_000),
        "webp": webp(16_383, 16_383),
        "gif": gif(10_000, 6_000),
        "frame.gif": gif(10_000, 6_000, screen=(8, 8)),
        "jpeg": jpeg[: frame + 5] + b"\xff\xdc\xff\xdc" + jpeg[frame + 9 :],
    }
    small = {
        "profile.png": png(8, 8, chunk(b"iCCP", b"x\0\0" + deflated)),
        "texts.png": png(8, 8, *[chunk(b"zTXt", b"x\0\0" + deflated)] * 20),
        "xmp.png": png(8, 8, *[chunk(b"iTXt", b"x\0\1\0\0\0" + deflated)] * 20),
    }
    for name, data in (large | small).items():
        assert len(data) < 2_000_000
        (tmp_path / name).write_bytes(data)

    (tmp_path / "photo.png").write_bytes(png(6_000, 6_000))

    outcomes, growths, has_pillow = run(
        START + BOMBS, *[tmp_path / name for name in [*large, *small, "photo.png"]]
    )

    for name in large:
        assert outcomes[str(tmp_path / name)].endswith("at most 50,000,000 pixels are accepted."), name
    for name in small:
        assert outcomes[str(tmp_path / name)] == "8", name
    assert outcomes[str(tmp_path / "photo.png")] == "512"
    assert not has_pillow
    assert max(growths.values()) < 30_000_000, growths


@pytest.mark.thorough
def test_others_go_on_while_a_photo_is_scaled(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(photo(2_000, 1_500), "PNG", compress_level=1))

    longest_s, all_s, widths = run(
        "from gevent import monkey; monkey.patch_all()" + START + PHOTO, tmp_path / "a.png"
    )

    assert widths == [512] * 3
    assert longest_s < all_s / 5


@pytest.mark.thorough
def test_a_damaged_photo_prints_nothing_under_gevent(tmp_path):
    (tmp_path / "a.png").write_bytes(png(600, 600, pixels=zlib.compress(b"\0" * 50)))

    outcomes, _, _ = run("from gevent import monkey; monkey.patch_all()" + START + BOMBS, tmp_path / "a.png")

    assert outcomes == {str(tmp_path / "a.png"): "is damaged."}
