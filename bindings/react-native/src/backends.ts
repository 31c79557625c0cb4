import { floatsOf, sliceOf, type Samples } from './audio';
import { TertuliaError } from './error';
import { asyncIterator } from './events';
import { ErrorCode } from './generated';
import { fromJson } from './json';
import { addBackend, forget, native, onCancel, type BackendEntry, type RawRequest, type SinkHandle } from './native';
import { Utf16Text } from './text';

/** Fields of every request. */
export interface RequestContext {
  /** What the result is for, such as `reply`. */
  purpose: string;
  session?: string;
  turn?: number;
  /** The session's `requestTag`. */
  tag?: string;
  /** Aborted once the result is not wanted any more. */
  signal: AbortSignal;
}

export type ChatRole = 'system' | 'user' | 'assistant';

export interface ChatMessage {
  role: ChatRole;
  content: string;
}

export interface ChatRequest extends RequestContext {
  messages: ChatMessage[];
  maxTokens: number;
  temperature: number;
}

export interface RecognitionRequest extends RequestContext {
  /** One language forces it, several are chosen from. */
  languages: string[];
  /** The utterance: mono samples of -1 to 1 at 16,000 Hz. */
  audio: Float32Array;
}

export interface SynthesisRequest {
  text: string;
  /** The likeliest first. */
  languages: string[];
  voice?: string;
  /** 0.5 to 2; 1 where there is none. */
  speed?: number;
}

/** A chunk of speech; the chunks of a text cover it without gap. */
export interface SpeechPart {
  /** Mono samples. */
  audio: Samples;
  rate: number;
  /** The UTF-16 units of the request's text that it speaks. */
  textSpan: readonly [number, number];
}

/** A name for capabilities and logs, and the languages as BCP 47 tags. */
export interface BackendInfo {
  name: string;
  languages: readonly string[];
}

type Parts<Part> = AsyncIterable<Part> | Iterable<Part>;

/** Replies. */
export interface ChatModel extends BackendInfo {
  /** The reply to the last message, in parts of whole characters; an async generator does. */
  reply(request: ChatRequest): Parts<string>;
}

/** Speech to text. */
export interface Recognizer extends BackendInfo {
  /** The transcript, after as many partial ones as there are: the last text counts. */
  recognize(request: RecognitionRequest): Parts<string> | Promise<string>;
}

/** Text to speech. */
export interface Synthesizer extends BackendInfo {
  synthesize(request: SynthesisRequest & RequestContext): Parts<SpeechPart>;
}

/**
 * Backends of the host's, in the place of the engine's models. An exception in one is the error HostCallback with its text.
 *
 * There is none for voice activity detection: it must answer at once on an audio thread, which JavaScript cannot.
 */
export interface HostBackends {
  chat?: ChatModel;
  recognizer?: Recognizer;
  synthesizer?: Synthesizer;
}

type Push = (sink: SinkHandle, raw: RawRequest, signal: AbortSignal) => Promise<void>;

/** The iterator of what a backend returned, of either kind. */
function iteratorOf<Part>(parts: Parts<Part>): AsyncIterator<Part> | Iterator<Part> {
  const of = parts as unknown as { [key: symbol]: unknown };
  const make = of[asyncIterator] ?? of[Symbol.iterator];
  if (typeof make !== 'function') throw new TypeError('the backend gave nothing to iterate over');
  return make.call(parts) as AsyncIterator<Part> | Iterator<Part>;
}

/** Takes the parts one by one, until they are not wanted any more; then the generator is closed. */
async function each<Part>(parts: Parts<Part>, signal: AbortSignal, take: (part: Part) => void): Promise<void> {
  const iterator = iteratorOf(parts);
  const close = () => void Promise.resolve(iterator.return?.()).catch(() => {});
  signal.addEventListener('abort', close);
  try {
    for (;;) {
      const { done, value } = await iterator.next();
      if (done || signal.aborted) return;
      take(value);
    }
  } catch (error) {
    close();
    throw error;
  } finally {
    signal.removeEventListener('abort', close);
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = (error as { cause?: unknown }).cause;
  const text = `${error.name}: ${error.message}`;
  return cause === undefined ? text : `${text}: ${textOf(cause)}`;
}

/** Ends a sink, which may have ended already. */
function end(sink: SinkHandle, failed?: unknown): void {
  try {
    if (failed === undefined) native.sinkDone(sink);
    else if (failed instanceof TertuliaError) native.sinkFail(sink, failed.code, failed.detail);
    else native.sinkFail(sink, ErrorCode.HostCallback, textOf(failed));
  } catch {
    // The results were not wanted any more.
  }
}

function answer(raw: RawRequest, push: Push): void {
  const { sink } = raw;
  const controller = new AbortController();
  onCancel(raw, () => {
    // A backend that hangs must not keep a request that is not wanted any more.
    end(sink, new TertuliaError(ErrorCode.Cancelled, 'the request was cancelled'));
    controller.abort();
  });
  // In a function of its own, so that what the host's code throws at once is an error of the request, too.
  (async () => push(sink, raw, controller.signal))()
    .then(
      () => end(sink),
      (error: unknown) => {
        end(sink, error ?? new Error('the backend failed'));
        controller.abort();
      },
    )
    .finally(() => forget(raw));
}

const requestOf = <Request>(raw: RawRequest, signal: AbortSignal) =>
  ({ ...fromJson<object>(raw.json), signal }) as Request;

const reply = (chat: ChatModel): Push => async (sink, raw, signal) =>
  each(chat.reply(requestOf<ChatRequest>(raw, signal)), signal, (text) => native.sinkText(sink, text));

const recognize = (recognizer: Recognizer): Push => async (sink, raw, signal) => {
  const audio = new Float32Array(raw.audio ?? new ArrayBuffer(0));
  const result = recognizer.recognize({ ...requestOf<RecognitionRequest>(raw, signal), audio });
  let last = '';
  if (result instanceof Promise) last = await result;
  else if (typeof result === 'string') last = result;
  else {
    await each(result, signal, (text) => {
      last = text;
      native.sinkPartial(sink, text);
    });
  }
  native.sinkTranscript(sink, last);
};

const synthesize = (synthesizer: Synthesizer): Push => async (sink, raw, signal) => {
  const request = requestOf<SynthesisRequest & RequestContext>(raw, signal);
  const text = new Utf16Text(request.text);
  await each(synthesizer.synthesize(request), signal, ({ audio, rate, textSpan: [start, end] }) =>
    native.sinkAudio(sink, ...(audio instanceof Int16Array ? floatsOf(audio) : sliceOf(audio)), rate, text.byteOf(start), text.byteOf(end)),
  );
};

/** The host's backends as entries of an engine. */
export function entriesOf({ chat, recognizer, synthesizer }: HostBackends): BackendEntry[] {
  const entries: BackendEntry[] = [];
  const add = (role: BackendEntry['role'], { name, languages }: BackendInfo, push: Push) =>
    entries.push({ role, name, languages: languages.join(','), id: addBackend((raw) => answer(raw, push)) });
  if (chat) add('chat', chat, reply(chat));
  if (recognizer) add('recognizer', recognizer, recognize(recognizer));
  if (synthesizer) add('synthesizer', synthesizer, synthesize(synthesizer));
  return entries;
}
