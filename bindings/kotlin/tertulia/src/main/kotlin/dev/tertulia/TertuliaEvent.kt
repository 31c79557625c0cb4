package dev.tertulia

import dev.tertulia.generated.TertuliaEvent as RawEvent
import dev.tertulia.generated.TertuliaEventKind as Raw

/** An event of a session or of the engine; [kind] holds the fields of its type, as docs/events.md lists them. */
class TertuliaEvent internal constructor(
    /** Its type and the fields of that. */
    val kind: TertuliaEventKind,
    private val raw: RawEvent,
) {
    /** Its number, from 1 without gaps at each opening of the session. */
    val seq: ULong get() = raw.seq

    /** The session; null for events of the engine. */
    val session: String? get() = raw.session

    /** The turn that it belongs to. */
    val turn: ULong? get() = raw.turn

    /** Milliseconds since the session (or the engine) was opened. */
    val atMs: ULong get() = raw.atMs

    /** The event in JSON, as docs/events.md has it: the same in every language. */
    fun json(): String = raw.json()

    override fun toString() = "TertuliaEvent(seq=$seq, turn=$turn, atMs=$atMs, kind=$kind)"
}

/** The types of events. [Unknown] is one of a newer library. */
sealed interface TertuliaEventKind {
    /** The session is open; the first event. */
    data class SessionOpened(val resumed: Boolean, val turns: ULong) : TertuliaEventKind

    /** A turn started; it may retry or correct another. */
    data class TurnStarted(val origin: TurnOrigin, val retryOf: ULong?, val corrects: ULong?) : TertuliaEventKind

    /** Speech onset by VAD, at a position of the audio. */
    data class SpeechStarted(val startMs: ULong) : TertuliaEventKind

    /** End of speech by VAD; the utterance may go on. */
    data class SpeechStopped(val endMs: ULong) : TertuliaEventKind

    /** No speech for the time of [Listening.idleMs]. */
    data class Idle(val silenceMs: ULong) : TertuliaEventKind

    /** The utterance is complete. */
    data class UtteranceEnded(val startMs: ULong, val endMs: ULong, val decidedMs: ULong, val reason: EndReason) :
        TertuliaEventKind

    /** A partial transcript, which replaces the one before; its first [stableLength] UTF-16 units stay. */
    data class TranscriptPartial(val text: String, val stableLength: Int) : TertuliaEventKind

    /** The final transcript, durable where [stored]. */
    data class TranscriptDone(val transcript: SpeechTranscript, val stored: Boolean) : TertuliaEventKind

    /** An increment of the reply's text. */
    data class ReplyTextDelta(val text: String) : TertuliaEventKind

    /** The reply's whole text. */
    data class ReplyTextDone(val text: String) : TertuliaEventKind

    /** A chunk of the reply's audio; it speaks the UTF-16 units [textSpan] of the reply's text. */
    class ReplyAudioDelta(
        val chunk: Int,
        /** Samples per second. */
        val rate: Int,
        /** Mono samples of -1 to 1 as little-endian 32-bit floats. */
        val pcm: ByteArray,
        val textSpan: IntRange,
        val words: List<SpokenWord>,
    ) : TertuliaEventKind {
        /** Mono samples of -1 to 1, copied at each call. */
        fun samples(): FloatArray = floatSamples(pcm)

        override fun toString() = "ReplyAudioDelta(chunk=$chunk, rate=$rate, samples=${pcm.size / 4}, textSpan=$textSpan)"
    }

    /** The reply's audio is complete. */
    data class ReplyAudioDone(val samplesTotal: ULong) : TertuliaEventKind

    /** Pause the playback: a possible barge-in. */
    data object PlaybackPause : TertuliaEventKind

    /** Resume the playback: it was no barge-in. */
    data object PlaybackResume : TertuliaEventKind

    /** Stop the playback, discard the audio not yet played, then report what was played once more. */
    data object PlaybackFlush : TertuliaEventKind

    /** The turn ended normally; it is durable. */
    data class TurnFinished(val replyText: String) : TertuliaEventKind

    /** The turn was interrupted; it is durable. */
    data class TurnInterrupted(val reason: InterruptReason, val heardText: String, val estimated: Boolean) :
        TertuliaEventKind

    /** The turn failed. The session goes on. */
    data class TurnFailed(val stage: TurnStage, val error: ErrorInfo) : TertuliaEventKind

    /** Latencies and costs of the turn. */
    data class TurnMetrics(val metrics: Metrics) : TertuliaEventKind

