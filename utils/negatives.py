"""Generated uninformative patches: what microscopes deliver besides cells.

Few collections hold enough labelled rubbish to teach a classifier what rubbish looks like on the next microscope, so
that part is drawn: empty and noisy fields, gradients, curtaining, particles, grains, fracture relief, grids, data bars,
and real patches that were ruined by cover, blur, lost contrast or lost phase. Images are float32, shape (size, size), roughly 0 to 255.
"""

from collections.abc import Callable

import cv2
import numpy as np

Rng = np.random.Generator
Image = np.ndarray


def field(rng: Rng, size: int, grain: float) -> Image:
    """Draw a smooth random field.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Side in pixels.
    grain : float
        Distance in pixels over which the field changes.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Mean 0, standard deviation about 1.
    """
    nodes = int(np.ceil(size / grain)) + 3
    coarse = rng.standard_normal((nodes, nodes), dtype=np.float32)
    side = int(nodes * grain) + 1
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    y, x = rng.integers(0, side - size + 1, 2)
    return _standard(fine[y : y + size, x : x + size])


def noise(rng: Rng, size: int) -> Image:
    """Draw noise with a random radial spectrum: white, correlated, band-passed (as in cryo images) or 1/f."""
    white = rng.standard_normal((size, size), dtype=np.float32)
    kind = rng.integers(0, 5)
    if kind == 0:
        return white
    if kind == 1:
        return _standard(cv2.GaussianBlur(white, (0, 0), rng.uniform(0.4, 5)))
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]).astype(np.float32)
    radius[0, 0] = 1 / size
    if kind == 2:
        shape = radius ** -rng.uniform(0.3, 2.0)
    elif kind == 3:
        centre = np.exp(rng.uniform(np.log(0.02), np.log(0.4)))
        shape = np.exp(-(((radius - centre) / (centre * rng.uniform(0.15, 0.8))) ** 2)) + rng.uniform(0, 0.3)
    else:
        # The contrast transfer of a defocused microscope leaves rings in the spectrum.
        shape = (0.1 + np.abs(np.sin(rng.uniform(20, 400) * radius**2))) * np.exp(-radius * rng.uniform(2, 14))
    return _standard(np.fft.irfft2(np.fft.rfft2(white) * shape, s=(size, size)).astype(np.float32))


def gradient(rng: Rng, size: int) -> Image:
    """Draw a slow ramp or bowl of brightness, scaled to -1..1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    a, b, c, d, e = rng.normal(0, 1, 5)
    ramp = a * x + b * y + rng.choice([0, 1]) * (c * x * x + d * y * y + e * x * y)
    return (ramp / (np.abs(ramp).max() + 1e-6)).astype(np.float32)


def background(rng: Rng, size: int) -> Image:
    """Draw an empty field: a level, perhaps a slow gradient, and more or less noise."""
    image = np.full((size, size), rng.uniform(5, 250), np.float32)
    if rng.random() < 0.5:
        image += gradient(rng, size) * rng.uniform(2, 60)
    if rng.random() < 0.3:
        image += field(rng, size, rng.uniform(20, 120)) * rng.uniform(1, 15)
    return image + noise(rng, size) * rng.choice([0.5, 3, 10, 25, 50]) * rng.uniform(0.3, 1)


def curtaining(rng: Rng, size: int) -> Image:
    """Draw stripes of a mill or scanner: profiles along one direction, warped a little, over a smooth background."""
    octaves = [field(rng, size, grain)[0] * rng.uniform(0, 1) for grain in (3, 6, 15, 40, 90)]
    profile = np.sum(octaves, axis=0)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    warp = field(rng, size, rng.uniform(30, 120)) * rng.choice([0, 2, 8, 20])
    lean = rng.normal(0, 0.15)
    source = np.abs((x + lean * y + warp) % (2 * size - 2))
    source = np.minimum(source, 2 * size - 2 - source).astype(np.float32)
    stripes = cv2.remap(profile[None].astype(np.float32), source, np.zeros_like(source), cv2.INTER_LINEAR)
    fade = 1 + rng.uniform(0, 0.8) * np.tanh(field(rng, size, rng.uniform(20, 100)))
    image = rng.uniform(40, 210) + stripes * fade * rng.uniform(4, 50)
    image += field(rng, size, rng.uniform(15, 90)) * rng.uniform(0, 25) + noise(rng, size) * rng.uniform(0, 15)
    return _turned(rng, image)


def waves(rng: Rng, size: int) -> Image:
    """Draw lattice fringes or moire: one to four sine waves over noise."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    image = background(rng, size)
    for _ in range(rng.integers(1, 5)):
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(80)))
        phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period + rng.uniform(0, 6)
        wave = np.sin(phase)
        image += rng.uniform(4, 40) * (np.sign(wave) if rng.random() < 0.2 else wave)
    return image


