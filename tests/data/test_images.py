"""One contract for every reader of images, and the cases that are special to some."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import SimpleITK
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.images import (
    Image,
    file_sha256,
    image_space,
    normalise,
    read_image,
    read_labels,
    read_mask,
    robust_window,
    write_mask,
)
from tallymark.data.picture_files import turn
from tallymark.errors import ConfigError, GeometryError, ReadError, StorageError

SPACING = (2.5, 0.8, 0.6)  # (plane,) row, column


@dataclass(frozen=True)
class Format:
    """One way of storing pixels."""

    suffix: str
    dtype: type[np.generic]
    space: tuple[int, ...]
    channels: int
    write: Callable[[Path, np.ndarray], None]
    volume: bool = False
    lossless: bool = True


def _pillow(**options: object) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, pixels: np.ndarray) -> None:
        PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path, **options)  # type: ignore[arg-type]

    return write


def _tifffile(**options: object) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, pixels: np.ndarray) -> None:
        photometric = "rgb" if pixels.shape[-1] == 3 else "minisblack"
        tifffile.imwrite(path, pixels if pixels.shape[-1] == 3 else pixels[..., 0], photometric=photometric, **options)  # type: ignore[arg-type]

    return write


def _itk(*, compress: bool = False) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, pixels: np.ndarray) -> None:
        vector = pixels.shape[-1] > 1
        image = SimpleITK.GetImageFromArray(pixels if vector else pixels[..., 0], isVector=vector)
        if path.suffix != ".png":
            image.SetSpacing(tuple(reversed(SPACING[-image.GetDimension() :])))
            image.SetOrigin((-3.0, 4.5, 7.0)[: image.GetDimension()])
        SimpleITK.WriteImage(image, str(path), useCompression=compress)

    return write


FORMATS = {
    "png-grey": Format(".png", np.uint8, (37, 53), 1, _pillow()),
    "png-rgb": Format(".png", np.uint8, (37, 53), 3, _pillow()),
    "png-16": Format(".png", np.uint16, (37, 53), 1, _pillow()),
    "png-rgb-16": Format(".png", np.uint16, (37, 53), 3, _itk()),
    "jpeg-grey": Format(".jpg", np.uint8, (37, 53), 1, _pillow(quality=95), lossless=False),
    "jpeg-rgb": Format(".jpeg", np.uint8, (37, 53), 3, _pillow(quality=95, subsampling=0), lossless=False),
    "bmp-grey": Format(".bmp", np.uint8, (37, 53), 1, _pillow()),
    "bmp-rgb": Format(".bmp", np.uint8, (37, 53), 3, _pillow()),
    "tiff-grey": Format(".tif", np.uint8, (37, 53), 1, _tifffile()),
    "tiff-rgb": Format(".tiff", np.uint8, (37, 53), 3, _tifffile()),
    "tiff-rgb-planar": Format(".tif", np.uint8, (37, 53), 3, _pillow()),
    "tiff-16": Format(".tif", np.uint16, (37, 53), 1, _tifffile()),
    "tiff-rgb-16": Format(".tif", np.uint16, (37, 53), 3, _tifffile()),
    "tiff-int16": Format(".tif", np.int16, (37, 53), 1, _tifffile()),
    "tiff-float": Format(".tif", np.float32, (37, 53), 1, _tifffile()),
    "tiff-deflate": Format(".tif", np.uint16, (37, 53), 1, _tifffile(compression="zlib", rowsperstrip=8)),
    "tiff-tiled": Format(".tif", np.uint8, (37, 53), 1, _tifffile(tile=(16, 16))),
    "tiff-lzw": Format(".tif", np.uint8, (37, 53), 3, _pillow(compression="tiff_lzw")),
    "tiff-lzw-16": Format(".tif", np.uint16, (37, 53), 1, _pillow(compression="tiff_lzw")),
    "nii-2d": Format(".nii", np.float32, (37, 53), 1, _itk(), volume=True),
    "nii-3d": Format(".nii", np.int16, (5, 37, 53), 1, _itk(), volume=True),
    "nii.gz-3d": Format(".nii.gz", np.int16, (5, 37, 53), 1, _itk(), volume=True),
    "nrrd-2d": Format(".nrrd", np.uint8, (37, 53), 3, _itk(), volume=True),
    "nrrd-3d": Format(".nrrd", np.uint16, (5, 37, 53), 1, _itk(), volume=True),
    "nrrd-3d-packed": Format(".nrrd", np.uint16, (5, 37, 53), 1, _itk(compress=True), volume=True),
    "mha-2d": Format(".mha", np.uint8, (37, 53), 1, _itk(), volume=True),
    "mha-3d": Format(".mha", np.float64, (5, 37, 53), 1, _itk(), volume=True),
    "mha-3d-packed": Format(".mha", np.int16, (5, 37, 53), 1, _itk(compress=True), volume=True),
}


def _pixels(form: Format) -> np.ndarray:
    """A smooth ramp (JPEG keeps it) over the lower half of the type's range, different in every axis."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in form.space), indexing="ij")
    ramp = sum(weight * axis for weight, axis in zip((0.6, 0.3, 0.1)[: len(axes)], axes, strict=True))
    stacked = np.stack([ramp * (1 - 0.3 * c) for c in range(form.channels)], axis=-1)
    top = 200 if form.dtype is np.uint8 else 30_000
    return (stacked * top).astype(form.dtype)


