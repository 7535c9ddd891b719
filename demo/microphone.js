() => {
  // Gradio's own recorder says only in its list of devices that there is no microphone, or none that may be used.
  const zh = navigator.language.startsWith("zh");
  const tell = text => { document.querySelector("#microphone-note").textContent = text; };
  if (!navigator.mediaDevices) return tell(zh ? "浏览器只在 HTTPS 或本机页面上允许用麦克风：也可以上传录音。"
    : "Browsers give a page the microphone only over HTTPS, or on your own machine: you can upload a recording.");
  navigator.mediaDevices.getUserMedia({ audio: true }).then(stream => {
    stream.getTracks().forEach(track => track.stop());
    tell("");
  }).catch(error => tell(error.name === "NotFoundError"
    ? (zh ? "没有找到麦克风：请接上一个，或上传录音。" : "There is no microphone: connect one, or upload a recording.")
    : (zh ? "麦克风未获许可：请在浏览器地址栏里允许，或上传录音。"
      : "The microphone is not allowed: allow it beside the browser's address, or upload a recording.")));
}
