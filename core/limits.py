"""What an upload may be at most. One place; the screen shows `shown()` and a test tries each
(tests/hostile/test_limits.py).
"""

UPLOAD_BYTES = 200 << 20  # through the browser
FILE_BYTES = 2 << 30  # one file from disk, and one file of a zip unpacked
MEMBERS = 20_000  # files in a zip or folder
UNPACKED = 32 << 30  # bytes of all files of a zip together
RATIO = 200  # unpacked : packed bytes of a zip member
# bytes of an array or volume that unpacks to more than RATIO allows although its header accounts
# for every byte, as masks do
TIGHT = 512 << 20
PIXELS = 25_000_000  # of one picture
COLUMNS = 20_000
ROWS = 2_000_000
CLASSES = 1000  # different labels that are taken for classes
CELL = 1 << 20  # letters of one value of a text table
PREVIEW = 1 << 20  # bytes of a text table that are read to show its first lines
VALUES = 4 << 30  # bytes of all samples together
LETTERS = 10_000_000  # of one sequence
NAME = 80  # letters of the name of a dataset or run
REPORT_BYTES = 25 << 20  # of a report or story as one file
OUTLINES = 4 << 30  # bytes of the outlines a method gives
# rows among which the check of a dataset searches neighbours; it says so where there are more
LOOKED = 100_000
FINDING_ROWS = 20_000  # rows listed with one finding of the check
# bytes of samples that stand in memory while they are imported; more are decoded as they are
# written
IN_MEMORY = 128 << 20
ELEMENTS = 250_000  # header elements of one DICOM file, those in its sequences among them
DEPTH = 32  # sequences within sequences of a DICOM file
# bytes of scans that stand in memory while they are imported; more are decoded as they are written
SCANS_IN_MEMORY = 1 << 30
LISTED = 1_000  # entries of a folder shown for choosing
CHANNELS = 512  # signals of one recording
SLICE_CACHE = 1 << 30  # bytes of volumes kept in memory while their slices are read in any order
# bytes an import may take beyond what its process starts with; less where the machine has less
IMPORT_MEMORY = 12 << 30
READER_MEMORY = 2 << 30  # bytes a process that takes a first look at files may take
# bytes of a result's file up to which opening it compares it with what was written
VERIFIED = 256 << 20
PREVIEW_SECONDS = 30  # of such a look

WORDS = {  # of each limit for the screen: what it bounds, and the unit of its value
    "UPLOAD_BYTES": ("one upload through the browser", "bytes"),
    "FILE_BYTES": ("one file in a folder, or one file of a zip when unpacked", "bytes"),
    "MEMBERS": ("files in one zip or folder", ""),
    "UNPACKED": ("all files of a zip together when unpacked", "bytes"),
    "RATIO": ("how much larger than its packed size a file of a zip may be", "times"),
    "TIGHT": ("arrays and volumes packed more tightly than that", "bytes"),
    "PIXELS": ("one picture", "pixels"),
    "COLUMNS": ("columns of a table", ""),
    "ROWS": ("rows: cases of a dataset, lines of a table, sequences", ""),
    "CLASSES": ("different labels that are taken for classes", ""),
    "CELL": ("one value of a text table", "letters"),
    "PREVIEW": ("what is read of a text table to show its first lines", "bytes"),
    "CHANNELS": ("signals of one recording", ""),
    "VALUES": ("all pictures, scans or numbers of a dataset together, as stored", "bytes"),
    "LETTERS": ("one sequence", "letters"),
    "NAME": ("the name of a dataset or run", "letters"),
    "REPORT_BYTES": ("a report or story as one file", "bytes"),
    "OUTLINES": ("the segmentations one method makes", "bytes"),
    "ELEMENTS": ("header elements of one DICOM file", ""),
    "DEPTH": ("sequences within sequences of a DICOM file", ""),
    "LISTED": ("files and folders listed for choosing", ""),
    "IMPORT_MEMORY": ("memory for an import", "bytes"),
    "READER_MEMORY": ("memory for a first look at a file", "bytes"),
    "PREVIEW_SECONDS": ("time for a first look at a file", "seconds"),
}
# changes how, not what, is read
INTERNAL = {"IN_MEMORY", "SCANS_IN_MEMORY", "SLICE_CACHE", "FINDING_ROWS", "LOOKED", "VERIFIED"}


def shown() -> list[tuple[str, str]]:
    """Return (what is bounded, the largest value) of every limit, in words."""
    return [(words, in_words(globals()[name], unit)) for name, (words, unit) in WORDS.items()]


def in_words(value: int, unit: str) -> str:
    """“200 MB”, “20,000”, “25 million pixels”, “200 times”."""
    if unit == "bytes":
        return f"{value / 2**30:g} GB" if value >= 1 << 30 else f"{value / 2**20:g} MB"
    number = (
        f"{value // 10**6:,} million" if value >= 10**6 and value % 10**6 == 0 else f"{value:,}"
    )
    return f"{number} {unit}".strip()
