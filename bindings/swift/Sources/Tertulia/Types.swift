public import TertuliaGenerated

// Records and choices that are in Swift as they are in the library. The calls with them are this module's.
@_exported public import struct TertuliaGenerated.AudioInfo
@_exported public import enum TertuliaGenerated.AudioKind
@_exported public import struct TertuliaGenerated.Capabilities
@_exported public import struct TertuliaGenerated.ChatMessage
@_exported public import struct TertuliaGenerated.ChatModelInfo
@_exported public import struct TertuliaGenerated.ChatRequest
@_exported public import enum TertuliaGenerated.ChatRole
@_exported public import struct TertuliaGenerated.ConversationSummary
@_exported public import struct TertuliaGenerated.Damage
@_exported public import enum TertuliaGenerated.EndReason
@_exported public import struct TertuliaGenerated.EngineOptions
@_exported public import enum TertuliaGenerated.EngineWorker
@_exported public import enum TertuliaGenerated.ErrorCode
@_exported public import struct TertuliaGenerated.ExportReport
@_exported public import struct TertuliaGenerated.ImportReport
@_exported public import enum TertuliaGenerated.InterruptReason
@_exported public import enum TertuliaGenerated.Keep
@_exported public import struct TertuliaGenerated.LanguageCapability
@_exported public import struct TertuliaGenerated.Listening
@_exported public import enum TertuliaGenerated.ListeningMode
@_exported public import enum TertuliaGenerated.LogLevel
@_exported public import struct TertuliaGenerated.Metrics
@_exported public import struct TertuliaGenerated.ModelChoices
@_exported public import struct TertuliaGenerated.ModelInfo
@_exported public import struct TertuliaGenerated.ModelNames
@_exported public import enum TertuliaGenerated.ModelRole
@_exported public import enum TertuliaGenerated.ModelState
@_exported public import struct TertuliaGenerated.Persona
@_exported public import struct TertuliaGenerated.PlannedFile
@_exported public import enum TertuliaGenerated.Playback
@_exported public import enum TertuliaGenerated.PullPhase
@_exported public import struct TertuliaGenerated.PullPlan
@_exported public import struct TertuliaGenerated.PullProgress
@_exported public import enum TertuliaGenerated.Purpose
@_exported public import struct TertuliaGenerated.RecognitionRequest
@_exported public import struct TertuliaGenerated.RecognizerInfo
@_exported public import struct TertuliaGenerated.RequestContext
@_exported public import struct TertuliaGenerated.Retention
@_exported public import struct TertuliaGenerated.Sampling
@_exported public import struct TertuliaGenerated.SessionConfig
@_exported public import struct TertuliaGenerated.SessionCursor
@_exported public import struct TertuliaGenerated.SessionPage
@_exported public import struct TertuliaGenerated.SessionQuery
@_exported public import struct TertuliaGenerated.SessionRecord
@_exported public import struct TertuliaGenerated.SessionSummary
@_exported public import struct TertuliaGenerated.SessionUpdate
@_exported public import struct TertuliaGenerated.SpeechTranscript
@_exported public import struct TertuliaGenerated.StoreUsage
@_exported public import struct TertuliaGenerated.StoredAudio
@_exported public import struct TertuliaGenerated.SynthesisRequest
@_exported public import struct TertuliaGenerated.SynthesizerInfo
@_exported public import enum TertuliaGenerated.TurnOrigin
@_exported public import struct TertuliaGenerated.TurnPage
@_exported public import struct TertuliaGenerated.TurnRecord
@_exported public import enum TertuliaGenerated.TurnStage
@_exported public import enum TertuliaGenerated.TurnState
@_exported public import struct TertuliaGenerated.VadInfo
@_exported public import struct TertuliaGenerated.Verified
@_exported public import struct TertuliaGenerated.VoiceInfo
@_exported public import struct TertuliaGenerated.Word

/// The version of the library, such as "0.1.0".
public func tertuliaVersion() -> String { TertuliaGenerated.version() }

extension SessionConfig {
    /// Settings from JSON, as docs/schema/commands.json describes them.
    public init(json: String) throws(TertuliaError) {
        self = try call { try TertuliaGenerated.sessionConfig(json: json) }
    }
}
