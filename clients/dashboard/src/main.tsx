import "./style.css";
import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./App.js";
import { goodUntil, isWhole, start } from "./store.js";
import { applyTheme } from "./theme.js";

applyTheme();
start();
// Nothing of what is shown is known to hold: it stays, in grey.
effect(() => void document.body.classList.toggle("lost", goodUntil.value !== null && isWhole.value));
render(<App />, document.getElementById("app") as HTMLElement);
