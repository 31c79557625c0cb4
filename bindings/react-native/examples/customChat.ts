/** A chat model of one's own. A server's answer would be streamed the same way. */
import { openEngine, type ChatModel } from 'tertulia-react-native';

const parrot: ChatModel = {
  name: 'parrot',
  languages: ['en', 'es'],
  async *reply({ messages, signal }) {
    for (const word of `¿${messages.at(-1)?.content}? ¡Qué bien!`.split(' ')) {
      if (signal.aborted) return;
      yield `${word} `;
    }
  },
};

export async function customChat(print: (text: string) => void): Promise<void> {
  // In writing only; without `models` the default ones recognise and speak.
  const models = { vad: 'none', turnDetector: 'none', recognizer: 'none', synthesizer: 'none' };
  const engine = await openEngine({ models }, { chat: parrot });
  const session = await engine.createSession({ native: 'en', target: 'es' });
  session.sendText('Tengo hambre');
  let text = '';
  for await (const event of session.events) {
    if (event.type === 'reply_text_delta') text += event.text;
    if (event.type === 'turn_failed') throw new Error(`${event.name}: ${event.detail}`);
    if (event.type === 'turn_finished') break;
  }
  print(text);
  await engine.shutDown();
}
