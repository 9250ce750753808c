"""A pool written into daemon.json, and all else left as it was."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers.daemon import read
from dmguard.core.consumers.daemonjson import Wanted, configure
from dmguard.core.consumers.edit import EditError

WANTED = Wanted("docker-thinpool")
ISULAD = Wanted("isulad-thinpool", min_free_space=10, deferred=False)
THREE = (
    '"dm.thinpooldev=/dev/mapper/docker-thinpool",'
    ' "dm.use_deferred_removal=true", "dm.use_deferred_deletion=true"'
)
LINES = THREE.replace(", ", ",\n        ")

EDITS = [
    (
        "{}",
        '{\n    "storage-driver": "devicemapper",\n    "storage-opts": [\n        LINES\n    ]\n}',
    ),
    ('{"a":1}', '{"a":1,"storage-driver":"devicemapper","storage-opts":[THREE]}'),
    ('{ "a": 1 }', '{ "a": 1, "storage-driver": "devicemapper", "storage-opts": [THREE] }'),
    (
        '{\r\n    "a" : 1.0\r\n}\r\n',
        (
            '{\r\n    "a" : 1.0,\r\n    "storage-driver" : "devicemapper",\r\n'
            '    "storage-opts" : [\r\n        LINES\r\n    ]\r\n}\r\n'
        ),
    ),
    (
        '{"storage-driver": "overlay2", "storage-opts": ["overlay2.size=1G", "dm.fs=xfs"]}',
        '{"storage-driver": "devicemapper", "storage-opts": ["dm.fs=xfs", THREE]}',
    ),
    (
        '{\n  "hosts": ["a"]\n  , "x": 1\n}',
        '{\n  "hosts": ["a"]\n  , "x": 1,\n  DRIVER,\n  "storage-opts": [\n    SHALLOW\n  ]\n}',
    ),
    ('{"storage-opts": [], "x": 1e5}', '{"storage-opts": [THREE], "x": 1e5, DRIVER}'),
    (
        '{"storage-opts": ["dm.datadev=/a", "dm.fs=xfs", "dm.loopdatasize=1T"], "x": {}, DRIVER}',
        '{"storage-opts": ["dm.fs=xfs", THREE], "x": {}, DRIVER}',
    ),
    (
        '{DRIVER,\n "storage-opts": [\n  "dm.thinpooldev=old",\n  "dm.fs=\\u0078fs"\n ]\n}\n',
        (
            '{DRIVER,\n "storage-opts": [\n  "dm.thinpooldev=/dev/mapper/docker-thinpool",\n'
            '  "dm.fs=\\u0078fs",\n  "dm.use_deferred_removal=true",\n'
            '  "dm.use_deferred_deletion=true"\n ]\n}\n'
        ),
    ),
    ('{"storage-opts": ["devicemapper.thinpooldev=docker-thinpool"], DRIVER}', "{OPTS, DRIVER}"),
    (
        (
            '{"storage-opts": [THREE, "dm.use_deferred_removal=false",'
            ' "dm.directlvm_device=/dev/x",'
            ' "dm.directlvm_device_force=true", "dm.thinp_percent=95"], DRIVER}'
        ),
        "{OPTS, DRIVER}",
    ),
]


def spell(text: str) -> str:
    text = text.replace("OPTS", f'"storage-opts": [{THREE}]').replace("THREE", THREE)
    text = text.replace("SHALLOW", THREE.replace(", ", ",\n    "))
    text = text.replace("DRIVER", '"storage-driver": "devicemapper"')
    return text.replace("LINES", LINES.replace("\n", "\r\n") if "\r\n" in text else LINES)


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_only_what_must_change_is_changed(before: str, after: str) -> None:
    edit = configure(spell(before), WANTED)
    assert edit.text == spell(after)
    assert configure(edit.text, WANTED) == (type(edit)(edit.text))


@pytest.mark.parametrize(
    "text",
    [
        "{OPTS, DRIVER}",
        (
            '{DRIVER, "storage-opts": ["dm.use_deferred_deletion=1", "dm.fs=xfs",'
            ' "dm.use_deferred_removal=True", "dm.thinpooldev=docker-thinpool"]}'
        ),
        '\n\t{"huge": 123456789012345678901234567890e400, "b":-0.0,\n\n OPTS, DRIVER }\n\n',
    ],
)
def test_what_is_right_already_stays_as_it_is(text: str) -> None:
    edit = configure(spell(text), WANTED)
    assert (edit.text, edit.changes, edit.removed) == (spell(text), (), ())


def test_a_new_document_has_the_wanted_options() -> None:
    edit = configure("", WANTED)
    assert edit.text == spell(EDITS[0][1]) + "\n"
    assert configure(edit.text, WANTED).text == edit.text
    assert len(edit.changes) == 4


def test_isulad_gets_no_option_that_it_does_not_know() -> None:
    before = (
        '{"storage-opts": ["dm.use_deferred_removal=true", "dm.min_free_space=5%", "dm.fs=ext4"]}'
    )
    edit = configure(before, ISULAD)
    assert json.loads(edit.text)["storage-opts"] == [
        "dm.min_free_space=10%",
        "dm.fs=ext4",
        "dm.thinpooldev=/dev/mapper/isulad-thinpool",
    ]
    assert edit.removed == ("dm.use_deferred_removal=true",)


def test_every_change_is_told() -> None:
    text = (
        '{"storage-driver": "overlay2", "storage-opts": ["overlay2.size=1G", "dm.thinpooldev=a"]}'
    )
    edit = configure(text, Wanted("b", deferred=False))
    assert edit.changes == (
        "storage-driver: overlay2 becomes devicemapper",
        "overlay2.size=1G is removed",
        "dm.thinpooldev=a becomes dm.thinpooldev=/dev/mapper/b",
    )
    assert edit.removed == ("overlay2.size=1G",)


def test_free_space_that_is_not_asked_for_is_left_alone() -> None:
    text = spell('{DRIVER, "storage-opts": ["dm.min_free_space=3%", THREE]}')
    assert configure(text, WANTED).text == text
    edit = configure(text, Wanted("docker-thinpool", min_free_space=10))
    assert edit.changes == ("dm.min_free_space=3% becomes dm.min_free_space=10%",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\ufeff{}", "byte order mark"),
        ('{"a": 1, "a": 2}', "a: given twice"),
        ('{"x": {"b": 1, "b": 2}}', "b: given twice"),
        (r'{"\ud800": 1, "\ud800": 2}', r"\\ud800: given twice"),
        ('{"a": 1 // why\n}', "not JSON"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1,}', "not JSON"),
        ("[]", "not a JSON object"),
        ('"{}"', "not a JSON object"),
        ('{"storage-opts": {}}', "not a list"),
        ('{"storage-opts": ["a=b", 1]}', "no text"),
        ('{"a": ' + "[" * 50_000, "nested too deeply"),
        ("{} {}", "not JSON"),
        ('{"a": "\udcff"}', "not UTF-8"),
        (r'{"storage-opts": ["overlay2.\ud800=1"]}', "no text"),
        (r'{"storage-driver": "\udc00"}', "no text"),
    ],
)
def test_what_is_not_clear_is_refused(text: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason) as refused:
        configure(text, WANTED)
    assert str(refused.value).isprintable()


def test_half_a_character_elsewhere_is_left_as_it_is() -> None:
    text = r'{"a\ud800": "\udc00", "storage-opts": ["dm.mkfsarg=\ud83d\ude00"], "b": "\u00e9"}'
    edit = configure(text, WANTED)
    assert edit.text.startswith(text[:60])
    assert edit.text.encode().decode() == edit.text
    (driver,) = (c for c in edit.changes if c.startswith("storage-driver"))
    assert driver == "storage-driver: devicemapper is added"


KEYS = st.text(max_size=4) | st.sampled_from(["storage-driver", "hosts", "é", "\\", "a]}", '"'])
OPTIONS = st.sampled_from(
    [
        "dm.fs=xfs",
        "dm.thinpooldev=old",
        "dm.use_deferred_removal=false",
        "dm.metadatadev=/dev/x",
        "overlay2.size=1G",
        "dm.basesize=20G",
        'dm.mkfsarg="-O ^a, b]"',
        "DM.USE_DEFERRED_DELETION=T",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.builds(
    lambda document, options: document | ({} if options is None else {"storage-opts": options}),
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.none() | st.lists(OPTIONS, max_size=5),
)


def write(value: Any, chance: random.Random) -> str:
    """JSON with odd white space, escapes and numbers."""

    def gap() -> str:
        return chance.choice(["", " ", "\n", "\r\n\t", "  "])

    if isinstance(value, dict):
        inner = ",".join(
            f"{gap()}{write(key, chance)}{gap()}:{gap()}{write(item, chance)}{gap()}"
            for key, item in value.items()
        )
        return "{" + (inner or gap()) + "}"
    if isinstance(value, list):
        return (
            "[" + (",".join(gap() + write(item, chance) + gap() for item in value) or gap()) + "]"
        )
    if isinstance(value, float):
        return chance.choice([repr(value), f"{value:.20e}"])
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


@given(DOCUMENTS, st.randoms(use_true_random=False), st.sampled_from([WANTED, ISULAD]))
def test_whatever_the_layout_only_storage_is_changed(
    document: dict[str, Any], chance: random.Random, wanted: Wanted
) -> None:
    text = write(document, chance)
    edit = configure(text, wanted)
    before, after = json.loads(text, parse_float=str), json.loads(edit.text, parse_float=str)
    ours = ("storage-driver", "storage-opts")
    assert [p for p in before.items() if p[0] not in ours] == [
        p for p in after.items() if p[0] not in ours
    ]
    found = read(edit.text)
    assert found is not None
    assert found.driver == "devicemapper"
    assert {k: v for k, v in found.options.items() if k in wanted.options()}.keys() == set(
        wanted.options()
    )
    others = [
        o for o in document.get("storage-opts", ()) if o.startswith(("dm.fs", "dm.b", "dm.m"))
    ]
    assert [o for o in after["storage-opts"] if o in others] == [
        o for o in others if o != "dm.metadatadev=/dev/x"
    ]
    again = configure(edit.text, wanted)
    assert (again.text, again.changes) == (edit.text, ())
    assert (edit.text == text) == (not edit.changes)


@given(st.text() | DOCUMENTS.map(json.dumps).map(lambda text: text[1:] or text))
def test_any_text_is_edited_or_refused(text: str) -> None:
    try:
        edit = configure(text, WANTED)
    except EditError:
        return
    assert read(text) is not None
    assert configure(edit.text, WANTED).text == edit.text
