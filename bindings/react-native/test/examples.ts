/**
 * examples NAME ARGUMENT…: runs an example, with files for what an app has from elsewhere. `models` says whether the library has
 * them; `record FILE` makes a recording with the default voice.
 */
import { ModelStore, openEngine, TertuliaError } from 'tertulia-react-native';
import { customChat } from '../examples/customChat';
import { history } from '../examples/history';
import { talk } from '../examples/talk';
import { transcribe } from '../examples/transcribe';
import { ALOUD, isEnd, open, until } from './backends';
import { host, main } from './harness';
import { samplesOf, wavOf } from './wav';

const SENTENCE = 'Hola, me gusta mucho viajar por España.';
const print = (line: string) => host.print(line);

const programs: Record<string, (...values: string[]) => Promise<unknown>> = {
  customChat: () => customChat(print),
  history: (store = '') => history(store, print),
  async talk(recording = '', reply = '', store = '') {
    const { rate, audio } = await talk(host.read(recording), store, print);
    host.write(reply, wavOf(audio, rate));
  },
  async transcribe(file = '', ...languages) {
    const { samples, rate } = samplesOf(host.read(file));
    await transcribe(samples, rate, languages, print);
  },
  async models() {
    const models = await new ModelStore().list().catch((error: TertuliaError) => error);
    print(models instanceof TertuliaError ? models.name : 'yes');
  },
  async record(file = '') {
    for await (const { phase } of new ModelStore().pull()) if (phase === 'ready') continue;
    const models = { vad: 'none', turnDetector: 'none', recognizer: 'none', chat: 'none' };
    const engine = await openEngine({ models });
    const chunks: ArrayBuffer[] = [];
    let rate = 0;
    for await (const chunk of engine.synthesize({ text: SENTENCE, languages: ['es'] })) {
      rate = chunk.rate;
      chunks.push(chunk.audio);
    }
    host.write(file, wavOf(chunks, rate));
    await engine.shutDown();
  },
  async listen(file = '') {
    const { samples, rate } = samplesOf(host.read(file));
    const engine = await openEngine({ models: { chat: 'none', synthesizer: 'none' } });
    let share = 0;
    for await (const event of engine.listen(samples, rate, ['es'], { onProgress: (now) => (share = now) })) {
      if (event.type === 'transcript_done') print(`${event.type} ${event.text}`);
    }
    print(`done ${share}`);
    await engine.shutDown();
  },
  async turn(path = '') {
    const engine = await open({}, { store: { path } });
    const session = await engine.createSession(ALOUD);
    session.sendText('Hola.');
    await until(session, isEnd);
    await engine.shutDown();
  },
};

main(async () => {
  const [name = '', ...values] = host.arguments;
  await programs[name]?.(...values);
});
