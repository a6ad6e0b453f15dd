// The door of a team: a name and a password, asked of the server that the page came from.

import { el } from "./dom";
import * as server from "./server";
import type { Session } from "./types";

export function loginForm(): Promise<Session> {
  return new Promise((resolve) => {
    const user = el("input", { name: "user", autocomplete: "username", required: "", autofocus: "" });
    const password = el("input", { name: "password", type: "password", autocomplete: "current-password", required: "" });
    const wrong = el("p", { class: "wrong", role: "alert" });
    const form = el(
      "form",
      { class: "notice" },
      el("h1", {}, "tallymark"),
      el("label", {}, "Name", user),
      el("label", {}, "Password", password),
      wrong,
      el("button", { class: "primary" }, "Sign in"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      wrong.textContent = "";
      server
        .login(user.value, password.value)
        .then(() => server.begin())
        .then((session) => {
          form.remove();
          document.body.append(el("div", { id: "app" }));
          resolve(session);
        })
        .catch((error: unknown) => {
          wrong.textContent = error instanceof Error ? error.message : String(error);
          password.value = "";
          password.focus();
        });
    });
    document.body.replaceChildren(form);
    user.focus();
  });
}
