"""Links that leave `docs/` become plain names on the site: the files are in the repository, not on the site."""

import posixpath
import re
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace each link to a file outside of the documents by its text and path."""
    folder = posixpath.dirname(page.file.src_uri)

    def replace(link: re.Match[str]) -> str:
        text, target = link.group(1), link.group(2)
        if "://" in target or target.startswith(("mailto:", "/")):
            return link.group(0)
        path = posixpath.normpath(posixpath.join(folder, target))
        if not path.startswith("../"):
            return link.group(0)
        name = path.removeprefix("../")
        return text if name in text else f"{text} (`{name}`)"

    return _LINK.sub(replace, markdown)
