() => {
  // Links to a picture hold what differs from the defaults: prompt, seed, and of the settings only the changed ones.
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const zh = navigator.language.startsWith("zh");
  const word = (en, chinese) => zh ? chinese : en;

  const presets_of = checkpoint => window.checkpoints[checkpoint]?.presets[window.anyPrompt];

  function changed(settings, presets) {
    const own = Object.keys(presets).find(name => same(presets[name], settings));
    if (own) return own;
    const { negative_prompt, ...stages } = settings;
    const rows = Object.entries(stages).map(([stage, values]) =>
      [stage, Object.fromEntries(Object.entries(values).filter(([key, value]) => !same(value, presets.default?.[stage]?.[key])))]);
    const different = Object.fromEntries(rows.filter(([, values]) => Object.keys(values).length));
    return JSON.stringify({ ...different, ...(negative_prompt != null && { negative_prompt }) });
  }

  function link(record) {
    const address = new URL(location.pathname, location.origin);
    address.searchParams.set("prompt", record.prompt);
    address.searchParams.set("seed", record.seed);
    const [first] = window.offers;
    if (record.checkpoint !== first.name) address.searchParams.set("checkpoint", record.checkpoint);
    const presets = presets_of(record.checkpoint) ?? {};
    const settings = changed(record.settings, presets);
    if (settings !== "default") address.searchParams.set("settings", settings);
    if (record.asked) address.searchParams.set("asked", "1");
    if (record.checkpoint_hash) address.searchParams.set("weights", record.checkpoint_hash.slice(0, 8));
    return address.href;
  }

  // Without HTTPS there is no clipboard; the old way then copies from a field that has the focus.
  async function copied(text, beside) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const field = document.createElement("textarea");
      field.value = text;
      beside.append(field); // an open dialog leaves the focus to nothing outside of it
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      return done;
    }
  }

  async function share(record, button) {
    const url = link(record);
    if (navigator.share && matchMedia("(pointer: coarse)").matches) {
      try {
        return await navigator.share({ title: record.prompt, url });
      } catch (error) {
        if (error.name === "AbortError") return;
      }
    }
    if (!await copied(url, button.parentElement)) return prompt(word("Copy this link:", "请复制这个链接："), url);
    const label = button.dataset.label ??= button.textContent;
    button.textContent = word("✓ Copied", "✓ 已复制");
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  // The settings of a link: a preset's name, or what differs from the default, or, in old links, all of them.
  function settings_of(text, checkpoint) {
    const presets = presets_of(checkpoint);
    if (text in presets) return text;
    try {
      const given = JSON.parse(text), table = structuredClone(presets.default);
      for (const stage in table) Object.assign(table[stage], given[stage]);
      return typeof given.negative_prompt === "string" ? { ...table, negative_prompt: given.negative_prompt } : table;
    } catch {
      return null;
    }
  }

  window.sharing = { link, share, settings_of };
}
