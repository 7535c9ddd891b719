() => {
  // Enter in a prompt, Ctrl+Enter anywhere, and Esc press the buttons of the tab that is to be seen.
  const press = name => [...document.querySelectorAll(`button.${name}`)].find(button => button.offsetParent)?.click();
  document.addEventListener("keydown", event => {
    // While a Chinese word is put together, Enter only ends it.
    const prompt = event.target instanceof HTMLTextAreaElement && !event.shiftKey && !event.isComposing;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || prompt)) {
      event.preventDefault();
      if (event.target.closest(".choices")) event.target.blur(); // what is written there counts from then on
      press("draw");
    }
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) press("stop");
  }, true);

  // What is drawn is kept in this browser: a thumbnail and the record, so many as fit its storage easily.
  const ENTRIES = 60, SIDE = 128;
  async function thumbnail(url) {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    canvas.getContext("2d").drawImage(picture, 0, 0, SIDE, SIDE);
    return canvas.toDataURL("image/webp", 0.85);
  }
  window.addEventListener("drawn", async event => {
    const entries = await Promise.all(event.detail.map(async ({ image, caption, record }) =>
      ({ caption, record, thumbnail: await thumbnail(image.url) })));
    const older = JSON.parse(localStorage.getItem("history") || "[]");
    localStorage.setItem("history", JSON.stringify([...entries, ...older].slice(0, ENTRIES)));
    window.dispatchEvent(new Event("kept"));
  });
}
