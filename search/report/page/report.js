"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const printing = matchMedia("print");
const dark = matchMedia("(prefers-color-scheme: dark)");

/* What depends on the theme: plotly knows nothing of the page's style. */
function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  const label = { bgcolor: colour("--paper"), bordercolor: colour("--line"), font: { color: colour("--ink") } };
  return {
    autosize: true,
    dragmode: false,
    hovermode: "closest",
    margin: { l: 48, r: 12, t: 10, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    ...layout,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("--quiet") },
    hoverlabel: label,
    xaxis: scaled(axis, layout.xaxis),
    yaxis: scaled(axis, layout.yaxis),
  };
}

function scaled(axis, given = {}) {
  return { ...axis, ...given, title: { ...given.title, font: { size: 13 } } };
}

function draw(chart) {
  const figure = figures[chart.dataset.chart];
  return Plotly.react(chart, figure.data, themed(figure.layout), { displayModeBar: false, responsive: true });
}

const isShown = (chart) => !chart.closest("details:not([open])");
const drawAll = () => Promise.all([...document.querySelectorAll(".chart")].filter(isShown).map(draw));

/* Sorting: a click on a heading; what has no key stays at the end. */
function sort(table, place, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const sign = down ? -1 : 1;
  const numbers = heading.classList.contains("number");
  const key = (row) => row.cells[place].dataset.key;
  const compare = (a, b) => {
    const first = key(a), second = key(b);
    if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
    return sign * (numbers ? Number(first) - Number(second) : first.localeCompare(second));
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((heading, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sort(table, place, heading));
    heading.replaceChildren(button);
  });
}

for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => {
    if (details.open) details.querySelectorAll(".chart").forEach(draw);
  });
}

if (window.Plotly) {
  dark.addEventListener("change", drawAll);
  printing.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
    drawAll();
  });
  drawAll().then(() => { document.documentElement.dataset.ready = "yes"; });
}
