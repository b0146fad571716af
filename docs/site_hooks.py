"""For mkdocs: pages link to the repository's examples, which lie outside docs/; the site gets copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def on_files(files: Any, *, config: Any) -> Any:
    """Add every example of the repository under `examples/`."""
    for path in sorted(_EXAMPLES.rglob("*.yaml")):
        name = f"examples/{path.relative_to(_EXAMPLES).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """`../examples/x.yaml`, as a reader of the repository needs it, is `examples/x.yaml` in the site."""
    return markdown.replace("](../examples/", "](examples/")
