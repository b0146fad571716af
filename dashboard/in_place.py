"""Our tables' links open within the page that is already loaded, as Streamlit's own do.

A plain link asks the server for a new page, which loads Streamlit anew and forgets the session. The script
changes the address and tells Streamlit as the browser's Back button would (`popstate`); what the address
names is then drawn in its place. A middle click, one with a key held, "open in a new tab", copying the
address: all stay the browser's, for the links are links; without the script they open as any link does.

A constant: nothing read from a run is ever put into it.
"""

from __future__ import annotations

from raiaudit.dashboard.tables import IN_PLACE

__all__ = ["SCRIPT"]

# The keyboard goes on where the new page begins, as it would after loading one.
SCRIPT = f"""<script>
if (!window.raiauditOpensInPlace) {{
  window.raiauditOpensInPlace = true;
  document.addEventListener("click", event => {{
    const link = event.target.closest?.("a.{IN_PLACE}");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (new URL(link.href).origin !== location.origin) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState({{}}, "", link.href);
    window.dispatchEvent(new PopStateEvent("popstate"));
    const main = document.querySelector("[data-testid=stMain]");
    main?.scrollTo(0, 0);
    main?.focus({{preventScroll: true}});
  }});
}}
</script>"""
