import { floatsOf, sliceOf, type Samples } from './audio';
import { entriesOf, type HostBackends, type SynthesisRequest } from './backends';
import { EventReader, ReplyTexts } from './events';
import type {
  Capabilities, EngineOptions, SessionConfig, SessionCursor, SessionId, SessionPage, SessionQuery, SessionRecord, SessionUpdate,
  SpeechTranscript, SpokenWord, StoreUsage, Swept, TertuliaEvent, TrimLevel, TurnId, TurnPage,
} from './generated';
import { EngineJob, type JobOptions } from './jobs';
import { fromJson, toJson } from './json';
import { later, native, type Data, type EngineHandle, type JobHandle } from './native';
import { TertuliaSession } from './session';
import { Utf16Text } from './text';

/** Audio of a turn, as it is stored. */
export interface StoredAudio {
  rate: number;
  /** 16-bit mono samples. */
  samples: Int16Array;
}

/** A chunk of speech; its words' samples count from the start of the chunk. */
export interface SpeechChunk {
  /** Mono samples: 32-bit floats of -1 to 1. */
  audio: ArrayBuffer;
  rate: number;
  /** The UTF-16 units of the request's text that it speaks. */
  textSpan: [number, number];
  words: SpokenWord[];
}

/** What is in an archive; damaged turns and recordings are left out. */
export interface ExportReport {
  turns: number;
  audio: number;
  turnsMissing: number;
  audioMissing: number;
  /** The archive's length. */
  bytes: number;
}

/** What came out of an archive. */
export interface ImportReport {
  session: SessionId;
  turns: number;
  audio: number;
  /** Recordings, and texts of turns, that the session's retention leaves out. */
  audioForbidden: number;
  textsForbidden: number;
  /** Turns that were open at the export; they are interrupted, as by a crash. */
  turnsClosed: number;
  /** Turns and recordings that were damaged at the export. */
  turnsMissing: number;
  audioMissing: number;
}

/** Something damaged in the store. */
export interface Damage {
  session: SessionId;
  /** Absent for the session's own record. */
  turn?: TurnId | null;
  /** Absent for the turn's own record. */
  audio?: 'user' | 'reply' | null;
  /** The error of reading it. */
  code: number;
}

/** The result of reading everything in the store: how much is sound, and what is not. */
export interface Verified {
  sessions: number;
  turns: number;
  recordings: number;
  /** Turns that should be there and are not. */
  lostTurns: number;
  damaged: Damage[];
}

/** A part of an engine that works by itself. */
export type EngineWorker =
  | 'microphone' | 'turn_detector' | 'recognizer' | 'chat' | 'synthesizer' | 'engine' | 'store' | 'job';

const SHUT_DOWN_MS = 10_000;
const SUSPEND_MS = 2_000;

/** Opens an engine. The host's own backends take the place of the options' models. */
export async function openEngine(options: EngineOptions = {}, backends: HostBackends = {}): Promise<TertuliaEngine> {
  return new TertuliaEngine(await later<EngineHandle>((task) => native.open(task, toJson(options), entriesOf(backends))));
}

/**
 * An engine: sessions in a store, on models or backends of the host's. Shut it down: without that it lasts until JavaScript
 * has no more reference to it and to its sessions, or the app reloads.
 *
 * No call waits on the JavaScript thread: those that read the store, or compute, are promises.
 */
export class TertuliaEngine {
  /** Events of the engine itself: models being loaded, errors outside sessions. */
  readonly events: AsyncIterable<TertuliaEvent>;
  private readonly texts = new Map<SessionId, ReplyTexts>();

  /** @internal */
  constructor(private readonly handle: EngineHandle) {
    this.events = new EventReader(handle, new ReplyTexts());
  }

  /** Makes a call that a command in JSON stands for, and gives its answer in JSON (docs/schema): all names and spans as in C. */
  async apply(commandJson: string): Promise<string> {
    return (await later<Data>((task) => native.applyLater(task, this.handle, commandJson))).json;
  }

