/** `odds_updates…` for what is given; what is left out in the middle is any. `market` is `<key>-<period>`. */
export function oddsTopic(of: { sport?: string; event?: string; source?: string; market?: string } = {}): string {
  return topic("odds_updates", [of.sport, of.event, of.source, of.market]);
}

/** `scrape_progress…` for what is given. */
export function runTopic(of: { source?: string; run?: string } = {}): string {
  return topic("scrape_progress", [of.source, of.run]);
}

function topic(first: string, tokens: readonly (string | undefined)[]): string {
  const given = tokens.slice(0, tokens.findLastIndex((token) => token !== undefined) + 1);
  return [first, ...given.map((token) => token ?? "*")].join(".");
}