def streaks(rng: Rng, size: int) -> Image:
    """Draw reconstruction artefacts: straight streaks in a fan of directions, or rings."""
    image = background(rng, size)
    layer = np.zeros((size, size), np.float32)
    focus = rng.uniform(-0.5, 1.5, 2) * size
    rings = rng.random() < 0.3
    for _ in range(rng.integers(8, 60)):
        shade, width = rng.uniform(-60, 60), int(rng.integers(1, 5))
        if rings:
            cv2.circle(layer, _pixel(focus), int(rng.uniform(2, 1.5 * size)), shade, width)
            continue
        start = focus if rng.random() < 0.6 else rng.uniform(0, 1, 2) * size
        angle = rng.uniform(0, 2 * np.pi)
        end = start + 3 * size * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(layer, _pixel(start), _pixel(end), shade, width)
    return image + cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 2))


def particles(rng: Rng, size: int) -> Image:
    """Draw ellipses and polygons, flat or shaded, sharp or soft, on an empty field: gold, dust, ice, pores."""
    image = background(rng, size)
    level, spread = rng.uniform(0, 255), rng.uniform(0, 70)
    scale = np.exp(rng.uniform(np.log(2), np.log(size / 3)))
    count = int(np.clip(rng.uniform(0.02, 0.5) * size * size / (3 * scale * scale), 1, 150))
    blur = rng.choice([0, 0.8, 2])
    mask, shade = np.zeros((size, size), np.float32), image.copy()
    for _ in range(count):
        centre, radius = rng.uniform(0, size, 2), scale * rng.uniform(0.6, 1.4)
        gray = float(level + spread * rng.standard_normal())
        outline = _outline(rng, centre, radius)
        cv2.fillPoly(mask, [outline], 1.0)
        cv2.fillPoly(shade, [outline], gray)
    if blur:
        mask, shade = cv2.GaussianBlur(mask, (0, 0), blur), cv2.GaussianBlur(shade, (0, 0), blur)
    texture = noise(rng, size) * rng.uniform(0, 12)
    return image * (1 - mask) + (shade + texture) * mask


def grains(rng: Rng, size: int) -> Image:
    """Draw a polished section: facets of flat gray levels, as in rock, metal or powder."""
    count = int(np.exp(rng.uniform(np.log(3), np.log(60))))
    seeds = rng.uniform(-0.1, 1.1, (count, 2)) * size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    if rng.random() < 0.6:
        roughness = rng.uniform(1, 10)
        x, y = (axis + field(rng, size, rng.uniform(6, 30)) * roughness for axis in (x, y))
    distance = (y[None] - seeds[:, 0, None, None]) ** 2 + (x[None] - seeds[:, 1, None, None]) ** 2
    phases = rng.uniform(10, 245, rng.integers(2, 7))
    gray = rng.choice(phases, count) + rng.normal(0, rng.choice([0, 4, 15]), count)
    image = gray.astype(np.float32)[distance.argmin(0)]
    image += noise(rng, size) * rng.uniform(0, 14) + field(rng, size, 30) * rng.uniform(0, 8)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))


def phases(rng: Rng, size: int) -> Image:
    """Draw a few flat phases with curved borders, holes and bright specks: minerals, alloys, foams, resin edges."""
    height = field(rng, size, np.exp(rng.uniform(np.log(15), np.log(120))))
    if rng.random() < 0.5:
        height = height + 0.3 * field(rng, size, rng.uniform(5, 15))
    levels = np.sort(rng.uniform(-1.5, 1.5, rng.integers(1, 4)))
    image = rng.uniform(5, 250, len(levels) + 1).astype(np.float32)[np.searchsorted(levels, height)]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2)) + noise(rng, size) * rng.uniform(0, 20)
    if rng.random() < 0.4:
        for _ in range(rng.integers(1, 25)):
            cv2.fillPoly(image, [_outline(rng, rng.uniform(0, size, 2), rng.uniform(1, 8))], rng.choice([0, 255.0]))
    return image


