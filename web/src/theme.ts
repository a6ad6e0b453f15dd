// Dark or light, as it was last chosen in this browser; dark until it was.

const root = document.documentElement;

export function showTheme(): void {
  root.dataset.theme = localStorage.getItem("theme") ?? "dark";
}

export function switchTheme(): void {
  localStorage.setItem("theme", root.dataset.theme === "dark" ? "light" : "dark");
  showTheme();
}
