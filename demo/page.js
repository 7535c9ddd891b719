() => {
  // Enter in a prompt, Ctrl+Enter anywhere, and Esc press the buttons of the tab that is to be seen.
  const shown = selector => [...document.querySelectorAll(selector)].find(element => element.offsetParent);
  const press = name => shown(`button.${name}`)?.click();
  const frames = async number => { for (let i = 0; i < number; i++) await new Promise(requestAnimationFrame); };
  document.addEventListener("keydown", event => {
    // While a Chinese word is put together, Enter only ends it.
    const prompt = event.target instanceof HTMLTextAreaElement && !event.shiftKey && !event.isComposing;
    if (event.key === "Enter" && !event.target.closest?.("dialog") && (event.ctrlKey || event.metaKey || prompt)) {
      event.preventDefault();
      if (event.target.closest(".choices")) event.target.blur(); // what is written there counts from then on
      press("draw");
    }
    if (event.key === "Escape" && !document.querySelector("dialog[open], :popover-open")) press("stop");
    // Arrows move among the tabs, of which the open one alone is reached by the tabulator.
    const tab = event.target.closest?.("[role=tab]");
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    if (tab && event.key in steps) {
      event.preventDefault();
      const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")].filter(one => one.offsetParent), last = tabs.length - 1;
      const to = tabs.indexOf(tab) + steps[event.key];
      const next = tabs[to > last ? (event.key === "End" ? last : 0) : to < 0 ? (event.key === "Home" ? 0 : last) : to];
      next.focus();
      next.click();
    }
  }, true);

  // Where a picture was sent: once the tab is there its button is pressed, if the way says so, and has the focus.
  window.arrive = async (tab, name) => {
    const panel = `#tab-${tab}`;
    for (let i = 0; i < 300 && !shown(panel)?.querySelector("button.draw"); i++) await frames(1);
    await frames(6); // a tab that was never open takes its first values in the first frames that show it
    const top = document.querySelector("#tabs");
    if (top.getBoundingClientRect().top < 0) top.scrollIntoView();
    const button = shown(`${panel} button.${name || "draw"}`);
    button?.focus({ preventScroll: true });
    window.dispatchEvent(new Event("arrive"));
    if (name) button?.click();
  };

  // Draw and Stop take turns, and who has the one that goes gets the other.
  let focused = null;
  document.addEventListener("focusin", event => { focused = event.target; });
  function follow() {
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const open = tab.getAttribute("aria-selected") === "true";
      if (open && tab.tabIndex) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
      if (tab.tabIndex !== (open ? 0 : -1)) tab.tabIndex = open ? 0 : -1;
    }
    if (!focused?.matches("button.draw, button.stop, button.sheet") || focused.offsetParent) return;
    if (document.activeElement === document.body || document.activeElement === focused)
      [...focused.closest(".task")?.querySelectorAll("button.stop, button.draw") ?? []].find(other => other.offsetParent)?.focus();
  }
  const changes = { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "aria-selected"] };
  new MutationObserver(follow).observe(document.body, changes);

  // A window that changes its size, as a phone that is turned, begins the row of tabs anew: the open one comes into view again.
  const ROW = 250, ASIDE = 56; // milliseconds until the row is there; pixels that stay free at its ends, where it fades
  addEventListener("resize", () => setTimeout(() => {
    const tab = shown("#tabs [role=tab][aria-selected=true]"), row = tab?.closest("[role=tablist]");
    if (!row) return;
    const at = tab.getBoundingClientRect(), box = row.getBoundingClientRect();
    if (at.left < box.left || at.right > box.right - ASIDE) row.scrollLeft += at.left - box.left - ASIDE;
  }, ROW));

  // What is no picture or recording, or too large, is refused where it is chosen or dropped: Gradio would show a toast for each.
  const zh = navigator.language.startsWith("zh");
  const megabytes = window.mostBytes / 1e6;
  const NOT_ONE = zh ? "这不是图片：请给出 PNG、JPEG、WEBP、GIF、BMP 或 AVIF 文件。"
    : "This is not a picture: give a PNG, JPEG, WEBP, GIF, BMP or AVIF file.";
  const TOO_LARGE = zh ? `图片文件超过 ${megabytes} MB：请先缩小。` : `The picture's file is larger than ${megabytes} MB: make it smaller.`;
  const NO_SOUND = zh ? "这不是录音：请给出 WAV、MP3、Ogg、FLAC、M4A 或 WebM 文件。" : "This is not a recording: give a WAV, MP3, Ogg, FLAC, M4A or WebM file.";
  const TOO_LONG = zh ? `录音文件超过 ${megabytes} MB：请缩短。` : `The recording's file is larger than ${megabytes} MB: make it shorter.`;
  const KINDS = { "own-picture": [/^image\//, NOT_ONE, TOO_LARGE], "own-voice": [/^(audio|video)\//, NO_SOUND, TOO_LONG] };
  const wrong = (file, [type, another, smaller]) => !type.test(file.type) ? another : file.size > window.mostBytes ? smaller : "";
  // Say in a progress line what was refused here, and with "" again what it said before.
  window.refuse = (line, sentence) => {
    const text = line.querySelector("p");
    if (sentence) {
      line.dataset.before ??= JSON.stringify([line.className, text.textContent]);
      line.className = "status refused";
      text.textContent = sentence;
    } else if (line.dataset.before) {
      [line.className, text.textContent] = JSON.parse(line.dataset.before);
      delete line.dataset.before;
    }
  };
  function choose(event) {
    const kind = Object.keys(KINDS).find(name => event.target.closest?.(`.${name}`));
    const box = kind && event.target.closest(`.${kind}`), line = box?.closest(".task")?.querySelector(".status");
    const files = event.type === "drop" ? event.dataTransfer?.files : event.target.files;
    if (!line || !files?.length) return;
    const sentence = [...files].map(file => wrong(file, KINDS[kind])).find(Boolean) ?? "";
    window.refuse(line, sentence);
    if (!sentence) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = "";
  }
  for (const kind of ["change", "drop"]) document.addEventListener(kind, choose, true);

  document.addEventListener("input", ({ target }) => {
    if (target.matches?.("input.ours")) target.style.setProperty("--fill", (target.value - target.min) / (target.max - target.min));
  });

  // What is said of a file that the server did not take.
  const UNSENT = zh ? "文件没能送到服务器：请再试一次。" : "The file did not reach the server: please try again.";
  window.refusalOf = error => error.told || UNSENT;
  window.wire.teller = () => {
    const task = shown(".task");
    return task && (sentence => window.refuse(task.querySelector(".status"), sentence === null ? "" : sentence || UNSENT));
  };
  window.wire.busy = zh ? "排队的人已经很多：请过一分钟再试。" : "Many visitors are waiting already: please try again in a minute.";

  // While something is drawn the server is asked whether it lives: Gradio leaves the line as it was when it does not.
  const LOOK = 2000; // milliseconds
  const LOST = navigator.language.startsWith("zh")
    ? "与服务器的连接断开了：请等它恢复后再画一次。" : "The server cannot be reached: wait until it is back, then draw again.";
  async function lives() {
    try { return (await fetch(location.pathname.replace(/\/?$/, "/favicon.ico"), { cache: "no-store" })).status < 502; } catch { return false; }
  }
  setInterval(async () => {
    if (!document.querySelector(".status.working, .status.waiting") || await lives() || await lives()) return;
    for (const line of document.querySelectorAll(".status.working, .status.waiting")) {
      line.className = "status refused";
      line.querySelector("p").textContent = LOST;
    }
  }, LOOK);
}
