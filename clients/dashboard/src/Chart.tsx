// The step chart: loaded when the first one is shown.

import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import type { Series } from "./moves.js";
import { now, title } from "./store.js";
import { theme } from "./theme.js";
import { clock, minute, price } from "./words.js";

const HEIGHT_PX = 260;
// The chart shows this much at least.
const SPAN_S = 600;
const COLOURS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

export function Chart({ series, label }: { series: readonly Series[]; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const data = useRef(series);
  data.current = series;
  const chart = useRef<uPlot | null>(null);
  const names = series.map(({ source }) => source).join(" ");
  useEffect(() => {
    const element = box.current as HTMLDivElement;
    let gone = false;
    const draw = async () => {
      const { default: UPlot } = await import("./uplot.js");
      if (gone) return;
      chart.current = new UPlot(options(UPlot, element, data.current), aligned(data.current), element);
    };
    void draw();
    const fit = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    fit.observe(element);
    return () => {
      gone = true;
      fit.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [names, theme.value]);
  useEffect(() => chart.current?.setData(aligned(series)), [series, Math.floor(now.value / 5000)]);
  return <div ref={box} class="chart" role="img" aria-label={`Step chart of the price: ${label}. The table below has its numbers.`} />;
}

function options(UPlot: typeof uPlot, element: HTMLElement, series: readonly Series[]): uPlot.Options {
  const of = (name: string) => colour(element, name);
  const axis = { stroke: of("--muted"), grid: { stroke: of("--rule"), width: 1 }, ticks: { stroke: of("--rule"), width: 1 }, font: "12px system-ui, sans-serif" };
  const stepped = UPlot.paths.stepped?.({ align: 1 });
  const paths = stepped === undefined ? {} : { paths: stepped };
  const lines = series.flatMap(({ source }, place): uPlot.Series[] => {
    const stroke = of(COLOURS[place % COLOURS.length] as string);
    const own = { stroke, width: 2, points: { show: false }, value: (_: uPlot, value: number | null) => (value === null ? "–" : price(value)), ...paths };
    return [{ ...own, label: title(source) }, { ...own, label: `${title(source)}, suspended`, dash: [4, 4] }];
  });
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    series: [{ value: (_, value) => (value === null ? "–" : clock(value * 1000)) }, ...lines],
    axes: [{ ...axis, space: 90, values: (_, times, __, ___, step) => times.map((time) => (step >= 60 ? minute(time * 1000) : clock(time * 1000))) }, { ...axis, size: 60, values: (_, values) => values.map((value) => price(value)) }],
    // A single moment has no width.
    scales: { x: { range: (_, min, max) => [Math.min(min, max - SPAN_S), max] }, y: { range: (_, min, max) => [Math.min(min, max) - 0.05, Math.max(min, max) + 0.05] } },
    legend: { live: true },
    cursor: { points: { size: 6 } },
  };
}

// A canvas knows no custom properties, nor light-dark(): the browser is asked what comes of them.
function colour(element: HTMLElement, name: string): string {
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

// Every series at every time: a step holds until the next one, and the last one until now.
function aligned(series: readonly Series[]): uPlot.AlignedData {
  const end = now.value;
  const times = [...new Set([...series.flatMap(({ points }) => points.map(({ at }) => at)), end])].sort((a, b) => a - b);
  const lines = series.flatMap(({ points }) => {
    const open: (number | null)[] = [];
    const suspended: (number | null)[] = [];
    let next = 0;
    let before: "open" | "suspended" | null = null;
    for (const time of times) {
      while (next < points.length && (points[next]?.at ?? Infinity) <= time) next += 1;
      const held = next === 0 ? undefined : points[next - 1];
      const is = held === undefined || held.price === null || held.status === "withdrawn" ? null : held.status === "open" ? "open" : "suspended";
      // Where one line ends the other begins: both have that point.
      open.push(is === "open" || (before === "open" && is === "suspended") ? (held?.price ?? null) : null);
      suspended.push(is === "suspended" || (before === "suspended" && is === "open") ? (held?.price ?? null) : null);
      before = is;
    }
    return [open, suspended];
  });
  return [times.map((time) => time / 1000), ...lines] as uPlot.AlignedData;
}