def minerals(rng: Rng, size: int) -> Image:
    """Draw a polished section with pores, cracks and bright inclusions: back-scatter images of rock."""
    image = (grains if rng.random() < 0.6 else phases)(rng, size)
    for _ in range(rng.integers(0, 12)):
        pore = _outline(rng, rng.uniform(0, size, 2), size * rng.uniform(0.01, 0.12))
        cv2.fillPoly(image, [pore], rng.uniform(0, 30))
    for _ in range(rng.integers(0, 8)):
        path = np.cumsum(rng.normal(0, size / 25, (8, 2)) + rng.normal(0, size / 20, 2), axis=0)
        path += rng.uniform(0, size, 2)
        cv2.polylines(image, [path.astype(np.int32)], False, rng.uniform(0, 60), int(rng.integers(1, 3)))
    for _ in range(rng.integers(0, 10)):
        cv2.fillPoly(image, [_outline(rng, rng.uniform(0, size, 2), rng.uniform(1, 6))], rng.uniform(200, 255))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
    return image + noise(rng, size) * rng.choice([1, 8, 30])


def relief(rng: Rng, size: int) -> Image:
    """Draw a fractured or etched surface lit from one side: the slope of a rough height field."""
    grain = np.exp(rng.uniform(np.log(4), np.log(50)))
    height = sum(field(rng, size, max(1.5, grain / 2**k)) / 2**k for k in range(4))
    if rng.random() < 0.3:
        height = np.abs(height)
    angle = rng.uniform(0, 2 * np.pi)
    dy, dx = np.gradient(height)
    shade = _standard(np.cos(angle) * dx + np.sin(angle) * dy)
    return rng.uniform(60, 200) + shade * rng.uniform(8, 45) + noise(rng, size) * rng.uniform(0, 12)


def cracks(rng: Rng, size: int) -> Image:
    """Draw a few wandering lines on an empty field: fibres, scratches, cracks, folds."""
    image = background(rng, size)
    for _ in range(rng.integers(1, 7)):
        steps = rng.integers(8, 40)
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.choice([0.02, 0.15, 0.4]), steps))
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * size / 12, axis=0)
        path += rng.uniform(0, size, 2) - path[steps // 2]
        shade = image.mean() + rng.choice([-1, 1]) * rng.uniform(10, 120)
        cv2.polylines(image, [path.astype(np.int32)], False, float(shade), int(rng.integers(1, 9)))
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)) + noise(rng, size) * rng.uniform(0, 10)


def lattice(rng: Rng, size: int) -> Image:
    """Draw regular holes or bars: a support film or a grid."""
    image = background(rng, size)
    pitch, level = rng.uniform(0.15, 1.2) * size, rng.uniform(0, 255)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    angle, origin = rng.uniform(0, np.pi), rng.uniform(0, size, 2)
    u = np.cos(angle) * (x - origin[0]) + np.sin(angle) * (y - origin[1])
    v = np.cos(angle) * (y - origin[1]) - np.sin(angle) * (x - origin[0])
    u, v = (np.abs((axis % pitch) - pitch / 2) for axis in (u, v))
    width = rng.uniform(0.1, 0.42) * pitch
    inside = np.hypot(u, v) < width if rng.random() < 0.5 else np.minimum(u, v) < width / 2
    mask = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), rng.uniform(0.5, 4))
    return image * (1 - mask) + (level + noise(rng, size) * rng.uniform(0, 15)) * mask


def lettering(rng: Rng, size: int) -> Image:
    """Draw a data bar, a scale bar or text over a field without cells."""
    image = SCENES[rng.integers(0, len(SCENES))](rng, size)
    dark, light = rng.permutation([0.0, 255.0])
    if rng.random() < 0.6:
        depth = int(rng.uniform(0.08, 0.9) * size)
        image[-depth:] = dark
    ink = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 6)):
        place = _pixel(rng.uniform([-0.2, 0.6], [0.7, 1.0]) * size)
        text = "".join(rng.choice(list("0123456789 kVxnmWDHTSE.=:um"), rng.integers(2, 16)))
        cv2.putText(ink, text, place, int(rng.integers(0, 5)), rng.uniform(0.3, 1.2), 255, int(rng.integers(1, 3)))
    if rng.random() < 0.6:
        x, y = _pixel(rng.uniform([0.05, 0.6], [0.5, 0.95]) * size)
        cv2.rectangle(ink, (x, y), (x + int(rng.uniform(0.1, 0.5) * size), y + int(rng.integers(2, 8))), 255, -1)
    image[ink > 127] = light
    return image


