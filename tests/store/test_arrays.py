"""Stored samples, masks and tables are what was written, or a sentence: files that are lost, cut,
or changed in one bit, of new data and of old.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from streamlit.testing.v1 import AppTest

from core.data.checks import dataset_findings
from core.data.dataset import Dataset
from core.errors import UserError
from core.io import arrays, checksums
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox

N = 200


def some():
    """Pictures in two chunks, masks of which the first chunk is all zero, so that Zarr writes no
    file for it, and a table.
    """
    x = np.random.default_rng(0).normal(0, 1, (N, 1, 96, 96)).astype(np.float32)
    masks = np.zeros((N * 4, 96, 96), np.uint8)[:N]
    masks[150:] = 1
    return Dataset(
        "two", "image", pd.DataFrame({"label": np.arange(N) % 2}), x, masks, {"label": "label"}
    )


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "two"
    some().save(folder)
    return folder


@pytest.fixture(scope="module")
def old(new, tmp_path_factory):
    """The same as it was written before chunks had checksums and the manifest sizes."""
    folder = tmp_path_factory.mktemp("old") / "two"
    shutil.copytree(new, folder)
    for key in ("samples", "masks"):
        values = zarr.open_array(folder / f"{key}.zarr", mode="r")[:]
        shutil.rmtree(folder / f"{key}.zarr")
        made = zarr.create_array(
            folder / f"{key}.zarr",
            shape=values.shape,
            dtype=values.dtype,
            chunks=(100, *values.shape[1:]),
            compressors=zarr.codecs.ZstdCodec(level=1),
        )
        made[:] = values
    checksums.write_manifest(folder)
    lines = json.loads((folder / checksums.NAME).read_text())
    (folder / checksums.NAME).write_text(
        json.dumps({name: line.split()[0] for name, line in lines.items()})
    )
    return folder


@pytest.fixture(params=["new", "old"])
def folder(request, tmp_path):
    shutil.copytree(request.getfixturevalue(request.param), tmp_path / "two")
    return tmp_path / "two"


def chunks(folder, key):
    return sorted(p for p in (folder / f"{key}.zarr" / "c").rglob("*") if p.is_file())


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 0x40
    path.write_bytes(data)


def everything(data):
    return data.raw(), data.mask(), data.table, data.labels


def test_a_chunk_of_zeros_has_no_file(new):
    assert len(chunks(new, "masks")) < len(chunks(new, "samples"))
    x = np.zeros((4, 2, 2), np.float32)
    array = arrays.create_array(new.parent / "signed.zarr", x.shape, x.dtype, 2)
    x[2] = -0.0  # other bytes than zeros
    arrays.write_chunk(array, 0, x[:2])
    arrays.write_chunk(array, 2, x[2:])
    assert [p.name for p in (new.parent / "signed.zarr" / "c").iterdir()] == ["1"]
    assert np.array_equal(np.signbit(array[:]), np.signbit(x))


def test_what_was_written_comes_back(folder):
    x, mask, _, labels = everything(Dataset.load(folder))
    assert np.array_equal(x, some().samples)
    assert np.array_equal(mask, some().masks > 0), "chunks of zeros have no file and are no loss"
    assert np.array_equal(labels, np.arange(N) % 2)
    rows = np.array([3, 199, 0])
    assert np.array_equal(Dataset.load(folder).raw(rows), some().samples[rows])


@pytest.mark.parametrize("key", ["samples", "masks"])
def test_a_lost_chunk_is_told_at_opening(folder, key):
    chunks(folder, key)[-1].unlink()
    with pytest.raises(
        UserError, match=rf"“few” is damaged on the disk: one .*{key}\.zarr/c/\d.*bring it again"
    ):
        Dataset.load(folder, "few")


@pytest.mark.parametrize("key", ["samples", "masks"])
def test_a_chunk_lost_while_the_data_is_open_is_told_when_it_is_read(folder, key):
    data = Dataset.load(folder)
    chunks(folder, key)[-1].unlink()
    with pytest.raises(UserError, match=f"{key}.zarr/c"):
        data.raw() if key == "samples" else data.mask()


@pytest.mark.parametrize(
    "at", [4, 5, None, -1], ids=["header of the frame", "behind it", "middle", "end"]
)
@pytest.mark.parametrize("key", ["samples", "masks"])
def test_a_flipped_bit_is_told_when_it_is_read(folder, key, at):
    flip(chunks(folder, key)[-1], at)
    data = Dataset.load(folder)
    with pytest.raises(UserError, match=f"damaged on the disk.*{key}.zarr"):
        data.raw(np.array([N - 1])) if key == "samples" else data.mask()


def test_the_other_chunks_are_still_read(folder):
    flip(chunks(folder, "samples")[-1])
    assert np.array_equal(Dataset.load(folder).raw(np.arange(4)), some().samples[:4])


def test_a_cut_chunk(folder):
    path = chunks(folder, "samples")[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged on the disk"):
        Dataset.load(folder).raw()


@pytest.mark.parametrize("name", ["samples.zarr/zarr.json", "table.parquet", "dataset.json"])
@pytest.mark.parametrize("how", ["lost", "cut", "flipped"])
def test_every_other_file(folder, name, how):
    path = folder / name
    if how == "lost":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        flip(path)
    with pytest.raises(UserError, match="damaged on the disk"):
        everything(Dataset.load(folder))


def test_a_lost_or_cut_list_of_files(folder):
    """New data always has one; without it nobody would know of a lost chunk. Data from before there
    were lists opens.
    """
    (folder / "manifest.json").write_text('{"table.par')
    with pytest.raises(UserError, match=r"manifest\.json"):
        Dataset.load(folder)
    (folder / "manifest.json").unlink()
    if b"crc32c" in (folder / "samples.zarr" / "zarr.json").read_bytes():
        with pytest.raises(UserError, match=r"manifest\.json"):
            Dataset.load(folder)
    else:
        assert np.array_equal(Dataset.load(folder).raw(), some().samples)


def test_two_lost_files_are_counted(folder):
    for key in ("samples", "masks"):
        chunks(folder, key)[-1].unlink()
    with pytest.raises(UserError, match=r"2 of its stored files are missing.*the first: "):
        Dataset.load(folder)


def test_words_and_sequences_have_no_arrays(tmp_path):
    data = Dataset("words", "text", pd.DataFrame({"text": ["a b", "c d"]}), roles={"text": "text"})
    data.save(tmp_path / "t")
    assert Dataset.load(tmp_path / "t").texts.tolist() == ["a b", "c d"]
    flip(tmp_path / "t" / "table.parquet")
    with pytest.raises(UserError, match=r"table\.parquet"):
        Dataset.load(tmp_path / "t").texts  # noqa: B018


def test_tables_of_numbers(tmp_path):
    x = np.random.default_rng(1).normal(size=(50, 3))
    Dataset("t", "table", pd.DataFrame({"y": np.arange(50)}), x, features=("a", "b", "c")).save(
        tmp_path / "t"
    )
    flip(chunks(tmp_path / "t", "samples")[0])
    with pytest.raises(UserError, match=r"samples\.zarr"):
        Dataset.load(tmp_path / "t").inputs()


def test_a_save_that_was_cut_off_goes_on_with_checksums(tmp_path):
    """The blocks of the first attempt are read again, with their sums, and the hash is that of the
    data.
    """
    folder = tmp_path / "two"

    class Stop(Exception):
        pass

    def stop(done, total):
        if (tmp_path / "two" / "samples.blocks.json").exists():
            raise Stop

    many = replace(
        some(),
        samples=np.repeat(some().samples, 6, axis=0),
        masks=None,
        table=pd.DataFrame({"label": np.arange(6 * N) % 2}),
    )
    with pytest.raises(Stop):
        many.save(folder, stop)
    assert many.save(folder).hash == many.content_hash()
    assert checksums.find_wrong_files(folder) == []


# -- in a workspace --------------------------------------------------------------------------------
@pytest.fixture
def ws(database, tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    made = Workspace(tmp_path / "home")
    made.add(replace(some(), name="few"))
    return made


def test_commands_say_one_sentence_and_the_data_can_be_removed(ws):
    """What lists and removes works on; what reads says what to do."""
    chunks(ws.dataset_folder("few"), "samples")[-1].unlink()
    for command in (
        ("data", "show", "few"),
        ("data", "check", "few"),
        ("train", "few", "pca"),
        ("methods", "--for", "few"),
    ):
        code, out, err = lightbox(*command)
        assert (code, out) == (2, ""), command
        assert err.count("\n") == 1
        assert "“few” is damaged on the disk" in err
        assert "bring it again" in err
    assert lightbox("data", "list")[0] == 0
    assert lightbox("data", "remove", "few")[0] == 0
    assert ws.catalogue.datasets() == []


def test_a_changed_chunk_is_found_by_show_and_check_although_nothing_reads_it(ws):
    dataset_findings(ws, "few")  # kept: what follows need not read the samples
    assert lightbox("data", "show", "few")[0] == 0
    flip(chunks(ws.dataset_folder("few"), "samples")[-1])
    for command in ("show", "check"):
        code, _, err = lightbox("data", command, "few")
        assert code == 2
        assert "samples.zarr/c/1/0/0/0" in err


@pytest.mark.parametrize(
    ("page", "how"),
    [
        ("home", "lost"),
        ("data", "lost"),
        ("train", "table"),
        ("home", "flipped"),
        ("data", "flipped"),
    ],
)
def test_pages_say_so_and_offer_to_remove_it(ws, page, how):
    path = (
        ws.dataset_folder("few") / "table.parquet"
        if how == "table"
        else chunks(ws.dataset_folder("few"), "samples")[0]
    )
    flip(path) if how == "flipped" else path.unlink()
    root = Path(__file__).parents[2]
    at = AppTest.from_file(str(root / "app" / "main.py"), default_timeout=300).run()
    at = at if page == "home" else at.switch_page(f"../pages/{page}.py").run()
    said = [e.value for e in at.error if "damaged on the disk" in e.value]
    assert not at.exception
    assert len(said) == 1
    next(b for b in at.button if b.label == "Remove it").click().run()
    assert ws.catalogue.datasets() == []
    assert not at.exception
