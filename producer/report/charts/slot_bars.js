// Draws the jobs of a lane one by one over its shades, once few enough are in sight. Axes, panning and zooming are
// plotly's, which itself would need half a minute for the bars of 100,000 jobs.
(() => {
  "use strict";
  const INK = "#7d7d7d", FAINT = 0.2;

  const numbers = (text, Kind) => new Kind(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);

  function unpacked(lane) {
    const jobs = {
      fetched: numbers(lane.fetched, Float32Array), started: numbers(lane.started, Float32Array),
      finished: numbers(lane.finished, Float32Array), row: numbers(lane.row, Uint8Array),
      share: numbers(lane.share, Uint8Array), workload: numbers(lane.workload, Uint8Array),
      xaxis: lane.xaxis, yaxis: lane.yaxis, longest: 0,
    };
    jobs.started.forEach((start, at) => { jobs.longest = Math.max(jobs.longest, jobs.finished[at] - start); });
    return jobs;
  }

  // The first job that started at a moment or later.
  function firstFrom(started, moment) {
    let low = 0, high = started.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (started[middle] < moment) low = middle + 1; else high = middle;
    }
    return low;
  }

  // The jobs that ran between two moments; null if they are more than may be drawn.
  function inSight(jobs, from, to, most) {
    const found = [], end = firstFrom(jobs.started, to);
    for (let at = firstFrom(jobs.started, from - jobs.longest); at < end; at += 1) {
      if (jobs.finished[at] < from) continue;
      if (found.length === most) return null;
      found.push(at);
    }
    return found;
  }

  function drawJobs(pen, jobs, shown, look, x, y) {
    for (const at of shown) {
      const left = x._offset + x.l2p(jobs.started[at]);
      const width = Math.max(x._offset + x.l2p(jobs.finished[at]) - left, 0.5);
      const tall = look.tall[jobs.workload[at]], row = jobs.row[at];
      const low = y._offset + y.l2p(row + tall / 2), height = low - (y._offset + y.l2p(row - tall / 2));
      pen.fillStyle = look.colours[jobs.workload[at]];
      pen.globalAlpha = FAINT;
      pen.fillRect(left, low - height, width, height);
      pen.globalAlpha = 1;
      const full = height * jobs.share[at] / 255;
      pen.fillRect(left, low - full, width, full);
      pen.fillStyle = INK;
      const wait = x._offset + x.l2p(jobs.fetched[at]);
      pen.fillRect(wait, y._offset + y.l2p(row + 0.47), Math.max(left - wait, 0), 1);
    }
  }

  function drawLane(pen, jobs, look, layout) {
    const x = layout[jobs.xaxis], y = layout[jobs.yaxis];
    const shown = inSight(jobs, x.range[0], x.range[1], look.most);
    if (!shown) return 0;
    pen.save();
    pen.beginPath();
    pen.rect(x._offset, y._offset, x._length, y._length);
    pen.clip();
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(x._offset, y._offset, x._length, y._length);
    drawJobs(pen, jobs, shown, look, x, y);
    pen.restore();
    return shown.length;
  }

  function draw(chart, canvas, lanes, look) {
    const layout = chart._fullLayout, scale = window.devicePixelRatio || 1;
    canvas.width = layout.width * scale;
    canvas.height = layout.height * scale;
    canvas.style.width = `${layout.width}px`;
    canvas.style.height = `${layout.height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    canvas.dataset.jobs = lanes.map((jobs) => drawLane(pen, jobs, look, layout)).join(" ");
  }

  function attach(chart) {
    const look = chart.layout.meta.bars, lanes = look.lanes.map(unpacked);
    const canvas = document.createElement("canvas");
    canvas.className = "bars";
    let asked = false;
    const redraw = () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; draw(chart, canvas, lanes, look); });
    };
    // Above the marks of plotly and below its words and what answers to the mouse.
    const ahead = chart.querySelectorAll(".main-svg");
    ahead[0].after(canvas);
    chart.on("plotly_relayouting", redraw);
    chart.on("plotly_afterplot", redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    redraw();
  }

  window.addEventListener("load", () => {
    document.querySelectorAll(".js-plotly-plot").forEach((chart) => {
      if (chart.layout && chart.layout.meta && chart.layout.meta.bars) attach(chart);
    });
  });
})();
