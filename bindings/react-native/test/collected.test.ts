import { TertuliaError } from 'tertulia-react-native';
import { ALOUD, REPLY, isEnd, only, open, until } from './backends';
import { equal, host, ok, sleep, test } from './harness';

test('engines that nothing refers to give their stores back', async () => {
  const at = (n: number) => ({ store: { path: `${host.arguments[1]}/collected${n}.redb` } });
  const abandon = async (n: number) => {
    const engine = await open({}, at(n));
    const session = await engine.createSession(ALOUD);
    session.sendText('Hola.');
    await until(session, isEnd);
  };
  const COUNT = 20;
  for (let n = 0; n < COUNT; n++) await abandon(n);
  // Some garbage, so that they are collected. The collector may take some words of the stack for references.
  let garbage: object[] = [];
  for (let n = 0; n < 30; n++) garbage = garbage.concat(Array.from({ length: 100_000 }, (_, n) => ({ n })));
  equal(garbage.length, 3_000_000);
  let free = 0;
  for (let n = 0; n < COUNT; n++) {
    await sleep(5);
    const engine = await open({}, at(n)).catch((error: TertuliaError) => error);
    if (engine instanceof TertuliaError) {
      equal(engine.name, 'StoreLocked');
      continue;
    }
    free++;
    const { sessions } = await engine.sessions();
    equal(only((await engine.turns(only(sessions).id)).turns).replyText, REPLY);
    await engine.shutDown();
  }
  ok(free > COUNT / 2, `more than ${free} of ${COUNT}`);
});
