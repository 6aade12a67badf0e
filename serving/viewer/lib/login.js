// Log-in by an identity provider: authorization code with PKCE (RFC 7636). The secret of the exchange stays in this tab.

import { here } from "./api.js";

const LOGIN = "mitoserve-login";
const RENEWAL = "mitoserve-renewal";
const BYTES = 48;

const base64 = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64(crypto.getRandomValues(new Uint8Array(BYTES)));
const backAddress = () => location.origin + here("/viewer/login.html");

/** How the provider is reached; null where there is none. */
export async function findProvider() {
  const answer = await fetch(here("/v1/login")).catch(() => null);
  return answer?.ok ? (await answer.json()).provider : null;
}

/** Go to the provider's page; it sends the browser back to `login.html`. */
export async function goToProvider(provider) {
  const [verifier, state] = [random(), random()];
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  sessionStorage.setItem(LOGIN, JSON.stringify({ verifier, state, back: location.href }));
  const stated = new URLSearchParams({
    response_type: "code", client_id: provider.client_id, scope: provider.scope, redirect_uri: backAddress(), state,
    code_challenge: base64(new Uint8Array(digest)), code_challenge_method: "S256",
  });
  location.assign(`${provider.authorization_endpoint}?${stated}`);
}

/**
 * What the provider sent the browser back with becomes a token.
 *
 * @returns {Promise<{ token: string, back: string }>} The token, and the address at which somebody began to log in.
 */
export async function finishLogin() {
  const sent = new URLSearchParams(location.search);
  const begun = JSON.parse(sessionStorage.getItem(LOGIN) ?? "null");
  sessionStorage.removeItem(LOGIN);
  if (sent.has("error")) throw new Error(`The identity provider says: ${sent.get("error_description") ?? sent.get("error")}.`);
  if (!begun || !sent.has("code") || sent.get("state") !== begun.state) throw new Error("This log-in was not begun in this tab. Begin again.");
  const token = await exchange({ code: sent.get("code"), code_verifier: begun.verifier, redirect_uri: backAddress() });
  return { token, back: begun.back };
}

/** Another token in place of one that has ended; null where there is none to be had. */
export async function renewToken() {
  const renewal = sessionStorage.getItem(RENEWAL);
  sessionStorage.removeItem(RENEWAL);
  return renewal ? exchange({ refresh_token: renewal }).catch(() => null) : null;
}

/** Forget what renews tokens. */
export const forgetRenewal = () => sessionStorage.removeItem(RENEWAL);

async function exchange(body) {
  const answer = await fetch(here("/v1/login/token"), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail);
  if (found.refresh_token) sessionStorage.setItem(RENEWAL, found.refresh_token);
  return found.access_token;
}
