/** Transcribes a recording (mono samples) with the built-in recogniser. */
import { ModelStore, openEngine, type Samples } from 'tertulia-react-native';

export async function transcribe(samples: Samples, rate: number, languages: string[], print: (line: string) => void): Promise<void> {
  const models = new ModelStore();
  const recognizer = (await models.list()).find(({ isDefault, role }) => isDefault && role === 'recognizer');
  // Once; a list without names would be all default models.
  for await (const { phase, file } of models.pull(recognizer ? [recognizer.name] : [])) print(`${phase} ${file}`);
  const engine = await openEngine({ models: { vad: 'none', turnDetector: 'none', chat: 'none', synthesizer: 'none' } });
  const transcript = await engine.transcribe(samples, rate, languages);
  for (const word of transcript.words) print(`${(word.startMs / 1_000).toFixed(2)} s  ${word.text}`);
  print(transcript.text);
  await engine.shutDown();
}
