/** The functions of the library, in C++. Those with a `task` first end it later. */
import NativeTertulia from './NativeTertulia';
import { errorOf } from './error';

/** A handle of the library's; it is freed when JavaScript has no more of it. */
declare const brand: unique symbol;
interface Handle<Name extends string> { readonly [brand]: Name }
export type EngineHandle = Handle<'engine'>;
export type SessionHandle = Handle<'session'>;
export type JobHandle = Handle<'job'>;
export type SinkHandle = Handle<'sink'>;
export type AudioHandle = Handle<'audio'>;

/** A text in JSON, samples, or both. */
export interface Data { readonly json: string; readonly audio?: ArrayBuffer }

/** A request to a backend of the host's. */
export interface RawRequest extends Data { readonly name: string; readonly sink: SinkHandle }

/** The type of a change of a session's audio, or a fault; the detail is for logs. */
export interface AudioNews { readonly news: string; readonly detail: string }

/** A backend in the options of an engine; its languages with commas. */
export interface BackendEntry {
  readonly role: 'recognizer' | 'chat' | 'synthesizer';
  readonly name: string;
  readonly languages: string;
  readonly id: number;
}

/** A part of a buffer. */
export type Slice = readonly [buffer: ArrayBuffer, start: number, length: number];

type Task = number;

export interface Native {
  connect(
    deliver: (kind: string, id: number, value: unknown) => void,
    makeError: (code: number, name: string, retryable: boolean, detail: string) => Error,
  ): void;
  version(): string;
  open(task: Task, options: string, backends: readonly BackendEntry[]): void;
  apply(engine: EngineHandle, command: string): string;
  applyLater(task: Task, engine: EngineHandle, command: string): void;
  audio(task: Task, engine: EngineHandle, session: string, turn: number, kind: string): void;
  suspend(task: Task, engine: EngineHandle, timeoutMs: number): void;
  shutDown(task: Task, engine: EngineHandle, timeoutMs: number): void;
  resume(task: Task, engine: EngineHandle): void;
  session(engine: EngineHandle, id: string): SessionHandle;
  nextEvent(source: EngineHandle | SessionHandle): Data | undefined;
  watch(source: EngineHandle | SessionHandle): number;
  pushAudio(session: SessionHandle, ...rest: [...Slice, rate: number, channels: number]): void;
  pushAudioI16(session: SessionHandle, ...rest: [...Slice, rate: number]): void;
  pushPlayback(session: SessionHandle, ...rest: [...Slice, rate: number]): void;
  pushEncoded(session: SessionHandle, ...rest: Slice): number;
  startAudio(task: Task, session: SessionHandle, options: string, watch: number): void;
  stopAudio(task: Task, audio: AudioHandle): void;
  holdAudio(audio: AudioHandle, isHeld: number): void;
  transcribe(engine: EngineHandle, ...rest: [...Slice, rate: number, languages: string | undefined]): JobHandle;
  listen(engine: EngineHandle, ...rest: [...Slice, rate: number, languages: string | undefined]): JobHandle;
  synthesize(engine: EngineHandle, request: string): JobHandle;
  preload(engine: EngineHandle): JobHandle;
  exportSession(engine: EngineHandle, session: string, path: string): JobHandle;
  importSession(engine: EngineHandle, path: string, newId: string | undefined): JobHandle;
  verifyStore(engine: EngineHandle): JobHandle;
  compactStore(engine: EngineHandle): JobHandle;
  rotateStoreKey(task: Task, engine: EngineHandle, ...key: Slice): void;
  erase(task: Task, engine: EngineHandle, sessions: string | undefined): void;
  jobNext(task: Task, job: JobHandle): void;
  jobCancel(job: JobHandle): void;
  jobProgress(job: JobHandle): number;
  modelsPull(folder: string | undefined, names: string | undefined): JobHandle;
  modelsList(task: Task, folder: string | undefined): void;
  modelsPlan(task: Task, folder: string | undefined, names: string | undefined): void;
  modelsInstall(task: Task, folder: string | undefined, name: string, path: string): void;
  modelsRemove(task: Task, folder: string | undefined, name: string): void;
  modelsVerify(task: Task, folder: string | undefined, name: string): void;
  sinkPartial(sink: SinkHandle, text: string): void;
  sinkTranscript(sink: SinkHandle, text: string): void;
  sinkText(sink: SinkHandle, text: string): void;
  sinkAudio(sink: SinkHandle, ...rest: [...Slice, rate: number, spanStart: number, spanEnd: number]): void;
  sinkDone(sink: SinkHandle): void;
  sinkFail(sink: SinkHandle, code: number, detail: string): void;
  setLog(level: number): void;
}

export const native = NativeTertulia.native() as unknown as Native;

/** Those that wait for a task, a wakeup or a request, by its number. */
const tasks = new Map<number, { resolve: (value: unknown) => void; reject: (error: unknown) => void }>();
const watches = new Map<number, () => void>();
const audios = new Map<number, (news: AudioNews) => void>();
const backends = new Map<number, (request: RawRequest) => void>();
const requests = new Map<string, () => void>();
let onLog: ((level: number, target: string, line: string) => void) | undefined;
let last = 0;

function deliver(kind: string, id: number, value: unknown): void {
  switch (kind) {
    case 'done':
    case 'failed': {
      const task = tasks.get(id);
      tasks.delete(id);
      if (kind === 'done') task?.resolve(value);
      else task?.reject(value);
      break;
    }
    case 'wake':
      watches.get(id)?.();
      break;
    case 'audio':
      audios.get(id)?.(value as AudioNews);
      break;
    case 'request':
      // Without its backend the request is dropped, and ends.
      backends.get(id)?.(value as RawRequest);
      break;
    case 'cancel':
      requests.get(value as string)?.();
      requests.delete(value as string);
      break;
    case 'release':
      backends.delete(id);
      break;
    case 'log': {
      const { target, line } = value as { target: string; line: string };
      onLog?.(id, target, line);
      break;
    }
  }
}

native.connect(deliver, errorOf);

/** Starts a task. */
export function later<Result = Data | undefined>(start: (task: Task) => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    const task = ++last;
    tasks.set(task, { resolve: resolve as (value: unknown) => void, reject });
    try {
      start(task);
    } catch (error) {
      tasks.delete(task);
      reject(error);
    }
  });
}

/** Has `wake` called when there may be a new event. */
export function watch(source: EngineHandle | SessionHandle, wake: () => void): number {
  const id = native.watch(source);
  watches.set(id, wake);
  return id;
}

export function unwatch(id: number): void {
  watches.delete(id);
}

/** A number for the audio of a session, until the last change is told. */
export function addAudio(told: (news: AudioNews) => void): number {
  audios.set(++last, told);
  return last;
}

export function removeAudio(id: number): void {
  audios.delete(id);
}

/** A number for a backend of the host's, until no engine uses it any more. */
export function addBackend(answer: (request: RawRequest) => void): number {
  backends.set(++last, answer);
  return last;
}

/** Has `cancel` called once the results of a request are not wanted any more, until it is forgotten. */
export function onCancel(request: RawRequest, cancel: () => void): void {
  requests.set(request.name, cancel);
}

export function forget(request: RawRequest): void {
  requests.delete(request.name);
}

/** Has every line of the log up to a level (1 error, 2 warning, 3 information, 4 and 5 details) handed to `log`. */
export function setLog(level: number, log: (level: number, target: string, line: string) => void): void {
  native.setLog(level);
  onLog = log;
}
