"""What a file is that Lightbox does not read: named in the sentence that refuses it. Nothing here
opens or decodes anything, it looks at first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from core.data.readers.files import Member

SVG = re.compile(rb"<svg[\s>]", re.I)
PICTURE = "save it as PNG or TIFF"
MICROSCOPE = "save its pictures as TIFF"
VOLUME = "save it as NIfTI (.nii.gz), for example with 3D Slicer or SimpleITK"
STARTS: list[tuple[bytes, int, str, str]] = [  # bytes, where, what it is, what to do
    (b"GIF8", 0, "a GIF picture", PICTURE),
    (b"WEBP", 8, "a WebP picture", PICTURE),
    (b"8BPS", 0, "a Photoshop file (PSD)", PICTURE),
    (b"%!PS", 0, "a PostScript drawing (EPS)", PICTURE),
    (b"\xc5\xd0\xd3\xc6", 0, "a PostScript drawing (EPS)", PICTURE),
    (b"SIMPLE  =", 0, "a FITS file", PICTURE),
    (b"\0\0\0\x0cjP  ", 0, "a JPEG 2000 picture", PICTURE),
    (b"\xff\x4f\xff\x51", 0, "a JPEG 2000 picture", PICTURE),
    (b"\0\0\x01\0", 0, "an icon (ICO)", PICTURE),
    (b"\0\0\0\x0cJXL ", 0, "a JPEG XL picture", PICTURE),
    (b"\xff\x0a", 0, "a JPEG XL picture", PICTURE),
    (b"II\xbc", 0, "a JPEG XR picture", PICTURE),
    *(
        (b"P%d%s" % (k, end), 0, "a PNM picture (PBM, PGM, PPM)", PICTURE)
        for k in range(1, 7)
        for end in (b"\n", b" ", b"\r")
    ),
    (b"v/1\x01", 0, "an OpenEXR picture", PICTURE),
    (b"ZISRAWFILE", 0, "a Zeiss microscope file (CZI)", MICROSCOPE),
    (b"\xda\xce\xbe\x0a", 0, "a Nikon microscope file (ND2)", MICROSCOPE),
    (b"\x70\0\0\0", 0, "a Leica microscope file (LIF)", MICROSCOPE),
    (b"NRRD0", 0, "an NRRD file", VOLUME),
    (b"ObjectType", 0, "a MetaImage header (.mhd, .mha)", VOLUME),
    (b"NDims", 0, "a MetaImage header (.mhd, .mha)", VOLUME),
    (b"CDF\x01", 0, "a MINC or NetCDF file", "turn MINC into NIfTI (mnc2nii)"),
    (b"CDF\x02", 0, "a MINC or NetCDF file", "turn MINC into NIfTI (mnc2nii)"),
    (b"%PDF", 0, "a PDF", "take its pictures or tables out"),
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file (also MATLAB's newer .mat)", "save its arrays as npz"),
    (b"MATLAB 5.0", 0, "a MATLAB file", "save its arrays as npz"),
    (
        b"\xd0\xcf\x11\xe0",
        0,
        "an old Office file (.xls, .doc), or an Office file with a password",
        "save the table as .xlsx without a password, or as CSV",
    ),
    (b"\x09\x08\x10\0\0\x06", 0, "an old Excel workbook (.xls)", "save the table as .xlsx or CSV"),
    (
        b"$FL2",
        0,
        "an SPSS file (.sav)",
        "save it as CSV (in SPSS: Save as; in R: haven; in Python: pyreadstat)",
    ),
    (
        b"$FL3",
        0,
        "a packed SPSS file (.zsav)",
        "save it as CSV (in SPSS: Save as; in R: haven; in Python: pyreadstat)",
    ),
    (b"<stata_dta>", 0, "a Stata file (.dta)", "save it as CSV (in Stata: export delimited)"),
    (
        b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0\x09\xc7\x31\x8c",
        0,
        "a SAS data set (.sas7bdat)",
        "save it as CSV (in SAS: proc export)",
    ),
    (
        b"HEADER RECORD*******LIB",
        0,
        "a SAS transport file (.xpt)",
        "save it as CSV (in SAS: proc export; in Python: pandas.read_sas)",
    ),
    (b"RDX2\n", 0, "an R workspace (.RData)", "save its table as CSV (write.csv)"),
    (b"RDX3\n", 0, "an R workspace (.RData)", "save its table as CSV (write.csv)"),
    (b"ARROW1", 0, "an Arrow or Feather file", "save the table as Parquet"),
    (b"FEA1", 0, "a Feather file", "save the table as Parquet"),
    (b"ORC", 0, "an ORC file", "save the table as Parquet"),
    (b"Obj\x01", 0, "an Avro file", "save the table as Parquet"),
    (b"\0\x01\0\0Standard ", 0, "an Access database", "save its tables as CSV"),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd archive", "unpack it"),
    (b"SQLite format 3\0", 0, "an SQLite database", "save its tables as CSV"),
    (b"Rar!", 0, "a RAR archive", "unpack it and make a zip"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive", "unpack it and make a zip"),
    (b"ustar", 257, "a tar archive", "unpack it and make a zip"),
    (b"\x1f\x8b", 0, "a gzip archive", "unpack it"),
    (b"BZh", 0, "a bzip2 archive", "unpack it"),
    (b"\xfd7zXZ\0", 0, "an xz archive", "unpack it"),
    (b"MZ", 0, "a Windows program", "leave it out"),
    (b"\x7fELF", 0, "a program", "leave it out"),
]
PICKLE = "a Python pickle, which can run programs when it is opened, so Lightbox never does"
PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".p")


def identify_unsupported(member: Member) -> tuple[str, str] | None:
    """Return what the file is and what to do about it, by its first bytes (and, for pickles, its
    name); None when it is not known.
    """
    for rule in _RULES:
        found = rule(member)
        if found is not None:
            return found
    return None


NAMES: list[tuple[tuple[str, ...], str, str]] = [  # endings, what it is, what to do
    ((".fastq", ".fq", ".fastq.gz", ".fq.gz"), "a FASTQ file of reads", "save it as FASTA"),
    ((".faa", ".pep"), "a FASTA file of proteins", "bring sequences of nucleotides"),
    ((".fasta", ".fa", ".fna", ".ffn"), "no whole FASTA file", "begin it with a name (>)"),
    ((".gb", ".gbk", ".genbank"), "a GenBank file", "save its sequences as FASTA"),
    ((".vcf", ".vcf.gz"), "a VCF file of variants", "save its genotypes as CSV"),
    ((".bam", ".sam", ".cram"), "a file of aligned reads", "save its sequences as FASTA"),
    ((".arff",), "a Weka file (.arff)", "save its table as CSV"),
    ((".json", ".jsonl", ".ndjson"), "a JSON file", "save its table as CSV"),
    ((".vhdr", ".vmrk", ".eeg"), "a BrainVision recording", "save it as EDF, for example with MNE"),
    ((".fif", ".fif.gz"), "an MNE recording (.fif)", "save it as EDF, for example with MNE"),
    ((".cnt",), "a Neuroscan recording (.cnt)", "save it as EDF, for example with MNE"),
    ((".gdf",), "a GDF recording", "save it as EDF, for example with MNE"),
    ((".mnc",), "a MINC file", "turn it into NIfTI (mnc2nii)"),
    (
        (".brik", ".head", ".brik.gz"),
        "an AFNI data set (.HEAD and .BRIK)",
        "turn it into NIfTI (3dAFNItoNIFTI)",
    ),
    ((".par", ".rec"), "a Philips PAR/REC pair", "turn it into NIfTI (parrec2nii)"),
    ((".img.gz",), "half of a packed pair (.hdr.gz and .img.gz)", "unpack both"),
]


def _by_name(member: Member) -> tuple[str, str] | None:
    name = member.name.lower()
    return next(((what, todo) for ends, what, todo in NAMES if name.endswith(ends)), None)


def _index(member: Member) -> tuple[str, str] | None:
    if not is_index(member):
        return None
    return (
        "a DICOMDIR (a list of files whose paths are not followed)",
        "bring the folder with the DICOM files themselves",
    )


def _by_start(member: Member) -> tuple[str, str] | None:
    for start, at, what, todo in STARTS:
        if member.head[at : at + len(start)] == start:
            return what, todo
    return None


def _film_or_drawing(member: Member) -> tuple[str, str] | None:
    head = member.head
    if head[4:8] == b"ftyp":
        if head[8:10] in (b"he", b"mi", b"ms", b"av"):
            return "a HEIC or AVIF picture", PICTURE
        return "a film (MP4)", "save its frames as PNG"
    return ("an SVG drawing", PICTURE) if SVG.search(head) else None


def _container(member: Member) -> tuple[str, str] | None:
    """Zips and pickles, and halves of pairs, which only their names tell."""
    head, name = member.head, member.name.lower()
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "a zip within", "unpack it, and bring the folder or make one zip of all"
    pickled = head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 2
    if pickled or name.endswith(PICKLED):
        return PICKLE, "save its arrays as npz"
    if name.endswith(".img"):
        return "a picture without its header", "bring its .hdr file beside it"
    return None


def _table(member: Member) -> tuple[str, str] | None:
    """Tables and documents of other programs, by their name and first bytes."""
    head, name = member.head, member.name.lower()
    zipped = head[:4] == b"PK\x03\x04"
    if zipped and (
        name.endswith(".ods")
        or head[38:85].startswith(b"application/vnd.oasis.opendocument.spreadsheet")
    ):
        return "an OpenDocument spreadsheet (.ods)", "save the table as .xlsx or CSV"
    for suffixes, what in (
        ((".docx", ".odt"), "a text document"),
        ((".pptx",), "a PowerPoint file"),
        ((".xlsb",), "a binary Excel workbook (.xlsb)"),
        ((".numbers",), "an Apple Numbers document"),
    ):
        if zipped and name.endswith(suffixes):
            return what, "save its table as .xlsx or CSV"
    if zipped and head[30:].startswith(
        (b"[Content_Types].xml", b"docProps/", b"xl/", b"_rels/.rels")
    ):
        return (
            "an Office document without its ending",
            "name it .xlsx if it is an Excel workbook, or save its table as CSV",
        )
    for suffix, what in (
        (".dta", "a Stata file (.dta)"),
        (".por", "an SPSS portable file (.por)"),
        (".rds", "an R object (.rds)"),
        (".rdata", "an R workspace (.RData)"),
        (".feather", "a Feather file"),
        (".dbf", "a dBase table (.dbf)"),
        (".mdb", "an Access database"),
        (".accdb", "an Access database"),
    ):
        if name.endswith(suffix):
            return what, "save its table as CSV"
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")[:200].lower()
    if b"urn:schemas-microsoft-com:office:spreadsheet" in head or (
        start.startswith(b"<?xml") and name.endswith(".xls")
    ):
        return "an Excel 2003 workbook in XML", "save the table as .xlsx or CSV"
    if start.startswith((b"<html", b"<!doctype html", b"<table", b"<meta")):
        return (
            "a web page (HTML), whatever its name says",
            "open it in a spreadsheet and save the table as CSV",
        )
    return None


def is_index(member: Member) -> bool:
    """Return a DICOMDIR: a list of DICOM files by their paths, whatever it is called. Its paths are
    never followed.
    """
    return member.head[128:132] == b"DICM" and b"1.2.840.10008.1.3.10" in member.head


# in this order: what says more goes first
_RULES: tuple[Callable[[Member], tuple[str, str] | None], ...] = (
    _by_name,
    _index,
    _table,
    _by_start,
    _film_or_drawing,
    _container,
)
