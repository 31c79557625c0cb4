/**
 * The package's JavaScript on Hermes, which has neither Symbol.asyncIterator nor classes of its own, as Babel's preset for React
 * Native writes it. The command-line Hermes has no JSI: the functions of C++ are answered here, from a script.
 */
declare const print: (line: string) => void;
const globals = globalThis as unknown as { [name: string]: unknown };

type Deliver = (kind: string, id: number, value?: unknown) => void;
type MakeError = (code: number, name: string, retryable: boolean, detail: string) => Error;
let deliver: Deliver = () => {};
let makeError: MakeError = () => new Error();
const soon = (work: () => void) => void Promise.resolve().then(work);

const text = '¡Muy bien! 👩‍🚀 Adiós.';
const events: { json: string; audio?: ArrayBuffer }[] = [
  { json: '{"type":"session_opened","seq":1,"at_ms":0,"resumed":false,"turns":0}' },
  { json: JSON.stringify({ type: 'reply_text_done', seq: 2, at_ms: 1, turn: 1, text }) },
  { json: '{"type":"reply_audio_delta","seq":3,"at_ms":2,"turn":1,"chunk":0,"rate":8000,"samples":2,"text_span":[24,31],"words":[]}', audio: new ArrayBuffer(8) },
  { json: '{"type":"session_closed","seq":4,"at_ms":3,"ended":true}' },
];
const said: string[] = [];
let backend = 0;
let next = 0;

globals.__turboModuleProxy = () => ({
  native: () => ({
    connect: (to: Deliver, make: MakeError) => ([deliver, makeError] = [to, make]),
    open(task: number, _options: string, backends: { id: number }[]) {
      backend = backends[0]?.id ?? 0;
      soon(() => deliver('done', task, {}));
    },
    applyLater: (task: number) => soon(() => deliver('done', task, { json: '{"session":"1"}' })),
    shutDown: (task: number) => soon(() => deliver('failed', task, makeError(802, 'EngineClosed', false, 'EngineClosed (802): it is over'))),
    session: () => ({}),
    watch: () => 7,
    nextEvent() {
      // The third comes later, with a wakeup.
      if (next === 2) {
        next = 3;
        soon(() => { deliver('wake', 7); });
        return undefined;
      }
      const event = events[next < 3 ? next : next - 1];
      next++;
      if (!event) throw makeError(801, 'SessionClosed', false, 'SessionClosed (801): it is closed');
      return event;
    },
    sinkText: (_sink: unknown, part: string) => said.push(part),
    sinkDone: () => said.push('done'),
    sinkFail: (_sink: unknown, code: number, detail: string) => said.push(`${code} ${detail}`),
  }),
});
globals.AbortController ??= class {
  signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
  abort() { this.signal.aborted = true; }
};

async function program(): Promise<void> {
  const { openEngine, TertuliaError } = await import('tertulia-react-native');
  const engine = await openEngine({}, {
    chat: {
      name: 'chat', languages: ['es'],
      async *reply({ messages }) {
        yield messages[0]?.content ?? '';
        if (messages.length > 1) throw new Error('no quota');
        yield 'b';
      },
    },
  });
  const session = await engine.createSession({ native: 'en', target: 'es' });
  const seen: string[] = [];
  for await (const event of session.events) {
    seen.push(event.type === 'reply_audio_delta' ? `${text.slice(...event.textSpan)} ${event.audio.byteLength}` : event.type);
  }
  for (const messages of ['[{"content":"a"}]', '[{"content":"a"},{}]']) {
    deliver('request', backend, { json: `{"messages":${messages},"max_tokens":5}`, sink: {} });
    for (let n = 0; n < 50; n++) await undefined;
  }
  const error: unknown = await engine.shutDown().catch((error: unknown) => error);
  const found = JSON.stringify([seen, said, error instanceof TertuliaError && [error.name, error.code, error.detail]]);
  const expected = JSON.stringify([
    ['session_opened', 'reply_text_done', 'Adiós. 8', 'session_closed'], ['a', 'b', 'done', 'a', '901 Error: no quota'],
    ['EngineClosed', 802, 'it is over'],
  ]);
  print(found === expected ? 'Hermes: 1 passed, 0 failed' : `FAILED on Hermes: ${found}, and not ${expected}`);
}

program().catch((error: unknown) => print(`FAILED on Hermes: ${error instanceof Error ? `${error.message} ${error.stack}` : error}`));
