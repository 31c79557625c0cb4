/** killed STORE: is killed in the middle of a turn. killed STORE SESSION: goes on with that session. */
import { openEngine } from 'tertulia-react-native';
import { ALOUD, NONE, RATE, SAID, SOUND, backends, chat, isEnd, of, until } from './backends';
import { equal, host, main } from './harness';

main(async () => {
  const [path = '', id] = host.arguments;
  const own = id ? {} : { chat: chat(async function* ({ messages }) {
    yield 'Vale. ';
    if (messages.at(-1)?.content === SAID) await new Promise(() => {});
  }) };
  const engine = await openEngine({ ...NONE, store: { path } }, backends(own));
  if (!id) {
    const session = await engine.createSession(ALOUD);
    host.print(session.id);
    session.sendText('Hola.');
    await until(session, isEnd);
    session.pushAudio(SOUND, RATE);
    session.endUtterance();
    // It follows the transcript, which is stored.
    await until(session, ({ type }) => type === 'reply_text_delta');
    host.kill();
  }
  const session = await engine.openSession(id ?? '');
  equal(of(await until(session, () => true), 'session_opened').map(({ resumed }) => resumed), [true]);
  session.sendText('¿Seguimos?');
  equal(of(await until(session, isEnd), 'turn_finished').length, 1);
  const { turns } = await engine.turns(session.id);
  equal(turns.map(({ userText }) => userText), ['Hola.', SAID, '¿Seguimos?']);
  equal(JSON.stringify(turns[1]).includes('crash'), true, JSON.stringify(turns[1]));
  await engine.shutDown();
  host.print('1 passed, 0 failed');
});
