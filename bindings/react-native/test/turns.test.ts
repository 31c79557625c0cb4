import { ErrorCode, TertuliaError, type TertuliaEvent } from 'tertulia-react-native';
import { ALOUD, RATE, REPLY, SAID, SOUND, TALK, chat, isEnd, of, only, open, recognizer, until } from './backends';
import { equal, fails, ok, sleep, test } from './harness';

test('a spoken turn', async () => {
  const engine = await open();
  const session = await engine.createSession(ALOUD);
  for (let at = 0; at < SOUND.length; at += 320) session.pushAudio(SOUND.subarray(at, at + 320), RATE);
  const turn = session.endUtterance();
  const events = await until(session, isEnd);
  equal(events[0]?.type, 'session_opened');
  equal(events.map(({ seq }) => seq), events.map((_, at) => at + 1), 'the order');
  equal(only(of(events, 'transcript_done')).text, SAID);
  equal(only(of(events, 'turn_finished')).replyText, REPLY);
  equal(events.at(-1)?.turn, turn);
  const chunks = of(events, 'reply_audio_delta');
  equal(chunks.map(({ textSpan }) => REPLY.slice(...textSpan)).join(''), REPLY, 'the spans');
  ok(chunks.some(({ textSpan }) => REPLY.slice(...textSpan).trim() === 'Adiós,'), 'a span behind an emoji');
  for (const { audio, samples, rate } of chunks) {
    equal([audio instanceof ArrayBuffer, audio.byteLength, rate], [true, samples * 4, RATE]);
    equal(new Float32Array(audio)[0], 0.25);
  }
  equal(only(of(events, 'reply_audio_done')).samplesTotal, chunks.reduce((sum, { samples }) => sum + samples, 0));
  const record = only((await engine.turns(session.id)).turns);
  equal([record.userText, record.replyText], [SAID, REPLY]);
  equal(await engine.shutDown(), []);
});

test('audio of each form is the same audio', async () => {
  const requests: Float32Array[] = [];
  const engine = await open({
    recognizer: recognizer(async ({ audio }) => {
      requests.push(audio);
      return SAID;
    }),
  });
  const shorts = Int16Array.from(SOUND, (sample) => sample * 32_768);
  const session = await engine.createSession(ALOUD);
  const pushes = [
    () => session.pushAudio(SOUND, RATE),
    () => session.pushAudio(SOUND.buffer as ArrayBuffer, RATE),
    () => session.pushAudio(shorts, RATE),
    () => session.pushAudio(Float32Array.from({ length: SOUND.length * 2 }, (_, at) => SOUND[at >> 1] ?? 0), RATE, 2),
    () => session.pushAudio(Int16Array.from({ length: SOUND.length * 2 }, (_, at) => shorts[at >> 1] ?? 0), RATE, 2),
    () => session.pushAudio(Float32Array.of(0, 0, ...SOUND).subarray(2), RATE),
  ];
  for (const push of pushes) {
    push();
    session.endUtterance();
    await until(session, isEnd);
  }
  equal(requests.length, pushes.length);
  for (const samples of requests) equal(Array.from(samples), Array.from(requests[0] ?? []), 'the audio');
  ok((requests[0]?.length ?? 0) >= RATE, 'all of it');
  await engine.shutDown();
});

test('what a careless host gives is an error, and never a crash', async () => {
  const engine = await open();
  const session = await engine.createSession(ALOUD);
  const { code, name, retryable, detail } = await fails(() => session.pushAudio(SOUND, 1), TertuliaError);
  equal([code, name, retryable], [ErrorCode.AudioInvalidRate, 'AudioInvalidRate', false]);
  ok(detail.length > 0, 'a detail');
  const any = session as unknown as Record<string, (...values: unknown[]) => unknown>;
  const invalid: [string, ...unknown[]][] = [
    ['pushAudio', [0.5, 0.5], RATE], ['pushAudio', null, RATE], ['pushAudio', SOUND, 'fast'], ['pushAudio', SOUND, NaN],
    ['pushAudio', new ArrayBuffer(3), RATE], ['pushAudio', new DataView(new ArrayBuffer(8), 1, 4), RATE], ['pushAudio', SOUND, RATE, -1],
    ['pushEncoded', undefined], ['sendText', 7], ['sendText', ''], ['say', 'a'.repeat(1 << 20)], ['played', 1.5, 0], ['update', { speed: 'fast' }],
    ['retryTurn', 99], ['correct', 1, 'x'], ['update', 7],
  ];
  for (const [call, ...values] of invalid) {
    const error = await fails(() => any[call]?.(...values), Error);
    ok(!/HostFunction/.test(error.message), `no exception of C++ from ${call}: ${error.message}`);
  }
  equal((await fails(() => engine.openSession('no id'), TertuliaError)).code, ErrorCode.InvalidConfig);
  equal((await fails(() => engine.createSession({ native: 'en', target: '??' }), TertuliaError)).name, 'InvalidConfig');
  equal((await fails(() => engine.record('00000000-0000-0000-0000-000000000000'), TertuliaError)).name, 'SessionNotFound');
  equal((await fails(() => open({}, { store: { path: '/proc/no/store' } }), TertuliaError)).name, 'StoreOpenFailed');
  await fails(() => open({ chat: { ...chat(), languages: ['??'] } }), TertuliaError);
  const error = new TertuliaError(9_999, 'of a newer library');
  equal([error.name, error.code, error instanceof Error], ['Unknown', 9_999, true]);
  equal(engine.capabilities().models.chat, 'test-chat');
  await engine.shutDown();
  for (const call of [() => session.pushAudio(SOUND, RATE), () => session.sendText('Hola.'), () => engine.sessions()]) {
    equal((await fails(call, TertuliaError)).name, 'EngineClosed');
  }
});

