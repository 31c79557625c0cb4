/** The audio of a session, on devices of the test's. */
import { PermissionsAndroid, Platform, asked } from './react-native';
import { TertuliaError, type AudioChange, type TertuliaEvent, type TertuliaSession } from 'tertulia-react-native';
import { RATE, REPLY, SAID, SAMPLES_PER_UNIT, SOUND, TALK, chat, isEnd, of, only, open, recognizer, until } from './backends';
import { equal, fails, ok, sleep, test } from './harness';

interface Devices {
  set(how: 0 | 1 | 2): void;
  open(): number;
  options(): string;
  calls(): string;
  taken(turn: number): number;
  push(buffer: ArrayBuffer, start: number, length: number, rate: number, channels: number): void;
  pushShorts(buffer: ArrayBuffer, start: number, length: number, rate: number, channels: number): void;
  news(news: string, detail: string): void;
  played(turn: number, samples: number): void;
  interrupted(): void;
  resumed(): void;
}
declare const globalThis: { devices: Devices };
const { devices } = globalThis;

const REPORTED = { ...TALK, playback: 'reported' } as const;

async function reached(what: string, condition: () => boolean): Promise<void> {
  for (let n = 0; n < 500 && !condition(); n++) await sleep(10);
  ok(condition(), what);
}

/** An engine, a session with audio, and what both tell. */
async function talk(own: Parameters<typeof open>[0] = {}) {
  devices.set(1);
  const engine = await open(own);
  const session = await engine.createSession(REPORTED);
  const changes: AudioChange[] = [];
  const audio = await session.startAudio({ onChange: (change) => changes.push(change) });
  return { engine, session, audio, changes };
}

const types = (changes: readonly AudioChange[]) => changes.map(({ type }) => type).join(' ');

/** The events of a turn, whose reply the loudspeaker plays. */
async function reply(session: TertuliaSession, turn: number): Promise<TertuliaEvent[]> {
  const events = await until(session, ({ type }) => type === 'reply_audio_done');
  const total = only(of(events, 'reply_audio_done')).samplesTotal;
  equal(devices.taken(turn), total, 'the samples at the loudspeaker');
  devices.played(turn, total);
  return [...events, ...(await until(session, isEnd))];
}

test('a spoken turn whose audio never enters JavaScript', async () => {
  const requests: number[] = [];
  const { engine, session, audio, changes } = await talk({
    recognizer: recognizer(async (request) => {
      requests.push(request.audio.length);
      return SAID;
    }),
  });
  const bytes = SOUND.buffer as ArrayBuffer;
  devices.push(bytes, 0, bytes.byteLength, RATE, 1);
  const twice = Int16Array.from({ length: RATE * 2 }, (_, at) => (SOUND[at >> 1] ?? 0) * 32_768);
  devices.pushShorts(twice.buffer as ArrayBuffer, 0, twice.byteLength, RATE, 2);
  const turn = session.endUtterance();
  const events = await reply(session, turn);
  ok((requests[0] ?? 0) >= 2 * RATE, `the microphone's audio: ${requests}`);
  equal(events.map(({ seq }) => seq), events.map((_, at) => at + 1), 'the order');
  equal(of(events, 'reply_audio_delta').map(({ audio }) => audio.byteLength).every((bytes) => bytes === 0), true);
  equal(only(of(events, 'turn_finished')).replyText, REPLY);
  await audio.close();
  equal([devices.open(), devices.calls(), types(changes)], [0, 'close', 'closed']);
  // Now the samples are in the events again.
  const second = session.say('Hola.');
  const later = await until(session, ({ type }) => type === 'reply_audio_done');
  equal(of(later, 'reply_audio_delta').reduce((sum, { audio }) => sum + audio.byteLength, 0), 5 * SAMPLES_PER_UNIT * 4);
  session.played(second, 5 * SAMPLES_PER_UNIT);
  await until(session, isEnd);
  await engine.shutDown();
});

test('the loudspeaker is flushed without JavaScript, and the heard text is exact', async () => {
  const { engine, session, audio } = await talk();
  const turn = session.say('Uno dos tres.');
  await until(session, ({ type }) => type === 'reply_audio_done');
  devices.played(turn, 8 * SAMPLES_PER_UNIT);
  session.interrupt();
  const end = only(of(await until(session, isEnd), 'turn_interrupted'));
  equal([end.heardText.trim(), devices.calls()], ['Uno dos', 'flush']);
  await audio.close();
  await engine.shutDown();
});

