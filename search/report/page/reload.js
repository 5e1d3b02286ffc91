"use strict";
// The server names the version of the report that it would show now.
setInterval(async () => {
  try {
    const told = await fetch("version", { cache: "no-store" });
    if (told.ok && (await told.text()) !== document.documentElement.dataset.version) location.reload();
  } catch {
    // the server has ended, and the page stays as it is
  }
}, 2000);
