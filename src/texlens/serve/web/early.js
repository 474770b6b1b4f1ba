"use strict";
// Runs before the first paint, so that the chosen theme does not flash.
try {
  const theme = localStorage.getItem("texlens-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  document.documentElement.dataset.storage = "none";
}
