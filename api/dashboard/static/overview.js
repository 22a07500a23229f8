// Updates the overview from the events of /live and draws the charts with uPlot. Without it the page does not refresh.
"use strict";
(() => {
  const here = document.currentScript.src; // absolute, so it includes the path prefix of a proxy
  const KEPT = 150; // samples, as many as the server keeps
  const SERIES = [["Accepted", "--blue"], ["Sent", "--green"], ["Retried", "--amber"], ["Failed", "--red"]];
  const FILLED = new Set(["Sent", "Oldest due"]);
  const live = document.getElementById("live");
  const now = document.getElementById("now");
  const banner = document.getElementById("banner");
  const frame = document.getElementById("charts");
  let points = [];
  let charts = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

  function options(place, series) {
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    return {
      width: place.clientWidth, height: 190, legend: { show: false }, cursor: { points: { size: 6 }, y: false },
      padding: [8, 24, 0, 0],
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map(clock), space: 90, size: 24 }, { ...axis, size: 46 }],
      series: [{}, ...series.map(([label, name]) => ({ label, stroke: colour(name), width: 1.75, points: { show: false }, fill: FILLED.has(label) ? colour(name) + "18" : undefined }))],
    };
  }

  // The data of a chart: the time of each point, and `count` of its values, beginning with the one at `first`.
  const columns = (first, count) =>
    [points.map((p) => p[0]), ...Array.from({ length: count }, (_, i) => points.map((p) => p[first + i]))];

  function build() {
    for (const chart of charts) chart.plot.destroy();
    charts = [["chart-rates", SERIES, 1], ["chart-oldest", [["Oldest due", "--accent"]], 5]].map(([id, series, first]) => {
      const place = document.getElementById(id);
      const plot = new uPlot(options(place, series), columns(first, series.length), place);
      return { plot, place, first, count: series.length };
    });
  }

  function draw() {
    frame.hidden = points.length < 2;
    if (frame.hidden) return;
    if (!charts.length) build();
    for (const { plot, first, count } of charts) plot.setData(columns(first, count));
  }

  function say(text, state) {
    if (live.textContent !== text) live.textContent = text;
    live.className = "muted " + state;
  }

  // Replaces only the parts that changed, and nothing in a part that has the focus, so that a reader keeps the place.
  function replace(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    const old = [...now.children];
    const next = [...fresh.children];
    if (old.length !== next.length || now.contains(document.activeElement)) {
      if (!now.contains(document.activeElement)) now.replaceChildren(...next);
      return;
    }
    old.forEach((part, i) => { if (part.outerHTML !== next[i].outerHTML) part.replaceWith(next[i]); });
  }

  const source = new EventSource(new URL("../live", here));
  source.addEventListener("history", (event) => { points = JSON.parse(event.data); draw(); });
  source.addEventListener("sample", (event) => {
    const sample = JSON.parse(event.data);
    points = [...points, sample.point].slice(-KEPT);
    replace(sample.html);
    if (banner.innerHTML !== sample.banner && !banner.contains(document.activeElement)) banner.innerHTML = sample.banner;
    draw();
    say("live", "is-moving");
  });
  source.addEventListener("away", () => say("PostgreSQL does not answer", "is-away"));
  source.addEventListener("error", () =>
    say(source.readyState === EventSource.CLOSED ? "not live; reload the page" : "reconnecting …", "is-away"));

  let resized;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => { for (const { plot, place } of charts) plot.setSize({ width: place.clientWidth, height: 190 }); }, 100);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (charts.length) build(); });
  addEventListener("pagehide", () => source.close());
})();
