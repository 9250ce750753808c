"""argv → verb → render."""


def main() -> int:
    return 0
