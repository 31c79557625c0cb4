import { TertuliaError } from 'tertulia-react-native';
import { ALOUD, RATE, REPLY, SOUND, chat, of, open, recognizer, until, voice } from './backends';
import { equal, fails, ok, sleep, test } from './harness';
import { wavOf } from './wav';

const STAGES = ['idle', 'recognise', 'reply', 'speak', 'queued', 'collect', 'decode', 'closed'] as const;
type Stage = (typeof STAGES)[number];

const slow = {
  recognizer: recognizer(async () => {
    await sleep(2);
    return 'Hola.';
  }),
  chat: chat(async function* () {
    yield 'Uno. ';
    await sleep(2);
    yield 'Dos.';
  }),
  synthesizer: { ...voice, async *synthesize(request: Parameters<typeof voice.synthesize>[0]) {
    await sleep(2);
    yield* voice.synthesize(request) as AsyncIterable<never>;
  } },
};

async function stopIn(stage: Stage, engine: Awaited<ReturnType<typeof open>>, isLast: boolean): Promise<void> {
  const session = await engine.createSession(ALOUD);
  const begin: Partial<Record<Stage, () => void>> = {
    recognise: () => { session.pushAudio(SOUND, RATE); session.endUtterance(); },
    decode: () => { session.pushEncoded(wavOf([SOUND.buffer as ArrayBuffer], RATE)); },
    reply: () => { session.sendText('Hola.'); },
    speak: () => { session.say(REPLY); },
    queued: () => { for (let n = 0; n < 3; n++) session.say(REPLY); },
  };
  begin[stage]?.();
  const seen = { idle: 'session_opened', recognise: 'turn_started', decode: 'turn_started', reply: 'reply_text_delta', speak: 'reply_text_done',
    queued: 'reply_audio_delta', collect: 'session_opened', closed: 'session_opened' }[stage];
  await until(session, ({ type }) => type === seen);
  const loop = stage === 'collect' ? session.events[Symbol.asyncIterator]() : undefined;
  const pending = loop?.next();
  if (stage === 'closed') await session.close();
  else session.interruptAll();
  await loop?.return?.();
  await pending;
  // The last session of each engine is closed by its shutting down.
  if (!isLast && stage !== 'closed') await session.close();
}

test('1,000 stops in every stage', async () => {
  const counts = new Map<Stage, number>();
  for (let stop = 0, engines = 0; engines < 100; engines++) {
    const engine = await open(slow);
    for (let round = 0; round < 10; round++, stop++) {
      const stage = STAGES[stop % STAGES.length] ?? 'idle';
      counts.set(stage, (counts.get(stage) ?? 0) + 1);
      await stopIn(stage, engine, round === 9);
    }
    equal(await engine.shutDown(5_000), [], 'nothing runs any more');
  }
  equal([...counts.values()], STAGES.map(() => 125));
});

test('calls that were under way at the end have one', async () => {
  const engine = await open({ chat: chat(async function* () { await new Promise(() => {}); }) });
  const session = await engine.createSession(ALOUD);
  session.sendText('Hola.');
  await sleep(30);
  const under = [engine.sessions(), engine.turns(session.id), engine.storeUsage(), session.close()].map((call) => call.then(() => 'done', (error: TertuliaError) => error.name));
  const job = engine.transcribe(SOUND, RATE).then(() => 'done', (error: TertuliaError) => error.name);
  await engine.shutDown();
  for (const end of await Promise.all([...under, job])) ok(['done', 'EngineClosed', 'SessionClosed', 'Cancelled'].includes(end), end);
  await engine.shutDown();
  equal((await fails(() => engine.createSession(ALOUD), TertuliaError)).name, 'EngineClosed');
  equal(of(await until(session, ({ type }) => type === 'session_closed'), 'session_closed').length, 1);
});
