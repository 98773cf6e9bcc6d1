import { BoardView } from "./BoardView.js";
import { EventView } from "./EventView.js";
import { Header } from "./Header.js";
import { HistoryView } from "./HistoryView.js";
import { route } from "./router.js";
import { RunView } from "./RunView.js";
import { Lanes } from "./RunsView.js";
import { asked, given } from "./session.js";
import { Renew, SignIn } from "./SignIn.js";
import { notice } from "./store.js";
import { voice } from "./voice.js";

export function App() {
  return (
    <>
      <a class="skip" href="#content" onClick={skip}>Skip to the content</a>
      <Header />
      <Renew />
      <Notice />
      <main id="content" tabIndex={-1}>{asked.value === null ? <Page /> : <SignIn key={String(given.value === null)} />}</main>
      <p id="voice" class="unseen" role="status" aria-live="polite">{voice}</p>
    </>
  );
}

function Page() {
  const at = route.value;
  if (at.name === "runs") return <HistoryView />;
  if (at.name === "run") return <RunView key={at.id} id={at.id} />;
  if (at.name === "event") return <EventView key={at.id} id={at.id} />;
  if (at.name === "lost") return <p class="empty">There is nothing at this address. <a href="#/">To the board</a></p>;
  return (
    <>
      <Lanes />
      <BoardView />
    </>
  );
}

function Notice() {
  const told = notice.value;
  if (told === null) return null;
  return (
    <p id="notice" class={told.bad ? "notice bad" : "notice"} role={told.bad ? "alert" : "status"}>
      <span>{told.text}</span>
      <button type="button" class="quiet" aria-label="Dismiss this message" onClick={() => (notice.value = null)}>×</button>
    </p>
  );
}

// The address behind the # is the page's own.
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}
