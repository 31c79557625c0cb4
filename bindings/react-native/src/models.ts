import { EngineJob, type JobOptions } from './jobs';
import { fromJson } from './json';
import { later, native, type Data } from './native';

/** A model that the library knows. */
export interface ModelInfo {
  name: string;
  role: ModelRole;
  /** Its name for people. */
  title: string;
  /** An SPDX expression. */
  licence: string;
  languages: string[];
  isDefault: boolean;
  downloadBytes: number;
  /** Where its file lies, or would. */
  path: string;
  state: 'ready' | 'missing' | 'partial' | 'outdated' | 'damaged';
}

export type ModelRole = 'recognizer' | 'chat' | 'synthesizer' | 'vad' | 'turn_detector';

/** The files that a pull would fetch. */
export interface PullPlan {
  /** Of all files together. */
  bytes: number;
  files: PlannedFile[];
}

export interface PlannedFile {
  /** The model that it is for. */
  model: string;
  licence: string;
  name: string;
  bytes: number;
}

/** The progress of a pull: of one phase of one file. */
export interface PullProgress {
  model: string;
  file: string;
  phase: PullPhase;
  doneBytes: number;
  totalBytes: number;
}

export type PullPhase = 'waiting' | 'downloading' | 'unpacking' | 'verifying' | 'converting' | 'ready';

const listOf = (names: readonly string[]) => (names.length === 0 ? undefined : names.join(','));

/**
 * The model files in a folder; without one, of the platform's place for them. In a library without models every call fails
 * with Unsupported.
 */
export class ModelStore {
  constructor(private readonly folder?: string) {}

  /** The models that the library knows. */
  async list(): Promise<ModelInfo[]> {
    return fromJson((await later<Data>((task) => native.modelsList(task, this.folder))).json);
  }

  /** The files that a pull of these models (none for the default ones) would fetch. */
  async plan(names: readonly string[] = []): Promise<PullPlan> {
    return fromJson((await later<Data>((task) => native.modelsPlan(task, this.folder, listOf(names)))).json);
  }

  /** Fetches these models (none for the default ones). A pull that was cancelled goes on with the next one. */
  pull(names: readonly string[] = [], options?: JobOptions): EngineJob<PullProgress> {
    return new EngineJob(() => native.modelsPull(this.folder, listOf(names)), (data) => fromJson(data.json), options);
  }

  /** Copies a GGUF file to its place as the model `name`, and checks it. Takes as long as reading it. */
  async install(name: string, path: string): Promise<void> {
    await later((task) => native.modelsInstall(task, this.folder, name, path));
  }

  /** Removes a model's files. */
  async remove(name: string): Promise<void> {
    await later((task) => native.modelsRemove(task, this.folder, name));
  }

  /** Reads a model's file, and compares its hash. Takes as long as reading it. */
  async verify(name: string): Promise<void> {
    await later((task) => native.modelsVerify(task, this.folder, name));
  }
}
