// Shows what happens in the cache while it happens, and has each open page follow the edits of all others.
"use strict";

const MOST = 30;
const live = document.getElementById("live");
let isEdited = false;
let waiting = 0;

function show(told) {
  const item = document.createElement("li");
  const badge = document.createElement("span");
  badge.className = `badge ${told.outcome}`;
  badge.textContent = told.outcome;
  const words = document.createElement("span");
  const [first, ...others] = told.lines;
  const details = document.createElement("small");
  details.textContent = others.join("; ");
  words.append(first, details);
  const took = document.createElement("span");
  took.className = "number";
  took.textContent = told.milliseconds === undefined ? "" : `${told.milliseconds} ms`;
  item.append(badge, words, took);
  const list = live.querySelector("ol");
  list.prepend(item);
  while (list.children.length > MOST) list.lastChild.remove();
  const count = live.querySelector(`.counts .${told.outcome}`);
  if (count) count.textContent = Number(count.textContent) + 1;
}

async function follow() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok || isEdited) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.querySelector(".looks").replaceWith(page.querySelector(".looks"));
}

document.addEventListener("input", () => { isEdited = true; });
live.hidden = false;
const stream = new EventSource(live.dataset.url);
stream.addEventListener("open", () => { live.dataset.state = "open"; });
stream.addEventListener("message", (message) => {
  const told = JSON.parse(message.data);
  show(told);
  if (told.outcome === "dropped" && !isEdited) {
    // A save and what comes with it are several transactions: one look after them will do.
    clearTimeout(waiting);
    waiting = setTimeout(follow, 100);
  }
});
