"""Nothing that was there is lost: refused writes, full disks, kills in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tallymark.data.atomic import replacing, write_bytes, write_text
from tallymark.errors import StorageError


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "one\r\n")
    write_text(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_an_error_of_the_writer_keeps_the_old_file_and_passes_through(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_keeps_the_whole_suffix(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".nii.gz")
        temporary.touch()


def test_a_full_device_is_a_storage_error(tmp_path: Path) -> None:
    """/dev/full answers every write with "no space left on device"."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_to_full() -> None:
        with replacing(path), Path("/dev/full").open("w") as stream:
            stream.write("x")

    with pytest.raises(StorageError, match="free some space"):
        write_to_full()
    assert path.read_text() == "old"


_LIMITED = """
import resource, sys
from tallymark.data.atomic import write_bytes
from tallymark.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(sys.argv[1], bytes(5000))
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_file_that_may_not_grow_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    done = subprocess.run([sys.executable, "-c", _LIMITED, path], capture_output=True, text=True, check=True)
    assert "a.bin: cannot be written" in done.stdout
    assert "to mend it" in done.stdout
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_read_only_folder_is_a_storage_error(bound_folder: Path) -> None:
    write_text(bound_folder / "a.txt", "old")
    bound_folder.chmod(0o555)
    with pytest.raises(StorageError, match="ask for permission"):
        write_text(bound_folder / "a.txt", "new")
    assert (bound_folder / "a.txt").read_text() == "old"


def test_a_file_in_the_place_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="to mend it"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_a_folder_of_that_name_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(StorageError, match="a folder has this name"):
        write_text(tmp_path / "a.txt", "new")


_FOREVER = """
import itertools, sys
from tallymark.data.atomic import write_text
for turn in itertools.count():
    write_text(sys.argv[1], f"{turn % 10}" * 300_000)
    print(turn, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("kills", [5, pytest.param(40, marks=pytest.mark.full)])
def test_a_kill_in_the_middle_leaves_the_old_or_the_new_file(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "a.txt"
    for attempt in range(kills):
        with subprocess.Popen([sys.executable, "-c", _FOREVER, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # from now on it writes all the time
            time.sleep(0.003 + 0.0017 * attempt)
            process.send_signal(signal.SIGKILL)
            process.stdout.read()
        content = path.read_text()
        assert len(content) == 300_000
        assert len(set(content)) == 1
