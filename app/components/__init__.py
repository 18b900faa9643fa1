"""What the app draws in the browser by its own scripts, one folder each."""

from pathlib import Path

# goes before the script of each component that uses `element(...)`
ELEMENT = (Path(__file__).parent / "element.js").read_text()
