// Who the person is for the gateway: a token that was pasted, or the address of this host that gives them.
//
// A token lives in this page's memory. It is kept in the browser only where the person chooses so, and never stands in an
// address: the client sends it in a header, or as a subprotocol of the WebSocket.

import type { TokenSource } from "@oddswire/client";
import { computed, signal } from "@preact/signals";

const KEY = "oddswire.session";

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

const given = signal<Given | null>(null);
let isKept = false;
/** Of the token in force; null without one. */
export const claims = signal<Claims | null>(null);
/** Why the person has to sign in; null while nobody has to. Empty: only because a token is needed. */
export const asked = signal<string | null>(null);
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
  claims.value = "token" in what ? read(what.token) : null;
  refused.value = new Set();
  asked.value = null;
  isEnding.value = false;
  keep(kept ? what : null);
}

/** Forgets everything that was given, here and in the browser. */
export function signOut(why: string): void {
  given.value = null;
  isKept = false;
  claims.value = null;
  refused.value = new Set();
  isEnding.value = false;
  asked.value = why;
  keep(null);
}

/** Takes up what the person chose to keep. */
export function restore(): void {
  try {
    const held = JSON.parse(localStorage.getItem(KEY) ?? "null") as Partial<{ token: string; address: string }> | null;
    if (typeof held?.token === "string") signIn({ token: held.token }, true);
    else if (typeof held?.address === "string") signIn({ address: held.address }, true);
  } catch {
    // A browser that keeps nothing, or what is no longer readable: the person is asked.
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

/** A token of this host: as text, or as `access_token` or `token` of a JSON object. */
async function fetchToken(address: string): Promise<string> {
  const url = new URL(address, document.baseURI);
  if (url.origin !== location.origin) throw new Error(`${url.origin} is another host: the page fetches tokens from its own`);
  const answer = await fetch(url.href, { headers: { accept: "application/json, text/plain;q=0.9" }, cache: "no-store" });
  if (!answer.ok) throw new Error(`${url.pathname} answered ${answer.status}`);
  const token = tokenOf(await answer.text());
  claims.value = read(token);
  return token;
}

function tokenOf(text: string): string {
  try {
    const { access_token, token } = JSON.parse(text) as { access_token?: string; token?: string };
    return (access_token ?? token ?? "").trim();
  } catch {
    return text.trim();
  }
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
