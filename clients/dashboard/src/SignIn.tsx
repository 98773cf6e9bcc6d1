// The way in where the gateway asks for a token, who is signed in, and the next token before the end of this one.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { asked, claims, faultOf, given, isEnding, isKept as wasKept, isSignedIn, may } from "./session.js";
import { enter, leave, now } from "./store.js";
import { clock, duration } from "./words.js";

export function SignIn() {
  // What was refused may count again: a gateway that restarts, or exchanges its keys.
  const before = given.peek() ?? { token: "" };
  const token = useSignal("token" in before ? before.token : "");
  const address = useSignal("address" in before ? before.address : "");
  const isKept = useSignal(wasKept);
  const isShown = useSignal(false);
  const wrong = useSignal("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const why = wrong.value || asked.value || "";
  const submit = (event: Event) => {
    event.preventDefault();
    const [pasted, fetched] = [token.value.trim(), address.value.trim()];
    const fault = pasted === "" ? null : faultOf(pasted);
    wrong.value = pasted === "" && fetched === "" ? "Paste a token, or say where this host gives one." : fault === null ? "" : `What you pasted ${fault}.`;
    if (wrong.value !== "") return field.current?.focus();
    enter(pasted === "" ? { address: fetched } : { token: pasted }, isKept.value);
  };
  return (
    <section id="sign-in" class="card" aria-labelledby="sign-in-title">
      <h2 id="sign-in-title">Sign in</h2>
      <p class="note">This gateway needs a token. Whoever runs it can give you one.</p>
      {why !== "" && <p id="sign-in-why" class="problem" role="alert">{why}</p>}
      <form onSubmit={submit} aria-describedby={why === "" ? undefined : "sign-in-why"}>
        <label for="token">Token</label>
        <span class="secret">
          <input id="token" ref={field} type={(isShown.value ? "text" : "password") as "password"} autocomplete="off" spellcheck={false} value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
          <button type="button" aria-pressed={isShown.value} aria-label="Show the token" onClick={() => (isShown.value = !isShown.value)}>{isShown.value ? "Hide" : "Show"}</button>
        </span>
        <details open={"address" in before}>
          <summary>Or fetch it from this host</summary>
          <label for="token-address">Address</label>
          <input id="token-address" type="text" placeholder="/token" autocomplete="off" spellcheck={false} aria-describedby="token-address-note" value={address.value} onInput={(event) => (address.value = event.currentTarget.value)} />
          <p id="token-address-note" class="small">It answers the token as text, or a JSON object with <code>access_token</code>. The page asks there again before a token ends.</p>
        </details>
        <label class="check"><input id="keep" type="checkbox" checked={isKept.value} onChange={(event) => (isKept.value = event.currentTarget.checked)} /> <span>Keep it in this browser <span class="small">Otherwise it is forgotten when the page is closed.</span></span></label>
        <button type="submit" class="primary">Sign in</button>
      </form>
    </section>
  );
}

/** Who is signed in, what they may not do, and the way out. */
export function Account() {
  if (asked.value !== null) return null;
  const held = claims.value;
  const lacking = [may("runs:start") ? null : "start runs", may("runs:cancel") ? null : "cancel runs"].filter(Boolean);
  return (
    <>
      {lacking.length > 0 && <p id="read-only" class="badge" data-kind="none">{lacking.length === 2 ? "read only" : `may not ${lacking[0]}`}<span class="unseen">: this token may not {lacking.join(" or ")}</span></p>}
      {isSignedIn.value && (
        <div class="account">
          {held?.subject && <span class="who" title={held.endsAt === null ? undefined : `until ${clock(held.endsAt)}, or the next token`}><span class="unseen">Signed in as </span>{held.subject}</span>}
          <button id="sign-out" type="button" onClick={leave}>Sign out</button>
        </div>
      )}
    </>
  );
}

/** A pasted token ends soon: the next one takes its place, and the page goes on where it is. */
export function Renew() {
  const token = useSignal("");
  const wrong = useSignal("");
  if (!isEnding.value) return null;
  const endsAt = claims.value?.endsAt ?? null;
  const submit = (event: Event) => {
    event.preventDefault();
    const pasted = token.value.trim();
    token.value = "";
    const fault = faultOf(pasted);
    wrong.value = pasted === "" || fault === null ? "" : `What you pasted ${fault}.`;
    if (fault === null) enter({ token: pasted });
  };
  return (
    <form id="renew" class="notice" aria-label="The next token" onSubmit={submit}>
      <p role="status">Your token ends soon. Paste the next one to go on. {wrong}</p>
      {endsAt !== null && <span class="small">{duration(Math.max(0, endsAt - now.value))} left</span>}
      <label><span class="unseen">The next token</span>
        <input type="password" autocomplete="off" spellcheck={false} placeholder="Next token" value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
      </label>
      <button type="submit" class="primary">Go on</button>
    </form>
  );
}
