// For admins: who has an account, with which role, and what becomes of it.

import { closing } from "./dialogs";
import { button, el } from "./dom";
import * as server from "./server";
import type { Account, AccountChange, Role } from "./types";

const ROLES: Role[] = ["annotator", "reviewer", "admin"];

export class Accounts {
  readonly dialog = el("dialog", { id: "accounts", "aria-label": "accounts" });
  private readonly rows = el("tbody");
  private readonly wrong = el("p", { class: "wrong", role: "alert" });
  private readonly told = el("section", { "aria-label": "new password" });

  constructor(private readonly own: string) {
    const role = roles("role of a new account", "annotator");
    const input = el("input", { placeholder: "name", "aria-label": "name of a new account", maxlength: "100", required: "" });
    const form = el("form", {}, input, role, el("button", { class: "primary" }, "Add"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = input.value.trim();
      if (!name) return;
      void this.act(name, async () => {
        const made = await server.addAccount(name, role.value as Role);
        form.reset();
        return made;
      });
    });
    const head = el("tr", {}, ...["name", "role", "may come in", ""].map((text) => el("th", {}, text)));
    this.dialog.append(
      el("h2", {}, "Accounts"),
      el("div", {}, el("table", {}, el("thead", {}, head), this.rows)),
      form,
      this.wrong,
      this.told,
      el("menu", {}, closing(this.dialog)),
    );
    this.dialog.addEventListener("close", () => this.told.replaceChildren()); // a password is shown once
  }

  async show(): Promise<void> {
    this.wrong.textContent = "";
    this.told.replaceChildren();
    this.dialog.showModal();
    await this.fill().catch((error: unknown) => this.fail(error));
  }

  private async fill(): Promise<void> {
    this.rows.replaceChildren(...(await server.accounts()).map((account) => this.row(account)));
  }

  private fail(error: unknown): void {
    this.wrong.textContent = error instanceof Error ? error.message : String(error);
  }

  /** Ask for a change, show the password that comes of it, and the accounts as they are now. */
  private async act(name: string, change: () => Promise<{ password?: string }>): Promise<void> {
    this.wrong.textContent = "";
    this.told.replaceChildren();
    try {
      const { password } = await change();
      if (password) this.tell(name, password);
    } catch (error) {
      this.fail(error);
    }
    await this.fill().catch((error: unknown) => this.fail(error));
  }

  private row({ name, role, active }: Account): HTMLTableRowElement {
    const change = (wanted: AccountChange) => void this.act(name, () => server.changeAccount(name, wanted));
    const chosen = roles(`role of ${name}`, role);
    chosen.addEventListener("change", () => change({ act: "role", role: chosen.value as Role }));
    const act = active ? "block" : "unblock";
    const acts = [
      button(`New password for ${name}`, { text: "New password" }, () => change({ act: "password" })),
      button(`${active ? "Block" : "Unblock"} ${name}`, { text: active ? "Block" : "Unblock" }, () => change({ act })),
    ];
    const own = name === this.own; // nobody locks out themselves
    return el(
      "tr",
      {},
      el("td", {}, name),
      el("td", {}, own ? role : chosen),
      el("td", {}, active ? "yes" : "no"),
      el("td", {}, ...(own ? ["this is you"] : acts)),
    );
  }

  private tell(name: string, password: string): void {
    const shown = el("input", { readonly: "", "aria-label": `password of ${name}`, autocomplete: "off", spellcheck: "false" });
    shown.value = password;
    const copy = button("Copy the password", { text: "Copy" }, () => {
      const copied = navigator.clipboard?.writeText(password) ?? Promise.reject(new Error("no clipboard"));
      copied.then(
        () => (copy.textContent = "Copied"),
        () => shown.select(), // where the browser gives no clipboard it is copied by hand
      );
    });
    this.told.replaceChildren(el("p", {}, `Password of ${name}, shown only now:`), shown, copy);
  }
}

function roles(label: string, chosen: Role): HTMLSelectElement {
  const select = el("select", { "aria-label": label }, ...ROLES.map((role) => el("option", { value: role }, role)));
  select.value = chosen;
  return select;
}
