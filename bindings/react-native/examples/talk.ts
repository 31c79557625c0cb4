/** One turn: a recording in Spanish, as the bytes of its file, is answered in speech. */
import { ModelStore, openEngine } from 'tertulia-react-native';

export interface Reply {
  rate: number;
  /** Blocks of 32-bit floats. */
  audio: ArrayBuffer[];
}

export async function talk(recording: ArrayBuffer, store: string, print: (line: string) => void): Promise<Reply> {
  for await (const { phase, file } of new ModelStore().pull()) print(`${phase} ${file}`);
  const engine = await openEngine({ store: { path: store } });
  try {
    // No loudspeaker here, whose playback the engine would be told.
    const session = await engine.createSession({ native: 'en', target: 'es', playback: 'assumed' });
    session.pushEncoded(recording);
    const reply: Reply = { rate: 24_000, audio: [] };
    for await (const event of session.events) {
      switch (event.type) {
        case 'transcript_done':
          print(`> ${event.text}`);
          break;
        case 'reply_audio_delta':
          reply.rate = event.rate;
          reply.audio.push(event.audio);
          break;
        case 'turn_finished':
          print(event.replyText);
          return reply;
        case 'turn_failed':
          throw new Error(`${event.name}: ${event.detail}`);
      }
    }
    throw new Error('the session was closed');
  } finally {
    await engine.shutDown();
  }
}
