"""Folders of this machine that may be chosen in the browser: only beneath the opened roots, only
plain files, never through a link.
"""

import os
import socket

import pytest

from core import limits
from core.data import allowed_folders
from core.data.readers import read
from core.data.readers.files import collect
from core.errors import UserError
from tests.hostile._make import REFUSE, peak, png


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An opened root with two pictures, beside a folder that is not opened."""
    (tmp_path / "open" / "a").mkdir(parents=True)
    for i in range(2):
        (tmp_path / "open" / "a" / f"{i}.png").write_bytes(png(i))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.csv").write_text("a,b\n1,2\n3,4\n")
    monkeypatch.setenv("LIGHTBOX_FOLDERS", str(tmp_path / "open"))
    return tmp_path / "open"


def refused(path, said):
    with pytest.raises(UserError, match=said) as e:
        allowed_folders.check_allowed(path)
    assert str(path.parent) not in str(e.value)


def test_what_lies_beneath_a_root_is_taken(root):
    """Fault 36: the root itself, a folder and a file in it."""
    for path in (root, root / "a", root / "a" / "0.png"):
        assert allowed_folders.check_allowed(path) == path.resolve()
    assert len(read(allowed_folders.check_allowed(root / "a"))) == 2


def test_what_lies_elsewhere_is_not(root):
    """Fault 36: other folders, `..`, the file system's root, a name that begins like the root's."""
    (root.parent / "opened too").mkdir()
    for path in (
        root.parent,
        root.parent / "secret",
        root / ".." / "secret",
        root / "a" / ".." / ".." / "secret" / "x.csv",
        root / "..",
        root.parent / "opened too",
    ):
        refused(path, "outside the folders")
    for path in ("/", "/etc/passwd", "/proc/self/environ", "relative", ""):
        with pytest.raises(UserError, match="outside the folders"):
            allowed_folders.check_allowed(type(root)(path))


def test_nothing_is_open_by_default(monkeypatch, tmp_path):
    """Fault 36: without LIGHTBOX_FOLDERS nothing of this machine is reached."""
    monkeypatch.delenv("LIGHTBOX_FOLDERS", raising=False)
    with pytest.raises(UserError, match="No folder of this machine is open"):
        allowed_folders.check_allowed(tmp_path)


def test_links_are_not_followed(root):
    """Fault 36: a link to /, to a file elsewhere, and a link on the way; a folder with links in it
    comes in without them.
    """
    (root / "all").symlink_to("/")
    (root / "secret").symlink_to(root.parent / "secret")
    (root / "file").symlink_to(root.parent / "secret" / "x.csv")
    (root / "inner").symlink_to(root / "a")
    for name in ("all", "secret", "file", "inner", "all/etc", "secret/x.csv", "inner/0.png"):
        refused(root / name, "is a link")
    (root / "a" / "etc").symlink_to("/etc")
    (root / "a" / "2.png").symlink_to(root.parent / "secret" / "x.csv")
    assert [m.name for m in collect(root / "a")] == ["0.png", "1.png"]
    assert allowed_folders.list_entries(root) == (["a"], [])


@pytest.mark.timeout(20)
def test_pipes_sockets_and_devices_are_left_out(root, monkeypatch):
    """Fault 36: a pipe never blocks the reader; it is refused by itself and left out in a
    folder.
    """
    os.mkfifo(root / "a" / "pipe.png")
    (root / "d").mkdir()
    with socket.socket(socket.AF_UNIX) as s:
        monkeypatch.chdir(root / "d")  # names of sockets are short
        s.bind("s")
    refused(root / "a" / "pipe.png", "no plain file")
    refused(root / "d" / "s", "no plain file")
    for path in (root / "a" / "pipe.png", root / "d" / "s"):
        with pytest.raises(UserError, match="neither a file nor a folder"):
            read(path)
    assert len(read(root / "a")) == 2
    assert allowed_folders.list_entries(root / "a")[1] == ["0.png", "1.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the super-user may read everything")
def test_unreadable_files_and_folders(root):
    """Fault 36: rights that are missing end in a sentence, never in a part of the data."""
    (root / "a" / "1.png").chmod(0)
    refused(root / "a" / "1.png", "may not be read")
    with pytest.raises(UserError, match="cannot be read from disk"):
        read(root / "a")
    (root / "a").chmod(0)
    with pytest.raises(UserError):
        read(root)
    (root / "a").chmod(0o700)


def test_rights_that_are_missing_when_reading(root, monkeypatch):
    """Fault 36: as above, by a failing system call, which the super-user sees too."""
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("a"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="The folder a in open cannot be looked into"):
        read(root)
    monkeypatch.undo()
    import builtins

    opened = builtins.open

    def denied(path, *a, **k):
        if str(path).endswith("1.png"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *a, **k)

    monkeypatch.setattr(builtins, "open", denied)
    with pytest.raises(UserError, match=r"1\.png cannot be read from disk \(Permission denied\)"):
        read(root / "a")


def test_a_huge_sparse_file_is_refused_by_its_size(root):
    """Fault 36: 3 TB that take no room on disk are refused without reading them."""
    for name in ("huge.csv", "huge.npy", "huge.png"):
        with open(root / name, "wb") as f:
            f.write(
                {
                    "huge.csv": b"a,b\n",
                    "huge.npy": b"\x93NUMPY\x01\x00",
                    "huge.png": b"\x89PNG\r\n\x1a\n",
                }[name]
            )
            f.truncate(3 << 40)
        grew, words = peak(REFUSE, root / name)
        assert "larger than 2 GB" in words
        assert grew < 50 << 20


def test_a_million_files_are_not_even_listed(root, monkeypatch):
    """Fault 36: a folder with more files than are taken is refused before its list is built (the
    limit is lowered here).
    """
    for i in range(300):
        (root / "a" / f"x{i}.csv").write_text("a\n1\n")
    monkeypatch.setattr(limits, "MEMBERS", 100)
    monkeypatch.setattr(limits, "LISTED", 20)
    with pytest.raises(UserError, match="a holds more than 100 files"):
        read(root / "a")
    assert len(allowed_folders.list_entries(root / "a")[1]) == 20


@pytest.mark.parametrize(
    "name", ["a\0b", "a\nb", "x" * 5000, "\ud800", "CON", "../" * 500, "%2e%2e/secret"]
)
def test_odd_names_end_in_a_sentence(root, name):
    """Fault 36: names that no system call takes."""
    with pytest.raises(UserError):
        allowed_folders.check_allowed(root / name)


def test_names_that_are_no_letters(tmp_path):
    """Fault 36: a file whose name is not valid in the system's encoding is read under a name that
    can be stored.
    """
    for i in range(2):
        with open(os.fsencode(tmp_path) + b"/\xff%d.png" % i, "wb") as f:
            f.write(png(i))
    data = read(tmp_path)
    assert data.table["file"].tolist() == ["�0.png", "�1.png"]
    data.save(tmp_path / "stored")
