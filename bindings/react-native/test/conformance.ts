/**
 * conformance FOLDER STORE: lives through the scenarios of FOLDER, and prints the name of each that it ran; then through
 * golden.json on STORE, a copy of golden.redb.
 */
import { TertuliaError } from 'tertulia-react-native';
import { TertuliaEngine } from 'tertulia-react-native/engine';
import { fromJson, toJson } from 'tertulia-react-native/json';
import type { EngineHandle } from 'tertulia-react-native/native';
import { NONE } from './backends';
import { openEngine, type TertuliaEvent, type TertuliaSession } from 'tertulia-react-native';
import { host, main } from './harness';

/** The kinds of `TERTULIA_TESTING_…`. */
enum Kind { End, TakeEngine, TakeSession, Apply, ReadEvent, PushAudio, PushEncoded, OpenEngine, ReadAudio, Export, Import }

interface Action {
  kind: Kind;
  engine?: EngineHandle;
  text: string;
  more: string;
  bytes: ArrayBuffer;
  samples?: ArrayBuffer;
  turn: number;
  channels: number;
  rate: number;
}

declare const brand: unique symbol;
type Run = { [brand]: never };
declare const globalThis: {
  testing: {
    open(scenario: string, store?: string): Run;
    next(run: Run, code: number, result?: string): Action;
    finish(run: Run): string | undefined;
  };
};
const { testing } = globalThis;

/** The UTF-8 bytes of a text. */
const bytesOf = (text: string) => unescape(encodeURIComponent(text)).length;

/** Events back in the form of the engine's, by a way of its own. */
class Lowered {
  private readonly replies = new Map<number, string>();

  event(event: TertuliaEvent): string {
    const turn = event.turn ?? 0;
    if (event.type === 'reply_text_delta') this.replies.set(turn, (this.replies.get(turn) ?? '') + event.text);
    if (event.type === 'reply_text_done') this.replies.set(turn, event.text);
    if (event.type === 'transcript_partial') return toJson({ ...event, stableLen: bytesOf(event.text.slice(0, event.stableLen)) });
    if (event.type !== 'reply_audio_delta') return toJson(event);
    const { audio, ...fields } = event;
    if (audio.byteLength !== 4 * event.samples) throw new Error(`${audio.byteLength} bytes of ${event.samples} samples`);
    const span = ([start, end]: [number, number]) => {
      const text = this.replies.get(turn) ?? '';
      return [bytesOf(text.slice(0, start)), bytesOf(text.slice(0, end))];
    };
    const words = event.words.map((word) => ({ ...word, textSpan: span(word.textSpan) }));
    return toJson({ ...fields, textSpan: span(event.textSpan), words });
  }
}

/** Does what a run asks for, with the calls of an app. */
class Conversation {
  private engine!: TertuliaEngine;
  private session!: TertuliaSession;
  private lowered = new Lowered();

  constructor(private readonly isExact: boolean) {}

  async act(action: Action): Promise<unknown> {
    switch (action.kind) {
      case Kind.TakeEngine:
        // The one before ended in a crash.
        this.engine = new TertuliaEngine(action.engine as EngineHandle);
        return undefined;
      case Kind.OpenEngine:
        this.engine = await openEngine({ ...NONE, ...fromJson<object>(action.text) });
        return undefined;
      case Kind.TakeSession:
        this.session = this.engine.session(action.text);
        this.lowered = new Lowered();
        return undefined;
      case Kind.Apply:
        // Of JavaScript's numbers 1.0 is 1, which golden.json tells apart, and some of the scenarios' are none.
        if (this.isExact || /\d{16}/.test(action.text)) return this.engine.apply(action.text);
        return this.engine.call(fromJson<object>(action.text));
      case Kind.ReadEvent: {
        const event = this.session.tryNextEvent();
        return event && this.lowered.event(event);
      }
      case Kind.PushAudio:
        return this.session.pushAudio(action.samples ?? new ArrayBuffer(0), action.rate, action.channels);
      case Kind.PushEncoded:
        return void this.session.pushEncoded(action.bytes);
      case Kind.ReadAudio: {
        const audio = await this.engine.audio(action.text, action.turn, action.more as 'user' | 'reply');
        return { rate: audio.rate, samples: [...audio.samples] };
      }
      case Kind.Export:
        return this.engine.exportSession(action.text, action.more);
      case Kind.Import:
        return this.engine.importSession(action.more, action.text);
      default:
        throw new Error(`an action of another kind: ${action.kind}`);
    }
  }
}

async function live(name: string, run: Run, isExact = false): Promise<boolean> {
  const conversation = new Conversation(isExact);
  let [code, result]: [number, string | undefined] = [0, undefined];
  for (;;) {
    const action = testing.next(run, code, result);
    if (action.kind === Kind.End) break;
    try {
      const answer = await conversation.act(action);
      [code, result] = [0, typeof answer === 'string' || answer === undefined ? answer : toJson(answer)];
    } catch (error) {
      if (!(error instanceof TertuliaError)) throw error;
      [code, result] = [error.code, undefined];
    }
  }
  const difference = testing.finish(run);
  if (difference) host.print(`${name}: ${difference}`);
  return !difference;
}

main(async () => {
  const [folder = '', store = ''] = host.arguments;
  let passed = true;
  for (const file of host.files(`${folder}/scenarios`).split('\n').filter((name) => name.endsWith('.json')).sort()) {
    const name = file.slice(0, -'.json'.length);
    passed = (await live(name, testing.open(host.readText(`${folder}/scenarios/${file}`)))) && passed;
    host.print(name);
  }
  passed = (await live('the golden store', testing.open(host.readText(`${folder}/golden.json`), store), true)) && passed;
  if (!passed) throw new Error('a scenario differs');
});

