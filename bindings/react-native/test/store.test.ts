import { ErrorCode, ModelStore, TertuliaError, libraryVersion, setLog } from 'tertulia-react-native';
import { ALOUD, RATE, REPLY, SAID, SOUND, TALK, chat, isEnd, of, only, open, until } from './backends';
import { equal, fails, host, ok, sleep, test } from './harness';

const folder = host.arguments[1] ?? '/tmp';
const store = (name: string) => ({ store: { path: `${folder}/${name}.redb` } });

test('history: sessions are listed, read, exported, imported and deleted', async () => {
  const engine = await open({}, store('history'));
  const session = await engine.createSession({ ...ALOUD, title: 'Ganas de café ☕️', retention: { userAudio: 'forever' }, metadata: { day_of: 'rest' } });
  session.pushAudio(SOUND, RATE);
  session.endUtterance();
  await until(session, isEnd);
  await session.close();
  const page = await engine.sessions({}, { limit: 10 });
  const summary = only(page.sessions);
  equal([summary.id, summary.title, summary.metadata], [session.id, 'Ganas de café ☕️', { day_of: 'rest' }]);
  equal((await engine.record(session.id)).config?.native, 'en');
  const { rate, samples } = await engine.audio(session.id, 1, 'user');
  ok(rate === RATE && samples.length >= RATE, `${samples.length} samples at ${rate} Hz`);
  const loudest = samples.reduce((most, sample) => Math.max(most, sample), 0);
  ok(Math.abs(loudest / 32_768 - 0.25) < 0.1, `as loud as it was: ${loudest}`);
  const path = `${folder}/history.zip`;
  let share = 0;
  const report = await engine.exportSession(session.id, path, { onProgress: (now) => (share = now) });
  equal([report.turns, report.bytes, share], [1, host.read(path).byteLength, 1]);
  const id = '018f0000-0000-7000-8000-000000000001';
  equal((await engine.importSession(path, id)).session, id);
  equal(only((await engine.turns(id)).turns).userText, SAID);
  const verified = await engine.verifyStore();
  equal([verified.sessions, verified.turns, verified.damaged], [2, 2, []]);
  await engine.deleteSession(session.id);
  equal((await fails(() => engine.record(session.id), TertuliaError)).name, 'SessionNotFound');
  equal((await fails(() => engine.importSession('/no/such/file'), TertuliaError)).name, 'ArchiveIo');
  await engine.compactStore();
  await engine.erase([id]);
  equal((await engine.sessions()).sessions, []);
  ok((await engine.storeUsage()) !== undefined, 'usage');
  await engine.shutDown();
});

test('a stored session goes on where it was left', async () => {
  const first = await open({}, store('left'));
  const session = await first.createSession(ALOUD);
  session.sendText('Hola.');
  await until(session, isEnd);
  equal((await fails(() => open({}, store('left')), TertuliaError)).code, ErrorCode.StoreLocked);
  await first.shutDown();
  const second = await open({}, store('left'));
  const again = await second.openSession(session.id, { speed: 0.8 });
  equal(of(await until(again, () => true), 'session_opened').map(({ resumed, turns }) => [resumed, turns]), [[true, 1]]);
  equal(again.config.speed, 0.8);
  again.update({ speed: null, listening: { interruptMs: 700 } });
  equal([again.config.speed, again.config.listening?.interruptMs], [1, 700]);
  equal(await again.retryTurn(9).then(() => 'no', (error: TertuliaError) => error.name), 'TurnNotFound');
  const turn = await again.correct(1, 'Buenos días.');
  await until(again, (event) => isEnd(event) && event.turn === turn);
  await again.end();
  await second.shutDown();
});

test('suspend and resume', async () => {
  const engine = await open({}, store('suspended'));
  const session = await engine.createSession(ALOUD);
  equal(await engine.suspend(), []);
  equal((await fails(() => engine.sessions(), TertuliaError)).name, 'Suspended');
  await engine.resume();
  session.sendText('Hola.');
  equal(only(of(await until(session, isEnd), 'turn_finished')).replyText, REPLY);
  await engine.shutDown();
});

