/** Backends for tests: fixed words, a reply with accents and emoji, 10 ms of audio for each UTF-16 unit. */
import {
  openEngine, type ChatModel, type EngineOptions, type HostBackends, type Recognizer, type SessionConfig, type Synthesizer, type TertuliaEvent,
  type TertuliaSession,
} from 'tertulia-react-native';
import { ok } from './harness';

export const SAID = 'Hola, ¿qué tal? 😀';
export const REPLY = '¡Muy bien! 👩‍🚀 Adiós, señor.';
export const RATE = 16_000;
export const SAMPLES_PER_UNIT = 160;
export const TALK: SessionConfig = { native: 'en', target: 'es' };
export const ALOUD: SessionConfig = { ...TALK, playback: 'assumed' };
export const NONE: EngineOptions = {
  models: { vad: 'none', turnDetector: 'none', recognizer: 'none', chat: 'none', synthesizer: 'none' },
};
export const LANGUAGES = ['es', 'en'];

export const recognizer = (recognize: Recognizer['recognize'] = said): Recognizer => ({
  name: 'test-recognizer', languages: LANGUAGES, recognize,
});

async function* said(): AsyncGenerator<string> {
  yield SAID.slice(0, 4);
  yield SAID;
}

export const chat = (reply: ChatModel['reply'] = words): ChatModel => ({ name: 'test-chat', languages: LANGUAGES, reply });

async function* words(): AsyncGenerator<string> {
  yield* REPLY.split(/(?<= )/);
}

export const voice: Synthesizer = {
  name: 'test-voice',
  languages: LANGUAGES,
  async *synthesize({ text }) {
    for (const word of text.matchAll(/\S+\s*/g)) {
      const start = word.index ?? 0;
      const audio = new Float32Array(word[0].length * SAMPLES_PER_UNIT).fill(0.25);
      yield { audio, rate: RATE, textSpan: [start, start + word[0].length] };
    }
  },
};

export const backends = (own: HostBackends = {}): HostBackends => ({ recognizer: recognizer(), chat: chat(), synthesizer: voice, ...own });

export const open = (own?: HostBackends, options: EngineOptions = {}) => openEngine({ ...NONE, ...options }, backends(own));

/** A second of sound. */
export const SOUND = Float32Array.from({ length: RATE }, (_, at) => (Math.floor(at / 40) % 2 === 0 ? 0.25 : -0.25));

export const isEnd = ({ type }: TertuliaEvent) => ['turn_finished', 'turn_interrupted', 'turn_failed'].includes(type);

/** The events up to the one that matches, which is the last. */
export async function until(session: TertuliaSession, isLast: (event: TertuliaEvent) => boolean): Promise<TertuliaEvent[]> {
  const events: TertuliaEvent[] = [];
  for await (const event of session.events) {
    events.push(event);
    if (isLast(event)) return events;
  }
  ok(false, `another event after ${JSON.stringify(events.map(({ type }) => type))}`);
  return events;
}

type Of<Type extends TertuliaEvent['type']> = Extract<TertuliaEvent, { type: Type }>;

export const of = <Type extends TertuliaEvent['type']>(events: readonly TertuliaEvent[], type: Type): Of<Type>[] =>
  events.filter((event): event is Of<Type> => event.type === type);

export function only<Item>(items: readonly Item[]): Item {
  ok(items.length === 1, `one, and not ${items.length}`);
  return items[0] as Item;
}