@pytest.fixture(params=FORMATS.values(), ids=FORMATS.keys())
def form(request: pytest.FixtureRequest) -> Format:
    form: Format = request.param
    return form


class TestContract:
    """What every reader promises."""

    def test_round_trip(self, form: Format, tmp_path: Path) -> None:
        pixels, path = _pixels(form), tmp_path / f"image{form.suffix}"
        form.write(path, pixels)
        image = read_image(path)
        assert image.pixels.dtype == pixels.dtype
        assert image.pixels.shape == pixels.shape
        assert image.space == form.space == image_space(path)
        assert np.abs(image.pixels.astype(float) - pixels).max() <= (0 if form.lossless else 6)
        if form.volume:
            assert image.spacing == pytest.approx(SPACING[-len(form.space) :], rel=1e-6)
            assert image.geometry is not None
        else:
            assert image.spacing is None
            assert image.geometry is None

    def test_an_upper_case_suffix_is_the_same(self, form: Format, tmp_path: Path) -> None:
        written, path = tmp_path / f"a{form.suffix}", tmp_path / f"B{form.suffix.upper()}"
        form.write(written, _pixels(form))
        written.rename(path)
        assert read_image(path).space == form.space

    @pytest.mark.parametrize("share", [0.02, 0.4, 0.8, 0.97])
    def test_a_truncated_file_is_a_read_error(self, form: Format, tmp_path: Path, share: float) -> None:
        path = tmp_path / f"image{form.suffix}"
        form.write(path, _pixels(form))
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ReadError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)

    def test_an_empty_file_is_a_read_error(self, form: Format, tmp_path: Path) -> None:
        path = tmp_path / f"image{form.suffix}"
        path.touch()
        with pytest.raises(ReadError, match="empty"):
            read_image(path)

    def test_text_under_this_suffix_is_a_read_error(self, form: Format, tmp_path: Path) -> None:
        path = tmp_path / f"image{form.suffix}"
        path.write_text("this is not an image\n" * 40)
        with pytest.raises(ReadError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)

    def test_another_format_under_this_suffix_is_a_read_error(self, form: Format, tmp_path: Path) -> None:
        path = tmp_path / f"image{form.suffix}"
        other = FORMATS["bmp-rgb" if form.suffix == ".png" else "png-rgb"]
        (tmp_path / f"other{other.suffix}").touch()
        other.write(tmp_path / f"other{other.suffix}", _pixels(other))
        (tmp_path / f"other{other.suffix}").rename(path)
        with pytest.raises(ReadError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)

    def test_a_folder_or_nothing_is_a_read_error(self, form: Format, tmp_path: Path) -> None:
        path = tmp_path / f"image{form.suffix}"
        with pytest.raises(ReadError, match="No such file"):
            read_image(path)
        path.mkdir()
        with pytest.raises(ReadError, match="folder"):
            read_image(path)

    @pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
    def test_a_file_one_may_not_read_is_a_read_error(self, form: Format, bound_folder: Path) -> None:
        path = bound_folder / f"image{form.suffix}"
        form.write(path, _pixels(form))
        path.chmod(0)
        with pytest.raises(ReadError):
            read_image(path)