    /** The session was ended or closed; the last event. */
    data class SessionClosed(val ended: Boolean) : TertuliaEventKind

    /** A model is being loaded (an event of the engine). */
    data class ModelLoading(val model: String, val progress: Float) : TertuliaEventKind

    /** An error that fails no turn. */
    data class Error(val error: ErrorInfo) : TertuliaEventKind

    /** An event of a newer library. */
    data object Unknown : TertuliaEventKind
}

/**
 * A spoken word in text and audio.
 *
 * @property textSpan its UTF-16 units of the text
 * @property language the language in which it is pronounced, as BCP 47 tag
 * @property samples its samples: of the reply in events, of the chunk in results of a synthesizer
 */
data class SpokenWord(val textSpan: IntRange, val language: String, val samples: LongRange)

/** An event of the library's, with spans on the texts of its session. */
internal fun lifted(raw: RawEvent, texts: ReplyTexts): TertuliaEvent {
    val turn = raw.turn
    when (val kind = raw.kind) {
        is Raw.ReplyTextDelta -> texts.append(turn, kind.text)
        is Raw.ReplyTextDone -> texts.set(turn, kind.text)
        is Raw.TurnFinished, is Raw.TurnInterrupted, is Raw.TurnFailed -> texts.remove(turn)
        else -> {}
    }
    return TertuliaEvent(kind(raw.kind) { texts.range(turn, it) }, raw)
}

private fun kind(raw: Raw, range: (dev.tertulia.generated.TextSpan) -> IntRange): TertuliaEventKind =
    when (raw) {
        is Raw.SessionOpened -> TertuliaEventKind.SessionOpened(raw.resumed, raw.turns)
        is Raw.TurnStarted -> TertuliaEventKind.TurnStarted(raw.origin, raw.retryOf, raw.corrects)
        is Raw.SpeechStarted -> TertuliaEventKind.SpeechStarted(raw.startMs)
        is Raw.SpeechStopped -> TertuliaEventKind.SpeechStopped(raw.endMs)
        is Raw.Idle -> TertuliaEventKind.Idle(raw.silenceMs)
        is Raw.UtteranceEnded ->
            TertuliaEventKind.UtteranceEnded(raw.startMs, raw.endMs, raw.decidedMs, raw.reason)
        is Raw.TranscriptPartial ->
            TertuliaEventKind.TranscriptPartial(raw.text, raw.text.utf16Index(raw.stableLen))
        is Raw.TranscriptDone -> TertuliaEventKind.TranscriptDone(raw.transcript, raw.stored)
        is Raw.ReplyTextDelta -> TertuliaEventKind.ReplyTextDelta(raw.text)
        is Raw.ReplyTextDone -> TertuliaEventKind.ReplyTextDone(raw.text)
        is Raw.ReplyAudioDelta ->
            TertuliaEventKind.ReplyAudioDelta(
                raw.chunk.toInt(), raw.rate.toInt(), raw.pcm, range(raw.textSpan), raw.words.map { it.lifted(range) },
            )
        is Raw.ReplyAudioDone -> TertuliaEventKind.ReplyAudioDone(raw.samplesTotal)
        Raw.PlaybackPause -> TertuliaEventKind.PlaybackPause
        Raw.PlaybackResume -> TertuliaEventKind.PlaybackResume
        Raw.PlaybackFlush -> TertuliaEventKind.PlaybackFlush
        is Raw.TurnFinished -> TertuliaEventKind.TurnFinished(raw.replyText)
        is Raw.TurnInterrupted -> TertuliaEventKind.TurnInterrupted(raw.reason, raw.heardText, raw.estimated)
        is Raw.TurnFailed -> TertuliaEventKind.TurnFailed(raw.stage, raw.error)
        is Raw.Metrics -> TertuliaEventKind.TurnMetrics(raw.metrics)
        is Raw.SessionClosed -> TertuliaEventKind.SessionClosed(raw.ended)
        is Raw.ModelLoading -> TertuliaEventKind.ModelLoading(raw.model, raw.progress)
        is Raw.Error -> TertuliaEventKind.Error(raw.error)
        Raw.Unknown -> TertuliaEventKind.Unknown
    }

internal fun dev.tertulia.generated.SpokenWord.lifted(range: (dev.tertulia.generated.TextSpan) -> IntRange) =
    SpokenWord(range(textSpan), language, startSample.toLong() until endSample.toLong())
