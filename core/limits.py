"""What an upload may be at most. One place; the screen shows these and tests try each."""

UPLOAD_BYTES = 200 << 20  # through the browser
FILE_BYTES = 2 << 30  # one file from disk
MEMBERS = 20_000  # files in a zip or folder
RATIO = 200  # unpacked : packed bytes of a zip member
PIXELS = 25_000_000  # of one picture
COLUMNS = 20_000
ROWS = 2_000_000
VALUES = 4 << 30  # bytes of all samples together
OUTLINES = 4 << 30  # bytes of the outlines a method gives
IN_MEMORY = 128 << 20  # bytes of samples that stand in memory while they are imported; more are decoded as they are written
SLICE_CACHE = 1 << 30  # bytes of volumes kept in memory while their slices are read in any order