test('an exception in a backend is HostCallback with its text', async () => {
  const thrown: (() => never)[] = [
    () => { throw Object.assign(new Error('no quota left'), { cause: new Error('tenant 7') }); },
    () => { throw 'a text: no quota left, tenant 7'; },
  ];
  for (const fail of thrown) {
    for (const reply of [fail, async function* () { yield 'Hola. '; fail(); }]) {
      const engine = await open({ chat: chat(reply) });
      const session = await engine.createSession(ALOUD);
      session.sendText('Hola.');
      const failed = only(of(await until(session, isEnd), 'turn_failed'));
      equal([failed.stage, failed.code, failed.name], ['reply', ErrorCode.HostCallback, 'HostCallback']);
      ok(/no quota left.*tenant 7/.test(failed.detail), failed.detail);
      await engine.shutDown();
    }
  }
  const engine = await open({ chat: chat(() => { throw new TertuliaError(ErrorCode.ContextFull, 'a code of its own'); }) });
  const session = await engine.createSession(ALOUD);
  session.sendText('Hola.');
  equal(only(of(await until(session, isEnd), 'turn_failed')).name, 'ContextFull');
  await engine.shutDown();
});

test('an interruption cancels the backend, also one that hangs', async () => {
  let isAborted = false;
  let isClosed = false;
  const engine = await open({
    chat: chat(async function* ({ signal, messages }) {
      if (messages.at(-1)?.content === 'hang') await new Promise(() => {});
      signal.addEventListener('abort', () => (isAborted = true));
      try {
        for (;;) {
          yield 'a ';
          await sleep(1);
        }
      } finally {
        isClosed = true;
      }
    }),
  });
  const session = await engine.createSession(ALOUD);
  for (const text of ['talk', 'hang']) {
    session.sendText(text);
    await sleep(50);
    session.interrupt();
    equal(only(of(await until(session, isEnd), 'turn_interrupted')).reason, 'cancel');
  }
  await sleep(100);
  equal([isAborted, isClosed], [true, true]);
  await engine.shutDown();
});

test('a barge-in, and the heard text of what was played', async () => {
  const engine = await open();
  const session = await engine.createSession(TALK);
  const turn = session.sendText('Hola.');
  const chunks = of(await until(session, ({ type }) => type === 'reply_audio_done'), 'reply_audio_delta');
  const before = chunks.filter(({ textSpan: [, end] }) => end <= REPLY.indexOf('señor'));
  session.played(turn, before.reduce((sum, { samples }) => sum + samples, 0));
  const next = session.sendText('Espera.');
  const events = await until(session, isEnd);
  const interrupted = only(of(events, 'turn_interrupted'));
  equal([interrupted.turn, interrupted.reason, interrupted.heardText.trim()], [turn, 'barge_in', '¡Muy bien! 👩‍🚀 Adiós,']);
  equal(of(events, 'playback_flush').length, 1);
  await until(session, ({ type, turn }) => type === 'turn_started' && turn === next);
  await engine.shutDown();
});

test('one loop reads, and one that is left leaves the rest', async () => {
  const engine = await open();
  const session = await engine.createSession(ALOUD);
  session.sendText('Hola.');
  equal((await until(session, () => true)).length, 1);
  equal((await until(session, () => true))[0]?.seq, 2);
  const loop = session.events[Symbol.asyncIterator]();
  await loop.next();
  equal((await fails(() => until(session, isEnd), TertuliaError)).name, 'EventsTaken');
  await loop.return?.();
  await until(session, isEnd);
  // A loop that waits ends when it is left, and when the session is closed.
  const waiting = session.events[Symbol.asyncIterator]();
  const pending = waiting.next();
  await sleep(20);
  await waiting.return?.();
  equal((await pending).done, true);
  const rest: TertuliaEvent['type'][] = [];
  const reading = (async () => {
    for await (const { type } of session.events) rest.push(type);
  })();
  await sleep(20);
  await session.close();
  await reading;
  equal(rest, ['session_closed']);
  for await (const event of session.events) ok(false, `no event after the last: ${event.type}`);
  await engine.shutDown();
});

test('nothing that waits keeps the JavaScript thread', async () => {
  const engine = await open({ chat: chat(async function* () { await sleep(300); yield 'Hola.'; }) });
  const session = await engine.createSession(ALOUD);
  session.sendText('Hola.');
  let ticks = 0;
  let isOver = false;
  const ticking = (async () => {
    for (; !isOver; ticks++) await sleep(5);
  })();
  await until(session, isEnd);
  isOver = true;
  await ticking;
  ok(ticks > 20, `more than ${ticks} ticks of 5 ms in 300 ms`);
  await engine.shutDown();
});