test('an encrypted store, and another key', async () => {
  const key = 'ab'.repeat(32);
  const engine = await open({}, { ...store('secret'), key });
  const session = await engine.createSession(TALK);
  await session.close();
  await until(session, ({ type }) => type === 'session_closed');
  await engine.rotateStoreKey(Uint8Array.from({ length: 32 }, () => 0xcd));
  await fails(() => engine.rotateStoreKey(new Uint8Array(5)), TertuliaError);
  await engine.shutDown();
  equal((await fails(() => open({}, { ...store('secret'), key }), TertuliaError)).name, 'StoreWrongKey');
  await (await open({}, { ...store('secret'), key: 'cd'.repeat(32) })).shutDown();
});

test('jobs: speech, a transcription, and their ends', async () => {
  const engine = await open();
  const text = 'Sí 👩‍🚀, señor.';
  let spoken = '';
  for await (const chunk of engine.synthesize({ text, languages: ['es'] })) {
    ok(chunk.audio.byteLength > 0 && chunk.rate === RATE, chunk);
    spoken += text.slice(...chunk.textSpan);
  }
  equal(spoken, text);
  equal((await engine.transcribe(SOUND, RATE, ['es'])).text, SAID);
  const before = new AbortController();
  before.abort();
  equal((await fails(() => engine.transcribe(SOUND, RATE, [], { signal: before.signal }), TertuliaError)).name, 'Cancelled');
  equal(await engine.transcribe(new Float32Array(0), RATE).then(() => 'none', ({ name }: TertuliaError) => name), 'AudioEmpty');
  for await (const chunk of engine.synthesize({ text: '', languages: ['es'] })) ok(false, chunk);
  equal((await fails(() => engine.synthesize({ text, languages: ['??'] })[Symbol.asyncIterator]().next(), TertuliaError)).name, 'InvalidArgument');
  await engine.shutDown();
});

test('an abort stops a job, also one whose backend hangs', async () => {
  let isAborted = false;
  const engine = await open({
    recognizer: {
      name: 'hung', languages: ['es'],
      recognize: ({ signal }) => {
        signal.addEventListener('abort', () => (isAborted = true));
        return new Promise(() => {});
      },
    },
  });
  const controller = new AbortController();
  const transcript = engine.transcribe(SOUND, RATE, [], { signal: controller.signal });
  await sleep(50);
  controller.abort();
  equal((await fails(() => transcript, TertuliaError)).name, 'Cancelled');
  await sleep(100);
  ok(isAborted, 'the backend is told');
  await engine.shutDown();
});

test('models and their store, of a library with models or without', async () => {
  const models = new ModelStore(`${folder}/models`);
  const list = await models.list().catch((error: TertuliaError) => error);
  if (list instanceof TertuliaError) {
    equal(list.name, 'Unsupported');
    return;
  }
  const vad = list.find(({ role, isDefault }) => role === 'vad' && isDefault);
  ok(vad && vad.state === 'missing' && vad.downloadBytes > 0, vad);
  equal((await models.plan([vad.name])).files.map(({ model }) => model), [vad.name]);
  equal((await fails(() => models.plan(['no such model']), TertuliaError)).name, 'ModelUnknown');
  await fails(() => models.verify(vad.name), TertuliaError);
  await fails(() => models.install(vad.name, '/no/such/file'), TertuliaError);
  const controller = new AbortController();
  controller.abort();
  const pulled = async () => {
    for await (const { phase } of models.pull([vad.name], { signal: controller.signal })) ok(phase, 'a phase');
  };
  equal((await fails(pulled, TertuliaError)).name, 'Cancelled');
});

test('the log, the version, and events of the engine', async () => {
  const lines: string[] = [];
  setLog(5, (level, target, line) => lines.push(`${level} ${target} ${line}`));
  ok(/^\d+\.\d+\.\d+/.test(libraryVersion()), libraryVersion());
  const engine = await open({ chat: chat(() => { throw new TertuliaError(ErrorCode.ChatFailed, 'down'); }) });
  const loop = engine.events[Symbol.asyncIterator]();
  const pending = loop.next();
  const session = await engine.createSession(ALOUD);
  session.sendText('secreto');
  equal(only(of(await until(session, isEnd), 'turn_failed')).name, 'ChatFailed');
  await engine.shutDown();
  equal((await pending).done, true);
  equal(lines.filter((line) => line.startsWith('2 ') && line.includes('ChatFailed')).length, 1, 'the warnings');
  ok(!lines.some((line) => line.includes('secreto')), 'no words of the user');
});
