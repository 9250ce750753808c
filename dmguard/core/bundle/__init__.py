"""What `dmguard recover --bundle` writes for a maintainer: its parts, and what is hidden."""

FOLDER = "dmguard-bundle"
"""In which all of a bundle's files are."""

SUFFIXES = (".tar", ".tar.gz", ".tar.xz")
