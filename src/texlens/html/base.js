"use strict";
// Light or dark: what the reader chose, else what the system says.
(() => {
  const root = document.documentElement;
  const remembered = (() => {
    try {
      return localStorage.getItem("texlens-theme");
    } catch {
      return null; // a browser may refuse storage to local files; the toggle then works for this visit only
    }
  })();
  if (remembered) root.dataset.theme = remembered;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("texlens-theme", root.dataset.theme);
    } catch {
      return;
    }
  });
})();
