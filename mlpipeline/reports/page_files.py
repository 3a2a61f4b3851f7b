"""The files of the page: our own, and the JavaScript that Plotly and itables (DataTables) ship."""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from mlpipeline.errors import ReportError
from mlpipeline.records import dumps

MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_PAGE_PARTS = ("format.js", "plots.js", "details.js", "table.js", "page.js")
# Plotly's parallel coordinates make functions of text (regl); no text of a record ever gets there
_POLICY = (
    "default-src 'none'; script-src {scripts} 'unsafe-eval'; style-src {styles} 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; connect-src {connections}; base-uri 'none'; form-action 'none'"
)


@cache
def static_file(name: str) -> str | None:
    """Return the text of a file that the page needs; None where it needs none of that name.

    Raises: ReportError: Plotly or itables is not installed.
    """
    if name == "plotly.min.js":
        return _shipped("plotly", "package_data", name)
    if name in ("dt_bundle.js", "dt_bundle.css"):
        return _shipped("itables", "html", name)
    if name == "page.js":  # its parts share one module: a page that opens from disk cannot import from files
        return "\n".join(_own(part) for part in _PAGE_PARTS)
    return _own(name) if name in ("page.css", "live.js") else None


def live_page(project: str, *, edit: bool) -> str:
    """Return the page that a server sends at `/`: it asks the server for everything else."""
    head = '<link rel="stylesheet" href="/static/dt_bundle.css">\n<link rel="stylesheet" href="/static/page.css">'
    body = (
        f"{data_block('settings', {'live': True, 'edit': edit, 'project': project})}\n"
        # deferred: reading it takes a second, and the page is to be seen before
        '<script defer src="/static/plotly.min.js"></script>\n<script type="module" src="/static/live.js"></script>'
    )
    return _filled(project, live_policy(), head, body)


def live_policy() -> str:
    """Return the Content-Security-Policy of the page that a server sends."""
    return _POLICY.format(scripts="'self'", styles="'self'", connections="'self'")


def static_page(project: str, data: dict[str, object]) -> str:
    """Return one page that holds everything.

    Args:
        data: values for JSON, by name.
    """
    scripts = [static_file("plotly.min.js") or "", static_file("page.js") or ""]
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    policy = _POLICY.format(scripts=f"{hashes} blob:", styles="", connections="'none'")
    styles = "".join(f"<style>{static_file(name)}</style>\n" for name in ("dt_bundle.css", "page.css"))
    blocks = {"settings": {"live": False, "project": project}, "dt_bundle": static_file("dt_bundle.js"), **data}
    parts = [data_block(name, value) for name, value in blocks.items()]
    parts += [f"<script>{scripts[0]}</script>", f'<script type="module">{scripts[1]}</script>']
    return _filled(project, policy, styles, "\n".join(parts))


def data_block(name: str, value: object) -> str:
    """Return an element that holds a value as JSON; no text in it can end the element."""
    text = dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
    return f'<script type="application/json" id="data-{html.escape(name)}">{text}</script>'


def _filled(project: str, policy: str, head: str, body: str) -> str:
    page = _own("page.html")
    values = {"{{policy}}": html.escape(policy), "{{title}}": html.escape(f"{project} · mlpipeline")}
    for mark, value in values.items():
        page = page.replace(mark, value)
    # split once: what is put in may hold anything
    before, _, rest = page.partition("{{head}}")
    between, _, after = rest.partition("{{body}}")
    return "".join((before, head, between, body, after))


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _own(name: str) -> str:
    return (resources.files("mlpipeline.reports") / "page" / name).read_text(encoding="utf-8")


def _shipped(package: str, *parts: str) -> str:
    """Return a file of a package, which is not imported: itables would load pandas."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package)
    return Path(spec.submodule_search_locations[0], *parts).read_text(encoding="utf-8")


def _missing(package: str) -> ReportError:
    return ReportError(f"the page needs {package}, which is not installed: pip install 'mlpipeline[report]'")
