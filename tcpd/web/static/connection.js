// Optional: the page is complete without this module.

// A link to a value in a closed layer opens the layer.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const layer = target && target.closest("details");
  if (layer) layer.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();

// Paper has no closed layers.
addEventListener("beforeprint", () => {
  for (const layer of document.querySelectorAll("details.layer:not([open])")) {
    layer.open = true;
    layer.dataset.closed = "yes";
  }
});
addEventListener("afterprint", () => {
  for (const layer of document.querySelectorAll("details[data-closed]")) {
    layer.open = false;
    delete layer.dataset.closed;
  }
});

// Escape hides the explanation of the value that has the focus.
document.addEventListener("keydown", (event) => {
  const value = document.activeElement;
  if (event.key === "Escape" && value && value.closest("svg.diagram")) value.blur();
});

// A button that copies a command.
for (const command of document.querySelectorAll("pre.command")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.innerText.replace(/\n$/, ""));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  command.after(button);
}
