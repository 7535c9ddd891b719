// A program written for dall-e-2: draw, edit, vary. Only OPENAI_BASE_URL and OPENAI_API_KEY say where.
//
// npm install openai && OPENAI_BASE_URL=http://localhost:7860/v1 OPENAI_API_KEY=none node docs/clients/images.cjs mask.png
const fs = require("fs");
const OpenAI = require("openai");

const client = new OpenAI();

async function save(url, name) {
  const answer = await fetch(url);
  fs.writeFileSync(name, Buffer.from(await answer.arrayBuffer()));
}

async function main() {
  const drawn = await client.images.generate({
    model: "dall-e-2", prompt: "a photo of a cat in the style of Van Gogh", n: 2, size: "256x256", user: "user-123",
  });
  await Promise.all(drawn.data.map((image, number) => save(image.url, `cat-${number}.png`)));
  console.log("generations", drawn.data.length, drawn.size);

  // The mask is transparent where the picture is repainted.
  const mask = process.argv[2];
  const edited = await client.images.edit({
    model: "dall-e-2", image: fs.createReadStream("cat-0.png"), mask: fs.createReadStream(mask), prompt: "a cat face",
    n: 1, size: "256x256", response_format: "b64_json",
  });
  fs.writeFileSync("edited.png", Buffer.from(edited.data[0].b64_json, "base64"));
  console.log("edits", edited.data.length, edited.size);

  const varied = await client.images.createVariation({
    model: "dall-e-2", image: fs.createReadStream("cat-1.png"), n: 2, size: "256x256",
  });
  await Promise.all(varied.data.map((image, number) => save(image.url, `variation-${number}.png`)));
  console.log("variations", varied.data.length, varied.size);

  let previews = 0;
  const stream = await client.images.generate({
    model: "gpt-image-1", prompt: "a cat", stream: true, partial_images: 2,
  });
  for await (const event of stream) {
    if (event.type === "image_generation.partial_image") previews += 1;
    if (event.type === "image_generation.completed") {
      fs.writeFileSync("streamed.png", Buffer.from(event.b64_json, "base64"));
      console.log("stream", previews <= 2, event.size);
    }
  }
}

main();