  /** Creates a session and opens it. It stays open until it is closed or ended. */
  async createSession(config: SessionConfig): Promise<TertuliaSession> {
    return this.session((await this.callLater<{ session: SessionId }>({ type: 'create_session', config })).session);
  }

  /** Opens a stored session where it was left, with changes of its settings. */
  async openSession(session: SessionId, update: SessionUpdate = {}): Promise<TertuliaSession> {
    await this.callLater({ type: 'open_session', session, update });
    return this.session(session);
  }

  /** Another handle of an open session. */
  session(session: SessionId): TertuliaSession {
    let texts = this.texts.get(session);
    if (!texts) this.texts.set(session, (texts = new ReplyTexts()));
    return new TertuliaSession(native.session(this.handle, session), this, session, texts);
  }

  /** Deletes a session, which must not be open. */
  async deleteSession(session: SessionId): Promise<void> {
    await this.callLater({ type: 'delete_session', session });
    this.texts.delete(session);
  }

  /** The sessions that match, the one that changed last first, in pages. */
  sessions(query: SessionQuery = {}, { after, limit = 50 }: { after?: SessionCursor; limit?: number } = {}): Promise<SessionPage> {
    return this.callLater({ type: 'sessions', query, after, limit });
  }

  /** A session as it is stored. */
  record(session: SessionId): Promise<SessionRecord> {
    return this.callLater({ type: 'session', session });
  }

  /** Turns of a session, open or not, after the turn `after` or from the first on. */
  turns(session: SessionId, { after, limit = 50 }: { after?: TurnId; limit?: number } = {}): Promise<TurnPage> {
    return this.callLater({ type: 'turns', session, after, limit });
  }

  /** The audio of a turn of a session, open or not. */
  async audio(session: SessionId, turn: TurnId, kind: 'user' | 'reply'): Promise<StoredAudio> {
    const data = await later<Data>((task) => native.audio(task, this.handle, session, turn, kind));
    return { ...fromJson<{ rate: number }>(data.json), samples: new Int16Array(data.audio ?? new ArrayBuffer(0)) };
  }

  /** The engine's abilities, as its backends state them. */
  capabilities(): Capabilities {
    return this.call({ type: 'capabilities' });
  }

  /** The memory that the models of a session need, or all of them, in bytes. */
  memoryNeeded(config?: SessionConfig): number {
    return this.call<{ bytes: number }>({ type: 'memory_needed', config }).bytes;
  }

  /** Frees memory; models are loaded again when they are needed. */
  trim(level: TrimLevel): void {
    this.call({ type: 'trim', level });
  }

  /** The space that the store takes. */
  storeUsage(): Promise<StoreUsage> {
    return this.callLater({ type: 'store_usage' });
  }

  /** Deletes what its retention does not keep any more, or counts it. */
  sweep({ dryRun = false } = {}): Promise<Swept> {
    return this.callLater({ type: 'sweep', dryRun });
  }

  /** Transcribes mono samples as one utterance. One language forces it, several are chosen from. */
  transcribe(samples: Samples, rate: number, languages: string[] = [], options?: JobOptions): Promise<SpeechTranscript> {
    const start = () => native.transcribe(this.handle, ...floatsOf(samples), rate, listOf(languages));
    return new EngineJob<SpeechTranscript>(start, (data) => fromJson(data.json), options).result();
  }

  /** Listens to a recording as to an open microphone, with endpointing, and gives events. */
  listen(samples: Samples, rate: number, languages: string[] = [], options?: JobOptions): EngineJob<TertuliaEvent> {
    const texts = new ReplyTexts();
    const start = () => native.listen(this.handle, ...floatsOf(samples), rate, listOf(languages));
    return new EngineJob(start, (data) => texts.lifted(data), options);
  }

