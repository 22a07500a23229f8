// Reads the page again now and then and replaces the parts that are marked with data-live, while somebody looks at it.
"use strict";
(() => {
  const EVERY = 5000; // milliseconds
  const say = document.getElementById("live");

  function replace(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      // What has the focus, or something selected, stays, so that a reader keeps the place.
      const used = part.contains(document.activeElement) || part.querySelector("input:checked");
      if (next && part.outerHTML !== next.outerHTML && !used) part.replaceWith(next);
    }
    return document.querySelector("[data-live]") !== null;
  }

  async function refresh() {
    let more = true;
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
        if (answer.ok) more = replace(await answer.text());
        say.textContent = answer.ok ? "live" : "not live";
      } catch {
        say.textContent = "not live";
      }
    }
    if (more) setTimeout(refresh, EVERY);
  }
  setTimeout(refresh, EVERY);
})();
