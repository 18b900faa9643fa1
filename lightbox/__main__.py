"""The command `lightbox`, and `python -m lightbox`."""

from app.cli import main

if __name__ == "__main__":
    main()
