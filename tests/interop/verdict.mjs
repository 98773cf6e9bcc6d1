// What is wrong with what was seen, beside the table of docs/interop.md.

const begins = ({ name, how }) => `| ${name} | ${how} | `;

export const line = (row, outcome) => `${begins(row)}${outcome} |`;

/**
 * Sentences, none where all is well. Every row of the table must have been tried and do what stands there, and every client
 * must stand there. One that was left out (`{row, why, isAllowed}`) has shown nothing: that it may be must be said of it.
 */
export function faults(table, outcomes, skipped) {
  const stands = table.split("\n").filter((text) => text.startsWith("| ")).slice(1);
  const tried = [...outcomes.map(([row]) => row), ...skipped.map(({ row }) => row)];
  return [
    ...outcomes
      .filter(([row, outcome]) => !stands.includes(line(row, outcome)))
      .map(([{ name, how }, outcome]) => `docs/interop.md says something else of ${name} (${how}) than that it "${outcome}"`),
    ...skipped.filter(({ isAllowed }) => !isAllowed).map(({ row: { name, how }, why }) => `${name} (${how}) was not tried: ${why}`),
    ...stands.filter((text) => !tried.some((row) => text.startsWith(begins(row)))).map((text) => `docs/interop.md has a client that is not one of clients.mjs: ${text}`),
  ];
}
