"""``python -m isocenter``: the same as the command ``isocenter``."""

from isocenter.app.cli import main

if __name__ == "__main__":
    main()
