import Foundation
public import TertuliaGenerated

/// An event of a session or of the engine.
public struct TertuliaEvent: Sendable {
    /// Its kind and the fields of that.
    public let kind: TertuliaEventKind
    /// Its number, from 1 without gaps at each opening of the session.
    public let seq: UInt64
    /// The session; nil for events of the engine.
    public let session: String?
    /// The turn that it belongs to.
    public let turn: UInt64?
    /// Milliseconds since the session (or the engine) was opened.
    public let atMs: UInt64

    package let generated: TertuliaGenerated.TertuliaEvent

    /// The event in JSON, as docs/events.md has it: the same in every language, with spans in bytes, without samples.
    public var json: String { generated.json() }

    init(_ event: TertuliaGenerated.TertuliaEvent, replyText: String) {
        kind = TertuliaEventKind(event.kind, replyText: replyText)
        (seq, session, turn, atMs) = (event.seq, event.session, event.turn, event.atMs)
        generated = event
    }
}

/// The kinds of events, as docs/events.md describes them. New ones may come: a `switch` needs a `default`.
public enum TertuliaEventKind: Sendable, Equatable {
    /// The session is open; the first event.
    case sessionOpened(resumed: Bool, turns: UInt64)
    /// A turn started; it may retry or correct another.
    case turnStarted(origin: TurnOrigin, retryOf: UInt64?, corrects: UInt64?)
    /// Speech onset by VAD, at a position of the audio.
    case speechStarted(startMs: UInt64)
    /// End of speech by VAD; the utterance may go on.
    case speechStopped(endMs: UInt64)
    /// No speech for the time of `listening.idleMs`.
    case idle(silenceMs: UInt64)
    /// The utterance is complete.
    case utteranceEnded(startMs: UInt64, endMs: UInt64, decidedMs: UInt64, reason: EndReason)
    /// A partial transcript, which replaces the one before; the part in `stable` stays.
    case transcriptPartial(text: String, stable: NSRange)
    /// The final transcript, durable where `stored`.
    case transcriptDone(SpeechTranscript, stored: Bool)
    /// An increment of the reply's text.
    case replyTextDelta(String)
    /// The reply's whole text.
    case replyTextDone(String)
    /// A chunk of the reply's audio.
    case replyAudioDelta(ReplyAudio)
    /// The reply's audio is complete.
    case replyAudioDone(samplesTotal: UInt64)
    /// Pause the playback: a possible barge-in.
    case playbackPause
    /// Resume the playback: it was no barge-in.
    case playbackResume
    /// Stop the playback, discard the audio not yet played, then call `played` once more.
    case playbackFlush
    /// The turn ended normally; it is durable.
    case turnFinished(replyText: String)
    /// The turn was interrupted; it is durable.
    case turnInterrupted(reason: InterruptReason, heardText: String, isEstimated: Bool)
    /// The turn failed. The session goes on.
    case turnFailed(stage: TurnStage, TertuliaError)
    /// Latencies and costs of the turn.
    case metrics(Metrics)
    /// The session was ended or closed; the last event.
    case sessionClosed(ended: Bool)
    /// A model is being loaded (an event of the engine).
    case modelLoading(model: String, progress: Float)
    /// An error that fails no turn.
    case error(TertuliaError)
    /// An event of a newer library; `TertuliaEvent.json` has it.
    case unknown

    init(_ kind: TertuliaGenerated.TertuliaEventKind, replyText: String) {
        self = switch kind {
        case .sessionOpened(let resumed, let turns): .sessionOpened(resumed: resumed, turns: turns)
        case .turnStarted(let origin, let retryOf, let corrects): .turnStarted(origin: origin, retryOf: retryOf, corrects: corrects)
        case .speechStarted(let startMs): .speechStarted(startMs: startMs)
        case .speechStopped(let endMs): .speechStopped(endMs: endMs)
        case .idle(let silenceMs): .idle(silenceMs: silenceMs)
        case .utteranceEnded(let startMs, let endMs, let decidedMs, let reason):
            .utteranceEnded(startMs: startMs, endMs: endMs, decidedMs: decidedMs, reason: reason)
        case .transcriptPartial(let text, let stableLen): .transcriptPartial(text: text, stable: text.utf16Range(bytes: 0, stableLen))
        case .transcriptDone(let transcript, let stored): .transcriptDone(transcript, stored: stored)
        case .replyTextDelta(let text): .replyTextDelta(text)
        case .replyTextDone(let text): .replyTextDone(text)
        case .replyAudioDelta(let chunk, let rate, _, let pcm, let span, let words):
            .replyAudioDelta(
                ReplyAudio(
                    chunk: chunk, rate: rate, pcm: pcm, textRange: replyText.utf16Range(bytes: span.start, span.end),
                    words: words.map { SpokenWord($0, in: replyText) }))
        case .replyAudioDone(let samplesTotal): .replyAudioDone(samplesTotal: samplesTotal)
        case .playbackPause: .playbackPause
        case .playbackResume: .playbackResume
        case .playbackFlush: .playbackFlush
        case .turnFinished(let replyText): .turnFinished(replyText: replyText)
        case .turnInterrupted(let reason, let heardText, let estimated):
            .turnInterrupted(reason: reason, heardText: heardText, isEstimated: estimated)
        case .turnFailed(let stage, let error): .turnFailed(stage: stage, TertuliaError(error))
        case .metrics(let metrics): .metrics(metrics)
        case .sessionClosed(let ended): .sessionClosed(ended: ended)
        case .modelLoading(let model, let progress): .modelLoading(model: model, progress: progress)
        case .error(let error): .error(TertuliaError(error))
        case .unknown: .unknown
        }
    }
}

/// A chunk of a reply's audio.
public struct ReplyAudio: Sendable, Equatable, MonoAudio {
    /// Its number in the turn, from 0.
    public let chunk: UInt32
    /// Samples per second.
    public let rate: UInt32
    /// The samples' bytes.
    public let pcm: Data
    /// The part of the reply's text that it speaks, in UTF-16: `text.range(utf16: textRange)` is Swift's own.
    public let textRange: NSRange
    /// Its words; empty where the voice has no word times.
    public let words: [SpokenWord]
}

/// The position of a spoken word in text and audio.
public struct SpokenWord: Sendable, Equatable {
    /// The part of the text that is spoken, in UTF-16.
    public var textRange: NSRange
    /// The language in which it is pronounced.
    public var language: String
    /// Its samples: of the reply in events, of the chunk in results of a synthesizer.
    public var samples: Range<UInt64>

    public init(textRange: NSRange, language: String, samples: Range<UInt64>) {
        (self.textRange, self.language, self.samples) = (textRange, language, samples)
    }

    init(_ word: TertuliaGenerated.SpokenWord, in text: String) {
        textRange = text.utf16Range(bytes: word.textSpan.start, word.textSpan.end)
        language = word.language
        samples = word.startSample..<max(word.endSample, word.startSample)
    }
}

/// The text of the reply under way, into which spans of its audio point.
struct ReplyText {
    private var turn: UInt64?
    private var text = ""

    /// The event in Swift's units; a reply's text comes before the audio that speaks it.
    mutating func read(_ event: TertuliaGenerated.TertuliaEvent) -> TertuliaEvent {
        switch event.kind {
        case .turnStarted: (turn, text) = (event.turn, "")
        case .replyTextDelta(let delta) where event.turn == turn: text += delta
        case .replyTextDone(let whole) where event.turn == turn: text = whole
        default: break
        }
        return TertuliaEvent(event, replyText: event.turn == turn ? text : "")
    }
}
