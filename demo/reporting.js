// The dialog that a picture is reported in. Its parts are the template's, and stay; its state is "", "working", "refused" or "done".
const zh = navigator.language.startsWith("zh");
const NOT_SENT = zh ? "举报没能送到服务器：请再试一次。" : "The report did not reach the server: please try again.";
const dialog = element.querySelector("dialog"), form = element.querySelector("form");
const sent = new Map(); // the server's path of a picture -> the picture that was reported
let picture = null, address = "", late = null;

// An answer may come when another picture is looked at, and is not about that one.
function tell(about, state, text = "") {
  if (about !== picture) return;
  clearTimeout(late);
  dialog.dataset.state = state;
  form.querySelector(".answer").textContent = text;
  form.querySelector("[type=submit]").disabled = state === "working";
  if (state === "done") form.querySelector("[data-do=close]").focus();
}

window.addEventListener("report", ({ detail }) => {
  picture = detail;
  form.reset();
  URL.revokeObjectURL(address);
  address = picture.blob ? URL.createObjectURL(picture.blob) : "";
  form.querySelector("img").src = address || picture.image.url;
  form.querySelector("img").alt = picture.caption ?? "";
  form.querySelector(".sent").hidden = !picture.blob;
  tell(picture, "");
  dialog.showModal();
});

form.addEventListener("submit", async event => {
  event.preventDefault();
  const given = new FormData(form), about = picture;
  tell(about, "working", zh ? "正在提交…" : "Sending…");
  try {
    const { image, caption, record } = await window.keeping.handed(about);
    sent.set(image.path, about);
    window.wire.refused = "";
    window.reported = {
      pictures: [{ image, caption, record }], reason: given.get("reason"), note: given.get("note"), with_record: given.has("with_record"),
    };
    props.value = { state: "working", text: "", stages: [] };
    trigger("report");
    // Of a request that never arrives Gradio tells no listener.
    if (about === picture) late = setTimeout(() => tell(about, "refused", window.wire.refused || NOT_SENT), props.patience * 1000);
  } catch (error) {
    tell(about, "refused", error.told || NOT_SENT);
  }
});

watch("value", () => {
  const { state, text, picture: path } = props.value ?? {};
  if (["done", "refused"].includes(state)) tell(sent.get(path), state, text);
});

dialog.addEventListener("click", event => {
  if (event.target === dialog || event.target.closest("[data-do=close]")) dialog.close();
});
