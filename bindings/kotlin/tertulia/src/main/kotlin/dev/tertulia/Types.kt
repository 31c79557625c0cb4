/** Records and enums that need no other form than the generated one. */
package dev.tertulia

import dev.tertulia.generated.Keep as RawKeep

typealias AudioInfo = dev.tertulia.generated.AudioInfo
typealias AudioKind = dev.tertulia.generated.AudioKind
typealias Capabilities = dev.tertulia.generated.Capabilities
typealias ChatMessage = dev.tertulia.generated.ChatMessage
typealias ChatModelInfo = dev.tertulia.generated.ChatModelInfo
typealias ChatRequest = dev.tertulia.generated.ChatRequest
typealias ChatRole = dev.tertulia.generated.ChatRole
typealias ConversationSummary = dev.tertulia.generated.ConversationSummary
typealias Damage = dev.tertulia.generated.Damage
typealias EndReason = dev.tertulia.generated.EndReason
typealias EngineOptions = dev.tertulia.generated.EngineOptions
typealias EngineWorker = dev.tertulia.generated.EngineWorker
typealias ErrorCode = dev.tertulia.generated.ErrorCode
typealias ErrorInfo = dev.tertulia.generated.ErrorInfo
typealias ExportReport = dev.tertulia.generated.ExportReport
typealias ImportReport = dev.tertulia.generated.ImportReport
typealias InterruptReason = dev.tertulia.generated.InterruptReason
typealias Keep = dev.tertulia.generated.Keep
typealias LanguageCapability = dev.tertulia.generated.LanguageCapability
typealias Listening = dev.tertulia.generated.Listening
typealias ListeningMode = dev.tertulia.generated.ListeningMode
typealias LogLevel = dev.tertulia.generated.LogLevel
typealias Metrics = dev.tertulia.generated.Metrics
typealias ModelChoices = dev.tertulia.generated.ModelChoices
typealias ModelInfo = dev.tertulia.generated.ModelInfo
typealias ModelNames = dev.tertulia.generated.ModelNames
typealias ModelRole = dev.tertulia.generated.ModelRole
typealias ModelState = dev.tertulia.generated.ModelState
typealias Persona = dev.tertulia.generated.Persona
typealias PlannedFile = dev.tertulia.generated.PlannedFile
typealias Playback = dev.tertulia.generated.Playback
typealias PullPhase = dev.tertulia.generated.PullPhase
typealias PullPlan = dev.tertulia.generated.PullPlan
typealias PullProgress = dev.tertulia.generated.PullProgress
typealias Purpose = dev.tertulia.generated.Purpose
typealias RecognitionRequest = dev.tertulia.generated.RecognitionRequest
typealias RecognizerInfo = dev.tertulia.generated.RecognizerInfo
typealias RequestContext = dev.tertulia.generated.RequestContext
typealias Retention = dev.tertulia.generated.Retention
typealias Sampling = dev.tertulia.generated.Sampling
typealias SessionConfig = dev.tertulia.generated.SessionConfig
typealias SessionCursor = dev.tertulia.generated.SessionCursor
typealias SessionPage = dev.tertulia.generated.SessionPage
typealias SessionQuery = dev.tertulia.generated.SessionQuery
typealias SessionRecord = dev.tertulia.generated.SessionRecord
typealias SessionSummary = dev.tertulia.generated.SessionSummary
typealias SessionUpdate = dev.tertulia.generated.SessionUpdate
typealias SpeechTranscript = dev.tertulia.generated.SpeechTranscript
typealias StoreUsage = dev.tertulia.generated.StoreUsage
typealias StoredAudio = dev.tertulia.generated.StoredAudio
typealias SynthesisRequest = dev.tertulia.generated.SynthesisRequest
typealias SynthesizerInfo = dev.tertulia.generated.SynthesizerInfo
typealias TurnOrigin = dev.tertulia.generated.TurnOrigin
typealias TurnPage = dev.tertulia.generated.TurnPage
typealias TurnRecord = dev.tertulia.generated.TurnRecord
typealias TurnStage = dev.tertulia.generated.TurnStage
typealias TurnState = dev.tertulia.generated.TurnState
typealias VadInfo = dev.tertulia.generated.VadInfo
typealias Verified = dev.tertulia.generated.Verified
typealias VoiceInfo = dev.tertulia.generated.VoiceInfo
typealias Word = dev.tertulia.generated.Word

/** Data is never stored. */
val RawKeep.Companion.never: Keep get() = RawKeep.Never

/** Data is stored until the session ends. */
val RawKeep.Companion.untilSessionEnd: Keep get() = RawKeep.UntilSessionEnd

/** Data is stored until the session is deleted. */
val RawKeep.Companion.forever: Keep get() = RawKeep.Forever

/** Data is stored for this many ms after its turn. */
fun RawKeep.Companion.forMs(ms: ULong): Keep = RawKeep.ForMs(ms)

/** Settings from JSON. Fails with [ErrorCode.INVALID_CONFIG]. */
fun sessionConfig(json: String): SessionConfig = edge { dev.tertulia.generated.sessionConfig(json) }

/** The version of the library, such as "0.1.0". */
fun libraryVersion(): String = dev.tertulia.generated.version()
