() => {
  // What the page's scripts say to Gradio and hear from it beyond its documented interface; see gradio_internals.py.
  const ask = window.fetch;
  const server = `${location.origin}${location.pathname.replace(/\/$/, "")}${window.gradio_config.api_prefix}`;

  window.wire = {
    // A listener's JavaScript changes a component's properties instead of its value, and hands a file over.
    update: changes => ({...changes, __type__: "update"}),
    file: file => ({...file, meta: {_type: "gradio.FileData"}}),
    // As the `upload` that Gradio gives to scripts, which shows a toast beside what the script itself says. What it
    // throws has the server's sentence as `told`.
    upload: async file => {
      const body = new FormData();
      body.append("files", file);
      const answer = await ask(`${server}/upload`, {method: "POST", body});
      if (!answer.ok) throw Object.assign(new Error(`HTTP ${answer.status}`), {told: await said(answer)});
      const [path] = await answer.json();
      return {path, url: `${server}/file=${path.split("/").map(encodeURIComponent).join("/")}`};
    },
    // The page gives what tells a sentence in the progress line that is in view now, if there is one.
    teller: () => null,
    busy: "",
    refused: "", // what was said of the last call, where it was not taken
  };

  // What the door says of a file or a call that it does not take, and nothing that a proxy before it says.
  async function said(answer) {
    if (![408, 413, 429].includes(answer.status)) return "";
    const text = await answer.clone().text();
    let sentence = text;
    try { sentence = JSON.parse(text).detail; } catch { /* of a file it is the sentence itself */ }
    return typeof sentence === "string" && /^[^<]{1,500}$/.test(sentence) ? sentence : "";
  }

  // A file that is not taken is none that was chosen: of an error Gradio shows a toast.
  async function send(asked) {
    const tell = window.wire.teller();
    if (!tell) return ask(...asked);
    const answer = await ask(...asked).catch(() => null);
    if (answer?.ok) tell(null);
    else tell(answer ? await said(answer) : "");
    return answer?.ok ? answer : Response.json([]);
  }

  // Who listens for the failure of a call tells it; of others it is told here. Gradio shows no toast of what is no text.
  const listened = ({ fn_index }) => window.gradio_config.dependencies.some(one => one.trigger_after === fn_index && one.trigger_only_on_failure);
  async function call(asked) {
    window.wire.refused = "";
    const answer = await ask(...asked);
    const sentence = answer.status === 503 ? window.wire.busy : await said(answer);
    window.wire.refused = sentence;
    if (!sentence) return answer;
    if (!listened(JSON.parse(asked[1]?.body ?? "{}"))) {
      const tell = window.wire.teller();
      if (!tell) return answer;
      tell(sentence);
    }
    return Response.json({detail: {}}, {status: 429});
  }

  window.fetch = (...asked) => {
    const address = String(asked[0]?.url ?? asked[0]);
    return address.includes("/queue/join") ? call(asked) : /\/upload(\?|$)/.test(address) ? send(asked) : ask(...asked);
  };
}
