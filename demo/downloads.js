const SHOWN = 4000; // milliseconds
let saved = null, turn = 0;

window.addEventListener("take", async ({ detail }) => {
  props.hidden = false;
  props.value = { progress: JSON.parse(props.begin), file: null };
  saved = null;
  const mine = ++turn; // what is closed, or followed by another, is not gone on with
  let pictures;
  try {
    pictures = await Promise.all(detail.pictures.map(picture => window.keeping.handed(picture)));
  } catch (error) {
    if (mine === turn) props.value = { progress: { state: "refused", text: window.refusalOf(error), stages: [] }, file: null };
    return;
  }
  if (mine !== turn) return;
  window.order = { form: detail.form, pictures: pictures.map(({ image, caption, record }) => ({ image, caption, record })) };
  trigger("take");
});

watch("value", () => {
  const file = props.value?.file;
  if (file?.url && file.path !== saved) {
    saved = file.path;
    const link = Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name || "" });
    document.body.append(link);
    link.click();
    link.remove();
  }
  if (props.value?.progress?.state === "done") setTimeout(() => { props.hidden = true; }, SHOWN);
});

element.addEventListener("click", event => {
  if (event.target.closest("[data-do]")?.dataset.do !== "close") return;
  if (["waiting", "working"].includes(props.value?.progress?.state)) trigger("leave");
  turn += 1;
  props.hidden = true;
});
