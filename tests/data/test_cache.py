"""Decoded once, found again, never half, never stale."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.transform
import tifffile

from tallymark.data.cache import marks_at, open_cache, truth_cache
from tallymark.data.images import normalise, read_image
from tallymark.data.marks import EXCLUDED
from tallymark.data.resize import resize_image, resize_marks, resize_mask
from tallymark.data.study import Case, ImageSettings, Study, StudySettings
from tallymark.errors import ConfigError, GeometryError, ReadError, StorageError, StudyError

from .studies import SETTINGS, make_study, mask_of, write_images

SIZE = (12, 16)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path)


def _entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


class TestImages:
    """The images of a study at one size."""

    def test_rows_are_the_resized_images(self, study: Study) -> None:
        cache = open_cache(study, SIZE)
        assert cache.images.shape == (6, *SIZE, 1)
        assert cache.images.dtype == np.uint8
        for case in study.cases:
            expected = resize_image(normalise(read_image(case.image), 1), SIZE) * 255
            assert np.abs(cache.images[cache.index(case.id)] - expected).max() <= 0.51
            assert cache.space(case.id) == (24, 36)
            assert cache.spacing(case.id) is None
            assert cache.window(case.id) == (0, 255)
        assert not cache.images.flags.writeable
        with pytest.raises(StudyError, match="not in the cache"):
            cache.index("x")

    def test_at_the_original_size_the_pixels_are_the_original_ones(self, study: Study) -> None:
        cache = open_cache(study, (24, 36))
        assert np.array_equal(cache.images[3], read_image(study.cases[3].image).pixels)

    def test_some_cases_in_their_order(self, study: Study) -> None:
        chosen = [study.case("c4"), study.case("c1")]
        cache = open_cache(study, SIZE, chosen)
        assert (cache.index("c4"), cache.index("c1")) == (0, 1)
        assert np.array_equal(cache.images[0], open_cache(study, SIZE).images[4])

    def test_a_cache_that_exists_needs_no_images(self, study: Study, tmp_path: Path) -> None:
        before = np.array(open_cache(study, SIZE).images)
        shutil.rmtree(tmp_path / "images")
        shutil.move(study.folder, tmp_path / "elsewhere")
        moved = Study.open(tmp_path / "elsewhere")
        assert np.array_equal(open_cache(moved, SIZE).images, before)
        with pytest.raises(ReadError, match="No such file"):
            open_cache(moved, (5, 5))

    def test_the_key_follows_everything_it_depends_on(self, study: Study) -> None:
        open_cache(study, SIZE)
        open_cache(study, SIZE)
        assert len(_entries(study.folder / "cache")) == 1
        open_cache(study, (16, 12))
        open_cache(study, SIZE, study.cases[:2])
        windowed = StudySettings(name="demo", structures=("fat", "muscle"), image=ImageSettings(window=(0, 100)))
        coloured = StudySettings(name="demo", structures=("fat", "muscle"), image=ImageSettings(channels=3))
        for settings in (windowed, coloured):
            open_cache(Study(study.folder, settings, study.cases, ()), SIZE)
        assert len(_entries(study.folder / "cache")) == 5

    def test_deep_images_keep_their_depth(self, tmp_path: Path) -> None:
        values = np.linspace(0, 4000, 24 * 36).reshape(24, 36).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", values)
        cases = [*write_images(tmp_path / "images", 1)[0], Case("deep", tmp_path / "a.tif", group="x", split="train")]
        cache = open_cache(Study.create(tmp_path / "study", SETTINGS, cases), (24, 36))
        assert cache.images.dtype == np.uint16
        low, high = cache.window("deep")
        expected = np.clip((values - low) / (high - low), 0, 1)
        assert np.abs(cache.images[1, ..., 0] / 65535 - expected).max() < 1e-4
        assert np.array_equal(cache.images[0], read_image(cases[0].image).pixels.astype(np.uint16) * 257)

    def test_volumes(self, tmp_path: Path) -> None:
        import SimpleITK

        values = np.random.default_rng(0).integers(0, 255, (6, 10, 8)).astype(np.uint8)
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(tmp_path / "a.nrrd"))
        settings = StudySettings(name="a", structures=("x",), image=ImageSettings(dimension=3))
        study = Study.create(tmp_path / "study", settings, [Case("a", tmp_path / "a.nrrd", spacing=(3.0, 1.0, 1.0))])
        cache = open_cache(study, (3, 5, 4))
        assert cache.images.shape == (1, 3, 5, 4, 1)
        assert cache.space("a") == (6, 10, 8)
        assert cache.spacing("a") == (3, 1, 1)
        assert cache.images[0, 0, 0, 0, 0] == pytest.approx(values[:2, :2, :2].mean(), abs=0.6)

    def test_an_image_with_other_axes_is_refused(self, tmp_path: Path) -> None:
        import SimpleITK

        SimpleITK.WriteImage(SimpleITK.Image(4, 3, 2, SimpleITK.sitkUInt8), str(tmp_path / "a.nii"))
        study = Study.create(tmp_path / "study", SETTINGS, [Case("a", tmp_path / "a.nii")])
        with pytest.raises(GeometryError, match=r"found shape \(2, 3, 4\); expected 2 axes"):
            open_cache(study, SIZE)

    @pytest.mark.parametrize("size", [(12,), (3, 4, 5), (0, 4), (-1, 4)])
    def test_a_size_that_does_not_fit_is_refused(self, study: Study, size: tuple[int, ...]) -> None:
        with pytest.raises(ConfigError, match="expected 2 lengths, row, column"):
            open_cache(study, size)

    def test_an_image_that_cannot_be_decoded_leaves_nothing(self, tmp_path: Path) -> None:
        cases, _ = write_images(tmp_path / "images", 4)
        cases[2].image.write_bytes(cases[2].image.read_bytes()[:200])
        study = Study.create(tmp_path / "study", SETTINGS, cases)
        with pytest.raises(ReadError) as caught:
            open_cache(study, SIZE)
        assert str(cases[2].image) in str(caught.value)
        assert _entries(study.folder / "cache") == []

    def test_a_changed_image_is_noticed(self, study: Study) -> None:
        PIL.Image.new("L", (36, 24)).save(study.case("c3").image)
        with pytest.raises(ReadError, match="'c3' has changed"):
            open_cache(study, SIZE)


class TestTruth:
    """Full masks, apart from everything else."""

    def test_rows_are_the_resized_masks(self, study: Study) -> None:
        truth = truth_cache(study, SIZE)
        assert truth.shape == (6, 2, *SIZE)
        assert truth.dtype == np.bool_
        assert np.array_equal(truth[3, 1], resize_mask(mask_of(3, 1), SIZE))
        assert _entries(study.folder / "cache") == []
        assert len(_entries(study.folder / "truth-cache")) == 1

    def test_images_and_marks_are_cached_without_it(self, study: Study) -> None:
        (study.folder / "truth.csv").unlink()
        (study.folder / "truth.csv").mkdir()
        opened = Study.open(study.folder)
        opened.marks.add_raster("c0", "people", "fat", mask_of(0, 0))
        open_cache(opened, SIZE)
        marks_at(opened, "people", opened.cases, SIZE)
        with pytest.raises(ReadError):
            truth_cache(opened, SIZE)

    def test_a_case_without_mask_is_refused(self, tmp_path: Path) -> None:
        cases, truth = write_images(tmp_path / "images", 2)
        study = Study.create(tmp_path / "study", SETTINGS, cases, truth[1:])
        with pytest.raises(StudyError, match="no full mask of 'fat' for the case 'c0'"):
            truth_cache(study, SIZE)
        assert truth_cache(study, SIZE, [study.case("c1")]).shape == (1, 2, *SIZE)

    def test_other_masks_are_another_cache(self, study: Study) -> None:
        before = np.array(truth_cache(study, SIZE))
        row = study.truth.rows("c0", "fat")[0]
        PIL.Image.fromarray(mask_of(9, 0)).save(row.path)
        text = (study.folder / "truth.csv").read_text().replace(row.sha256, "")
        (study.folder / "truth.csv").write_text(text)
        after = truth_cache(Study.open(study.folder), SIZE)
        assert not np.array_equal(after[0], before[0])
        assert np.array_equal(after[2:], before[2:])

    def test_a_cache_that_exists_needs_no_masks(self, study: Study, tmp_path: Path) -> None:
        before = np.array(truth_cache(study, SIZE))
        shutil.rmtree(tmp_path / "images")
        assert np.array_equal(truth_cache(Study.open(study.folder), SIZE), before)


class TestMarks:
    """Marks at one size."""

    def test_channels_are_structures_and_then_none_of_them(self, study: Study) -> None:
        study.marks.add_raster("c0", "people", "muscle", mask_of(0, 1))
        study.marks.add_raster("c2", "people", EXCLUDED, mask_of(3, 0))
        marks = marks_at(study, "people", study.cases, SIZE)
        assert marks.shape == (6, 3, *SIZE)
        assert np.array_equal(marks[0, 1], resize_marks(mask_of(0, 1), SIZE))
        assert np.array_equal(marks[2, 2], resize_marks(mask_of(3, 0), SIZE))
        assert marks.sum() == marks[0, 1].sum() + marks[2, 2].sum()

    def test_a_click_survives(self, study: Study) -> None:
        study.marks.add_stroke("c0", "people", "fat", np.array([[20.0, 30.0]]), 1, (24, 36))
        assert np.argwhere(marks_at(study, "people", study.cases, (2, 2))[0, 0]).tolist() == [[1, 1]]

    def test_a_structure_goes_before_none_of_them(self, study: Study) -> None:
        one, other = np.zeros((2, 24, 36), bool)
        one[0, 0] = other[1, 1] = True
        study.marks.add_raster("c0", "people", "fat", one)
        study.marks.add_raster("c0", "people", EXCLUDED, other)
        marks = marks_at(study, "people", study.cases[:1], (2, 2))[0]
        assert marks[0].sum() == 1
        assert marks[2].sum() == 0

    def test_new_marks_are_seen(self, study: Study) -> None:
        study.marks.add_raster("c0", "people", "fat", mask_of(0, 0))
        before = marks_at(study, "people", None, SIZE)
        study.marks.add_raster("c1", "people", "fat", mask_of(1, 0))
        after = marks_at(study, "people", None, SIZE)
        assert after[1].any()
        assert not before[1].any()
        study.marks.clear("people")
        assert not marks_at(study, "people", None, SIZE).any()

    def test_marks_of_another_shape_are_refused(self, study: Study) -> None:
        study.marks.add_raster("c0", "people", "fat", mask_of(0, 0).T)
        with pytest.raises(GeometryError, match=r"marks on 'c0' .* found \(36, 24\); expected \(24, 36\)"):
            marks_at(study, "people", study.cases, SIZE)

    def test_an_unknown_set_is_refused(self, study: Study) -> None:
        with pytest.raises(StudyError, match="no mark set 'people'"):
            marks_at(study, "people", study.cases, SIZE)


class TestStorage:
    """Damage, full disks, kills, several processes."""

    def _entry(self, study: Study) -> Path:
        return study.folder / "cache" / _entries(study.folder / "cache")[0]

    @pytest.mark.parametrize("damage", ["bit", "cut", "gone", "no about", "bad about", "other about"])
    def test_damage_is_noticed_and_mended(self, study: Study, damage: str, caplog: pytest.LogCaptureFixture) -> None:
        before = np.array(open_cache(study, SIZE).images)
        array, about = self._entry(study) / "array.npy", self._entry(study) / "about.json"
        data = array.read_bytes()
        {
            "bit": lambda: array.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:]),
            "cut": lambda: array.write_bytes(data[:-1]),
            "gone": array.unlink,
            "no about": about.unlink,
            "bad about": lambda: about.write_text("{"),
            "other about": lambda: about.write_text(json.dumps({"sha256": 3})),
        }[damage]()
        assert np.array_equal(open_cache(study, SIZE).images, before)
        assert "is damaged and is built anew" in caplog.text
        assert len(_entries(study.folder / "cache")) == 1
        caplog.clear()
        open_cache(study, SIZE)
        assert not caplog.text

    def test_what_a_killed_process_left_is_removed_after_a_day(self, study: Study) -> None:
        old, young = study.folder / "cache" / ".tmp-old", study.folder / "cache" / ".tmp-young"
        for folder in (old, young):
            folder.mkdir(parents=True)
            (folder / "array.npy").write_text("half")
        os.utime(old, (time.time() - 90_000,) * 2)
        open_cache(study, SIZE)
        assert not old.exists()
        assert young.exists()

    def test_another_folder_for_a_study_that_is_read_only(self, study: Study, tmp_path: Path) -> None:
        open_cache(study, SIZE, folder=tmp_path / "scratch")
        assert len(_entries(tmp_path / "scratch")) == 1
        assert _entries(study.folder / "cache") == []

    @pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
    def test_a_read_only_study_says_so(self, bound_folder: Path) -> None:
        study = make_study(bound_folder)
        study.folder.chmod(0o555)
        try:
            with pytest.raises(StorageError, match="ask for permission"):
                open_cache(study, SIZE)
        finally:
            study.folder.chmod(0o755)

    _LIMITED = """
