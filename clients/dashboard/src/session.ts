// Who the person is for the gateway: a token that was pasted, or the address of this host that gives them.
//
// A token lives in this page's memory. It is kept in the browser only where the person chooses so, and never stands in an
// address: the client sends it in a header, or as a subprotocol of the WebSocket.

import { OddswireError, refusal, type TokenSource } from "@oddswire/client";
import { computed, signal } from "@preact/signals";

const KEY = "oddswire.session";
// What a gateway takes (docs/protocol.md, "Limits").
const TOKEN_MAX_BYTES = 8192;
// All tabs of this origin, those too whose token is in their memory alone.
const tabs = new BroadcastChannel(KEY);

/** What the person gave: a token, or where tokens are fetched. */
export type Given = { readonly token: string } | { readonly address: string };

/** What a token says of itself. The gateway checks it; the page only shows it, and offers what it allows. */
export interface Claims {
  readonly subject: string | null;
  /** Null where it cannot be read: everything is offered then, and the gateway decides. */
  readonly scopes: ReadonlySet<string> | null;
  /** Milliseconds; null where it is not known. */
  readonly endsAt: number | null;
}

/** Kept while the person is asked again, so that they can try the same once more; null once they signed out. */
export const given = signal<Given | null>(null);
/** Whether this browser keeps it. */
export let isKept = false;
/** Of the token in force; null without one. */
export const claims = signal<Claims | null>(null);
/** Why the person has to sign in; null while nobody has to. Empty: only because a token is needed. */
export const asked = signal<string | null>(null);
/** Why the address that was given gives no token, where asking there again does not help; null else. */
export const noToken = signal<string | null>(null);
/** Whether the token in force, which was pasted, ends soon. */
export const isEnding = signal(false);
// What the gateway said is not allowed.
const refused = signal<ReadonlySet<string>>(new Set());

export const isSignedIn = computed(() => given.value !== null);

/** Whether a command is worth a button. */
export function may(scope: string): boolean {
  if (refused.value.has(scope)) return false;
  const scopes = claims.value?.scopes;
  return scopes === undefined || scopes === null || scopes.has(scope);
}

export function lacks(scope: string): void {
  refused.value = new Set([...refused.value, scope]);
}

/** What the client takes its token from; none where the person gave nothing. */
export function source(): TokenSource | undefined {
  const from = given.value;
  if (from === null) return undefined;
  return "token" in from ? from.token : () => fetchToken(from.address);
}

/** `kept`: whether this browser keeps it; undefined: as it does with what was given before. */
export function signIn(what: Given, kept = isKept): void {
  given.value = what;
  isKept = kept;
  noToken.value = null;
  claims.value = "token" in what ? read(what.token) : null;
  refused.value = new Set();
  asked.value = null;
  isEnding.value = false;
  keep(kept ? what : null);
}

/** Asks the person to sign in. What they gave is forgotten only where it can never count again. */
export function ask(why: string, isOver = false): void {
  if (isOver && given.value !== null && "token" in given.value) {
    // Another tab may keep the next one already.
    if (isHeld(given.value)) forget();
    given.value = null;
  }
  claims.value = null;
  refused.value = new Set();
  isEnding.value = false;
  asked.value = why;
}

/** Forgets everything that was given, here and in the browser; with `everywhere`, in the other tabs too. */
export function signOut(why: string, everywhere = false): void {
  forget();
  ask(why);
  if (everywhere) tabs.postMessage("signed out");
}

/** Calls `act` when the person signed out in another tab. */
export function onSignOutElsewhere(act: () => void): void {
  tabs.onmessage = act;
}

function forget(): void {
  given.value = null;
  isKept = false;
  keep(null);
}

/** Takes up what the person chose to keep. */
export function restore(): void {
  try {
    const held = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<{ token: string; address: string }> | null;
    if (typeof held?.token === "string" && faultOf(held.token) === null) signIn({ token: held.token }, true);
    else if (typeof held?.address === "string") signIn({ address: held.address }, true);
  } catch {
    // A browser that keeps nothing, or what is no longer readable: the person is asked.
  }
}

function isHeld(what: Given): boolean {
  try {
    return localStorage.getItem(KEY) === JSON.stringify(what);
  } catch {
    return false;
  }
}

function keep(what: Given | null): void {
  try {
    if (what === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(what));
  } catch {
    // A browser that keeps nothing: it holds until the page is closed.
  }
}

/** What is wrong with a text that is to be a token, as the end of a sentence; null where it can be one. */
export function faultOf(token: string): string | null {
  if (token === "") return "is empty";
  if (!/^[\x21-\x7e]+$/.test(token)) return "is no token: it has spaces, or other characters that no token has";
  if (token.length > TOKEN_MAX_BYTES) return `is no token: it has ${token.length} characters, and a token has at most ${TOKEN_MAX_BYTES}`;
  return null;
}

/** A token of this host: as text, or as `access_token` or `token` of a JSON object. */
async function fetchToken(address: string): Promise<string> {
  try {
    const token = await askForToken(new URL(address, document.baseURI));
    noToken.value = null;
    claims.value = read(token);
    return token;
  } catch (error) {
    // A host that cannot be reached, or cannot answer now, is asked again.
    if (error instanceof OddswireError && !error.mayPass) noToken.value = error.message;
    throw error;
  }
}

async function askForToken(url: URL): Promise<string> {
  const wrong = (why: string, status?: number) => new OddswireError("no_token", why, status === undefined ? {} : { status });
  if (url.origin !== location.origin) throw wrong(`${url.origin} is another host: the page fetches tokens from its own`);
  const answer = await fetch(url.href, { headers: { accept: "application/json, text/plain;q=0.9" }, cache: "no-store" });
  if (!answer.ok) {
    const { status, problem } = await refusal(answer);
    throw wrong(`${url.pathname} answered ${status}${problem === undefined ? "" : ` (${problem.code}: ${problem.detail})`}`, status);
  }
  const token = tokenOf(await answer.text())?.trim();
  const fault = token === undefined ? "has neither access_token nor token" : faultOf(token);
  if (token === undefined || fault !== null) throw wrong(`what ${url.pathname} answered ${fault}`);
  return token;
}

function tokenOf(text: string): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return text;
  }
  if (typeof answer === "string") return answer;
  const { access_token, token } = (answer ?? {}) as { access_token?: unknown; token?: unknown };
  return [access_token, token].find((one) => typeof one === "string") as string | undefined;
}

/** What stands in a JSON Web Token, unchecked. */
export function read(token: string): Claims {
  try {
    const middle = (token.split(".")[1] as string).replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(middle), (letter) => letter.charCodeAt(0));
    const { sub, scope, exp } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; scope?: unknown; exp?: unknown };
    return {
      subject: typeof sub === "string" ? sub : null,
      scopes: new Set(typeof scope === "string" ? scope.split(" ").filter(Boolean) : []),
      endsAt: typeof exp === "number" ? exp * 1000 : null,
    };
  } catch {
    return { subject: null, scopes: null, endsAt: null };
  }
}
