"""core/hints: the journal's own fields decide, and what anybody can write does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.hints import MATCHES, hint

LOW_WATER = "device-mapper: thin: 254:3: reached low water mark for data device: sending event."
NOW_FULL = "WARNING: Thin pool docker-thinpool data is now 85.00% full."
TOO_FEW = (
    "devmapper: Thin Pool has 132 free data blocks which is less than minimum required 163840 "
    "free data blocks. Create more free space in thin pool or use dm.min_free_space option to "
    "change behavior"
)
NO_DEVICE = (
    "failed to start daemon: error initializing graphdriver: "
    "devicemapper: Non existing device docker-thinpool"
)
NO_POOL = r'msg="failed to query pool \"/dev/mapper/docker-thinpool\": no such device or address"'


def kernel(message: str) -> dict[str, str]:
    return {"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel", "MESSAGE": message}


def said(comm: str, message: str, uid: str = "0") -> dict[str, str]:
    return {"_TRANSPORT": "stdout", "_COMM": comm, "_UID": uid, "MESSAGE": message}


@pytest.mark.parametrize(
    "words",
    [
        "reached low water mark for data device: sending event.",
        "reached low water mark for metadata device: sending event.",
        "switching pool to out-of-data-space (queue IO) mode",
        "switching pool to out-of-data-space (error IO) mode",
        "switching pool to out-of-metadata-space mode",
        "switching pool to read-only mode",
        "switching pool to failure mode",
        "switching pool to fail mode",
        "switching pool to write mode",
        "no free metadata space available.",
    ],
)
def test_the_kernels_words_name_the_device(words: str) -> None:
    assert hint(kernel(f"device-mapper: thin: 254:3: {words}")) == "254:3"


@pytest.mark.parametrize(
    "message",
    [
        "device-mapper: thin: Couldn't create thin pool mapped device.",
        "device-mapper: thin: 254:3: growing the data device from 100 to 200 blocks",
        "device-mapper: thin: 254:3: unknown",
        "device-mapper: raid: 254:3: switching pool to read-only mode",
        f"audit: type=1400 comm={LOW_WATER}",
        f" {LOW_WATER}",
        f"first\n{LOW_WATER}",
        "device-mapper: thin: \u0662:3: switching pool to read-only mode",
        "",
    ],
)
def test_other_lines_of_the_kernel_are_nothing(message: str) -> None:
    assert hint(kernel(message)) is None


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (NOW_FULL, "docker-thinpool"),
        ("WARNING: Thin pool vg-pool-tpool metadata is now 80.15% full.", "vg-pool"),
        ("  WARNING: Thin pool vg-my--pool-tpool data is now 100.00% full.", "vg-my--pool"),
        ("Failed command for docker-thinpool.", "docker-thinpool"),
        ("Failed command for vg.1-pool-tpool.\n", "vg.1-pool"),
        ("Insufficient free space: 80 extents needed, but only 67 available", "dmeventd"),
    ],
)
def test_dmeventds_words_name_the_pool(message: str, subject: str) -> None:
    assert hint(said("dmeventd", message)) == subject


@pytest.mark.parametrize(
    "message",
    [
        "WARNING: Sum of all thin volume sizes (2.00 GiB) exceeds the size of thin pool vg/pool",
        "Monitoring thin pool vg-pool-tpool.",
        "Size of logical volume vg/pool_tdata changed from 1.00 GiB to 1.20 GiB.",
        "WARNING: Thin pool  data is now 85.00% full.",
        "WARNING: Snapshot vg-snap is now 85.00% full.",
        f"once it said: {NOW_FULL}",
    ],
)
def test_other_lines_of_dmeventd_are_nothing(message: str) -> None:
    assert hint(said("dmeventd", message)) is None


@pytest.mark.parametrize("comm", ["dockerd", "isulad"])
@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (TOO_FEW, None),
        (TOO_FEW.replace("free data", "free metadata"), None),
        (f'time="2024-01-01T00:00:00Z" level=error msg="Handler for POST: {TOO_FEW}"', None),
        (TOO_FEW.replace("required ", "required        "), None),
        (NO_DEVICE, "docker-thinpool"),
        (f"{NO_DEVICE}: devicemapper", "docker-thinpool"),
        (f'level=fatal msg="{NO_DEVICE}"', "docker-thinpool"),
    ],
)
def test_the_graph_drivers_words(comm: str, message: str, subject: str | None) -> None:
    assert hint(said(comm, message)) == (subject or comm)


@pytest.mark.parametrize(
    "message",
    [
        "devmapper: thin pool not exists",
        (
            "devmapper: thin pool is not exist or caller did not pass us a pool,"
            " please create it firstly"
        ),
    ],
)
def test_isulads_own_words_name_no_pool(message: str) -> None:
    assert hint(said("isulad", message)) == "isulad"
    assert hint(said("dockerd", message)) is None


@pytest.mark.parametrize("quote", ['"', r"\"", r"\\\""])
def test_containerds_words_name_the_pool(quote: str) -> None:
    name = f"{quote}/dev/mapper/docker-thinpool{quote}"
    message = f"initializing: failed to query pool {name}: no such device or address"
    assert hint(said("containerd", message)) == "docker-thinpool"


def test_containerds_words_as_it_writes_them() -> None:
    assert hint(said("containerd", NO_POOL)) == "docker-thinpool"


@pytest.mark.parametrize("field", ["CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_NAME"])
@pytest.mark.parametrize("message", [TOO_FEW, NO_DEVICE])
def test_a_containers_output_is_nothing_whoever_wrote_it_down(field: str, message: str) -> None:
    assert hint(said("dockerd", message)) is not None
    assert hint({**said("dockerd", message), field: ""}) is None


@pytest.mark.parametrize(
    ("comm", "message"),
    [
        ("dmeventd", NOW_FULL),
        ("dockerd", TOO_FEW),
        ("isulad", NO_DEVICE),
        ("containerd", NO_POOL),
    ],
)
@pytest.mark.parametrize("uid", ["1000", "00", "", "0\n"])
def test_only_roots_words_count(comm: str, message: str, uid: str) -> None:
    assert hint(said(comm, message)) is not None
    assert hint(said(comm, message, uid)) is None


def test_each_speaks_its_own_words_alone() -> None:
    own = {"dmeventd": [NOW_FULL], "dockerd": [TOO_FEW, NO_DEVICE], "containerd": [NO_POOL]}
    for comm in own:
        for other, messages in own.items():
            for message in messages:
                assert (hint(said(comm, message)) is None) == (comm != other), (comm, message)
        assert hint(said(comm, LOW_WATER)) is None


def test_a_subject_is_short() -> None:
    found = hint(said("dockerd", f"devicemapper: Non existing device {'x' * 4000}"))
    assert found == "x" * 128


def test_every_match_is_a_field_and_a_value_that_the_journal_vouches_for() -> None:
    for group in MATCHES:
        fields = [match.partition("=")[0] for match in group]
        assert len(set(fields)) == len(fields)
        assert fields[0].startswith("_")
        assert all(match.partition("=")[2] for match in group)


MESSAGES = st.one_of(
    st.text(max_size=200),
    st.sampled_from([LOW_WATER, NOW_FULL, TOO_FEW, NO_DEVICE, NO_POOL]),
    st.builds("{}{}".format, st.sampled_from([LOW_WATER, NOW_FULL[:19]]), st.text(max_size=50)),
    st.binary(max_size=4096).map(lambda raw: raw.decode(errors="replace")),
)


@given(
    st.dictionaries(
        st.sampled_from(["_TRANSPORT", "_COMM", "_UID", "SYSLOG_IDENTIFIER", "PRIORITY"]),
        st.one_of(st.text(max_size=10), st.sampled_from(["kernel", "dmeventd", "dockerd", "0"])),
    ),
    MESSAGES,
)
def test_whatever_an_entry_holds_the_answer_is_nothing_or_short(
    fields: dict[str, str], message: str
) -> None:
    found = hint({**fields, "MESSAGE": message})
    assert found is None or 0 < len(found) <= 128
    assert found is None or not any(letter.isspace() for letter in found)


@given(MESSAGES, st.sampled_from(["journal", "syslog", "stdout", "audit", "Kernel"]), st.text())
def test_forged_words_are_nothing(message: str, transport: str, comm: str) -> None:
    # What a sender may write itself is all there; what journald writes is another's.
    forged = {
        "MESSAGE": message, "SYSLOG_IDENTIFIER": "kernel", "COMM": "dmeventd", "UID": "0",
        "_TRANSPORT": transport, "_UID": "0", "_COMM": f"{comm}-", "_EXE": "/sbin/dmeventd",
    }  # fmt: skip
    assert hint(forged) is None
