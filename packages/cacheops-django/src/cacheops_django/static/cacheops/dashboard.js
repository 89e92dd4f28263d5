// Shows the numbers anew every few seconds, where JavaScript runs; all else works without it.
"use strict";

async function refresh() {
  const shown = document.getElementById("cacheops-live");
  // Not under somebody's hands, and not where nobody looks.
  if (document.hidden || !shown || shown.contains(document.activeElement) || shown.matches(":active")) return;
  let answer;
  try {
    answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
  } catch {
    return; // The site is away: what is shown stays.
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("cacheops-live");
  if (fresh) {
    shown.replaceWith(fresh);
  } else if (answer.redirected) {
    location.reload(); // Somebody has logged out.
  }
}

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button && button.value === "*" && !confirm("Drop everything in the cache?")) event.preventDefault();
});
setInterval(refresh, 1000 * Number(document.getElementById("cacheops-live").dataset.seconds));