@pytest.mark.parametrize("name", ["a.txt", "a.gif", "a", "a.gz", "a.dcm"])
def test_an_unknown_suffix_says_which_are_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ReadError, match=r"expected \.png, \.jpg"):
        read_image(tmp_path / name)


def test_a_damaged_byte_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rng = np.random.default_rng(0)
    PIL.Image.fromarray(rng.integers(0, 256, (60, 60), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ReadError):
        read_image(path)


def test_a_damaged_byte_in_a_packed_nifti_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    rng = np.random.default_rng(0)
    _itk()(path, rng.integers(0, 256, (3, 20, 20, 1)).astype(np.uint8))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ReadError):
        read_image(path)


class TestPictures:
    """What is special about pictures."""

    def test_an_opaque_alpha_channel_is_dropped(self, tmp_path: Path) -> None:
        pixels = np.dstack([_pixels(FORMATS["png-rgb"]), np.full((37, 53), 255, np.uint8)])
        PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
        assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels[..., :3])

    def test_a_transparent_picture_is_refused(self, tmp_path: Path) -> None:
        pixels = np.full((4, 4, 4), 255, np.uint8)
        pixels[0, 0, 3] = 254
        PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
        with pytest.raises(ReadError, match="flatten"):
            read_image(tmp_path / "a.png")

    def test_a_palette_becomes_its_colours(self, tmp_path: Path) -> None:
        picture = PIL.Image.new("P", (3, 1))
        picture.putdata([0, 1, 2])
        picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
        picture.save(tmp_path / "a.png")
        assert read_image(tmp_path / "a.png").pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
        assert read_labels(tmp_path / "a.png").tolist() == [[0, 1, 2]]

    def test_a_palette_tiff_becomes_its_colours(self, tmp_path: Path) -> None:
        colours = np.zeros((3, 256), np.uint16)
        colours[:, 1] = 40 * 257, 50 * 257, 60 * 257
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1]], np.uint8), photometric="palette", colormap=colours)
        assert read_image(tmp_path / "a.tif").pixels.tolist() == [[[0, 0, 0], [40, 50, 60]]]

    def test_a_bit_becomes_black_or_white(self, tmp_path: Path) -> None:
        for name in ("a.png", "a.tif", "a.bmp"):
            PIL.Image.fromarray(np.array([[False, True]])).save(tmp_path / name)
            image = read_image(tmp_path / name)
            assert image.pixels.dtype == np.uint8
            assert image.pixels[..., 0].tolist() == [[0, 255]]

    def test_a_tiff_where_zero_is_white_is_shown_as_meant(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 255, 5]], np.uint8), photometric="miniswhite")
        assert read_image(tmp_path / "a.tif").pixels[..., 0].tolist() == [[255, 0, 250]]

    def test_planes_of_colour_are_put_last(self, tmp_path: Path) -> None:
        pixels = _pixels(FORMATS["tiff-rgb"])
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, -1, 0), photometric="rgb", planarconfig="separate")
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)

    def test_a_tiff_of_several_pages_is_refused(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
        with pytest.raises(ReadError, match="found 3 pages"):
            read_image(tmp_path / "a.tif")

    def test_a_cmyk_jpeg_is_refused(self, tmp_path: Path) -> None:
        PIL.Image.new("CMYK", (4, 4)).save(tmp_path / "a.jpg")
        with pytest.raises(ReadError, match="export it as RGB"):
            read_image(tmp_path / "a.jpg")

    def test_a_jpeg_called_png_is_told_apart(self, tmp_path: Path) -> None:
        PIL.Image.new("L", (4, 4)).save(tmp_path / "a.png", format="JPEG")
        with pytest.raises(ReadError, match="not a PNG file; found a JPEG file"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
    def test_the_orientation_tag_is_obeyed_as_viewers_do(self, tmp_path: Path, orientation: int, suffix: str) -> None:
        path = tmp_path / f"a{suffix}"
        picture = PIL.Image.fromarray(_pixels(FORMATS["png-grey"])[..., 0])
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        picture.save(tmp_path / "reference.png", exif=exif)
        with PIL.Image.open(tmp_path / "reference.png") as stored:
            reference = np.asarray(PIL.ImageOps.exif_transpose(stored)).astype(int)
        if suffix == ".tif":
            tifffile.imwrite(path, np.asarray(picture), extratags=[(0x0112, "H", 1, orientation, True)])
        else:
            picture.save(path, exif=exif, quality=95)
        image = read_image(path)
        assert image.space == image_space(path) == reference.shape
        assert np.abs(image.pixels[..., 0] - reference).max() <= (6 if suffix == ".jpg" else 0)

    def test_the_orientation_of_a_tiff_that_pillow_decodes_is_obeyed_once(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tif"
        pixels = _pixels(FORMATS["png-grey"])[..., 0]
        PIL.Image.fromarray(pixels).save(path, compression="tiff_lzw", tiffinfo={0x0112: 6})
        assert np.array_equal(read_image(path).pixels[..., 0], np.rot90(pixels, -1))

    @given(st.integers(1, 8))
    def test_eight_orientations_are_undone_by_their_inverse(self, orientation: int) -> None:
        values = np.arange(6).reshape(2, 3)
        inverse = {6: 8, 8: 6}.get(orientation, orientation)
        assert np.array_equal(turn(turn(values, orientation), inverse), values)


class TestVolumes:
    """What is special about volumes."""

    def test_values_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        pixels = np.zeros((3, 4, 4, 1), np.float32)
        pixels[0, 0, 0] = np.nan
        _itk()(tmp_path / "a.nrrd", pixels)
        with pytest.raises(ReadError, match="found 1 of 48"):
            read_image(tmp_path / "a.nrrd")

    def test_a_fourth_axis_is_refused(self, tmp_path: Path) -> None:
        image = SimpleITK.Image([4, 4, 4, 2], SimpleITK.sitkUInt8)
        SimpleITK.WriteImage(image, str(tmp_path / "a.nii"))
        with pytest.raises(ReadError, match="one volume per point in time"):
            read_image(tmp_path / "a.nii")


class TestMasks:
    """Binary masks, however they were stored."""

    MASK = np.array([[False, True, True], [False, False, True]])

    def _colour(self, foreground: tuple[int, ...], background: tuple[int, ...]) -> np.ndarray:
        return np.where(self.MASK[..., None], np.array(foreground), np.array(background)).astype(np.uint8)

    @pytest.mark.parametrize(
        ("foreground", "background"),
        [
            ((255,), (0,)),
            ((1,), (0,)),
            ((255, 255, 255), (0, 0, 0)),
            ((0, 0, 9), (0, 0, 0)),
            ((255, 255, 255, 255), (0, 0, 0, 255)),
            ((255, 255, 255, 255), (0, 0, 0, 0)),
            ((0, 0, 0, 255), (0, 0, 0, 0)),
            ((255, 0, 0, 128), (255, 0, 0, 0)),
            ((255, 255), (0, 255)),
        ],
    )
    def test_grey_and_colour(self, tmp_path: Path, foreground: tuple[int, ...], background: tuple[int, ...]) -> None:
        pixels = self._colour(foreground, background)
        PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(tmp_path / "m.png")
        assert np.array_equal(read_mask(tmp_path / "m.png"), self.MASK)

    def test_bits(self, tmp_path: Path) -> None:
        for name in ("m.png", "m.tif", "m.bmp"):
            PIL.Image.fromarray(self.MASK).save(tmp_path / name)
            assert np.array_equal(read_mask(tmp_path / name), self.MASK)

    def test_a_palette_counts_by_its_colours(self, tmp_path: Path) -> None:
        picture = PIL.Image.new("P", (3, 2))
        picture.putdata(self.MASK.astype(int).ravel().tolist())
        picture.putpalette([255, 0, 0, 0, 0, 0])  # index 0 is red, index 1 black
        picture.save(tmp_path / "m.png")
        assert np.array_equal(read_mask(tmp_path / "m.png"), ~self.MASK)
        assert np.array_equal(read_mask(tmp_path / "m.png", codes=[1]), self.MASK)

    def test_a_volume(self, tmp_path: Path) -> None:
        mask = np.zeros((2, 3, 4), bool)
        mask[1, 2, 0] = True
        _itk()(tmp_path / "m.nii.gz", mask.astype(np.uint8)[..., None])
        assert np.array_equal(read_mask(tmp_path / "m.nii.gz"), mask)

    @pytest.mark.parametrize(("value", "expected"), [(0, False), (255, True)])
    def test_one_value_only(self, tmp_path: Path, value: int, expected: bool) -> None:
        PIL.Image.new("L", (3, 2), value).save(tmp_path / "m.png")
        assert (read_mask(tmp_path / "m.png") == expected).all()

    def test_a_black_picture_with_constant_alpha_is_empty(self, tmp_path: Path) -> None:
        PIL.Image.new("RGBA", (3, 2), (0, 0, 0, 255)).save(tmp_path / "m.png")
        assert not read_mask(tmp_path / "m.png").any()

    def test_more_than_two_values_ask_for_what_is_meant(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8)).save(tmp_path / "m.png")
        with pytest.raises(ReadError, match=r"found 3 values 0, 1, 2; expected .* \(codes=\) .* \(threshold=\)"):
            read_mask(tmp_path / "m.png")
        assert read_mask(tmp_path / "m.png", codes=[1, 2]).tolist() == [[False, True, True]]
        assert read_mask(tmp_path / "m.png", threshold=1).tolist() == [[False, False, True]]

    def test_two_values_without_zero_ask_for_what_is_meant(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "m.png")
        with pytest.raises(ReadError, match="found 2 values 1, 2"):
            read_mask(tmp_path / "m.png")

    def test_colours_that_differ_in_one_channel_are_counted(self, tmp_path: Path) -> None:
        pixels = np.array([[[0, 0, 0], [255, 0, 0], [0, 255, 0]]], np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "m.png")
        with pytest.raises(ReadError, match="found 3 colours"):
            read_mask(tmp_path / "m.png")

    def test_codes_and_threshold_exclude_each_other(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="exclude"):
            read_mask(tmp_path / "m.png", codes=[1], threshold=3)

    def test_small_grey_pictures_keep_their_labels(self, tmp_path: Path) -> None:
        """A PNG of 4 bits per pixel stores the labels 0 to 15; decoders like to spread them over 0 to 255."""
        import struct
        import zlib

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        data += chunk(b"IDAT", zlib.compress(b"\x00\x01\x2f")) + chunk(b"IEND", b"")
        (tmp_path / "m.png").write_bytes(data)
        assert read_labels(tmp_path / "m.png").tolist() == [[0, 1, 2, 15]]
        assert read_image(tmp_path / "m.png").pixels[..., 0].tolist() == [[0, 17, 34, 255]]

    def test_labels_of_colour_or_of_fractions_are_refused(self, tmp_path: Path) -> None:
        PIL.Image.fromarray(np.array([[[0, 1, 0]]], np.uint8)).save(tmp_path / "m.png")
        with pytest.raises(ReadError, match="these colours are not labels"):
            read_labels(tmp_path / "m.png")
        _itk()(tmp_path / "m.nii", np.full((3, 3, 3, 1), 0.5, np.float32))
        with pytest.raises(ReadError, match="not whole"):
            read_labels(tmp_path / "m.nii")

    def test_whole_numbers_stored_as_floats_are_labels(self, tmp_path: Path) -> None:
        _itk()(tmp_path / "m.nii", np.full((3, 3, 3, 1), 2, np.float32))
        labels = read_labels(tmp_path / "m.nii")
        assert labels.dtype.kind == "i"
        assert (labels == 2).all()

    def test_real_ultrasound_masks(self, shared_data: Path) -> None:
        folder = shared_data / "busi" / "Dataset_BUSI_with_GT"
        for path in sorted(folder.glob("*/*_mask*.png"))[::6]:
            reference = np.asarray(PIL.Image.open(path).convert("RGB")).any(axis=-1)
            assert np.array_equal(read_mask(path), reference), path.name


class TestWriteMask:
    """A written mask lies where its image lies."""

    @pytest.mark.parametrize("name", ["nii-2d", "nii-3d", "nii.gz-3d", "nrrd-3d", "mha-3d"])
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
    def test_volumes_keep_their_geometry(self, tmp_path: Path, name: str, suffix: str) -> None:
        form = FORMATS[name]
        pixels = _pixels(form)
        volume = SimpleITK.GetImageFromArray(pixels[..., 0])
        volume.SetSpacing(tuple(reversed(SPACING[-pixels.ndim + 1 :])))
        volume.SetOrigin((-3.0, 4.5, 7.0)[: pixels.ndim - 1])
        if pixels.ndim == 4:
            volume.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
        SimpleITK.WriteImage(volume, str(tmp_path / f"image{form.suffix}"))
        image = read_image(tmp_path / f"image{form.suffix}")
        mask = pixels[..., 0] > pixels.mean()
        write_mask(tmp_path / f"mask{suffix}", mask, like=image)
        back = SimpleITK.ReadImage(str(tmp_path / f"mask{suffix}"))
        assert np.array_equal(SimpleITK.GetArrayFromImage(back), mask.astype(np.uint8))
        assert back.GetSpacing() == pytest.approx(volume.GetSpacing(), rel=1e-6)
        assert back.GetOrigin() == pytest.approx(volume.GetOrigin(), rel=1e-6)
        assert back.GetDirection() == pytest.approx(volume.GetDirection(), abs=1e-6)

    def test_what_does_not_fit_is_refused(self, tmp_path: Path) -> None:
        picture = Image(np.zeros((2, 3, 1), np.uint8))
        mask = np.zeros((2, 3), bool)
        with pytest.raises(GeometryError, match=r"found \(3, 2\); expected \(2, 3\)"):
            write_mask(tmp_path / "m.png", mask.T, like=picture)
        with pytest.raises(GeometryError, match=r"\.png for a picture"):
            write_mask(tmp_path / "m.nii", mask, like=picture)
        with pytest.raises(ConfigError, match=r"found|expected"):
            write_mask(tmp_path / "m.jpg", mask, like=picture)
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
    def test_a_full_disk_keeps_the_old_mask(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"m{suffix}"
        script = (
            "import resource, sys; import numpy as np\n"
            "from tallymark.data.images import *\n"
            "geometry = Geometry((0., 0., 0.), (1., 0., 0., 0., 1., 0., 0., 0., 1.), (1., 1., 1.))\n"
            "image = Image(np.zeros((20, 64, 64, 1), np.uint8), (1., 1., 1.), geometry)\n"
            "mask = np.random.default_rng(0).random((20, 64, 64)) < 0.5\n"
            "write_mask(sys.argv[1], mask, image)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "try: write_mask(sys.argv[1], ~mask, image)\n"
            "except Exception as error: print(type(error).__name__, error)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(StorageError.__name__)
        assert np.array_equal(read_mask(path), np.random.default_rng(0).random((20, 64, 64)) < 0.5)
        assert list(tmp_path.iterdir()) == [path]


class TestNormalise:
    """Intensities in [0, 1]."""

    def test_eight_bits_are_divided_by_255(self) -> None:
        values = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
        scaled = normalise(Image(values), 1)
        assert scaled.dtype == np.float32
        assert np.allclose(scaled, values / 255, atol=1e-7)

    def test_luminance_is_that_of_pillow(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
        reference = np.asarray(PIL.Image.fromarray(pixels).convert("L"))
        assert np.abs(normalise(Image(pixels), 1)[..., 0] * 255 - reference).max() <= 0.51

    def test_the_window_is_in_the_units_of_the_file(self) -> None:
        image = Image(np.array([[[-1000], [0], [100], [400], [3000]]], np.int16))
        assert normalise(image, 1, (0, 400))[0, :, 0].tolist() == [0, 0, 0.25, 1, 1]

    def test_without_a_window_deep_images_take_the_robust_one(self) -> None:
        values = np.arange(1001, dtype=np.uint16).reshape(1, 1001, 1)
        low, high = robust_window(Image(values))
        assert (low, high) == (5, 995)
        assert np.array_equal(normalise(Image(values), 1), normalise(Image(values), 1, (low, high)))

    def test_a_flat_deep_image_is_black(self) -> None:
        assert normalise(Image(np.full((2, 2, 1), 7, np.uint16)), 3).tolist() == [[[0.0] * 3] * 2] * 2

    def test_a_constant_is_not_divided_by_zero_but_wrong_windows_are_refused(self) -> None:
        for window in ((3.0, 3.0), (4, 3), (float("nan"), 3.0)):
            with pytest.raises(ConfigError, match="low < high"):
                normalise(Image(np.zeros((2, 2, 1), np.uint8)), 1, window)

    def test_other_channel_counts_are_refused(self) -> None:
        with pytest.raises(GeometryError, match="found 2 channels"):
            normalise(Image(np.zeros((2, 2, 2), np.uint8)), 1)
        with pytest.raises(ConfigError, match="expected 1 or 3"):
            normalise(Image(np.zeros((2, 2, 1), np.uint8)), 2)


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(ReadError, match="No such file"):
        file_sha256(tmp_path / "b")
