// Talking to the server. A restarted server has new sessions and new words: both are asked for again by themselves.

import type { About, Account, AccountChange, Answer, Event, Everybody, Following, Grown, OtherLayer, Role, Session } from "./types";

export class Refused extends Error {
  constructor(
    readonly status: number,
    why: string,
    readonly door = "", // "login" where people have names
  ) {
    super(why);
  }
}

// So long without a byte, and a connection is taken for dead: a laptop that slept leaves such behind. What is sent gets
// the time that a slow line needs for it.
const QUIET_MS = 60_000;
const BYTES_PER_MS = 4;
// The agreement of a team: a hundred images are grown for everybody.
const LONG_MS = 20 * QUIET_MS;

let session: Session | null = null;

/** As fetch, but it fails when nothing comes any more, at the first byte or at a later one. */
async function fetchAlive(path: string, options: RequestInit, patience: number): Promise<Response> {
  const given = new AbortController();
  const up = () => given.abort(new Refused(0, "the server does not answer"));
  let timer = setTimeout(up, patience);
  const stop = () => clearTimeout(timer);
  const heard = () => {
    stop();
    timer = setTimeout(up, QUIET_MS);
  };
  try {
    const response = await fetch(path, { ...options, signal: given.signal });
    heard();
    const watched = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, passed) {
        heard();
        passed.enqueue(chunk);
      },
      flush: stop,
    });
    if (!response.body) stop();
    return new Response(response.body?.pipeThrough(watched), response);
  } catch (error) {
    stop();
    throw error instanceof Refused ? error : new Refused(0, "the server does not answer");
  }
}

async function ask(path: string, body?: unknown, patience = QUIET_MS): Promise<Response> {
  const headers: Record<string, string> = {};
  const options: RequestInit = { headers, credentials: "same-origin", redirect: "error" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    if (session) headers["x-tallymark-csrf"] = session.csrf;
    options.method = "POST";
    options.body = JSON.stringify(body);
    patience += options.body.length / BYTES_PER_MS;
  }
  const response = await fetchAlive(path, options, patience);
  if (!response.ok) {
    const said = (await response.json().catch(() => ({}))) as { error?: string; door?: string };
    throw new Refused(response.status, said.error ?? `the server answered ${response.status}`, said.door);
  }
  return response;
}

/** Something the server is to do; its answer says nothing. */
async function tell(path: string, body: unknown): Promise<void> {
  await (await ask(path, body)).text();
}

async function json<T>(path: string, body?: unknown, patience?: number): Promise<T> {
  try {
    return (await (await ask(path, body, patience)).json()) as T;
  } catch (error) {
    if (error instanceof Refused && error.status === 403 && session) {
      await begin();
      return (await (await ask(path, body, patience)).json()) as T;
    }
    throw error;
  }
}

/** Let this browser in with the secret of the address, and take the secret out of the address. */
export async function enter(): Promise<void> {
  const token = location.hash.slice(1);
  if (token.length < 30) return;
  history.replaceState(history.state, "", "/");
  await tell("/api/enter", { token });
}

/** Whether the address now holds a new secret: someone opened it in a page that was open already. */
export const entering = () => location.hash.length > 30;

export async function login(user: string, password: string): Promise<void> {
  await tell("/api/login", { user, password });
}

export async function logout(): Promise<void> {
  await tell("/api/logout", {});
}

export const accounts = async () => (await json<{ accounts: Account[] }>("/api/accounts")).accounts;
export const addAccount = (name: string, role: Role) => json<{ password: string }>("/api/accounts", { name, role });
export const changeAccount = (name: string, change: AccountChange) =>
  json<{ password?: string }>("/api/accounts/change", { name, ...change });
export const everybody = () => json<Everybody>("/api/team", undefined, LONG_MS);

export async function begin(): Promise<Session> {
  session = (await (await ask("/api/session")).json()) as Session;
  return session;
}

export const about = (key: string) => json<About>(`/api/cases/${key}`);
export const following = (count: number, without: string[], review: boolean) =>
  json<Following>("/api/next", { count, without, review });
export const others = async (key: string) => (await json<{ layers: OtherLayer[] }>(`/api/cases/${key}/layers`)).layers;
export const grown = (key: string, plane: number) => json<Grown>(`/api/cases/${key}/grown/${plane}`);
export const outlines = (key: string, plane: number) => json<Grown>(`/api/cases/${key}/model/${plane}`);
export const send = (events: Event[]) => json<Answer>("/api/marks", { events });

/** The samples of a plane; over a network they come as differences (coding.py). */
export async function samples(key: string, plane: number): Promise<{ buffer: ArrayBuffer; differences: boolean }> {
  const response = await ask(`/api/cases/${key}/planes/${plane}`);
  return { buffer: await response.arrayBuffer(), differences: response.headers.get("x-tallymark-coding") === "differences" };
}
