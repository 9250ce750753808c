"""Small pools that are none of LVM's, for the tests: sizes in MiB, use in percent."""

from dataclasses import replace

from dmguard.core.bare import Backing, BarePool, LoopFile, Place, RawPool, Table
from dmguard.core.model import KernelPool, Mode, State, Usage
from dmguard.core.settings import RawRule

MIB = 1 << 20
CHUNK = 64 << 10
DOCKER = "docker-98:0-15970-pool"
PARAMS = "7:1 7:0 128 32768 1 skip_block_zeroing"
RULE = RawRule("devpool", "/srv/data", "/srv/metadata")


def make_file(
    path: str = "/srv/data", size: int = 1000, room: int = 10_000, inode: int = 1
) -> LoopFile:
    """A file of which half is allocated."""
    return LoopFile(path, (2049, inode), size * MIB, size * MIB // 2, room * MIB)


def make_bare(
    data: float = 50,
    metadata: float = 10,
    *,
    name: str = DOCKER,
    size: int = 1000,
    metadata_size: int = 16,
    room: int = 10_000,
    inode: int = 1,
) -> BarePool:
    """A healthy pool on two loop devices. Its metadata's file is allocated whole."""
    whole, part = Usage(int(size * MIB * data / 100), size * MIB), metadata_size * MIB
    kernel = KernelPool(
        dm_name=name,
        vg_uuid="",
        lv_uuid="",
        devno=(253, 4),
        event_nr=0,
        size=size * MIB,
        chunk=CHUNK,
        low_water=32768,
        mode=Mode.RW,
        needs_check=False,
        errors_when_full=False,
        transaction_id=1,
        data=whole,
        metadata=Usage(int(part * metadata / 100), part),
    )
    below = make_file("/srv/metadata", metadata_size, room, inode=inode + 1)
    below = replace(below, allocated=below.size)
    return BarePool(
        kernel,
        Table(size * MIB // 512, PARAMS),
        data=Backing((7, 0), "/dev/loop0", size * MIB, make_file("/srv/data", size, room, inode)),
        metadata=Backing((7, 1), "/dev/loop1", part, below),
    )


def in_bare(pool: BarePool, **changes: object) -> BarePool:
    """The pool, with something else in the kernel's view."""
    return replace(pool, kernel=replace(pool.kernel, **changes))  # type: ignore[arg-type]


def with_file(pool: BarePool, **changes: object) -> BarePool:
    """The pool, with something else about its data's file."""
    assert pool.data.file is not None
    file = replace(pool.data.file, **changes)  # type: ignore[arg-type]
    return replace(pool, data=replace(pool.data, file=file))


def make_host(*pools: BarePool, raws: tuple[RawPool, ...] = ()) -> State:
    return State((), (), bare=pools, raws=raws)


def make_head(chunk: int = CHUNK, blocks: int = 100) -> bytes:
    """The first block of thin metadata, as the kernel writes it (dm-thin-metadata.c)."""
    head = bytearray(4096)
    head[32:40] = (27022010).to_bytes(8, "little")
    head[64:72] = blocks.to_bytes(8, "little")
    head[336:340] = (chunk // 512).to_bytes(4, "little")
    return bytes(head)


def make_raw(rule: RawRule = RULE, pool: BarePool | None = None, size: int = 100) -> RawPool:
    """A raw pool whose files are there, on loop devices if it is up."""
    devnos = ((7, 0), (7, 1)) if pool else (None, None)
    return RawPool(
        rule,
        pool,
        data=Place(rule.data, is_file=True, size=size * MIB, devno=devnos[0], inode=(2049, 1)),
        metadata=Place(rule.metadata, is_file=True, size=4 * MIB, devno=devnos[1], inode=(2049, 2)),
        head=b"" if pool else make_head(),
    )
