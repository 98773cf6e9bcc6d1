import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "oddswire.theme";
const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const theme = signal<Theme>(kept());

export function applyTheme(): void {
  const { dataset } = document.documentElement;
  if (theme.value === "system") delete dataset["theme"];
  else dataset["theme"] = theme.value;
}

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  applyTheme();
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // A browser that keeps nothing shows it until it is closed.
  }
}

function kept(): Theme {
  try {
    const held = localStorage.getItem(KEY) as Theme | null;
    return held !== null && THEMES.includes(held) ? held : "system";
  } catch {
    return "system";
  }
}
