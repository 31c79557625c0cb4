/** reload FOLDER: the app reloads in the middle of turns, jobs and calls, again and again; each time the store is free again. */
import { openEngine } from 'tertulia-react-native';
import { ALOUD, NONE, RATE, REPLY, SOUND, backends, chat, isEnd, of, only, until } from './backends';
import { equal, host, main, ok, sleep } from './harness';

const RELOADS = 40;
declare const globalThis: { devices: { set(how: number): void; open(): number } };
const { devices } = globalThis;
const options = { ...NONE, store: { path: `${host.arguments[0]}/reloaded.redb` } };

main(async () => {
  const hangs = host.generation % 4;
  const engine = await openEngine(options, backends({
    chat: chat(async function* () {
      yield '¡Muy bien! ';
      if (hangs === 0) await new Promise(() => {});
      if (hangs === 1) await sleep(5);
      yield REPLY;
    }),
  }));
  const { sessions } = await engine.sessions();
  equal(sessions.length, Math.min(host.generation, 50), 'the sessions of the lives before');
  for (const { id } of sessions.slice(0, 1)) {
    const turn = only((await engine.turns(id)).turns);
    ok(turn.userText === 'Hola.', turn);
  }
  // The devices of the life before are closed by themselves.
  for (let n = 0; n < 100 && devices.open() > 0; n++) await sleep(10);
  equal(devices.open(), 0, 'open devices');
  devices.set(1);
  const session = await engine.createSession(ALOUD);
  if (host.generation % 2 === 0) await session.startAudio();
  session.sendText('Hola.');
  await until(session, ({ type }) => type === (hangs === 3 ? 'turn_finished' : 'reply_text_delta'));
  if (host.generation === RELOADS) {
    session.interruptAll();
    if (hangs !== 3) equal(of(await until(session, isEnd), 'turn_failed'), []);
    equal(await engine.shutDown(), []);
    host.print(`${RELOADS} reloads: 1 passed, 0 failed`);
    return host.exit(0);
  }
  // All of this is under way when the runtime goes.
  void engine.transcribe(SOUND, RATE);
  void engine.storeUsage();
  void engine.exportSession(session.id, `${host.arguments[0]}/reloaded.zip`).catch(() => {});
  for (let n = 0; n < 10; n++) void engine.sessions();
  void (async () => { for await (const _ of session.events) continue; })();
  void (async () => { for await (const _ of engine.events) continue; })();
  void openEngine(NONE, backends());
  await sleep((host.generation % 5) * 3);
  host.reload();
  await new Promise(() => {});
});
