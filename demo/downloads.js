const SHOWN = 4000; // milliseconds
let saved = null;

window.addEventListener("take", async ({ detail }) => {
  props.hidden = false;
  props.value = { progress: JSON.parse(props.begin), file: null };
  saved = null;
  const pictures = await Promise.all(detail.pictures.map(picture => window.keeping.handed(picture, upload)));
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
  props.hidden = true;
});
