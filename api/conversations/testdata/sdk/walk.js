// Lists, gets and plays with a public client library of which only the base URL is set, and prints
// what it saw as JSON.
const { ElevenLabsClient } = require("@elevenlabs/elevenlabs-js");

async function main() {
  const client = new ElevenLabsClient({ apiKey: process.env.API_KEY, baseUrl: process.env.BASE_URL });
  const conversations = client.conversationalAi.conversations;
  const seen = { listed: [], refused: [] };
  let cursor;
  do {
    const page = await conversations.list({ pageSize: 1, cursor, summaryMode: "include" });
    for (const c of page.conversations) {
      seen.listed.push([c.conversationId, c.agentId, c.status, c.callSuccessful, c.messageCount, c.startTimeUnixSecs, c.callDurationSecs, c.transcriptSummary]);
    }
    cursor = page.hasMore ? page.nextCursor : undefined;
  } while (cursor);
  const filtered = await conversations.list({ agentId: "agent_1", callSuccessful: "success", callStartAfterUnix: 1705320000, callStartBeforeUnix: 1705320001, userId: "user_1" });
  seen.filtered = filtered.conversations.map((c) => c.conversationId);

  const one = await conversations.get("conv_raw");
  seen.one = { id: one.conversationId, turns: one.transcript.map((t) => [t.role, t.message, t.timeInCallSecs]), start: one.metadata.startTimeUnixSecs,
    duration: one.metadata.callDurationSecs, summary: one.analysis.transcriptSummary, outcome: one.analysis.callSuccessful, audio: one.hasAudio, user: one.userId };

  const parts = [];
  for await (const part of await conversations.audio.get("conv_raw")) parts.push(Buffer.from(part));
  seen.audio = Buffer.concat(parts).toString("base64");

  const attempts = [() => conversations.get("nothing"), () => conversations.list({ pageSize: 1000 }),
    () => new ElevenLabsClient({ apiKey: "wrong", baseUrl: process.env.BASE_URL }).conversationalAi.conversations.list()];
  for (const attempt of attempts) {
    await attempt().then(
      () => seen.refused.push("nothing was refused"),
      (error) => seen.refused.push([error.constructor.name, error.statusCode]),
    );
  }
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
