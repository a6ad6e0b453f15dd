import "./style.css";

import { el } from "./dom";
import { Outbox } from "./outbox";
import { Page } from "./page";
import * as server from "./server";
import { showTheme } from "./theme";
import type { Session } from "./types";
import { loginForm } from "./login";

function stop(title: string, text: string): void {
  document.body.replaceChildren(el("main", { class: "notice", role: "alert" }, el("h1", {}, title), el("p", {}, text)));
}

async function session(): Promise<Session | null> {
  // An address that was used before still opens the page in the browser that it let in.
  const refused = await server.enter().catch((error: unknown) => error);
  try {
    return await server.begin();
  } catch (problem) {
    const error = refused ?? problem;
    if (error instanceof server.Refused && error.door === "login") return loginForm();
    const text = error instanceof Error ? error.message : String(error);
    stop("This page is locked", `${text[0].toUpperCase()}${text.slice(1)}.`);
    return null;
  }
}

async function main(): Promise<void> {
  showTheme();
  const found = await session();
  if (!found) return;
  const page = new Page(found);
  const name = `tallymark ${found.place} ${found.user}`;
  await page.start(await Outbox.open(name, () => page.refresh()));
}

void main().catch((error: unknown) => stop("Something went wrong", String(error)));