import resource, sys
from tallymark.data.cache import open_cache
from tallymark.data.study import Study
from tallymark.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    open_cache(Study.open(sys.argv[1]), (64, 64))
except StorageError as error:
    print(error)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
    def test_a_full_disk_leaves_nothing_half(self, study: Study) -> None:
        done = subprocess.run(
            [sys.executable, "-c", self._LIMITED, study.folder], capture_output=True, text=True, check=True
        )
        assert "cannot be written; found File too large" in done.stdout
        assert _entries(study.folder / "cache") == []

    _BUILD = """
import sys
from tallymark.data.cache import open_cache
from tallymark.data.study import Study
study = Study.open(sys.argv[1])
print("ready", flush=True)
cache = open_cache(study, (256, 256))
print(int(cache.images.sum(dtype="int64")), flush=True)
"""

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    @pytest.mark.parametrize("kills", [4, pytest.param(25, marks=pytest.mark.full)])
    def test_a_kill_in_the_middle_leaves_no_half_cache(self, study: Study, tmp_path: Path, kills: int) -> None:
        expected = open_cache(study, (256, 256), folder=tmp_path / "whole").images.sum(dtype=np.int64)
        for attempt in range(kills):
            shutil.rmtree(study.folder / "cache", ignore_errors=True)
            command = [sys.executable, "-c", self._BUILD, str(study.folder)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(0.004 + 0.002 * attempt)
                process.send_signal(signal.SIGKILL)
                process.stdout.read()
            whole = [name for name in _entries(study.folder / "cache") if not name.startswith(".tmp-")]
            if whole:
                assert _entries(study.folder / "cache" / whole[0]) == ["about.json", "array.npy"]
            assert open_cache(study, (256, 256)).images.sum(dtype=np.int64) == expected

    def test_processes_that_build_at_the_same_time_agree(self, study: Study) -> None:
        command = [sys.executable, "-c", self._BUILD, str(study.folder)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        results = {process.communicate()[0] for process in processes}
        assert len(results) == 1
        assert all(process.returncode == 0 for process in processes)
        assert len(_entries(study.folder / "cache")) == 1


def test_real_ultrasound_fits_in_a_cache(shared_data: Path, tmp_path: Path) -> None:
    images = sorted((shared_data / "busi" / "Dataset_BUSI_with_GT" / "benign").glob("*).png"))[:25]
    study = Study.create(tmp_path / "study", SETTINGS, [Case(path.stem, path) for path in images])
    cache = open_cache(study, (64, 64))
    for case in study.cases[::6]:
        picture = np.asarray(PIL.Image.open(case.image).convert("L")).astype(float)
        reference = skimage.transform.resize_local_mean(picture, (64, 64))
        difference = cache.images[cache.index(case.id)][..., 0] - reference
        assert np.abs(difference).max() <= 1.01
