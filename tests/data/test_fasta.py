"""FASTA with tables beside it: names, joins, letters, gzip; and files that are not what they
seem.
"""

import gzip

import pytest

from core.data.readers import preview, read
from core.errors import UserError
from core.evidence import shared_data

THREE = ">a first\nACGT\nACGU\n>b\nacgtnn\n>c\nACG-T\n"
SHEET = "strain\tregion\tdate\na\teast\t2020\nb\twest\t2021\nc\teast\t2022\nz\twest\t2020\n"


def folder(tmp_path, **files):
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return tmp_path


def test_names_letters_and_the_table_beside(tmp_path):
    data = read(folder(tmp_path, seqs__fasta=THREE, meta__tsv=SHEET), label="region")
    assert data.modality == "sequence"
    assert data.names().tolist() == ["a", "b", "c"]
    assert data.texts.tolist() == ["ACGTACGT", "ACGTNN", "ACG-T"]
    assert data.column("label").tolist() == ["east", "west", "east"]
    assert preview(tmp_path)["columns"] == ["length", "region", "date"]


def test_lines_of_comments(tmp_path):
    text = "; made in 2020\n;second line\n" + THREE.replace("ACGU\n", "; inside\nACGU\n")
    data = read(folder(tmp_path, seqs__fasta=text))
    assert data.texts.tolist() == ["ACGTACGT", "ACGTNN", "ACG-T"]


def test_gzip_is_the_same(tmp_path):
    plain = read(folder(tmp_path, seqs__fasta=THREE))
    packed = tmp_path / "packed"
    packed.mkdir()
    assert (
        read(folder(packed, seqs__fasta__gz=gzip.compress(THREE.encode()))).content_hash()
        == plain.content_hash()
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_descriptions_may_hold_anything(tmp_path, end):
    words = "".join(
        f">s{i} Müller's variant c.{100 + i}A>G >x{end}ACGT{end}ACGT{end}" for i in range(12)
    )
    data = read(folder(tmp_path, a__fasta=words.encode()))
    assert data.names().tolist() == [f"s{i}" for i in range(12)]
    assert set(data.texts) == {"ACGTACGT"}
    assert (
        read(folder(tmp_path, a__fasta=b"\xef\xbb\xbf\n" + words.encode("latin-1"))).content_hash()
        == data.content_hash()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (">a\nMKVLAAGL\n>b\nACGT\n", "only nucleotides"),
        (">a\n\n>b\nACGT\n", "empty"),
        (">\nACGT\n>b\nACGT\n", "no name"),
        (">a\nACGT\n>a\nACGA\n", "two different sequences"),
        (">a\nACGT\n", "1 row"),
        (">a\nAC>GT\n>b\nACGT\n", "holds “>” at letter 3"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, words, said):
    with pytest.raises(UserError, match=said):
        read(folder(tmp_path, seqs__fasta=words))


def test_a_bomb_and_a_cut_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="unpacks to more than"):
        read(folder(tmp_path, bomb__fasta__gz=gzip.compress(b">a\n" + b"A" * 400_000_000, 9)))
    other = tmp_path / "cut"
    other.mkdir()
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(folder(other, cut__fasta__gz=gzip.compress(THREE.encode())[:-12]))


def test_real_genomes_come_in_with_their_places():
    if shared_data() is None:
        pytest.skip("the open data is not here")
    data = read(shared_data() / "sarscov2_location", label="region")
    assert len(data) >= 418
    assert {"North America", "Oceania", "Asia", "Europe"} <= set(data.classes)
    assert {"country", "division"} <= set(data.table.columns)