test('changes of the devices are told', async () => {
  const { engine, audio, changes } = await talk();
  devices.news('route_changed', '');
  devices.interrupted();
  devices.news('interrupted', '');
  devices.news('microphone_silent', 'zeros');
  devices.resumed();
  devices.news('resumed', '');
  await reached('four changes', () => changes.length === 4);
  equal(changes, [{ type: 'route_changed' }, { type: 'interrupted' }, { type: 'fault', fault: 'microphone_silent', detail: 'zeros' }, { type: 'resumed' }]);
  audio.hold();
  await reached('the hold', () => devices.calls() === 'hold');
  audio.resume();
  await reached('its end', () => devices.calls() === 'hold unhold');
  equal(types(changes.slice(4)), 'interrupted resumed');
  await engine.shutDown();
  await reached('the end', () => types(changes).endsWith('closed'));
});

test('two audio objects for one session', async () => {
  const { engine, session, audio } = await talk();
  equal((await fails(() => session.startAudio(), TertuliaError)).name, 'EventsTaken');
  equal((await fails(() => engine.session(session.id).startAudio(), TertuliaError)).name, 'EventsTaken');
  // Another handle reads the same events.
  const other = engine.session(session.id);
  await reply(other, other.say(REPLY));
  await Promise.all([audio.close(), audio.close()]);
  await audio.close();
  equal((await fails(() => other.startAudio(), TertuliaError)).name, 'EventsTaken', 'a handle beside the one that reads');
  await (await session.startAudio()).close();
  equal(devices.open(), 0);
  await engine.shutDown();
});

test('a session that is closed while its audio runs', async () => {
  const { engine, session, audio, changes } = await talk({ chat: chat(async function* () { await new Promise(() => {}); }) });
  session.sendText('Hola.');
  await session.close();
  const events = await until(session, ({ type }) => type === 'session_closed');
  equal(events.map(({ seq }) => seq), events.map((_, at) => at + 1), 'the order');
  for await (const _ of session.events) ok(false, 'an event after the last');
  await reached('closed devices', () => devices.open() === 0 && types(changes) === 'closed');
  await audio.close();
  audio.hold();
  equal((await fails(() => session.startAudio().then(() => sleep(200)).then(() => session.sendText('Hola.')), TertuliaError)).name, 'SessionClosed');
  await engine.shutDown();
});

test('an app in the background', async () => {
  const { engine, session, audio } = await talk();
  audio.hold();
  equal(await engine.suspend(), []);
  await sleep(100);
  equal(devices.open(), 1);
  await engine.resume();
  audio.resume();
  await reply(session, session.say(REPLY));
  await audio.close();
  await engine.shutDown();
});

test('a platform without devices, and one whose devices fail', async () => {
  devices.set(0);
  const engine = await open();
  const session = await engine.createSession(REPORTED);
  equal((await fails(() => session.startAudio(), TertuliaError)).name, 'Unsupported');
  devices.set(2);
  const error = await fails(() => session.startAudio(), TertuliaError);
  equal([error.name, error.detail], ['HostCallback', 'no devices']);
  devices.set(1);
  await (await session.startAudio({ managesFocus: false })).close();
  equal(JSON.parse(devices.options()), { managesFocus: false, asksForPermission: true });
  await engine.shutDown();
});

test('the permission of Android is asked for, and a refusal is no end', async () => {
  ok(PermissionsAndroid, 'the stand-in');
  Platform.OS = 'android';
  try {
    const { engine, session, audio } = await talk();
    equal(asked.splice(0), ['install', 'android.permission.RECORD_AUDIO']);
    await audio.close();
    await (await session.startAudio({ asksForPermission: false })).close();
    equal(asked.splice(0), ['install']);
    await engine.shutDown();
  } finally {
    Platform.OS = 'ios';
  }
});

test('200 times audio, never closed', async () => {
  devices.set(1);
  const engine = await open();
  for (let n = 0; n < 200; n++) {
    const session = await engine.createSession(REPORTED);
    const audio = session.startAudio();
    session.say('Hola.');
    if (n % 3 === 0) await audio;
    if (n % 2 === 0) await session.close();
  }
  await engine.shutDown();
  await reached('closed devices', () => devices.open() === 0);
});
