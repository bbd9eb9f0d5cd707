// @ts-check
// Runs before the page is drawn, so that the chosen theme never flashes.
"use strict";
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("vadistill-theme");
  } catch {
    // A browser that keeps nothing: the system's theme.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
