/** Tertulia: an embeddable, on-device engine for spoken conversation. */
import { native } from './native';

export type { Samples } from './audio';
export type {
  BackendInfo, ChatMessage, ChatModel, ChatRequest, ChatRole, HostBackends, RecognitionRequest, Recognizer, RequestContext, SpeechPart,
  SynthesisRequest, Synthesizer,
} from './backends';
export { openEngine, type TertuliaEngine } from './engine';
export type { Damage, EngineWorker, ExportReport, ImportReport, SpeechChunk, StoredAudio, Verified } from './engine';
export { TertuliaError } from './error';
export type { EngineJob, JobOptions } from './jobs';
export { ModelStore } from './models';
export type { ModelInfo, ModelRole, PlannedFile, PullPhase, PullPlan, PullProgress } from './models';
export { setLog } from './native';
export type { TertuliaSession } from './session';
export type { AudioChange, AudioFault, AudioOptions, SessionAudio } from './sessionAudio';
export { ErrorCode } from './generated';
export type * from './generated';

/** The version of the library, such as "0.1.0". */
export const libraryVersion = (): string => native.version();
