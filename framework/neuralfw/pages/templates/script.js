"use strict";
// Turntables: one picture of many is shown, chosen by mesh, layer and direction.
for (const turn of document.querySelectorAll(".turn")) {
  const images = [...turn.querySelectorAll("img")], slider = turn.querySelector("input");
  const chosen = { mesh: images[0].dataset.mesh, layer: images[0].dataset.layer };
  const show = () => {
    const seen = images.filter(i => i.dataset.mesh === chosen.mesh && i.dataset.layer === chosen.layer);
    slider.max = Math.max(0, seen.length - 1);
    images.forEach(i => i.classList.remove("shown"));
    if (seen.length) seen[Math.min(+slider.value, seen.length - 1)].classList.add("shown");
    turn.querySelectorAll("button").forEach(b => b.setAttribute("aria-pressed", chosen[b.dataset.key] === b.value));
  };
  turn.querySelectorAll("button").forEach(b => b.addEventListener("click", () => { chosen[b.dataset.key] = b.value; show(); }));
  slider.addEventListener("input", show);
  let from = null;
  turn.addEventListener("pointerdown", e => { if (e.target.tagName === "IMG") { from = [e.clientX, +slider.value]; e.preventDefault(); } });
  addEventListener("pointermove", e => {
    if (!from) return;
    const count = +slider.max + 1, moved = Math.round((e.clientX - from[0]) / 360 * count);
    slider.value = (((from[1] - moved) % count) + count) % count;
    show();
  });
  addEventListener("pointerup", () => { from = null; });
  show();
}
// Charts: the values nearest to the pointer stand in the legend.
for (const svg of document.querySelectorAll("svg.chart")) {
  const chart = JSON.parse(svg.dataset.chart), legend = svg.parentElement.querySelectorAll(".legend output");
  const step = svg.parentElement.querySelector(".legend .step"), [left, right, width] = [58, 10, 560];
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor"); cursor.setAttribute("y1", 12); cursor.setAttribute("y2", 204);
  svg.addEventListener("pointermove", e => {
    const box = svg.getBoundingClientRect(), x = (e.clientX - box.left) / box.width * width;
    const at = chart.first + (x - left) / (width - left - right) * (chart.last - chart.first);
    if (at < chart.first || at > chart.last) return;
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); svg.append(cursor);
    step.textContent = "step " + Math.round(at).toLocaleString("en");
    chart.series.forEach(([name, steps, values], k) => {
      let best = 0;
      steps.forEach((s, i) => { if (Math.abs(s - at) < Math.abs(steps[best] - at)) best = i; });
      legend[k].textContent = " " + values[best].toPrecision(4);
    });
  });
  svg.addEventListener("pointerleave", () => { cursor.remove(); step.textContent = ""; legend.forEach(o => { o.textContent = ""; }); });
}
