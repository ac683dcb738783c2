// A cell plays its film in the dialog. Without scripts, or with a modifier key, it is a plain link.
const dialog = document.querySelector("dialog"), video = document.getElementById("player");
const find = id => document.getElementById(id);
let links = [], at = 0;
function play(index) {
  at = index;
  const {title, when, score} = links[at].dataset, address = links[at].getAttribute("href");
  find("player-title").textContent = title;
  find("player-when").textContent = `${when} · ${score}`;
  find("earlier").disabled = at === 0;
  find("later").disabled = at === links.length - 1;
  video.src = address.startsWith("#") ? find(address.slice(1)).src : address;
  video.play().catch(() => {});
}
document.addEventListener("click", event => {
  const link = event.target.closest("a[data-slot]");
  if (!link || !dialog.showModal || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  links = [...link.closest("table").querySelectorAll("a[data-slot]")].filter(a => a.dataset.slot === link.dataset.slot);
  dialog.showModal();
  play(links.indexOf(link));
});
find("close").addEventListener("click", () => dialog.close());
find("earlier").addEventListener("click", () => play(at - 1));
find("later").addEventListener("click", () => play(at + 1));
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { video.removeAttribute("src"); video.load(); });

// A header sorts its table by its column: first the way that puts the best on top, then the other way.
// What is undefined stays below.
function compare(a, b) {
  return a === "" || b === "" || isNaN(a) || isNaN(b) ? a.localeCompare(b) : Number(a) - Number(b);
}
for (const button of document.querySelectorAll("button.sort")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, column = header.cellIndex, table = header.closest("table");
    const now = header.getAttribute("aria-sort"), first = button.dataset.first;
    const order = now === "ascending" ? "descending" : now === "descending" ? "ascending" : first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const body = table.tBodies[0], key = row => row.cells[column].dataset.sort, sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => (key(a) === "") - (key(b) === "") || sign * compare(key(a), key(b)));
    body.append(...rows);
    find("spoken").textContent = `Sorted by ${button.textContent}, ${order}.`;
  });
}