  /** Speaks a text, in chunks. */
  synthesize(request: SynthesisRequest, options?: JobOptions): EngineJob<SpeechChunk> {
    const text = new Utf16Text(request.text);
    return new EngineJob(() => native.synthesize(this.handle, toJson(request)), (data) => chunkOf(data, text), options);
  }

  /** Loads every model, so that the first turn need not wait. */
  async preload(options?: JobOptions): Promise<void> {
    await this.job(() => native.preload(this.handle), options);
  }

  /** Writes a session as an archive to the file at `path`. */
  exportSession(session: SessionId, path: string, options?: JobOptions): Promise<ExportReport> {
    return this.job(() => native.exportSession(this.handle, session, path), options);
  }

  /** Stores a session from the archive at `path`, under its own id or another. */
  importSession(path: string, newId?: SessionId, options?: JobOptions): Promise<ImportReport> {
    return this.job(() => native.importSession(this.handle, path, newId), options);
  }

  /** Reads everything in the store and reports damage. */
  verifyStore(options?: JobOptions): Promise<Verified> {
    return this.job(() => native.verifyStore(this.handle), options);
  }

  /** Gives the space of deleted data back to the file system. */
  async compactStore(options?: JobOptions): Promise<void> {
    await this.job(() => native.compactStore(this.handle), options);
  }

  /** Deletes sessions, or with none named everything, so that no byte of them is left. */
  async erase(sessions?: SessionId[], options?: JobOptions): Promise<void> {
    await this.job(() => later<JobHandle>((task) => native.erase(task, this.handle, sessions?.join(','))), options);
  }

  /** Gives the store another key of 32 bytes, or takes the encryption away. */
  async rotateStoreKey(key?: Uint8Array, options?: JobOptions): Promise<void> {
    const bytes = sliceOf(key ?? new ArrayBuffer(0));
    await this.job(() => later<JobHandle>((task) => native.rotateStoreKey(task, this.handle, ...bytes)), options);
  }

  /** Stops computing and closes the store, for an app that goes to the background, and tells what still runs then. */
  suspend(deadlineMs = SUSPEND_MS): Promise<EngineWorker[]> {
    return this.running((task) => native.suspend(task, this.handle, deadlineMs));
  }

  /** Opens the store again and lets turns go on. */
  async resume(): Promise<void> {
    await later((task) => native.resume(task, this.handle));
  }

  /** Closes every session, stores everything, and stops; another engine can open the store then. Tells what still runs. */
  shutDown(timeoutMs = SHUT_DOWN_MS): Promise<EngineWorker[]> {
    return this.running((task) => native.shutDown(task, this.handle, timeoutMs));
  }

  /** @internal Makes a call that does not wait. */
  call<Answer>(command: object): Answer {
    return fromJson(native.apply(this.handle, toJson(command)));
  }

  /** @internal Makes a call that waits for the disk; those of one engine are made in order. */
  async callLater<Answer = unknown>(command: object): Promise<Answer> {
    const data = await later((task) => native.applyLater(task, this.handle, toJson(command)));
    return fromJson(data?.json ?? '{}');
  }

  private job<Result>(start: () => JobHandle | Promise<JobHandle>, options?: JobOptions): Promise<Result> {
    return new EngineJob<Result>(start, (data) => fromJson(data.json), options).result();
  }

  private async running(start: (task: number) => void): Promise<EngineWorker[]> {
    const data = await later(start);
    return data ? fromJson<{ workers: EngineWorker[] }>(data.json).workers : [];
  }
}

const listOf = (names: readonly string[]) => (names.length === 0 ? undefined : names.join(','));

function chunkOf({ json, audio }: Data, text: Utf16Text): SpeechChunk {
  const { rate, textSpan, words } = fromJson<Omit<SpeechChunk, 'audio'>>(json);
  const lifted = words.map((word) => ({ ...word, textSpan: text.span(word.textSpan) }));
  return { rate, textSpan: text.span(textSpan), words: lifted, audio: audio ?? new ArrayBuffer(0) };
}
