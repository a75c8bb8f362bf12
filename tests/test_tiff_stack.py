"""utils/formats/tiff_stack.py: every page that the metadata promises is there, or the stack is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from utils.formats.tiff_stack import _ome_planes, _pages, _promised_planes, _slice_axis, open_tiff, voxel_size
from utils.luminance import luminance

VOXELS = np.random.default_rng(0).integers(1, 250, (24, 40, 50)).astype(np.uint8)
LAYOUTS = {
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "imagej compressed": {"imagej": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "ome compressed": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "ome big": {"ome": True, "bigtiff": True, "metadata": {"axes": "ZYX"}},
    "shaped": {},
    "shaped big": {"bigtiff": True},
    "pages": {"metadata": None},
    "pages big-endian": {"metadata": None, "byteorder": ">", "compression": "lzw"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_stack_cut_short_is_whole_or_refused(tmp_path, layout, share):
    path = tmp_path / ("a.ome.tif" if "ome" in layout else "a.tif")
    tifffile.imwrite(path, VOXELS, photometric="minisblack", **LAYOUTS[layout])
    with open_tiff(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    try:
        with open_tiff(path) as volume:
            found = volume[:]
    except ValueError as error:
        assert any(word in str(error) for word in ("cut short", "TIFF", "damaged", "corrupted"))
    else:
        assert share == 0.99  # where a little of the metadata is all that is gone
        np.testing.assert_array_equal(found, VOXELS)


COLOURS = np.random.default_rng(1).integers(0, 256, (*VOXELS.shape, 3)).astype(np.uint8)


@pytest.mark.parametrize(("stored", "shown"), [(VOXELS, VOXELS), (COLOURS, luminance(COLOURS))])
def test_one_ifd_and_all_slices_behind_it(tmp_path, stored, shown):
    """How ImageJ writes stacks of more than 4 GB: one page, whose pixels the others follow."""
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, metadata={"axes": "ZYXS"[: stored.ndim]})
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        start, first = tif.series[0].dataoffset, tif.pages.first
        end_of_first = first.offset + 2 + 12 * len(first.tags)
    content = bytearray((tmp_path / "a.tif").read_bytes()[: start + stored.size])
    content[end_of_first : end_of_first + 4] = bytes(4)
    (tmp_path / "a.tif").write_bytes(content)
    with open_tiff(tmp_path / "a.tif") as volume:
        assert volume.streams
        np.testing.assert_array_equal(volume[:], shown)
        np.testing.assert_array_equal(volume[3:5, 7:, :9], shown[3:5, 7:, :9])
    for cut in (1, 40 * 50, 20 * 40 * 50):
        (tmp_path / "a.tif").write_bytes(content[:-cut])
        with pytest.raises(ValueError, match="cut short"):
            open_tiff(tmp_path / "a.tif")


def test_hyperstacks_cut_short(tmp_path):
    stack = VOXELS.reshape(2, 6, 2, 40, 50)
    for name, options in {"a.tif": {"imagej": True}, "a.ome.tif": {"ome": True}}.items():
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack", metadata={"axes": "TZCYX"}, **options)
        with pytest.warns(UserWarning, match="was taken"), open_tiff(tmp_path / name) as volume:
            np.testing.assert_array_equal(volume[:], stack[0, :, 0])
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: int(0.6 * len(content))])
        with pytest.raises(ValueError, match=r"cut short|damaged"):
            open_tiff(tmp_path / name)


def test_several_series_and_files_of_ome(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as out:
        for voxels, nm in ((VOXELS[:3, ::2, ::2], (60, 16, 16)), (VOXELS, (30, 8, 8))):
            size = {f"PhysicalSize{a}": side / 1000 for a, side in zip("ZYX", nm, strict=True)}
            out.write(voxels, metadata={"axes": "ZYX", **size}, photometric="minisblack")
    with pytest.warns(UserWarning, match="holds 2 images"), open_tiff(tmp_path / "a.ome.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.voxel_size == (30, 8, 8), "not that of the overview before it"
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match="holds 2 images"), pytest.raises(ValueError, match=r"cut short|damaged"):
        open_tiff(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_slices_that_were_written_one_by_one_are_a_stack(tmp_path, compression):
    """As a loop over tifffile's `write` does, which marks each slice as an image of its own."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for voxels in VOXELS:
            out.write(voxels, compression=compression)
    with open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
    with tifffile.TiffWriter(tmp_path / "b.tif") as out:
        for voxels in VOXELS:
            out.write(voxels, compression=compression)
        out.write(VOXELS[0, ::4, ::4], subfiletype=1)
    with pytest.warns(UserWarning, match="holds 2 images"), open_tiff(tmp_path / "b.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_slices_that_are_stored_in_different_ways_are_one_stack(tmp_path):
    """To tifffile they are several images; in the order of the file none is missing."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for z, voxels in enumerate(VOXELS):
            white = z % 3 == 1
            stored, meaning = (255 - voxels, "miniswhite") if white else (voxels, "minisblack")
            out.write(stored, metadata=None, photometric=meaning, compression="zlib" if z % 2 else None)
    with open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
    with tifffile.TiffWriter(tmp_path / "a.tif", append=True) as out:
        out.write(VOXELS[0, ::4, ::4], metadata=None, photometric="minisblack")
    with pytest.warns(UserWarning, match="holds 5 images"), open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_pages_that_the_metadata_do_not_count_are_said(tmp_path):
    said = "ImageJ=1.53\nimages=20\nslices=20\n"
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, photometric="minisblack", metadata=None, description=said)
    with pytest.warns(UserWarning, match="count 20 of 24 pages: 4 are left out"):
        volume = open_tiff(tmp_path / "a.tif")
    with volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:20])
    tifffile.imwrite(tmp_path / "a.ome.tif", VOXELS, photometric="minisblack", ome=True, metadata={"axes": "ZYX"})
    content = (tmp_path / "a.ome.tif").read_bytes().replace(b'SizeZ="24"', b'SizeZ="20"')
    (tmp_path / "a.ome.tif").write_bytes(content)
    with pytest.warns(UserWarning, match="count 20 of 24 pages"), open_tiff(tmp_path / "a.ome.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:20])


def test_of_axes_without_a_name_the_last_is_z(tmp_path):
    """As `imwrite` stores an array of four axes that is given nothing else."""
    tifffile.imwrite(tmp_path / "a.tif", VOXELS.reshape(3, 2, 4, 40, 50), photometric="minisblack")
    with pytest.warns(UserWarning, match="the first of q, q was taken"), open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:4])
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[:, np.newaxis], photometric="minisblack", compression="zlib")
    with open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_two_stacks_in_a_file_are_not_joined(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        out.write(VOXELS, photometric="minisblack")
        out.write(VOXELS[::-1], photometric="minisblack")
    with pytest.warns(UserWarning, match="holds 2 images"), open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_claims_without_data(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[0], compression="zlib", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        places = [tif.pages.first.tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "RowsPerStrip")]
    for place in places:
        content[place : place + 2] = b"\xff\xff"
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match="promises 4294836225 bytes of pixels"):
        open_tiff(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", VOXELS[0], compression="zlib", metadata=None)
    monkeypatch.setenv("EM_MAX_GB", "0.000001")
    with pytest.raises(ValueError, match="--max-gb"):
        open_tiff(tmp_path / "b.tif")


OME = {"PhysicalSizeZ": 0.03, "PhysicalSizeZUnit": "µm", "PhysicalSizeY": 50, "PhysicalSizeYUnit": "Å",
       "PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm"}  # fmt: skip
GRID = {"resolution": (1 / 4, 1 / 5), "resolutionunit": "NONE"}


@pytest.mark.parametrize(("options", "metadata", "size", "why"), [
    ({"imagej": True, **GRID}, {"spacing": 30.0, "unit": "nm"}, (30, 5, 4), ""),
    ({"imagej": True, "resolution": (250, 200)}, {"spacing": 0.03, "unit": "um"}, (30, 5, 4), ""),
    ({"imagej": True, **GRID}, {"spacing": 0.03, "unit": "nm", "zunit": "um"}, (30, 5, 4), ""),
    ({"imagej": True, **GRID}, {"spacing": 30.0, "unit": "nm", "yunit": "s"}, None,
     "the header says 30, nan, 4 nm (z, y, x)"),
    ({"imagej": True, **GRID}, {"unit": "nm"}, None, "the header has no spacing of slices"),
    ({"imagej": True}, {"spacing": 30.0, "unit": "nm"}, (30, 1, 1), ""),
    ({"imagej": True, **GRID}, {"spacing": 30.0}, None, "the header has none"),
    ({"imagej": True, **GRID}, {"spacing": 30.0, "unit": "Inch"}, None, "the header has none"),
    (GRID, {"spacing": 30.0, "unit": "nm"}, (30, 5, 4), ""),
    ({}, {"voxel_size": [30, 5, 4]}, (30, 5, 4), ""),
    ({}, {"voxel_size": [30, 5]}, None, "the header has none"),
    ({"ome": True}, OME, (30, 5, 4), ""),
    ({"ome": True}, {**OME, "PhysicalSizeYUnit": "pixel"}, None, "the header's unit is 'pixel'"),
    ({"ome": True}, {key: OME[key] for key in OME if "Z" not in key}, None, "the header has none"),
    ({"ome": True}, {**OME, "PhysicalSizeX": 0}, None, "the header says 0, 0, 0 nm (z, y, x)"),
])  # fmt: skip
def test_where_the_voxel_size_stands(tmp_path, options, metadata, size, why):
    path = tmp_path / ("a.ome.tif" if "ome" in options else "a.tif")
    said = {"axes": "ZYX", **metadata}
    tifffile.imwrite(path, VOXELS, photometric="minisblack", metadata=said, **options)
    with open_tiff(path) as volume:
        found = volume.header_size
    assert found.nm == (size and pytest.approx(size)) and found.why_missing == why


def test_a_size_in_a_description_of_our_own(tmp_path):
    for text, size in (('{"voxel_size": [30, 5, 4]}', (30, 5, 4)), ("[30, 5, 4]", None), ("so", None)):
        tifffile.imwrite(tmp_path / "a.tif", VOXELS[0], metadata=None, description=text)
        with open_tiff(tmp_path / "a.tif") as volume:
            assert volume.header_size.nm == size and volume.shape == (1, 40, 50)


def test_slices_inside_of_a_page_are_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", VOXELS[:16, :32, :48], volumetric=True, tile=(16, 16, 16), photometric="minisblack",
        compression="zlib",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"keeps slices inside its pages \(axes ZYX \(16, 32, 48\)\): save one page"):
        open_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize(("colours", "axes"), [((), "TZIYX"), ((3,), "TZIYXS")])
def test_of_axes_inside_of_a_page_the_first_entry_is_taken(colours, axes):
    """Two times three pages of z, each with four values of another axis inside."""
    inside = SimpleNamespace(shape=(4, 5, 6, *colours))
    series = SimpleNamespace(shape=(2, 3, 4, 5, 6, *colours), pages=list("abcdef"), keyframe=inside)
    assert _pages(series, axes, "Z") == ["a", "b", "c"]


def test_threads_share_a_file_of_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, compression="zlib")
    with open_tiff(tmp_path / "a.tif") as volume:
        assert hasattr(volume._tif.filehandle.lock, "_is_owned")


def test_two_slices_that_were_written_one_by_one_are_a_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for voxels in VOXELS[:2]:
            out.write(voxels, compression="zlib")
    with open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:2])


@pytest.mark.parametrize(("side", "planes"), [(50, 24), (51, 1)])
def test_an_xml_promises_planes_of_the_image_that_it_describes(side, planes):
    series = SimpleNamespace(axes="ZYX", shape=(24, 40, 50), keyframe=SimpleNamespace(samplesperpixel=1))
    xml = f'<OME><Image><Pixels SizeX="{side}" SizeY="40" SizeZ="12" SizeC="2"/></Image></OME>'
    assert _ome_planes(xml, series) == planes


@pytest.mark.parametrize(
    ("metadata", "samples", "planes"),
    [({"slices": 12, "channels": 3}, 3, 12), ({"slices": 10}, 3, 10), ({"slices": 4, "images": 9}, 1, 9), (None, 1, 1)],
)
def test_imagej_counts_colours_as_channels(metadata, samples, planes):
    series = SimpleNamespace(keyframe=SimpleNamespace(samplesperpixel=samples))
    assert _promised_planes(SimpleNamespace(is_imagej=True, imagej_metadata=metadata), series) == planes


def test_lsm_speaks_of_metres_and_times():
    said = {"VoxelSizeZ": 3e-8, "VoxelSizeY": 5e-9, "VoxelSizeX": 4e-9, "DimensionZ": 5, "DimensionTime": 2}
    tif = SimpleNamespace(is_imagej=False, is_ome=False, is_lsm=True, lsm_metadata=said)
    assert voxel_size(tif).nm == (30, 5, 4) and _promised_planes(tif, None) == 10


@pytest.mark.parametrize("axes", ["ZX", "YC", "Q"])
def test_what_has_no_rows_or_no_columns_is_no_image(axes):
    with pytest.raises(ValueError, match=f"its axes are {axes}: expected images of y and x"):
        _slice_axis(axes, (3,) * len(axes))


def test_a_shape_that_is_said_promises_its_slices(tmp_path):
    said = {"metadata": None, "description": '{"shape": [5, 40, 50]}', "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[:4], compression="zlib", **said)
    with pytest.raises(ValueError, match="of the 5 slices that its metadata promise"):
        open_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize("aside", [True, False])
def test_smaller_copies_of_the_slices_are_none_of_them(tmp_path, recwarn, aside):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(VOXELS, subifds=int(aside), metadata=None)
        tif.write(VOXELS[:, ::2, ::2], subfiletype=1, metadata=None)
    with open_tiff(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
    assert not recwarn.list