def cover_mask(rng: Rng, size: int, share: float) -> Image:
    """Draw a soft mask, 1 where covered, over the given share of the area.

    The border is straight (padding), wavy (resin) or patchy.
    """
    kind = rng.integers(0, 3)
    if kind == 0:
        ramp = gradient(rng, size)
    elif kind == 1:
        ramp = _standard(gradient(rng, size)) + 0.3 * field(rng, size, rng.uniform(8, 60))
    else:
        ramp = field(rng, size, rng.uniform(30, 120))
    mask = (ramp <= np.quantile(ramp, share)).astype(np.float32)
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 2.5))


def filler(rng: Rng, size: int) -> Image:
    """Draw what covers a patch: padding at one level, or an empty field."""
    if rng.random() < 0.4:
        return np.full((size, size), rng.choice([0.0, 255.0, rng.uniform(0, 255)]), np.float32)
    return background(rng, size)


def covered(rng: Rng, good: Image) -> Image:
    """Cover at least 85 % of a good patch."""
    size = len(good)
    mask = cover_mask(rng, size, 1 - 0.15 * rng.random() ** 1.5)
    return good * (1 - mask) + filler(rng, size) * mask


def blurred(rng: Rng, good: Image) -> Image:
    """Blur a good patch until no structure is left, and stretch what remains."""
    size = len(good)
    smooth = cv2.GaussianBlur(good, (0, 0), size * np.exp(rng.uniform(np.log(0.05), np.log(0.2))))
    return 128 + _standard(smooth) * rng.uniform(3, 45) + noise(rng, size) * rng.choice([0.5, 4, 15])


def pressed(rng: Rng, good: Image) -> Image:
    """Press the contrast of a good patch far below its noise."""
    grain = noise(rng, len(good))
    signal = _standard(good) * rng.uniform(0, 0.25)
    return rng.uniform(20, 235) + (signal + grain) * rng.choice([1.5, 6, 20, 45])


def scrambled(rng: Rng, good: Image) -> Image:
    """Keep the spectrum of a good patch and lose its phase: a texture without structure, as inside nuclei."""
    window = np.hanning(len(good))
    spectrum = np.abs(np.fft.rfft2(_standard(good) * window[:, None] * window[None]))
    white = np.fft.rfft2(rng.standard_normal(good.shape))
    texture = np.fft.irfft2(spectrum * np.exp(1j * np.angle(white)), s=good.shape).astype(np.float32)
    return rng.uniform(60, 200) + _standard(texture) * rng.uniform(5, 50)


# As often as each is listed; what real collections are full of comes more than once.
SCENES: tuple[Callable[[Rng, int], Image], ...] = (
    *(background, background, background, curtaining, curtaining, curtaining, particles, particles),
    *(minerals, minerals, minerals, grains, phases, relief, cracks, waves, streaks, lattice),
)
RUINS: tuple[Callable[[Rng, Image], Image], ...] = (covered, covered, covered, covered, blurred, pressed, scrambled)


def uninformative(rng: Rng, good: Image) -> Image:
    """Draw one uninformative patch.

    Parameters
    ----------
    rng : numpy.random.Generator
    good : ndarray, shape (size, size)
        An informative patch; one in three results is this patch, ruined.

    Returns
    -------
    ndarray of float32, shape (size, size)
        Roughly 0 to 255, not clipped.
    """
    choice = rng.random()
    if choice < 0.3:
        return RUINS[rng.integers(0, len(RUINS))](rng, good)
    if choice < 0.36:
        return lettering(rng, len(good))
    return SCENES[rng.integers(0, len(SCENES))](rng, len(good))


def _standard(image: Image) -> Image:
    return ((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32)


def _turned(rng: Rng, image: Image) -> Image:
    """Turn by 90 degrees half the time, by any angle now and then."""
    if rng.random() < 0.5:
        return np.ascontiguousarray(image.T)
    if rng.random() < 0.5:
        return image
    size = len(image)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 180), 1.45)
    return cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _outline(rng: Rng, centre: np.ndarray, radius: float) -> np.ndarray:
    """Points of an ellipse (many corners) or of a polygon (few corners)."""
    corners = rng.choice([4, 5, 6, 24, 24])
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if corners < 24 else np.linspace(0, 2 * np.pi, corners)
    stretch, turn = rng.uniform(0.5, 1), rng.uniform(0, np.pi)
    x, y = radius * np.cos(angles), radius * stretch * np.sin(angles)
    points = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], 1)
    return (points + centre).round().astype(np.int32)
