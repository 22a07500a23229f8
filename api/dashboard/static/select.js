// In the list of notifications: a box that selects all on the page, and how many are selected.
"use strict";
(() => {
  const choice = document.querySelector("[data-selects-all]");
  if (!choice) return;
  const all = choice.querySelector("input");
  const most = Number(choice.dataset.selectsAll);
  // Looked up each time, because the rows may have been replaced.
  const boxes = () => [...all.form.querySelectorAll("input[name=id]")];
  const said = document.getElementById("selected");

  function count() {
    const chosen = boxes().filter((box) => box.checked).length;
    all.checked = chosen > 0 && chosen === Math.min(most, boxes().length);
    all.indeterminate = chosen > 0 && !all.checked;
    const text = chosen > most ? `${chosen} selected; at most ${most} at a time` : chosen ? `${chosen} selected` : "";
    if (said.textContent !== text) said.textContent = text;
  }

  choice.hidden = false;
  all.form.addEventListener("change", (event) => {
    if (event.target === all) boxes().forEach((box, place) => { box.checked = all.checked && place < most; });
    count();
  });
  addEventListener("pageshow", count); // A browser that goes back may restore what was selected.
})();
