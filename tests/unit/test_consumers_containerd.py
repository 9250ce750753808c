"""The snapshotter's section written into config.toml, and all else left as it was."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers import containerd
from dmguard.core.consumers.containerd import PLUGIN, Wanted, configure
from dmguard.core.consumers.edit import Edit, EditError

POOL = Wanted("containerd-thinpool")
FULL = Wanted("a-b", "/srv/snap", "10GB", discard_blocks=True)
HEAD = f'[plugins."{PLUGIN}"]'
LITERAL = f"[plugins.'{PLUGIN}']"

EDITS = [
    ("version = 2\n", f'version = 2\n\n{HEAD}\n  pool_name = "containerd-thinpool"\n'),
    ("version = 3", f'version = 3\n\n{HEAD}\n  pool_name = "containerd-thinpool"\n'),
    ("version = 2\r\n", f'version = 2\r\n\r\n{HEAD}\r\n  pool_name = "containerd-thinpool"\r\n'),
    (
        f'version = 2\n{HEAD}\npool_name = "old" # why\n[x]\n',
        f'version = 2\n{HEAD}\npool_name = "containerd-thinpool" # why\n[x]\n',
    ),
    (
        f'version = 2\n{HEAD}\npool_name = "old"#why\n',
        f'version = 2\n{HEAD}\npool_name = "containerd-thinpool"#why\n',
    ),
    (
        f"version = 3\n  {LITERAL}\n    pool_name = ''\n    root_path = ''\n\n  [x]\n",
        (
            f'version = 3\n  {LITERAL}\n    pool_name = "containerd-thinpool"\n'
            "    root_path = ''\n\n  [x]\n"
        ),
    ),
    (
        f"version = 3\n\t[ plugins . '{PLUGIN}' ] # ours\n\n[x]\na = 1\n",
        (
            f"version = 3\n\t[ plugins . '{PLUGIN}' ] # ours\n"
            '\t  pool_name = "containerd-thinpool"\n\n[x]\na = 1\n'
        ),
    ),
    (
        f"version = 3\n{LITERAL}\nroot_path = '/r'\n# the end\n[{LITERAL[1:-1]}.sub]\n",
        (
            f"version = 3\n{LITERAL}\nroot_path = '/r'\n"
            f'pool_name = "containerd-thinpool"\n# the end\n[{LITERAL[1:-1]}.sub]\n'
        ),
    ),
    (
        f'version = 2\n[plugins]\n  "{PLUGIN}".root_path = "/r"\n  x.y = 1\n',
        (
            f'version = 2\n[plugins]\n  "{PLUGIN}".root_path = "/r"\n'
            f'  "{PLUGIN}".pool_name = "containerd-thinpool"\n  x.y = 1\n'
        ),
    ),
    (
        f'version = 2\nplugins."{PLUGIN}".pool_name="x"',
        f'version = 2\nplugins."{PLUGIN}".pool_name="containerd-thinpool"',
    ),
    (
        f'version = 2\nnote = """\n{HEAD}\npool_name = "no"\n"""\nlist = [\n  "a",\n]\n',
        (
            f'version = 2\nnote = """\n{HEAD}\npool_name = "no"\n"""\nlist = [\n  "a",\n]\n'
            f'\n{HEAD}\n  pool_name = "containerd-thinpool"\n'
        ),
    ),
    (
        "version = 2\n[[stream]]\npool_name = 'no'\n",
        (
            f"version = 2\n[[stream]]\npool_name = 'no'\n\n{HEAD}\n"
            '  pool_name = "containerd-thinpool"\n'
        ),
    ),
]


DEFAULT = """\
disabled_plugins = []
imports = []
version = 2

[cgroup]
  path = ""

[plugins]

  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.8"

    [plugins."io.containerd.grpc.v1.cri".containerd]
      snapshotter = "overlayfs"

  [plugins."io.containerd.snapshotter.v1.devmapper"]
    async_remove = false
    base_image_size = ""
    discard_blocks = false
    fs_options = ""
    fs_type = ""
    pool_name = ""
    root_path = ""

  [plugins."io.containerd.snapshotter.v1.native"]
    root_path = ""

[timeouts]
  "io.containerd.timeout.bolt.open" = "0s"
