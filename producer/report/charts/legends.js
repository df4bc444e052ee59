// Makes room above a chart whose legend takes more rows than the chart left room for, as on a phone.
(() => {
  "use strict";
  const GAP = 6;

  // By how many pixels the legend reaches over the title below it, or into the drawing; less than zero if it does not.
  function overlap(chart) {
    const legend = chart.querySelector(".legend .bg"), drawing = chart.querySelector(".nsewdrag");
    if (!legend || !drawing) return -1;
    const bottom = drawing.getBoundingClientRect().top;
    const titles = Array.from(chart.querySelectorAll(".annotation"), (title) => title.getBoundingClientRect());
    const above = titles.filter((title) => title.height && title.bottom <= bottom).map((title) => title.top);
    return legend.getBoundingClientRect().bottom + GAP - Math.min(bottom, ...above);
  }

  function makeRoom(chart) {
    const more = Math.ceil(overlap(chart));
    if (more <= 0) return;
    const { height, margin } = chart._fullLayout;
    Plotly.relayout(chart, { height: height + more, "margin.t": margin.t + more });
  }

  window.addEventListener("load", () => {
    document.querySelectorAll(".js-plotly-plot").forEach((chart) => {
      chart.on("plotly_afterplot", () => makeRoom(chart));
      makeRoom(chart);
    });
  });
})();
