// page.js keeps what is drawn; here it is shown, restored and forgotten.
const read = () => { props.entries = JSON.parse(localStorage.getItem("history") || "[]"); };

element.addEventListener("click", event => {
  const button = event.target.closest("[data-do]");
  if (button?.dataset.do === "clear") {
    localStorage.removeItem("history");
    read();
  }
  if (button?.dataset.do === "send") {
    const { record, caption } = props.entries[Number(button.dataset.index)];
    window.parcel = { way: `reuse-${record.task}`, record, caption };
    trigger("send");
  }
});

window.addEventListener("kept", read);
read();
