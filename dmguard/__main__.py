"""`python3 -m dmguard` is `dmguard`."""

from dmguard.app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
