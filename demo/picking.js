() => {
  // The lists of checkpoints hold those that have been in memory; what is loaded while the page is open joins them.
  let last = 0;
  const choices = () => Object.entries(window.checkpoints).map(([name, { title }]) => [title, name]);
  window.listed = value => {
    const all = choices();
    return window.wire.update({ choices: all, value, visible: all.length > 1 });
  };
  window.arrived = (now, lists) => {
    if (!now?.facts || now.at === last) return lists.map(() => window.wire.update({}));
    last = now.at;
    window.checkpoints[now.name] = now.facts;
    Object.assign(window.offers.find(offer => offer.source === now.source) ?? {}, { name: now.name, read: true });
    window.arrivedSource = now.source;
    if (document.activeElement === document.body || document.activeElement.closest("#picker, #loading"))
      document.querySelector("#prompt textarea")?.focus({ preventScroll: true });
    return [window.listed(now.name), ...lists.slice(1).map(window.listed)];
  };
  // What a link or a record calls a checkpoint -> its name here, or "" where it is to be loaded first, or is unknown.
  window.checkpointOf = asked => {
    if (asked in window.checkpoints) return asked;
    const offer = window.offers.find(({ name, source }) => name === asked || source === asked || asked?.endsWith(`+${source}`));
    if (offer?.name in window.checkpoints) return offer.name;
    if (offer) window.dispatchEvent(new CustomEvent("wanted", { detail: offer.source }));
    return "";
  };
}