"""


def test_the_file_that_containerd_prints_as_its_default_gets_its_four_values() -> None:
    edit = configure(DEFAULT, FULL)
    changed = {
        '    base_image_size = ""': '    base_image_size = "10GB"',
        "    discard_blocks = false": "    discard_blocks = true",
        '    pool_name = ""': '    pool_name = "a-b"',
    }
    expected = "\n".join(changed.get(line, line) for line in DEFAULT.split("\n"))
    assert edit.text == expected.replace('root_path = ""', 'root_path = "/srv/snap"', 1)


@pytest.mark.parametrize(("before", "after"), EDITS)
def test_only_the_section_is_changed(before: str, after: str) -> None:
    edit = configure(before, POOL)
    assert edit.text == after
    assert containerd.pool_in(after) == "containerd-thinpool"
    assert configure(after, POOL) == Edit(after)


def test_a_comment_right_behind_a_value_stays() -> None:
    text = f"version = 2\n{HEAD}\npool_name = 'a'\ndiscard_blocks = false#why\n"
    edit = configure(text, Wanted("a", discard_blocks=True))
    assert edit.text == text.replace("false", "true")


def test_a_new_file_has_all_that_is_wanted() -> None:
    edit = configure("", FULL, version=3)
    assert tomllib.loads(edit.text) == {
        "version": 3,
        "plugins": {
            PLUGIN: {
                "pool_name": "a-b",
                "root_path": "/srv/snap",
                "base_image_size": "10GB",
                "discard_blocks": True,
            }
        },
    }
    assert edit.changes[-1] == "discard_blocks = true is added"
    assert configure(edit.text, FULL).text == edit.text


def test_what_is_not_wanted_otherwise_is_left_alone() -> None:
    text = configure("", FULL).text
    assert configure(text, Wanted("a-b")).text == text
    edit = configure(text, Wanted("c", discard_blocks=False))
    assert edit.changes == ("pool_name: a-b becomes c", "discard_blocks: True becomes false")
    assert "discard_blocks = false\n" in edit.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[plugins.devmapper]\npool_name = "x"\n', "version 1.*containerd config migrate"),
        ("version = 1\n", "containerd config default"),
        ("version = 4\n", "version 4"),
        ("version = 'x'\n", "version 0"),
        (f'version = 2\ndisabled_plugins = ["{PLUGIN}"]\n', "disabled_plugins.*take it out"),
        ("version = 2\nversion = 2\n", "not TOML"),
        ("\ufeffversion = 2\n", "byte order mark"),
        ("version = 2 # \udcff\n", "not UTF-8"),
        ("version = 2\nplugins = 1\n", "cannot be changed"),
        (f'version = 2\nplugins = {{ "{PLUGIN}" = {{}} }}\n', "cannot be changed"),
        (f'version = 2\nplugins = {{ "{PLUGIN}" = {{ pool_name = "x" }} }}\n', "pool_name"),
        (f'version = 2\n{HEAD}\npool_name = """\nx"""\n', "pool_name"),
        ("version = 2\na = " + "[" * 50_000, "not TOML"),
    ],
)
def test_what_cannot_be_changed_for_certain_is_refused(text: str, reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        configure(text, POOL)


LINES = st.sampled_from(
    [
        "version = 2",
        HEAD,
        LITERAL,
        f"  [plugins . '{PLUGIN}']  # a comment",
        "[plugins]",
        '[plugins."io.containerd.grpc.v1.cri".containerd]',
        "[[stream]]",
        'pool_name = "x"',
        "  pool_name='x' # y",
        "'pool_name' = 'x'",
        'root_path="/r"',
        "discard_blocks =false#why",
        "discard_blocks = true\t# why",
        r'"pool\u005fname" = "\u0078" # why',
        f"'plugins'.\"{PLUGIN}\".pool_name = 'z'# why",
        f"[[plugins.'{PLUGIN}'.list]]",
        "[[plugins]]",
        "inline = { a = 1 } # why",
        "when = 1979-05-27T07:32:00Z",
        '# é [plugins] """',
        f'"{PLUGIN}".root_path = "/r"',
        'text = """',
        '"""',
        "list = [",
        "]",
        "1,",
        "",
        "# [plugins]",
    ]
)


SECTIONS = st.builds(
    lambda header, lines: [header, *lines],
    st.sampled_from([HEAD, LITERAL]),
    st.lists(LINES.filter(lambda line: not line.lstrip().startswith("[")), unique=True, max_size=5),
)
"""Lines below the section's own header."""


@given(
    st.lists(LINES, max_size=8),
    st.just([]) | SECTIONS,
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_whatever_the_layout_only_the_section_is_changed(
    lines: list[str],
    section_lines: list[str],
    end: str,
    ended: bool,  # noqa: FBT001 - drawn
) -> None:
    text = end.join(["version = 2", *lines, *section_lines]) + (end if ended else "")
    try:
        edit = configure(text, FULL)
    except EditError:
        return
    before, after = tomllib.loads(text), tomllib.loads(edit.text)
    section = before.setdefault("plugins", {}).setdefault(PLUGIN, {})
    assert after == before | {"plugins": before["plugins"] | {PLUGIN: section | FULL.values()}}
    there = iter(edit.text.splitlines())
    ours = (*FULL.values(), r"pool\u005fname")
    others = [line for line in text.splitlines() if not any(key in line for key in ours)]
    assert [line for line in others if line not in there] == []
    # Comments are in none of the keys and values that are compared above.
    assert edit.text.count("why") == text.count("why")
    assert configure(edit.text, FULL) == Edit(edit.text)
    crlf = edit.text.count("\n") if "\r\n" in text else 0
    assert edit.text.count("\r\n") == crlf
