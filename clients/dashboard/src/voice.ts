// What a screen reader is told: at most one sentence in five seconds, of runs' ends alone.

import { signal } from "@preact/signals";
import { plural } from "./words.js";

const PAUSE_MS = 5000;

interface End {
  readonly source: string;
  readonly word: string;
  readonly completed: boolean;
  readonly errors: number;
}

export const voice = signal("");

let pending: End[] = [];
let silent = false;

export function say(end: End): void {
  pending.push(end);
  if (!silent) speak();
}

function speak(): void {
  silent = pending.length > 0;
  if (!silent) return;
  voice.value = sentence(pending);
  pending = [];
  setTimeout(speak, PAUSE_MS);
}

function sentence(ends: readonly End[]): string {
  const errors = ends.reduce((sum, end) => sum + end.errors, 0);
  const withErrors = errors === 0 ? "" : `, ${plural(errors, "error")}`;
  const [first] = ends;
  if (ends.length === 1 && first !== undefined) return `${first.source} ${first.word}${withErrors}.`;
  const failed = ends.filter(({ completed }) => !completed).length;
  return `${ends.length} runs ended${failed === 0 ? "" : `, ${failed} not completed`}${withErrors}.`;
}
