() => {
  // Menus: a button that does "menu" opens the list behind it, which lies over everything, below the button or, where there is no room, above it.
  function open(button) {
    const menu = button.nextElementSibling;
    menu.showPopover();
    const at = button.getBoundingClientRect(), { width, height } = menu.getBoundingClientRect();
    const below = at.bottom + 4 + height <= innerHeight;
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - 4 - height)}px`;
    menu.querySelector("button").focus();
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("[data-do=menu]");
    if (button) open(button);
    else target.closest?.(".menu:popover-open")?.hidePopover(); // something was chosen
  });

  document.addEventListener("toggle", event => {
    if (event.target.matches(".menu")) event.target.previousElementSibling.setAttribute("aria-expanded", event.newState === "open");
  }, true);

  document.addEventListener("keydown", event => {
    const menu = event.target.closest?.(".menu");
    if (!menu) return;
    const entries = [...menu.querySelectorAll("button")], now = entries.indexOf(event.target);
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") menu.hidePopover(); // its button has the focus again, and passes it on
    if (to === undefined) return;
    event.preventDefault();
    entries.at(to % entries.length).focus();
  });
}
