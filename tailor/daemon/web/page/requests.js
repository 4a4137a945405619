/** Questions to the daemon. The token goes into a header, never into an address. */

import { token } from "./session.js";

/** An answer that is none. `status` 0: nobody answered. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let mayChange = false;
let refused = () => {};

/** Whether the token is one that may change things: as the last answer said. */
export const canChange = () => mayChange;

/** What is done where a token is refused. */
export function whenRefused(then) {
  refused = then;
}

/** The path of something below the API's prefix; each part is quoted. Pure. */
export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;

/** A query, with lists as repeated fields; what is empty is left out. Pure. */
export function query(fields) {
  const pairs = Object.entries(fields).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const text = new URLSearchParams(pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined)).toString();
  return text && `?${text}`;
}

/** The answer to a request, its head read: the body is still to come. Raises Failure for any but a good one. */
export async function request(where, { method = "GET", accept = "application/json", headers = {}, body, signal } = {}) {
  const given = token();
  if (given === null) throw new Failure(401, "The daemon's token is asked for.");
  const sent = { Accept: accept, Authorization: `Bearer ${given}`, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(where, { method, headers: sent, body, signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The daemon does not answer.");
  }
  if (response.status === 401 && given === token()) refused(); // not where another was given meanwhile, or is being typed
  if (!response.ok) throw new Failure(response.status, await message(response));
  const access = response.headers.get("Tailor-Access");
  if (access) mayChange = access === "full";
  return response;
}

async function message(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The daemon answered with status ${response.status}.`; // from something in between: a body of another kind
  }
}

/** What the daemon tells at `where`. */
export async function ask(where, fields = {}) {
  return (await request(where + query(fields))).json();
}

/** Asks for something to be done. */
export async function send(where, body = {}) {
  return (await request(where, { method: "POST", body: JSON.stringify(body) })).json();
}
