// On every page: the local time of each <time>, keys to move in lists, and buttons that copy a text.
"use strict";
(() => {
  // Adds the local time to the tooltip; the page itself has UTC.
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  function localize(place) {
    for (const time of place.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      time.title = [time.title, "local: " + form.format(moment)].filter(Boolean).join("\n");
      time.dataset.local = "";
    }
  }
  localize(document);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node.querySelectorAll) localize(node.parentElement ?? node);
  }).observe(document.body, { childList: true, subtree: true });

  // "/" goes to the search box; "j" and "k" go to the next and the previous row; Enter then follows its link.
  function move(step) {
    const rows = [...document.querySelectorAll("main tbody tr a.strong")];
    const next = rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(document.activeElement) + step))];
    if (next) next.focus();
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      const box = document.getElementById("f-q");
      const list = document.querySelector("nav a[data-search]");
      if (box) { box.focus(); box.select(); } else if (list) location.href = list.href; else return;
    } else return;
    event.preventDefault();
  });

  // The clipboard needs HTTPS or localhost; elsewhere the text is selected.
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
      }
    });
  }
})();
