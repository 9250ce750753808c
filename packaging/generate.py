"""Stands in until the command line has its parser."""

import sys
from pathlib import Path

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
for name in ("_dmguard", "dmguard.fish", "dmguard.bash"):
    (out / name).write_text("# not yet\n")
(out / "dmguard.catalog").write_text("")
(out / "dmguard.8").write_text(".TH DMGUARD 8\n.SH NAME\ndmguard \\- guard\n")
(out / "dmguard.toml.5").write_text(".TH DMGUARD.TOML 5\n.SH NAME\ndmguard.toml \\- guard\n")
