// How a price moved, out of images. No page in here.

import type { OddsMessage, QuoteStatus } from "@oddswire/client";

export interface Point {
  /** Milliseconds. */
  readonly at: number;
  readonly source: string;
  readonly price: number | null;
  readonly status: QuoteStatus;
}

export interface Series {
  readonly source: string;
  readonly points: readonly Point[];
}

/** The changes of one outcome of one line, in order of time. An image that changed nothing of it is no change. */
export function pointsOf(images: readonly OddsMessage[], token: string, line: number | null, outcome: string): Point[] {
  const last = new Map<string, Point>();
  const points: Point[] = [];
  for (const { timestamp, data } of images.toSorted((a, b) => (a.timestamp < b.timestamp ? -1 : 1))) {
    if (`${data.market.key}-${data.market.period}` !== token) continue;
    const quote = data.market.quotes.find((one) => (one.line ?? null) === line);
    const held = quote?.outcomes.find(({ name }) => name === outcome);
    const before = last.get(data.source);
    if (quote === undefined || held === undefined) continue;
    // The quote as a whole may be suspended while its outcomes are not said to be.
    const status = quote.status === "open" ? held.status : quote.status;
    const point = { at: Date.parse(timestamp), source: data.source, price: held.price ?? null, status };
    if (before !== undefined && before.price === point.price && before.status === point.status) continue;
    last.set(data.source, point);
    points.push(point);
  }
  return points;
}

export function seriesOf(points: readonly Point[]): Series[] {
  const bySource = Map.groupBy(points, ({ source }) => source);
  return [...bySource].map(([source, points]) => ({ source, points })).sort((a, b) => (a.source < b.source ? -1 : 1));
}
