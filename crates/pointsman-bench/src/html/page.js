"use strict";
// The page says everything without this script; it adds a readout to the chart and a volume to the savings.
(() => {
  const money = document.getElementById("money-figures");
  const volume = document.getElementById("volume");
  if (money && volume) {
    const usd = (value) => {
      const digits = Math.abs(value) < 100 ? 2 : 0;
      return (value < 0 ? "−$" : "$") + Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    };
    const update = () => {
      const power = 10 ** Math.floor(volume.value);
      const prompts = Math.round((10 ** volume.value) / power * 10) / 10 * power;
      const text = prompts.toLocaleString("en", { maximumFractionDigits: 0 });
      volume.setAttribute("aria-valuetext", text + " prompts a month");
      for (const place of document.querySelectorAll(".prompts")) place.textContent = text;
      for (const span of money.querySelectorAll("[data-usd]")) span.textContent = usd(span.dataset.usd * prompts);
    };
    volume.disabled = false;
    volume.addEventListener("input", update);
    update();
  }

  const source = document.getElementById("curve-data");
  const svg = document.querySelector("section[aria-labelledby=curve] svg");
  const readout = document.getElementById("readout");
  if (!source || !svg || !readout) return;
  const data = JSON.parse(source.textContent);
  const line = document.createElementNS(svg.namespaceURI, "line");
  line.setAttribute("y1", data.top);
  line.setAttribute("y2", data.bottom);
  line.setAttribute("stroke", "var(--soft)");
  line.setAttribute("visibility", "hidden");
  svg.append(line);
  const costAt = (x) => {
    const share = (x - data.left) / (data.right - data.left);
    const at = data.from + share * (data.to - data.from);
    return (data.log ? 10 ** at : at) / 1000;
  };
  // Straight lines between points, flat outside: the curve that AIQ integrates.
  const qualityAt = (points, cost) => {
    if (cost < points[0][0]) return null;
    for (let i = 1; i < points.length; i++) {
      const [c0, q0] = points[i - 1], [c1, q1] = points[i];
      if (cost < c1) return q0 + (q1 - q0) * (cost - c0) / (c1 - c0);
    }
    return points[points.length - 1][1];
  };
  let x = data.right;
  const show = () => {
    x = Math.min(Math.max(x, data.left), data.right);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    line.setAttribute("visibility", "visible");
    const cost = costAt(x);
    const rows = data.series
      .map((s) => [s.name, qualityAt(s.points, cost)])
      .filter((row) => row[1] !== null)
      .sort((a, b) => b[1] - a[1])
      .map(([name, quality]) => `${name} ${(100 * quality).toFixed(1)}`);
    readout.textContent = `At $${(1000 * cost).toPrecision(3)} per 1,000 prompts: ${rows.join(" · ") || "nothing is so cheap"}`;
  };
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("aria-describedby", "readout");
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    show();
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -8, ArrowRight: 8, Home: -1e4, End: 1e4 }[event.key];
    if (!step) return;
    event.preventDefault();
    x += step;
    show();
  });
})();
