() => {
  // The lists of checkpoints hold those that have been in memory; what is loaded while the page is open joins them.
  let last = 0;
  const choices = () => Object.entries(window.checkpoints).map(([name, { title }]) => [title, name]);
  window.listed = changes => {
    const all = choices();
    return window.wire.update({ choices: all, visible: all.length > 1, ...changes });
  };
  window.arrived = (now, lists) => {
    if (!now?.facts || now.at === last) return lists.map(() => window.wire.update({}));
    last = now.at;
    window.checkpoints[now.name] = now.facts;
    Object.assign(window.offers.find(offer => offer.source === now.source) ?? {}, { name: now.name });
    // The lists come first: a link's picture is drawn by what they say.
    setTimeout(() => window.dispatchEvent(new CustomEvent("arrived", { detail: now.source })));
    if (document.activeElement === document.body || document.activeElement.closest("#picker, #loading"))
      document.querySelector("#prompt textarea")?.focus({ preventScroll: true });
    return lists.map((_, i) => window.listed(i ? {} : { value: now.name }));
  };
  // What a link calls a checkpoint -> its offer, and its name where it has been in memory. A name may tell of a prior too.
  window.offerOf = asked => window.offers.find(({ name, source }) => [name, source].includes(asked) || asked.endsWith(`+${source}`));
  window.checkpointOf = asked => [asked, window.offerOf(asked)?.name].find(name => name in window.checkpoints);
  window.offerLinked = asked => {
    const offer = window.offerOf(asked);
    if (offer) window.dispatchEvent(new CustomEvent("wanted", { detail: offer.source }));
  };
}
