"""What MkDocs calls as it builds the site: pages made of the code, and links that leave docs/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from mkdocs.structure.files import File, Files  # noqa: E402

from website import pages  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie in no file of docs/."""
    for name, text in pages.all_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to files beside docs/ lead to their pages; what the site does not have is its name."""
    return pages.without_links_outside(pages.with_links_inside(markdown))
